"""Tables for running a registrar: what its processes share, limits, the audit log."""

from __future__ import annotations

from sqlalchemy import Column, Integer, Table, Text

from seedkeep_registrar.store.tables import metadata

#: the newest signed head of the taint list: one row
taint_heads = Table(
    "taint_heads",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("note", Text, nullable=False),
)
