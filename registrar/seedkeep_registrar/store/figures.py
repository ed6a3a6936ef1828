"""How much there is, for the home page."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from seedkeep_registrar.store import totals
from seedkeep_registrar.store.tables import claims, nodes


@dataclass(frozen=True, slots=True)
class Figures:
    """Datasets that may be served, their bytes, their complete copies, and the nodes seen of late.

    ``audited``: when the last audit succeeded, Unix seconds; None when there was none.
    """

    datasets: int
    bytes: int
    copies: int
    nodes: int
    audited: float | None


def read(connection: Connection, seen_since: float) -> Figures:
    """Read them; what there may be very many of is counted already.

    Args:
        seen_since: nodes silent since then (Unix seconds) are not counted.
    """
    found = totals.read(connection)
    seen = connection.execute(
        select(func.count()).select_from(nodes).where(nodes.c.last_seen >= seen_since)
    ).scalar_one()
    audited = connection.execute(select(func.max(claims.c.audited))).scalar_one()
    return Figures(found.datasets, found.bytes, found.copies, int(seen), audited)
