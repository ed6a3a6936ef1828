"""Datasets: one per content id, with its place in replication and whether it may be served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, text, tuple_, update

from seedkeep.core.placement import footprint
from seedkeep_registrar.store import homes, totals
from seedkeep_registrar.store.collections_tables import collection_entries
from seedkeep_registrar.store.records import live
from seedkeep_registrar.store.search_tables import search_documents
from seedkeep_registrar.store.tables import LACKING, datasets, records
from seedkeep_registrar.store.totals import Standing
from seedkeep_registrar.store.upserts import prepared

_AT_ONCE = 5000
_BY_CONTENT_ID = select(datasets).where(datasets.c.content_id == bindparam("content_id"))
_INSERT = prepared(datasets, lambda into: into.on_conflict_do_nothing().returning(datasets.c.content_id))


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is known of a content id.

    Args:
        short_id: the content id cut to 40 hex digits: its info-hash on trackers and in handshakes.
        publisher: key of the steward who recorded it first.
        wanted: copies in distinct failure domains.
        created: Unix seconds.
        servable: a record of it is neither withdrawn nor tainted, and its content and files are not either.
            Only then may it be announced, offered, redirected to, or given out as a torrent.
        offered: to nodes, as the home of a live record of it is this registrar, or one that is silent.
        complete: failure domains with a complete, attested copy.
        held: failure domains with a claim of any kind.
        missing: domains still to be found (wanted − held, at least 0).
    """

    content_id: str
    short_id: str
    name: str
    files: int
    bytes: int
    publisher: str
    subjects: tuple[str, ...]
    wanted: int
    created: float
    servable: bool
    offered: bool
    complete: int
    held: int
    missing: int


@dataclass(frozen=True, slots=True)
class Tracked:
    """What the tracker needs to know of an info-hash.

    Args:
        companion: the info-hash is that of the v1 companion, not of the v2 torrent.
        servable: see :class:`Dataset`; the tracker refuses when it is False.
    """

    content_id: str
    companion: bool
    servable: bool


def _dataset(row: Row[tuple[object, ...]]) -> Dataset:
    values = dict(row._mapping)
    return Dataset(**{**values, "subjects": tuple(values["subjects"])})


def by_content_id(connection: Connection, content_id: str) -> Dataset | None:
    """One dataset."""
    row = connection.execute(_BY_CONTENT_ID, {"content_id": content_id}).first()
    return _dataset(row) if row else None


def by_infohash(connection: Connection, info_hash: bytes) -> Tracked | None:
    """The dataset that has this info-hash; None when nothing with it is registered.

    Args:
        info_hash: 20 bytes as in an announce: that of the v1 companion, or the v2 one cut to 20 bytes.
    """
    short = info_hash.hex()
    row = connection.execute(
        select(datasets.c.content_id, datasets.c.servable).where(datasets.c.short_id == short)
    ).first()
    if row is not None:
        return Tracked(row.content_id, False, row.servable)
    rows = connection.execute(
        select(datasets.c.content_id, datasets.c.servable)
        .join(records, records.c.content_id == datasets.c.content_id)
        .where(records.c.infohash_v1 == short)
        # the v1 hash is only said by the sharer: when two contents claim it, a taint on one binds both
        .order_by(datasets.c.servable, records.c.position)
        .limit(1)
    ).first()
    return Tracked(rows.content_id, True, rows.servable) if rows else None


def shared_infohashes(connection: Connection, after: str, limit: int) -> tuple[list[str], str]:
    """Info-hashes that trackers may serve (40 hex digits, see :func:`by_infohash`), some at a time.

    Args:
        after: what the last call returned, "" at first.
        limit: datasets looked at.

    Returns:
        The info-hashes, and where to go on; "" at the end.
    """
    some = list(
        connection.execute(
            select(datasets.c.content_id, datasets.c.short_id)
            .where(datasets.c.servable.is_(True), datasets.c.content_id > after)
            .order_by(datasets.c.content_id)
            .limit(limit)
        )
    )
    if not some:
        return [], ""
    first, last = some[0].content_id, some[-1].content_id
    claimed = (
        select(records.c.infohash_v1)
        .join(datasets, datasets.c.content_id == records.c.content_id)
        .where(records.c.content_id.between(first, last), datasets.c.servable.is_(True))
        .distinct()
    )
    companions = set(connection.execute(claimed).scalars())
    refused = connection.execute(
        select(records.c.infohash_v1)
        .join(datasets, datasets.c.content_id == records.c.content_id)
        .where(datasets.c.servable.is_(False), records.c.infohash_v1.in_(claimed))
    ).scalars()
    found = [row.short_id for row in some] + sorted(companions.difference(refused))
    return found, last if len(some) == limit else ""


