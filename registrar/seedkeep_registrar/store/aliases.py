"""Further names of records, given by others: DOIs. They follow a record's present metadata."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from seedkeep_registrar.store.aliases_tables import aliases
from seedkeep_registrar.store.records import Record, in_order

DOI = "doi"
_INSERT = insert(aliases)


def add(connection: Connection, rid: str, kind: str, values: Sequence[str]) -> None:
    """Give a record these further names of one kind; it has none of it yet."""
    if values:
        connection.execute(_INSERT, [{"kind": kind, "value": v, "rid": rid} for v in values])


def put(connection: Connection, rid: str, kind: str, values: Sequence[str]) -> None:
    """Give a record exactly these further names of one kind."""
    connection.execute(delete(aliases).where(aliases.c.rid == rid, aliases.c.kind == kind))
    add(connection, rid, kind, values)


def find(connection: Connection, kind: str, value: str) -> list[Record]:
    """The records that have this name, oldest first, tainted and withdrawn ones included.

    Args:
        value: as it is printed, a DOI like ``10.5281/zenodo.123``.
    """
    named = select(aliases.c.rid).where(aliases.c.kind == kind, aliases.c.value == value)
    return in_order(connection, named)
