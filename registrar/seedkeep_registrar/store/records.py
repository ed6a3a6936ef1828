"""Records: what a steward has said about one content id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, ScalarSelect, Select, bindparam, exists, insert, select, update

from seedkeep_registrar.store.tables import manifests, objects, records, tainted_records


@dataclass(frozen=True, slots=True)
class Record:
    """One record in its present state; see the table for the fields.

    Args:
        position: that of its first event in the log.
        steward: the key that signed its first event.
        seq, head: of its newest event; ``updated``: when that was made, as printed.
        stewards: the keys that may sign the next one.
        subjects: see :attr:`seedkeep.core.metadata.Metadata.keywords`.
        supersedes: rid of the record of which it is a new version, or "".
        series: rid of the first of its versions; its own when there is no earlier one.
        account: id of the account it was recorded for by the registrar itself, or "".
        withdrawn: when, as printed; "" while it is not.
        home: origin of the registrar it belongs to.
        fork: hash of an event that contradicts one of its own, so that nothing follows; "" without one.
    """

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
    seq: int
    head: str
    state_sha256: str
    updated: str
    stewards: tuple[str, ...]
    subjects: tuple[str, ...]
    supersedes: str
    series: str
    account: str
    withdrawn: str
    home: str
    fork: str


@dataclass(frozen=True, slots=True)
class Version:
    """A record as one of the versions of its series."""

    rid: str
    position: int
    ark: str
    content_id: str
    name: str
    title: str
    files: int
    bytes: int
    created: str
    supersedes: str
    withdrawn: str
    tainted: bool

    @property
    def live(self) -> bool:
        """It is neither tainted nor withdrawn."""
        return not (self.withdrawn or self.tainted)


_LISTS = ("web_seeds", "stewards", "subjects")
_BY_RID = select(records).where(records.c.rid == bindparam("rid"))
_BY_ARK = select(records).where(records.c.ark == bindparam("ark"))
_BY_RID_OR_ARK = select(records).where(
    (records.c.rid == bindparam("rid")) | (records.c.ark == bindparam("ark"))
)
_BY_CONTENT_ID = (
    select(records).where(records.c.content_id == bindparam("content_id")).order_by(records.c.position)
)
_BY_INFOHASH_V1 = (
    select(records).where(records.c.infohash_v1 == bindparam("infohash")).order_by(records.c.position)
)
_VERSIONS = (
    select(
        *(records.c[name] for name in Version.__slots__ if name != "tainted"),
        exists().where(tainted_records.c.rid == records.c.rid).label("tainted"),
    )
    .where(records.c.series == bindparam("series"))
    .order_by(records.c.position)
)
_INSERT = insert(records)
_NAME_OBJECTS = insert(objects)


def _record(row: Row[tuple[object, ...]]) -> Record:
    values = row._asdict()
    for name in _LISTS:
        values[name] = tuple(values[name])
    return Record(**values)


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if name in _LISTS else value for name, value in values.items()}


def live(query: Select[Any]) -> Select[Any]:
    """Only those records of a query that are neither tainted nor withdrawn."""
    return query.outerjoin(tainted_records, tainted_records.c.rid == records.c.rid).where(
        tainted_records.c.rid.is_(None), records.c.withdrawn == ""
    )


def add(connection: Connection, record: Record) -> None:
    """Insert a record, and mark its objects as named by it."""
    values = {name: getattr(record, name) for name in Record.__slots__}
    connection.execute(_INSERT, _columns(values))
    named = {record.manifest, record.piece_layers, record.pieces_v1}
    connection.execute(_NAME_OBJECTS, [{"sha256": sha256, "rid": record.rid} for sha256 in sorted(named)])


def change(connection: Connection, rid: str, **values: Any) -> None:
    """Write down the state after a new event; ``values`` are fields of :class:`Record`."""
    connection.execute(update(records).where(records.c.rid == rid).values(_columns(values)))


def by_rid(connection: Connection, rid: str) -> Record | None:
    """The record of this rid (64 hex digits)."""
    row = connection.execute(_BY_RID, {"rid": rid}).first()
    return _record(row) if row else None


def by_ark(connection: Connection, ark: str) -> Record | None:
    """The record of this ARK.

    Args:
        ark: ``NAAN/sk…``, as in :attr:`seedkeep.core.identifiers.Identifier.value`.
    """
    row = connection.execute(_BY_ARK, {"ark": ark}).first()
    return _record(row) if row else None


def by_rid_or_ark(connection: Connection, rid: str, ark: str) -> list[Record]:
    """The records that have this rid or this ARK."""
    return [_record(row) for row in connection.execute(_BY_RID_OR_ARK, {"rid": rid, "ark": ark})]


def arks_among(connection: Connection, arks: Sequence[str]) -> list[str]:
    """Those of some ARKs (``NAAN/sk…``) that records have, in the order given."""
    found = set(connection.execute(select(records.c.ark).where(records.c.ark.in_(arks))).scalars())
    return [ark for ark in arks if ark in found]


def by_content_id(connection: Connection, content_id: str) -> list[Record]:
    """All records of a content id (64 hex digits), oldest first, tainted ones included."""
    return [_record(row) for row in connection.execute(_BY_CONTENT_ID, {"content_id": content_id})]


def by_infohash_v1(connection: Connection, infohash: str) -> list[Record]:
    """All records whose companion has this info-hash (40 hex digits), oldest first."""
    return [_record(row) for row in connection.execute(_BY_INFOHASH_V1, {"infohash": infohash})]


def by_manifest(connection: Connection, sha256: str) -> list[Record]:
    """All records with this manifest (its SHA-256), oldest first."""
    rows = connection.execute(
        select(records)
        .join(manifests, manifests.c.id == records.c.manifest_id)
        .where(manifests.c.sha256 == sha256)
        .order_by(records.c.position)
    )
    return [_record(row) for row in rows]


def in_order(connection: Connection, rids: Select[tuple[str]] | ScalarSelect[str]) -> list[Record]:
    """The records of these rids (a query of them), oldest first."""
    rows = connection.execute(select(records).where(records.c.rid.in_(rids)).order_by(records.c.position))
    return [_record(row) for row in rows]


def versions(connection: Connection, series: str) -> list[Version]:
    """All versions of a series, oldest first."""
    return [Version(**row._mapping) for row in connection.execute(_VERSIONS, {"series": series})]


def latest(connection: Connection, series: str) -> Record | None:
    """The newest version of a series that is neither tainted nor withdrawn."""
    row = connection.execute(
        live(select(records).where(records.c.series == series)).order_by(records.c.position.desc()).limit(1)
    ).first()
    return _record(row) if row else None


def servable(connection: Connection, content_id: str) -> list[Record]:
    """The records of a content id that are neither tainted nor withdrawn, oldest first; empty when it must
    not be served."""
    rows = connection.execute(
        live(select(records).where(records.c.content_id == content_id)).order_by(records.c.position)
    )
    return [_record(row) for row in rows]


def newest(connection: Connection, *, before: int | None, limit: int) -> list[Record]:
    """Records that are neither tainted nor withdrawn, newest first.

    Args:
        before: only those at a lower position in the log (the cursor of the page before).
    """
    query = live(select(records))
    if before is not None:
        query = query.where(records.c.position < before)
    return [
        _record(row) for row in connection.execute(query.order_by(records.c.position.desc()).limit(limit))
    ]


def is_named(connection: Connection, sha256: str) -> bool:
    """Whether a record names this object."""
    query = select(objects.c.rid).where(objects.c.sha256 == sha256).limit(1)
    return connection.execute(query).first() is not None


def objects_after(connection: Connection, after: str, limit: int) -> list[str]:
    """Objects that records name, in order, those after ``after``."""
    query = select(objects.c.sha256).where(objects.c.sha256 > after).distinct().order_by(objects.c.sha256)
    return list(connection.execute(query.limit(limit)).scalars())


def naming(connection: Connection, sha256: str) -> Record | None:
    """A record that names this object, one that is neither tainted nor withdrawn if there is any."""
    row = connection.execute(
        select(records)
        .join(objects, objects.c.rid == records.c.rid)
        .outerjoin(tainted_records, tainted_records.c.rid == records.c.rid)
        .where(objects.c.sha256 == sha256)
        .order_by(tainted_records.c.rid.isnot(None), records.c.withdrawn != "", records.c.position)
        .limit(1)
    ).first()
    return _record(row) if row else None
