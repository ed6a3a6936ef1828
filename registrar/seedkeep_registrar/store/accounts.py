"""People who have an account here, and what they may do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from seedkeep_registrar.store.accounts_tables import account_keys, accounts

_BY_KEY = (
    select(accounts)
    .join(account_keys, account_keys.c.account_id == accounts.c.id)
    .where(account_keys.c.key == bindparam("key"))
)


class Role(IntEnum):
    """What somebody may do at most; a higher one includes the lower ones."""

    VISITOR = 0
    MEMBER = 1
    CURATOR = 2
    OPERATOR = 3

    @property
    def word(self) -> str:
        """As it is written: ``member``."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Account:
    """One person; times in Unix seconds.

    Args:
        email: case-folded, unique; "" when none is known (sign-in by another service).
        orcid: ``0000-0002-1825-0097`` or "".
        ror: ``04wxnsj81`` of the institution, or "".
        disabled: may no longer do anything.
        queue_mails: is mailed what comes into the queue, as a curator.
        deleted: when its person deleted it; it is disabled then, and all else in it is empty.
    """

    id: int
    email: str
    name: str
    orcid: str
    institution: str
    ror: str
    role: Role
    created: float
    last_seen: float
    disabled: bool
    queue_mails: bool
    deleted: float | None


def account_of(row: Row[Any]) -> Account:
    """The account in a row that has all columns of ``accounts``."""
    values = {name: row._mapping[accounts.c[name]] for name in Account.__slots__}
    return Account(**{**values, "email": values["email"] or "", "role": Role(values["role"])})


def by_id(connection: Connection, account_id: int) -> Account | None:
    """One account."""
    row = connection.execute(select(accounts).where(accounts.c.id == account_id)).first()
    return account_of(row) if row else None


def by_email(connection: Connection, email: str) -> Account | None:
    """The account of a case-folded address."""
    row = connection.execute(select(accounts).where(accounts.c.email == email)).first()
    return account_of(row) if row else None


def by_key(connection: Connection, key: str) -> Account | None:
    """The account for which a key acts."""
    row = connection.execute(_BY_KEY, {"key": key}).first()
    return account_of(row) if row else None


def create(connection: Connection, *, email: str, role: Role, now: float, name: str = "") -> Account:
    """A new account; one that has this address already comes back as it is.

    Args:
        email: case-folded, or "" for none.
    """
    values = {
        "email": email or None,
        "name": name,
        "orcid": "",
        "institution": "",
        "ror": "",
        "role": int(role),
        "created": now,
        "last_seen": now,
        "disabled": False,
        "queue_mails": True,
        "deleted": None,
    }
    savepoint = connection.begin_nested()
    try:
        made = connection.execute(insert(accounts).values(values)).inserted_primary_key
    except IntegrityError:  # another process was faster
        savepoint.rollback()
        found = by_email(connection, email)
        assert found is not None
        return found
    savepoint.commit()
    assert made is not None
    account = by_id(connection, made[0])
    assert account is not None
    return account


def change(connection: Connection, account_id: int, values: Mapping[str, Any]) -> Account | None:
    """Write columns of one account; as it is then, or None when there is none."""
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(values))
    return by_id(connection, account_id)


def page(connection: Connection, *, text: str, after: int, limit: int) -> list[Account]:
    """Accounts in the order in which they were made.

    Args:
        text: part of address or name, any case; "" for all.
        after: only those with a greater id.
    """
    query = select(accounts).where(accounts.c.id > after).order_by(accounts.c.id).limit(limit)
    if text:
        query = query.where(
            or_(
                accounts.c.email.icontains(text, autoescape=True),
                accounts.c.name.icontains(text, autoescape=True),
            )
        )
    return [account_of(row) for row in connection.execute(query)]


def operators(connection: Connection) -> list[int]:
    """Accounts of operators that are not disabled."""
    query = select(accounts.c.id).where(accounts.c.role >= int(Role.OPERATOR), accounts.c.disabled.is_(False))
    return list(connection.execute(query).scalars())


def to_be_told(connection: Connection, least: Role, named: Collection[str]) -> list[Account]:
    """Who wants to be mailed what comes into the queue: people of this role, or with one of these keys."""
    inside = select(account_keys.c.account_id).where(account_keys.c.key.in_(named))
    query = select(accounts).where(
        or_(accounts.c.role >= int(least), accounts.c.id.in_(inside)),
        accounts.c.queue_mails.is_(True),
        accounts.c.disabled.is_(False),
        accounts.c.email.is_not(None),
    )
    return [account_of(row) for row in connection.execute(query.order_by(accounts.c.id))]


def people_of_keys(
    connection: Connection, least: Role, named: Collection[str]
) -> dict[str, tuple[int, Role, bool]]:
    """Account, role, and whether it is disabled, by key: of ``named``, and of accounts of this role."""
    joined = accounts.join(account_keys, account_keys.c.account_id == accounts.c.id)
    columns = (account_keys.c.key, accounts.c.id, accounts.c.role, accounts.c.disabled)
    wanted = or_(accounts.c.role >= int(least), account_keys.c.key.in_(named))
    return {
        row.key: (row.id, Role(row.role), row.disabled)
        for row in connection.execute(select(*columns).select_from(joined).where(wanted))
    }


def of_role(connection: Connection, least: Role) -> list[int]:
    """Ids of the accounts of at least this role that are not disabled."""
    query = select(accounts.c.id).where(accounts.c.role >= int(least), accounts.c.disabled.is_(False))
    return list(connection.execute(query).scalars())
