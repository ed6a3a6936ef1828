"""Taints of other registrars: the rows of ``taints`` that have an authority. They stand, or have ended."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace

from sqlalchemy import Connection, exists, func, select, update

from seedkeep.core.taints.entry import Entry
from seedkeep_registrar.store.tables import taints
from seedkeep_registrar.store.taint_tables import taint_advice
from seedkeep_registrar.store.taints import DRAFT, STANDING, Taint, put, taint_of

_THEIRS = taints.c.authority != ""


def row_id(origin: str, entry: Entry) -> str:
    """What an entry has as its id here: nobody can take that of another registrar's, or of another order."""
    return hashlib.sha256(f"{origin}\n".encode() + replace(entry, lifted="").encode()).hexdigest()


def standing(connection: Connection, origin: str = "") -> dict[str, Taint]:
    """Those that stand, of one registrar or of all others, by row."""
    whose = taints.c.authority == origin if origin else _THEIRS
    rows = connection.execute(select(taints).where(whose, taints.c.state == STANDING))
    return {row.id: taint_of(row) for row in rows}


def stand(connection: Connection, taint: Taint) -> None:
    """It stands from now on, or again; nothing is marked yet."""
    again = update(taints).where(taints.c.id == taint.id)
    values = {"state": STANDING, "lifted": "", "way": taint.way}
    if not connection.execute(again.values(**values)).rowcount:
        put(connection, taint)


def end(connection: Connection, taint: Taint, state: str, lifted: str) -> None:
    """It stands no more; nothing is unmarked yet."""
    connection.execute(update(taints).where(taints.c.id == taint.id).values(state=state, lifted=lifted))


def set_way(connection: Connection, taint: Taint, way: str) -> Taint:
    """Say how it binds, or not; as it is then."""
    connection.execute(update(taints).where(taints.c.id == taint.id).values(way=way))
    return replace(taint, way=way)


def by_row(connection: Connection, id_: str) -> Taint | None:
    """One of them."""
    row = connection.execute(select(taints).where(taints.c.id == id_, _THEIRS)).first()
    return taint_of(row) if row else None


def newest(connection: Connection, limit: int) -> list[Taint]:
    """The newest ones, whether they stand or have ended."""
    query = select(taints).where(_THEIRS).order_by(taints.c.effective.desc(), taints.c.id).limit(limit)
    return [taint_of(row) for row in connection.execute(query)]


def drafts(connection: Connection, limit: int) -> list[Taint]:
    """Those that wait for a curator, for records here; oldest first. What this registrar has ordered itself
    is left out."""
    own = taints.alias("own")
    ordered = exists().where(
        own.c.authority == "",
        own.c.kind == taints.c.kind,
        own.c.value == taints.c.value,
        own.c.effect == taints.c.effect,
    )
    here = exists().where(taint_advice.c.taint == taints.c.id)
    query = (
        select(taints)
        .where(_THEIRS, taints.c.way == DRAFT, taints.c.state == STANDING, here, ~ordered)
        .order_by(taints.c.effective, taints.c.id)
        .limit(limit)
    )
    return [taint_of(row) for row in connection.execute(query)]


def counts(connection: Connection) -> dict[str, dict[str, int]]:
    """By registrar: how many of its taints stand, by the way they are followed."""
    query = (
        select(taints.c.authority, taints.c.way, func.count().label("number"))
        .where(_THEIRS, taints.c.state == STANDING)
        .group_by(taints.c.authority, taints.c.way)
    )
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in connection.execute(query):
        found[row.authority][row.way] = row.number
    return found
