"""The newest signed head of the taint list, as every process serves it."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from seedkeep_registrar.store.running_tables import taint_heads

_ONLY_ROW = 1


def current(connection: Connection) -> str:
    """The note, or "" before the first one."""
    return connection.execute(select(taint_heads.c.note)).scalar_one_or_none() or ""


def put(connection: Connection, note: str) -> None:
    """Replace it."""
    if connection.execute(update(taint_heads).values(note=note)).rowcount == 0:
        connection.execute(insert(taint_heads).values(id=_ONLY_ROW, note=note))
