"""Tables of the search that are the same on both engines; the inverted index itself is the engine's own.

``search_words`` is an FTS5 table or a table with a tsvector, see :mod:`seedkeep_registrar.search`.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from seedkeep_registrar.store.columns import HEX64, SERIAL
from seedkeep_registrar.store.tables import metadata

#: what can be found: untainted records that were not withdrawn; ``facets`` are codes of ``search_values``,
#: ``complete`` is as in ``datasets``: here it is beside what else is asked for
search_documents = Table(
    "search_documents",
    metadata,
    Column(
        "position",
        BigInteger,
        ForeignKey("records.position"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("content_id", HEX64, ForeignKey("datasets.content_id"), nullable=False, index=True),
    Column("facets", ARRAY(Integer).with_variant(JSON(), "sqlite"), nullable=False),
    Column("complete", Integer, nullable=False),
)

#: the values of facets; ``count``: of documents that have it, kept in step by whoever holds the log's lock
search_values = Table(
    "search_values",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("facet", Integer, nullable=False),
    Column("value", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Index(None, "facet", "value", unique=True),
    Index(None, "facet", "count"),
)
