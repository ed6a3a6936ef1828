"""Totals over all datasets and all claims, kept in step in the transaction that changes them.

Whoever changes what is counted here says so: :mod:`.datasets` and :mod:`.claims` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, Table, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from seedkeep_registrar.store.tables import LACKING, datasets
from seedkeep_registrar.store.totals_tables import dataset_totals, node_totals
from seedkeep_registrar.store.upserts import prepared

Made = postgresql.Insert | sqlite.Insert


def _added(table: Table, key: str) -> Callable[[Made], Made]:
    """To the row with this key, the values of the others."""

    def finish(into: Made) -> Made:
        more = {c.name: c + into.excluded[c.name] for c in table.columns if c.name != key}
        return into.on_conflict_do_update(index_elements=[key], set_=more)

    return finish


_ADD_DATASETS = prepared(dataset_totals, _added(dataset_totals, "complete"))
_ADD_CLAIMS = prepared(node_totals, _added(node_totals, "node"))


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a dataset is counted; ``missing`` is 0 where it is not offered."""

    servable: bool
    complete: int
    missing: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Over all servable datasets: how many, their bytes, their complete copies, how many lack copies and how
    many have none."""

    datasets: int
    bytes: int
    copies: int
    lacking: int
    without: int


def dataset_changed(connection: Connection, was: Standing | None, now: Standing) -> None:
    """Count a dataset as it is now and no longer as it was.

    Args:
        was: None for a new one.
    """
    if was == now:
        return
    for one, count in ((was, -1), (now, 1)):
        if one is not None and one.servable:
            more = {"datasets": count, "bytes": count * one.bytes, "lacking": count * (one.missing > 0)}
            added = {"complete": one.complete, **more}
            connection.execute(_ADD_DATASETS[connection.dialect.name], added)


def recount_lacking(connection: Connection) -> None:
    """Count anew how many datasets lack copies, after very many of them have changed."""
    lacking = select(func.count()).select_from(datasets).where(text(LACKING))
    counted = lacking.where(datasets.c.complete == dataset_totals.c.complete).correlate(dataset_totals)
    connection.execute(update(dataset_totals).values(lacking=counted.scalar_subquery()))


def claims_changed(connection: Connection, node: str, *, claims: int, complete: int) -> None:
    """A node has so many more claims, and so many more complete ones."""
    if claims or complete:
        added = {"node": node, "claims": claims, "complete": complete}
        connection.execute(_ADD_CLAIMS[connection.dialect.name], added)


def read(connection: Connection) -> Totals:
    """Over all servable datasets."""
    rows = connection.execute(select(dataset_totals)).all()
    return Totals(
        datasets=sum(row.datasets for row in rows),
        bytes=sum(row.bytes for row in rows),
        copies=sum(row.complete * row.datasets for row in rows),
        lacking=sum(row.lacking for row in rows),
        without=sum(row.datasets for row in rows if row.complete == 0),
    )


def by_copies(connection: Connection) -> dict[int, int]:
    """How many servable datasets have so many complete copies; numbers that none has may be left out."""
    return {row.complete: row.datasets for row in connection.execute(select(dataset_totals))}


def complete_of_nodes(connection: Connection) -> dict[str, int]:
    """Complete datasets, by node."""
    return {row.node: row.complete for row in connection.execute(select(node_totals))}


def claims(connection: Connection) -> int:
    """How many claims there are."""
    total = func.coalesce(func.sum(node_totals.c.claims), 0)
    return int(connection.execute(select(total)).scalar_one())
