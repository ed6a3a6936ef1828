"""The newest signed head of the taint list, as every process serves it."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from seedkeep_registrar.store.running_tables import taint_heads

_ONLY_ROW = 1


def current(connection: Connection) -> str:
    """The note, or "" before the first one."""
    return connection.execute(select(taint_heads.c.note)).scalar_one_or_none() or ""


def forget(connection: Connection) -> None:
    """There is none any more: the key that signed it is another one now."""
    connection.execute(delete(taint_heads))


def put(connection: Connection, note: str) -> None:
    """Replace it."""
    if connection.execute(update(taint_heads).values(note=note)).rowcount == 0:
        connection.execute(insert(taint_heads).values(id=_ONLY_ROW, note=note))
