"""How many copies a dataset had when: counts of distinct failure domains, written when they have changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, exists, func, insert, select

from seedkeep_registrar.store import claims as claim_store
from seedkeep_registrar.store.pages_tables import copy_counts
from seedkeep_registrar.store.tables import claims, datasets, nodes

HOUR, DAY = 3600, 86400


@dataclass(frozen=True, slots=True)
class Counts:
    """From ``at`` (Unix seconds) on, until the next one: wanted, complete, and audited at least once."""

    at: int
    wanted: int
    complete: int
    audited: int


def history(connection: Connection, content_id: str, since: float, most: int = 2000) -> list[Counts]:
    """The counts of a dataset, oldest first, with the one that held at ``since``."""
    table = copy_counts
    start = (
        select(func.max(table.c.at))
        .where(table.c.content_id == content_id, table.c.at <= since)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(table.c.at, table.c.wanted, table.c.complete, table.c.audited)
        .where(table.c.content_id == content_id, table.c.at >= func.coalesce(start, 0))
        .order_by(table.c.at.desc())
        .limit(most)
    )
    return [Counts(*row) for row in rows][::-1]


def changed(
    connection: Connection, after: str, count: int, now: float
) -> tuple[list[tuple[str, Counts]], str]:
    """What has changed since it was written down last, for the next datasets in the order of their ids.

    Args:
        after: the content id to go on after; "" begins.
        count: how many datasets to look at.

    Returns:
        Content ids with their new counts, and the content id to go on after; "" when there are no more.
    """
    seen = connection.execute(
        select(datasets.c.content_id, datasets.c.wanted, datasets.c.complete)
        .where(datasets.c.content_id > after)
        .order_by(datasets.c.content_id)
        .limit(count)
    ).all()
    if not seen:
        return [], ""
    low, high = seen[0].content_id, seen[-1].content_id
    audited = _audited(connection, low, high)
    known = _last(connection, low, high)
    at = int(now) // HOUR * HOUR
    found = []
    for row in seen:
        counts = (row.wanted, row.complete, audited.get(row.content_id, 0))
        if known.get(row.content_id) != counts:
            found.append((row.content_id, Counts(at, *counts)))
    return found, high if len(seen) == count else ""


def put(connection: Connection, found: Sequence[tuple[str, Counts]]) -> None:
    """Write counts down; what was written in the same hour gives way."""
    for content_id, counts in found:
        same = and_(copy_counts.c.content_id == content_id, copy_counts.c.at == counts.at)
        connection.execute(delete(copy_counts).where(same))
    if found:
        connection.execute(
            insert(copy_counts),
            [
                {
                    "content_id": content_id,
                    "at": counts.at,
                    "wanted": counts.wanted,
                    "complete": counts.complete,
                    "audited": counts.audited,
                }
                for content_id, counts in found
            ],
        )


def thin(connection: Connection, before: float) -> None:
    """Keep only the last counts of each day from before ``before`` (Unix seconds)."""
    later = copy_counts.alias("later")
    table = copy_counts
    same_day = later.c.at - later.c.at % DAY == table.c.at - table.c.at % DAY
    connection.execute(
        delete(table).where(
            table.c.at < int(before),
            exists().where(later.c.content_id == table.c.content_id, later.c.at > table.c.at, same_day),
        )
    )


def _audited(connection: Connection, low: str, high: str) -> dict[str, int]:
    domain = func.coalesce(func.nullif(nodes.c.operator, ""), nodes.c.node)
    rows = connection.execute(
        select(claims.c.content_id, func.count(domain.distinct()))
        .join(nodes, nodes.c.node == claims.c.node)
        .where(
            claims.c.content_id.between(low, high),
            claims.c.state == claim_store.COMPLETE,
            claims.c.audited.is_not(None),
        )
        .group_by(claims.c.content_id)
    )
    return {row[0]: int(row[1]) for row in rows}


def _last(connection: Connection, low: str, high: str) -> dict[str, tuple[int, int, int]]:
    table = copy_counts
    last = (
        select(table.c.content_id, func.max(table.c.at).label("at"))
        .where(table.c.content_id.between(low, high))
        .group_by(table.c.content_id)
        .subquery()
    )
    rows = connection.execute(
        select(table.c.content_id, table.c.wanted, table.c.complete, table.c.audited).join(
            last, and_(last.c.content_id == table.c.content_id, last.c.at == table.c.at)
        )
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows}
