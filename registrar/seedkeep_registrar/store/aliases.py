"""Further names of records, given by others: DOIs. They follow a record's present metadata.

Whoever revises a record may claim any such name, so a claim proves nothing; a curator may confirm one.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from seedkeep_registrar.store.aliases_tables import aliases, confirmed_names
from seedkeep_registrar.store.records import Record, in_order
from seedkeep_registrar.store.upserts import upsert

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
    """The record whose name this is confirmed to be, or those that claim it, oldest first; tainted and
    withdrawn ones included.

    Args:
        value: as it is printed, a DOI like ``10.5281/zenodo.123``.
    """
    named = select(aliases.c.rid).where(aliases.c.kind == kind, aliases.c.value == value)
    sure = select(confirmed_names.c.rid).where(
        confirmed_names.c.kind == kind, confirmed_names.c.value == value
    )
    return in_order(connection, named.where(aliases.c.rid.in_(sure))) or in_order(connection, named)


def confirm(connection: Connection, kind: str, value: str, rid: str, *, by: str, at: float) -> bool:
    """This name is that record's, as long as the record claims it; whether it does.

    Args:
        by: whose word that is: a key, or an account's id.
        at: Unix seconds.
    """
    claim = select(aliases.c.rid).where(
        aliases.c.kind == kind, aliases.c.value == value, aliases.c.rid == rid
    )
    if connection.execute(claim).first() is None:
        return False
    word = {"rid": rid, "by": by, "at": at}
    new = upsert(connection, confirmed_names).values(kind=kind, value=value, **word)
    connection.execute(new.on_conflict_do_update(index_elements=["kind", "value"], set_=word))
    return True
