"""Counts of requests that all processes of a registrar add to."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select, tuple_

from seedkeep_registrar.store.operation_tables import rates
from seedkeep_registrar.store.upserts import upsert

#: minutes that are still looked at
KEPT = 2


def add(
    connection: Connection, counted: Mapping[tuple[str, int], int], minute: int
) -> dict[tuple[str, int], int]:
    """Add what this process has counted; forget what is over.

    Args:
        counted: requests by name and minute.
        minute: the present one.

    Returns:
        What all processes together have counted, for the same names and minutes.
    """
    connection.execute(delete(rates).where(rates.c.minute < minute - KEPT))
    if not counted:
        return {}
    statement = upsert(connection, rates)
    # in one order, so that two processes cannot wait for each other
    rows = [{"name": n, "minute": m, "count": c} for (n, m), c in sorted(counted.items())]
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["name", "minute"], set_={"count": rates.c.count + statement.excluded.count}
        ),
        rows,
    )
    found = connection.execute(
        select(rates.c.name, rates.c.minute, rates.c.count).where(
            tuple_(rates.c.name, rates.c.minute).in_(list(counted))
        )
    )
    return {(name, minute): count for name, minute, count in found}
