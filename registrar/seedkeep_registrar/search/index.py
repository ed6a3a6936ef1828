"""Keeps the index in step with the records, in the transaction that changes them.

Callers hold the log's lock (:func:`seedkeep_registrar.store.events.lock`), which also guards the counts of
facet values. Complete copies are no words of the index: they change all the time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import BigInteger, Connection, bindparam, delete, insert, select, text, update

from seedkeep.core import jcs
from seedkeep.core.events import MAX_BODY_BYTES
from seedkeep.core.metadata import Metadata, parse_metadata
from seedkeep_registrar.search.document import MOST_FILES, Facet, document_of
from seedkeep_registrar.search.fts5 import Fts5
from seedkeep_registrar.search.terms import Engine
from seedkeep_registrar.search.tsvector import Tsvector
from seedkeep_registrar.store import events, records, taints
from seedkeep_registrar.store.among import among
from seedkeep_registrar.store.records import Record
from seedkeep_registrar.store.search_tables import search_documents, search_values
from seedkeep_registrar.store.tables import datasets, files
from seedkeep_registrar.store.tables import records as records_table

_AT_ONCE = 200
_ENGINES: dict[str, Engine] = {"sqlite": Fts5(), "postgresql": Tsvector()}
_COUNT = (
    "INSERT INTO search_values (facet, value, count) SELECT {} "
    "ON CONFLICT (facet, value) DO UPDATE SET count = search_values.count + 1 RETURNING id, facet, value"
)
#: one statement for any number of values, so that it is prepared once
_COUNTED = {
    "sqlite": text(
        _COUNT.format(
            "json_extract(value, '$[0]'), json_extract(value, '$[1]'), 1 FROM json_each(:pairs) WHERE true"
        )
    ),
    "postgresql": text(
        _COUNT.format("f, v, 1 FROM unnest(CAST(:facets AS int[]), CAST(:values AS text[])) AS t(f, v)")
    ),
}
_INSERT = insert(search_documents).from_select(
    ("position", "content_id", "facets", "complete"),
    select(
        bindparam("position", type_=BigInteger),
        datasets.c.content_id,
        bindparam("facets", type_=search_documents.c.facets.type),
        datasets.c.complete,
    ).where(datasets.c.content_id == bindparam("content_id")),
)
#: a facet's number in a code: its value's id is above
_FACET_BITS = 3


def engine_of(connection: Connection) -> Engine:
    """The index of this database."""
    return _ENGINES[connection.dialect.name]


def code_of(facet: int, value_id: int) -> int:
    """What stands for a facet's value in documents and in the index."""
    return value_id << _FACET_BITS | facet


def facet_of(code: int) -> tuple[int, int]:
    """Facet and value id of a code."""
    return code & (1 << _FACET_BITS) - 1, code >> _FACET_BITS


def put(connection: Connection, record: Record, metadata: Metadata) -> None:
    """Make a record findable as it is now described; what was indexed of it before is replaced."""
    remove(connection, record)
    paths = connection.execute(
        select(files.c.path)
        .where(files.c.manifest_id == record.manifest_id, files.c.number < MOST_FILES)
        .order_by(files.c.number)
    )
    add(connection, record, metadata, list(paths.scalars()))


def add(connection: Connection, record: Record, metadata: Metadata, paths: Sequence[str]) -> None:
    """Make a record findable that is not yet.

    Args:
        paths: of its first files, :data:`MOST_FILES` at most.
    """
    document = document_of(record, metadata, paths)
    codes = _count(connection, document.values)
    row = {"position": record.position, "content_id": record.content_id, "facets": codes}
    connection.execute(_INSERT, row)
    engine_of(connection).put(connection, record.position, document, codes)


def remove(connection: Connection, record: Record) -> None:
    """A record is not to be found any more; nothing happens when it is not."""
    gone = connection.execute(
        delete(search_documents)
        .where(search_documents.c.position == record.position)
        .returning(search_documents.c.facets)
    ).scalar_one_or_none()
    if gone is None:
        return
    ids = [facet_of(code)[1] for code in gone]
    connection.execute(
        update(search_values)
        .where(among(connection, search_values.c.id, ids))
        .values(count=search_values.c.count - 1)
    )
    engine_of(connection).remove(connection, record.position)


def refresh(connection: Connection, rid: str) -> None:
    """Bring a record into the index or out of it, as its taints and its body say now."""
    record = records.by_rid(connection, rid)
    if record is None:
        return
    body = events.body(connection, record.state_sha256)
    if body is None or record.withdrawn or taints.standing_on_record(connection, rid):
        remove(connection, record)
    else:
        described = jcs.loads(body, limit=MAX_BODY_BYTES).get("metadata", {})
        put(connection, record, parse_metadata(described))


def rebuild(connection: Connection) -> None:
    """Make the index anew from the records and their bodies."""
    engine_of(connection).clear(connection)
    connection.execute(delete(search_documents))
    connection.execute(delete(search_values))
    after = -1
    while some := connection.execute(
        select(records_table.c.position, records_table.c.rid)
        .where(records_table.c.position > after)
        .order_by(records_table.c.position)
        .limit(_AT_ONCE)
    ).all():
        for _, rid in some:
            refresh(connection, rid)
        after = some[-1].position


def _count(connection: Connection, values: Sequence[tuple[Facet, str]]) -> list[int]:
    """The codes of these values, each counted once more."""
    given: dict[str, object]
    if connection.dialect.name == "postgresql":
        given = {"facets": [int(facet) for facet, _ in values], "values": [value for _, value in values]}
    else:
        given = {"pairs": json.dumps([(int(facet), value) for facet, value in values])}
    rows = connection.execute(_COUNTED[connection.dialect.name], given)
    codes = {(row.facet, row.value): code_of(row.facet, row.id) for row in rows}
    return [codes[int(facet), value] for facet, value in values]
