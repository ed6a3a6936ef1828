"""What nodes and clients report of web seeds that lie or fail: the last word of each on each of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, func, insert, select

from seedkeep_registrar.store.tables import web_seed_reports

_MOST = 1000


@dataclass(frozen=True, slots=True)
class Report:
    """One report; ``at`` in Unix seconds."""

    web_seed: str
    reporter: str
    reason: str
    at: float


def put(
    connection: Connection, content_id: str, web_seed: str, reporter: str, reason: str, now: float
) -> None:
    """Keep a report; the last one of a reporter on a web seed wins; at most 1000 are kept of a dataset."""
    table = web_seed_reports
    digest = hashlib.sha256(web_seed.encode()).hexdigest()
    same = and_(
        table.c.content_id == content_id, table.c.web_seed_sha256 == digest, table.c.reporter == reporter
    )
    connection.execute(delete(table).where(same))
    count = select(func.count()).select_from(table).where(table.c.content_id == content_id)
    if connection.execute(count).scalar_one() >= _MOST:
        return
    connection.execute(
        insert(table).values(
            content_id=content_id,
            web_seed_sha256=digest,
            reporter=reporter,
            web_seed=web_seed,
            reason=reason,
            at=now,
        )
    )


def of_dataset(connection: Connection, content_id: str) -> list[Report]:
    """All reports on a dataset's web seeds, newest first."""
    table = web_seed_reports
    rows = connection.execute(
        select(table.c.web_seed, table.c.reporter, table.c.reason, table.c.at)
        .where(table.c.content_id == content_id)
        .order_by(table.c.at.desc())
    )
    return [Report(*row) for row in rows]
