"""Collections: what is on them, in which order, and who put it there.

A collection with a ``subject`` is whatever has that subject, newest first. Tainted and withdrawn records are
on no collection while they are that; an entry stays, and shows again after a lift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from seedkeep.core.errors import Conflict
from seedkeep_registrar.store import records
from seedkeep_registrar.store.collections_tables import collection_entries, collection_history, collections
from seedkeep_registrar.store.records import Record
from seedkeep_registrar.store.search_tables import search_documents
from seedkeep_registrar.store.tables import records as record_rows

_NAMED_MOST = 50
CREATED, CHANGED, ADDED, REMOVED = "created", "changed", "added", "removed"


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection; times in Unix seconds.

    Args:
        subject: it is whatever has this subject; "" when people choose.
        owner_account, owner_group: ids, or None. ``owner_key``: or "".
        changed: when an entry came or went, or its texts changed.
    """

    id: int
    slug: str
    title: str
    description: str
    subject: str
    owner_account: int | None
    owner_group: int | None
    owner_key: str
    created: float
    changed: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A record on a collection.

    Args:
        number: gives the order.
        added: Unix seconds.
    """

    record: Record
    number: int
    added: float


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to a collection; ``rid`` of an entry added or removed, or ""."""

    id: int
    at: float
    by: str
    action: str
    rid: str


@dataclass(frozen=True, slots=True)
class Named:
    """A collection as another page names it."""

    slug: str
    title: str


def _collection(row: Row[Any]) -> Collection:
    return Collection(**row._mapping)


def by_slug(connection: Connection, slug: str) -> Collection | None:
    """One collection."""
    row = connection.execute(select(collections).where(collections.c.slug == slug)).first()
    return _collection(row) if row else None


def page(connection: Connection, *, after: str, limit: int) -> list[Collection]:
    """Collections by slug, those after ``after``."""
    query = select(collections).where(collections.c.slug > after).order_by(collections.c.slug).limit(limit)
    return [_collection(row) for row in connection.execute(query)]


def create(connection: Connection, values: dict[str, Any], *, by: str, now: float) -> Collection:
    """Make a collection.

    Args:
        values: the fields of :class:`Collection` but for id and times.
        by: who, as shown.

    Raises:
        Conflict: the slug is taken.
    """
    savepoint = connection.begin_nested()
    try:
        connection.execute(insert(collections).values(**values, created=now, changed=now))
    except IntegrityError as error:
        savepoint.rollback()
        raise Conflict(
            f"there is a collection {values['slug']} already", hint="Choose another short name."
        ) from error
    savepoint.commit()
    made = by_slug(connection, values["slug"])
    assert made is not None
    _note(connection, made.id, CREATED, by=by, now=now)
    return made


def change(
    connection: Connection, collection: Collection, *, title: str, description: str, by: str, now: float
) -> None:
    """Give it other texts."""
    connection.execute(
        update(collections)
        .where(collections.c.id == collection.id)
        .values(title=title, description=description, changed=now)
    )
    _note(connection, collection.id, CHANGED, by=by, now=now)


def drop(connection: Connection, collection: Collection) -> None:
    """Forget a collection with its history; the records are not touched."""
    for table in (collection_entries, collection_history):
        connection.execute(delete(table).where(table.c.collection_id == collection.id))
    connection.execute(delete(collections).where(collections.c.id == collection.id))


def add(
    connection: Connection, collection: Collection, rids: Sequence[str], *, by: str, now: float
) -> list[str]:
    """Put records at its end, in this order; those that were not on it."""
    _lock(connection, collection, now)
    known = set(
        connection.execute(
            select(collection_entries.c.rid).where(
                collection_entries.c.collection_id == collection.id, collection_entries.c.rid.in_(rids)
            )
        ).scalars()
    )
    last = connection.execute(
        select(func.coalesce(func.max(collection_entries.c.number), 0)).where(
            collection_entries.c.collection_id == collection.id
        )
    ).scalar_one()
    new = [rid for rid in dict.fromkeys(rids) if rid not in known]
    for number, rid in enumerate(new, last + 1):
        connection.execute(
            insert(collection_entries).values(collection_id=collection.id, rid=rid, number=number, added=now)
        )
        _note(connection, collection.id, ADDED, by=by, now=now, rid=rid)
    return new


def remove(
    connection: Connection, collection: Collection, rids: Sequence[str], *, by: str, now: float
) -> list[str]:
    """Take records off; those that were on it."""
    _lock(connection, collection, now)
    gone = connection.execute(
        delete(collection_entries)
        .where(collection_entries.c.collection_id == collection.id, collection_entries.c.rid.in_(rids))
        .returning(collection_entries.c.rid)
    )
    removed = sorted(gone.scalars())
    for rid in removed:
        _note(connection, collection.id, REMOVED, by=by, now=now, rid=rid)
    return removed


def _lock(connection: Connection, collection: Collection, now: float) -> None:
    connection.execute(update(collections).where(collections.c.id == collection.id).values(changed=now))


def _note(connection: Connection, of: int, action: str, *, by: str, now: float, rid: str = "") -> None:
    connection.execute(
        insert(collection_history).values(collection_id=of, at=now, by=by, action=action, rid=rid)
    )


def history(connection: Connection, collection: Collection, *, before: int, limit: int) -> list[Step]:
    """What happened to it, newest first, steps with lower ids than ``before``."""
    names = [collection_history.c[name] for name in Step.__slots__]
    rows = connection.execute(
        select(*names)
        .where(collection_history.c.collection_id == collection.id, collection_history.c.id < before)
        .order_by(collection_history.c.id.desc())
        .limit(limit)
    )
    return [Step(*row) for row in rows]


def that_have(connection: Connection, record: Record) -> list[Named]:
    """The collections that a record is on, by title, at most 50."""
    chosen = select(collection_entries.c.collection_id).where(collection_entries.c.rid == record.rid)
    by_subject = select(collections.c.id).where(collections.c.subject.in_(set(record.subjects) - {""}))
    query = select(collections.c.slug, collections.c.title).where(
        collections.c.id.in_(chosen.union(by_subject))
    )
    rows = connection.execute(query.order_by(collections.c.title, collections.c.slug).limit(_NAMED_MOST))
    return [Named(row.slug, row.title) for row in rows]


def count(connection: Connection, collection: Collection) -> int:
    """How many datasets are on a collection whose entries people choose."""
    query = _chosen(select(func.count()), collection)
    return int(connection.execute(query).scalar_one())


def entries(
    connection: Connection, collection: Collection, *, after: int | None, limit: int, newest_first: bool
) -> list[Entry]:
    """What is on a collection whose entries people choose, in its order or the last added first.

    Args:
        after: the number of the last entry of the page before.
    """
    number = collection_entries.c.number
    query = _chosen(select(collection_entries.c.rid, number, collection_entries.c.added), collection)
    if after is not None:
        query = query.where(number < after if newest_first else number > after)
    rows = connection.execute(query.order_by(number.desc() if newest_first else number).limit(limit)).all()
    wanted = select(record_rows.c.rid).where(record_rows.c.rid.in_([row.rid for row in rows]))
    found = {record.rid: record for record in records.in_order(connection, wanted)}
    return [Entry(found[row.rid], row.number, row.added) for row in rows]


def _chosen(query: Any, collection: Collection) -> Any:
    """Its entries that can be found: neither tainted nor withdrawn."""
    return (
        query.select_from(collection_entries)
        .join(record_rows, record_rows.c.rid == collection_entries.c.rid)
        .join(search_documents, search_documents.c.position == record_rows.c.position)
        .where(collection_entries.c.collection_id == collection.id)
    )
