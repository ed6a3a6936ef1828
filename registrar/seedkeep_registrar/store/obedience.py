"""How taints are obeyed: how many nodes returned a receipt, and how long after the order.

A dataset counts from the first receipt for it: when its bytes are deleted some days after nobody was served
any more, the order was obeyed by then already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sqlalchemy import Connection, func, select

from seedkeep.core.taints.body import seconds
from seedkeep_registrar.store.tables import removals, taints

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Obedience:
    """
    Args:
        nodes: that returned a receipt.
        median_s, slowest_s: seconds from the order to the last receipt of a node, half of them at most, and
            all of them; None where there are no receipts.
    """

    nodes: int = 0
    median_s: int | None = None
    slowest_s: int | None = None


NONE = Obedience()


def of_taints(connection: Connection, taint_ids: Sequence[str]) -> dict[str, Obedience]:
    """By taint; those without receipts are left out."""
    took: dict[str, list[float]] = defaultdict(list)
    for at in range(0, len(taint_ids), _AT_ONCE):
        first = (
            select(removals.c.taint, removals.c.node, func.min(removals.c.at).label("at"))
            .where(removals.c.taint.in_(taint_ids[at : at + _AT_ONCE]))
            .group_by(removals.c.taint, removals.c.node, removals.c.content_id)
            .subquery()
        )
        rows = connection.execute(
            select(first.c.taint, taints.c.effective, func.max(first.c.at).label("at"))
            .join(taints, taints.c.id == first.c.taint)
            .group_by(first.c.taint, taints.c.effective, first.c.node)
        )
        for row in rows:
            # a node's clock may be behind
            took[row.taint].append(max(0.0, seconds(row.at) - seconds(row.effective)))
    return {
        taint: Obedience(len(times), round(median(times)), round(max(times))) for taint, times in took.items()
    }
