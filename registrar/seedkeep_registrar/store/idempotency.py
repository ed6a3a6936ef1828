"""Idempotency keys with the answers they led to, for a day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from seedkeep.core.errors import Conflict, InvalidInput
from seedkeep_registrar.store.idempotency_tables import idempotency_keys as table

KEPT_S = 86400.0
#: after so long a request without an answer is taken to have died with its process, in seconds
ABANDONED_S = 600.0


class KeyReused(InvalidInput):
    """An idempotency key was used for another request."""

    code = "key_reused"


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer that was given to the first request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def begin(connection: Connection, sender: str, key: str, fingerprint: str, now: float) -> Kept | None:
    """The answer that this key led to; None when this request is the first, which is noted.

    Args:
        fingerprint: SHA-256 of the request.

    Raises:
        KeyReused: the key was used for another request.
        Conflict: the first request is being answered.
    """
    same = and_(table.c.sender == sender, table.c.key == key)
    row = connection.execute(select(table).where(same)).first()
    if row is not None and now - row.created > (KEPT_S if row.status is not None else ABANDONED_S):
        connection.execute(delete(table).where(same))
        row = None
    if row is None:
        values = {"sender": sender, "key": key, "fingerprint": fingerprint, "created": now}
        try:
            connection.execute(insert(table).values(values))
        except IntegrityError as error:  # another process was quicker
            raise _busy() from error
        return None
    if row.fingerprint != fingerprint:
        raise KeyReused(
            "this Idempotency-Key was used for another request", hint="Use a new key for each request."
        )
    if row.status is None:
        raise _busy()
    return Kept(row.status, row.headers, row.body)


def _busy() -> Conflict:
    return Conflict(
        "the first request with this Idempotency-Key is being answered", hint="Send it again in a while."
    )


def keep(connection: Connection, sender: str, key: str, answer: Kept) -> None:
    """Note the answer to the first request."""
    connection.execute(
        update(table)
        .where(table.c.sender == sender, table.c.key == key)
        .values(status=answer.status, headers=dict(answer.headers), body=answer.body)
    )


def forget(connection: Connection, sender: str, key: str) -> None:
    """The first request made nothing: the key is free again."""
    connection.execute(delete(table).where(table.c.sender == sender, table.c.key == key))


def purge(connection: Connection, now: float) -> int:
    """Forget what is older than a day; how many."""
    return connection.execute(delete(table).where(table.c.created < now - KEPT_S)).rowcount
