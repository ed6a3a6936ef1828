"""What a publisher has registered, and what they may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, or_, select

from seedkeep_registrar.store.operation_tables import quotas
from seedkeep_registrar.store.tables import log, records

_HERE = records.c.home == select(log.c.origin).scalar_subquery()
_GRANTED = select(quotas.c.datasets, quotas.c.bytes).where(quotas.c.publisher == bindparam("publisher"))


@dataclass(frozen=True, slots=True)
class Quota:
    """Datasets and their bytes; 0 = no limit."""

    datasets: int
    bytes: int


def used(connection: Connection, keys: Sequence[str], account: str) -> Quota:
    """What the records of this registrar add up to that these keys signed, or that were recorded for this
    account, if any."""
    theirs: ColumnElement[bool] = records.c.steward.in_(keys)
    if account:
        theirs = or_(theirs, records.c.account == account)
    row = connection.execute(
        select(func.count(), func.coalesce(func.sum(records.c.bytes), 0)).where(theirs, _HERE)
    ).one()
    return Quota(int(row[0]), int(row[1]))


def granted(connection: Connection, publisher: str) -> Quota | None:
    """What the operator has granted this publisher (an account's id, or a key), if anything."""
    row = connection.execute(_GRANTED, {"publisher": publisher}).first()
    return Quota(row.datasets, row.bytes) if row else None


def grant(connection: Connection, publisher: str, quota: Quota | None) -> None:
    """Grant a publisher a quota of their own; None: what the settings say holds again."""
    connection.execute(delete(quotas).where(quotas.c.publisher == publisher))
    if quota is not None:
        connection.execute(
            insert(quotas).values(publisher=publisher, datasets=quota.datasets, bytes=quota.bytes)
        )


def every(connection: Connection, *, after: str, limit: int) -> list[tuple[str, Quota]]:
    """Whom the operator has granted what, by publisher, those after ``after``."""
    query = select(quotas).where(quotas.c.publisher > after).order_by(quotas.c.publisher).limit(limit)
    return [(row.publisher, Quota(row.datasets, row.bytes)) for row in connection.execute(query)]
