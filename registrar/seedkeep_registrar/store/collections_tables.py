"""Tables of collections: named lists of datasets, with who put what on them when. Times are Unix seconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, String, Table, Text

from seedkeep_registrar.store.columns import HEX64, SERIAL
from seedkeep_registrar.store.tables import metadata

#: ``subject``: the collection is whatever has this subject; "" where people choose. ``owner_key``: or ""
collections = Table(
    "collections",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("slug", String(64), nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("owner_account", BigInteger, ForeignKey("accounts.id"), nullable=True),
    Column("owner_group", BigInteger, ForeignKey("groups.id"), nullable=True),
    Column("owner_key", String(51), nullable=False),
    Column("created", Float, nullable=False),
    Column("changed", Float, nullable=False),
)

#: ``number`` gives the order
collection_entries = Table(
    "collection_entries",
    metadata,
    Column("collection_id", BigInteger, ForeignKey("collections.id"), primary_key=True),
    Column("rid", HEX64, ForeignKey("records.rid"), primary_key=True, index=True),
    Column("number", BigInteger, nullable=False),
    Column("added", Float, nullable=False),
    Index(None, "collection_id", "number"),
)

#: ``by``: as shown; ``rid``: of an entry added or removed, or ""
collection_history = Table(
    "collection_history",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("collection_id", BigInteger, ForeignKey("collections.id"), nullable=False),
    Column("at", Float, nullable=False),
    Column("by", Text, nullable=False),
    Column("action", String(16), nullable=False),
    Column("rid", HEX64, nullable=False),
    Index(None, "collection_id", "id"),
)
