"""The journal: who did what to this registrar, and when. Entries are added and read, never changed,
but for the name of who deletes their account, which leaves the number behind."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from seedkeep_registrar.store.operation_tables import journal

_MAX_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Entry:
    """One line.

    Args:
        at: Unix seconds.
        actor: ``account 17 (name)``, a key, or an address.
        action: such as ``role.set``, ``token.made``, ``taint.placed``.
        subject: what it was done to: an account, key, rid, taint.
        detail: what a reader needs besides; no secret.
        request: id of the request, see :mod:`seedkeep_registrar.operations.request_log`.
    """

    id: int
    at: float
    actor: str
    action: str
    subject: str
    detail: str
    request: str


def note(
    connection: Connection,
    *,
    at: float,
    actor: str,
    action: str,
    subject: str = "",
    detail: str = "",
    request: str = "",
) -> None:
    """Add a line, in the transaction that does what it tells."""
    connection.execute(
        insert(journal).values(
            at=at,
            actor=actor[:_MAX_TEXT],
            action=action,
            subject=subject[:_MAX_TEXT],
            detail=detail[:_MAX_TEXT],
            request=request,
        )
    )


def newest(connection: Connection, *, before: int | None, action: str, limit: int) -> list[Entry]:
    """Lines, newest first.

    Args:
        before: only those with a lower id.
        action: only these, and those below it (``role`` finds ``role.set``); empty: all.
    """
    query = select(journal).order_by(journal.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(journal.c.id < before)
    if action:
        low, high = f"{action}.", f"{action}/"
        query = query.where((journal.c.action == action) | journal.c.action.between(low, high))
    return [Entry(**row._mapping) for row in connection.execute(query)]
