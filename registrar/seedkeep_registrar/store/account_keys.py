"""Keys that act for accounts, and those that wait for their person to confirm them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from seedkeep.core.errors import Conflict, Refused
from seedkeep_registrar.store.accounts_tables import account_keys, accounts, key_bindings

WAITING = "waiting"
BOUND = "bound"
REFUSED = "refused"
_CLOSED = (
    select(accounts.c.deleted)
    .join(account_keys, account_keys.c.account_id == accounts.c.id)
    .where(account_keys.c.key == bindparam("key"), accounts.c.disabled.is_(True))
)


@dataclass(frozen=True, slots=True)
class BoundKey:
    """A key that acts for an account; ``bound`` in Unix seconds."""

    key: str
    account_id: int
    label: str
    bound: float


@dataclass(frozen=True, slots=True)
class Binding:
    """A key that waits to be confirmed; times in Unix seconds.

    Args:
        label: how the machine calls itself.
        state: ``waiting``, ``bound``, ``refused``.
        account_id: who confirmed or refused it.
    """

    id: str
    key: str
    label: str
    state: str
    account_id: int | None
    created: float
    expires: float


def _binding(row: Row[Any]) -> Binding:
    return Binding(**{name: row._mapping[name] for name in Binding.__slots__})


def bind(connection: Connection, key: str, account_id: int, label: str, now: float) -> None:
    """Let a key act for an account; does nothing when it does already.

    Raises:
        Conflict: it acts for another account.
    """
    savepoint = connection.begin_nested()
    values = {"key": key, "account_id": account_id, "label": label, "bound": now}
    try:
        connection.execute(insert(account_keys).values(values))
    except IntegrityError:
        savepoint.rollback()
    else:
        savepoint.commit()
        return
    query = select(account_keys.c.account_id).where(account_keys.c.key == key)
    if connection.execute(query).scalar() != account_id:
        raise Conflict(
            "this key acts for another account", hint="Sign in with that account and remove the key there."
        )


def check_open(connection: Connection, key: str) -> None:
    """
    Raises:
        Refused: the key's account is disabled or deleted, so that the key counts nowhere.
    """
    row = connection.execute(_CLOSED, {"key": key}).first()
    if row is None:
        return
    if row.deleted is not None:
        raise Refused("the account of this key was deleted", hint="Make another key with `seedkeep key new`.")
    raise Refused("the account of this key is disabled", hint="Ask the registrar's operator.")


def unbind(connection: Connection, key: str, account_id: int) -> bool:
    """Let a key no longer act for this account; whether it did."""
    gone = delete(account_keys).where(account_keys.c.key == key, account_keys.c.account_id == account_id)
    return bool(connection.execute(gone).rowcount)


def of_account(connection: Connection, account_id: int) -> list[BoundKey]:
    """The keys of an account, oldest first."""
    query = select(account_keys).where(account_keys.c.account_id == account_id).order_by(account_keys.c.bound)
    return [BoundKey(**row._mapping) for row in connection.execute(query)]


def begin_binding(connection: Connection, binding: Binding, code_sha256: str) -> None:
    """Remember a key that waits; an older wait of the same key ends."""
    connection.execute(
        delete(key_bindings).where(key_bindings.c.key == binding.key, key_bindings.c.state == WAITING)
    )
    values = {name: getattr(binding, name) for name in Binding.__slots__}
    connection.execute(insert(key_bindings).values({**values, "code_sha256": code_sha256}))


def binding_by_id(connection: Connection, binding_id: str) -> Binding | None:
    """One binding, however it stands."""
    row = connection.execute(select(key_bindings).where(key_bindings.c.id == binding_id)).first()
    return _binding(row) if row else None


def binding_by_code(connection: Connection, code_sha256: str, now: float) -> Binding | None:
    """The binding that waits under this code."""
    query = select(key_bindings).where(
        key_bindings.c.code_sha256 == code_sha256,
        key_bindings.c.state == WAITING,
        key_bindings.c.expires > now,
    )
    row = connection.execute(query).first()
    return _binding(row) if row else None


def end_binding(connection: Connection, binding_id: str, state: str, account_id: int, now: float) -> bool:
    """Confirm or refuse a binding that waits; False when it no longer does."""
    ended = update(key_bindings).where(
        key_bindings.c.id == binding_id,
        key_bindings.c.state == WAITING,
        key_bindings.c.expires > now,
    )
    return bool(connection.execute(ended.values(state=state, account_id=account_id)).rowcount)


def purge(connection: Connection, now: float) -> None:
    """Forget bindings that have run out."""
    connection.execute(delete(key_bindings).where(key_bindings.c.expires < now))
