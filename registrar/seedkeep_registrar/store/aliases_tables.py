"""The table of further names of records."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table, Text

from seedkeep_registrar.store.tables import metadata

#: names that others gave to what a record is about, such as DOIs; several records may share one
aliases = Table(
    "aliases",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("value", Text, primary_key=True),
    Column("rid", String(64), ForeignKey("records.rid"), primary_key=True, index=True),
)
