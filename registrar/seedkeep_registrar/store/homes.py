"""The homes of records: which of them are silent, and so whose datasets this registrar offers to nodes."""

from __future__ import annotations

from sqlalchemy import Connection, delete, exists, or_, select, update

from seedkeep_registrar.store import totals
from seedkeep_registrar.store.homes_tables import silent_homes
from seedkeep_registrar.store.records import live
from seedkeep_registrar.store.tables import datasets, log, records
from seedkeep_registrar.store.upserts import upsert

#: of a record: it belongs to this registrar, or to one that is silent
HERE_OR_SILENT = or_(
    records.c.home == select(log.c.origin).scalar_subquery(),
    exists().where(silent_homes.c.origin == records.c.home),
)


def is_offered(connection: Connection, content_id: str) -> bool:
    """Whether a live record of this content has its home here, or at a registrar that is silent."""
    query = live(select(records.c.rid).where(records.c.content_id == content_id, HERE_OR_SILENT))
    return connection.execute(query.limit(1)).first() is not None


def silent(connection: Connection) -> dict[str, float]:
    """The registrars that are silent, and since when (Unix seconds)."""
    return {row.origin: row.since for row in connection.execute(select(silent_homes))}


def begin_silence(connection: Connection, origin: str, since: float) -> None:
    """Nothing has been heard of a registrar for too long."""
    put = upsert(connection, silent_homes).values(origin=origin, since=since)
    connection.execute(put.on_conflict_do_nothing())


def end_silence(connection: Connection, origin: str) -> None:
    """It answers again."""
    connection.execute(delete(silent_homes).where(silent_homes.c.origin == origin))


def offer_anew(connection: Connection, origin: str) -> None:
    """Work out anew which of the datasets that belong to one registrar are offered to nodes."""
    theirs = select(records.c.content_id).where(records.c.home == origin)
    here = live(select(records.c.rid).where(records.c.content_id == datasets.c.content_id, HERE_OR_SILENT))
    held = update(datasets).where(datasets.c.content_id.in_(theirs))
    connection.execute(held.values(offered=here.correlate(datasets).exists()))
    totals.recount_lacking(connection)