def put(connection: Connection, dataset: Dataset) -> bool:
    """Insert a dataset; one that is there already keeps the larger wish for copies. True when it is new."""
    values = {name: getattr(dataset, name) for name in Dataset.__slots__}
    row = {**values, "subjects": list(dataset.subjects)}
    if connection.execute(_INSERT[connection.dialect.name], row).first() is not None:
        totals.dataset_changed(connection, None, _standing(dataset))
        return True
    known = by_content_id(connection, dataset.content_id)
    assert known is not None
    subjects = list(dict.fromkeys((*known.subjects, *dataset.subjects)))
    wanted = max(known.wanted, dataset.wanted)
    offered = known.offered or dataset.offered
    said = {"wanted": wanted, "subjects": subjects, "servable": True, "offered": offered}
    _change(connection, known, {**said, "missing": max(0, wanted - known.held)})
    return False


def _standing(dataset: Dataset) -> Standing:
    # where it is not offered, its home sees to its copies
    missing = dataset.missing if dataset.offered else 0
    return Standing(dataset.servable, dataset.complete, missing, dataset.bytes)


def _change(connection: Connection, known: Dataset, values: dict[str, Any]) -> None:
    """Write down columns of a dataset, and keep the totals in step."""
    connection.execute(update(datasets).where(datasets.c.content_id == known.content_id).values(values))
    now = replace(known, **{name: value for name, value in values.items() if name != "subjects"})
    totals.dataset_changed(connection, _standing(known), _standing(now))


def servable_among(connection: Connection, content_ids: Sequence[str]) -> list[str]:
    """Those of these content ids that may be served."""
    found: list[str] = []
    for at in range(0, len(content_ids), _AT_ONCE):
        some = content_ids[at : at + _AT_ONCE]
        query = select(datasets.c.content_id).where(
            datasets.c.content_id.in_(some), datasets.c.servable.is_(True)
        )
        found += connection.execute(query).scalars()
    return found


def set_counts(connection: Connection, content_id: str, *, complete: int, held: int) -> None:
    """Write down in how many failure domains it is complete, and held at all."""
    known = by_content_id(connection, content_id)
    if known is not None:
        values = {"complete": complete, "held": held, "missing": max(0, known.wanted - held)}
        _change(connection, known, values)
        if complete != known.complete:
            same = search_documents.c.content_id == content_id
            connection.execute(update(search_documents).where(same).values(complete=complete))


def needy(connection: Connection, *, limit: int, free: int) -> list[Dataset]:
    """Servable datasets that lack copies and fit into ``free`` bytes, neediest first.

    However many there are: of each pair of counts the largest that fit are read from an index.
    """
    table, lacking, found = datasets.c, text(LACKING), list[Dataset]()
    numbers: Any = table  # of columns, arithmetic makes an expression
    needed: Any = footprint(numbers.bytes, numbers.files)
    counts = (-1, -1)
    while len(found) < limit:
        after = tuple_(table.complete, table.held) > counts
        pairs = select(table.complete, table.held).where(lacking, after)
        pair = connection.execute(pairs.order_by(table.complete, table.held).limit(1)).first()
        if pair is None:
            break
        counts = (pair[0], pair[1])
        those = select(datasets).where(
            lacking, table.complete == counts[0], table.held == counts[1], table.bytes <= free, needed <= free
        )
        in_order = those.order_by(table.bytes.desc(), table.created).limit(limit - len(found))
        found += [_dataset(row) for row in connection.execute(in_order)]
    return found


def needy_on(connection: Connection, collection: int, *, limit: int) -> list[Dataset]:
    """Servable datasets that lack copies and are on this collection, neediest first."""
    on_it = (
        select(records.c.content_id)
        .join(collection_entries, collection_entries.c.rid == records.c.rid)
        .where(collection_entries.c.collection_id == collection)
    )
    rows = connection.execute(
        select(datasets)
        .where(text(LACKING), datasets.c.content_id.in_(on_it))
        .order_by(datasets.c.complete, datasets.c.held, datasets.c.bytes.desc(), datasets.c.created)
        .limit(limit)
    )
    return [_dataset(row) for row in rows]


def update_servable(connection: Connection, content_ids: Iterable[str]) -> None:
    """Work out anew whether these may be served, and are offered: some record of each must be live."""
    for content_id in content_ids:
        left = connection.execute(
            live(select(records.c.rid).where(records.c.content_id == content_id)).limit(1)
        ).first()
        known = by_content_id(connection, content_id)
        if known is not None:
            offered = homes.is_offered(connection, content_id)
            _change(connection, known, {"servable": left is not None, "offered": offered})


def follow(connection: Connection, content_id: str, *, least: int) -> None:
    """Work out anew from the records of a dataset what it is about, how many copies are wanted, and whether
    it may be served.

    Args:
        least: copies wanted at least.
    """
    update_servable(connection, [content_id])
    said = select(records.c.copies, records.c.subjects).where(records.c.content_id == content_id)
    rows = connection.execute(live(said).order_by(records.c.position)).all()
    known = by_content_id(connection, content_id)
    if not rows or known is None:
        return
    wanted = max(least, *(row.copies for row in rows))
    subjects = list(dict.fromkeys(word for row in rows for word in row.subjects))
    missing = max(0, wanted - known.held)
    _change(connection, known, {"wanted": wanted, "subjects": subjects, "missing": missing})
