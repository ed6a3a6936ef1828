"""The tables of further names of records; times are Unix seconds."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, String, Table, Text

from seedkeep_registrar.store.tables import metadata

#: names that others gave to what a record is about, such as DOIs; several records may share one
aliases = Table(
    "aliases",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("value", Text, primary_key=True),
    Column("rid", String(64), ForeignKey("records.rid"), primary_key=True, index=True),
)

#: whose such a name is, where a curator has found out; any record may claim one
confirmed_names = Table(
    "confirmed_names",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("value", Text, primary_key=True),
    Column("rid", String(64), ForeignKey("records.rid"), nullable=False, index=True),
    Column("by", String(80), nullable=False),
    Column("at", Float, nullable=False),
)
