"""What a publisher has registered, and what they may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select

from seedkeep_registrar.store.operation_tables import quotas
from seedkeep_registrar.store.tables import records


@dataclass(frozen=True, slots=True)
class Quota:
    """Datasets and their bytes; 0 = no limit."""

    datasets: int
    bytes: int


def used(connection: Connection, keys: Sequence[str]) -> Quota:
    """What the records of these keys add up to."""
    row = connection.execute(
        select(func.count(), func.coalesce(func.sum(records.c.bytes), 0)).where(records.c.steward.in_(keys))
    ).one()
    return Quota(int(row[0]), int(row[1]))


def granted(connection: Connection, publisher: str) -> Quota | None:
    """What the operator has granted this publisher (an account's id, or a key), if anything."""
    row = connection.execute(
        select(quotas.c.datasets, quotas.c.bytes).where(quotas.c.publisher == publisher)
    ).first()
    return Quota(row.datasets, row.bytes) if row else None


def grant(connection: Connection, publisher: str, quota: Quota | None) -> None:
    """Grant a publisher a quota of their own; None: what the settings say holds again."""
    connection.execute(delete(quotas).where(quotas.c.publisher == publisher))
    if quota is not None:
        connection.execute(
            insert(quotas).values(publisher=publisher, datasets=quota.datasets, bytes=quota.bytes)
        )
