"""Records: what a steward has said about one content id."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Row, insert, select

from seedkeep_registrar.store.tables import manifests, objects, records, tainted_records


@dataclass(frozen=True, slots=True)
class Record:
    """One record; see the table for the fields. ``position`` is that of its first event in the log."""

    rid: str
    position: int
    ark: str
    content_id: str
    infohash_v1: str
    manifest_id: int
    steward: str
    name: str
    title: str
    files: int
    bytes: int
    license: str
    copies: int
    created: str
    web_seeds: tuple[str, ...]
    body_sha256: str
    manifest: str
    piece_layers: str
    pieces_v1: str


def _record(row: Row[tuple[object, ...]]) -> Record:
    values = dict(row._mapping)
    return Record(**{**values, "web_seeds": tuple(values["web_seeds"])})


def add(connection: Connection, record: Record) -> None:
    """Insert a record, and mark its objects as named by it."""
    values = {name: getattr(record, name) for name in Record.__slots__}
    connection.execute(insert(records), {**values, "web_seeds": list(record.web_seeds)})
    named = {record.manifest, record.piece_layers, record.pieces_v1}
    connection.execute(insert(objects), [{"sha256": sha256, "rid": record.rid} for sha256 in sorted(named)])


def by_rid(connection: Connection, rid: str) -> Record | None:
    """The record of this rid (64 hex digits)."""
    row = connection.execute(select(records).where(records.c.rid == rid)).first()
    return _record(row) if row else None


def by_ark(connection: Connection, ark: str) -> Record | None:
    """The record of this ARK.

    Args:
        ark: ``NAAN/sk…``, as in :attr:`seedkeep.core.identifiers.Identifier.value`.
    """
    row = connection.execute(select(records).where(records.c.ark == ark)).first()
    return _record(row) if row else None


def by_content_id(connection: Connection, content_id: str) -> list[Record]:
    """All records of a content id (64 hex digits), oldest first, tainted ones included."""
    rows = connection.execute(
        select(records).where(records.c.content_id == content_id).order_by(records.c.position)
    )
    return [_record(row) for row in rows]


def by_infohash_v1(connection: Connection, infohash: str) -> list[Record]:
    """All records whose companion has this info-hash (40 hex digits), oldest first."""
    rows = connection.execute(
        select(records).where(records.c.infohash_v1 == infohash).order_by(records.c.position)
    )
    return [_record(row) for row in rows]


def by_manifest(connection: Connection, sha256: str) -> list[Record]:
    """All records with this manifest (its SHA-256), oldest first."""
    rows = connection.execute(
        select(records)
        .join(manifests, manifests.c.id == records.c.manifest_id)
        .where(manifests.c.sha256 == sha256)
        .order_by(records.c.position)
    )
    return [_record(row) for row in rows]


def servable(connection: Connection, content_id: str) -> list[Record]:
    """The records of a content id that no taint stands on, oldest first; empty when it must not be served."""
    rows = connection.execute(
        select(records)
        .outerjoin(tainted_records, tainted_records.c.rid == records.c.rid)
        .where(records.c.content_id == content_id, tainted_records.c.rid.is_(None))
        .order_by(records.c.position)
    )
    return [_record(row) for row in rows]


def newest(connection: Connection, *, before: int | None, limit: int) -> list[Record]:
    """Untainted records, newest first.

    Args:
        before: only those at a lower position in the log (the cursor of the page before).
    """
    query = (
        select(records)
        .outerjoin(tainted_records, tainted_records.c.rid == records.c.rid)
        .where(tainted_records.c.rid.is_(None))
    )
    if before is not None:
        query = query.where(records.c.position < before)
    return [
        _record(row) for row in connection.execute(query.order_by(records.c.position.desc()).limit(limit))
    ]


def is_named(connection: Connection, sha256: str) -> bool:
    """Whether a record names this object."""
    query = select(objects.c.rid).where(objects.c.sha256 == sha256).limit(1)
    return connection.execute(query).first() is not None


def naming(connection: Connection, sha256: str) -> Record | None:
    """A record that names this object, an untainted one if there is any."""
    row = connection.execute(
        select(records)
        .join(objects, objects.c.rid == records.c.rid)
        .outerjoin(tainted_records, tainted_records.c.rid == records.c.rid)
        .where(objects.c.sha256 == sha256)
        .order_by(tainted_records.c.rid.isnot(None), records.c.position)
        .limit(1)
    ).first()
    return _record(row) if row else None
