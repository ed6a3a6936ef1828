"""The versions of this registrar's keys."""

from __future__ import annotations

from sqlalchemy import Column, Integer, Table, Text

from seedkeep_registrar.store.tables import metadata

#: signed notes, see :mod:`seedkeep.core.keyring`; none as long as the registrar has the key it began with
key_rings = Table(
    "key_rings",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
)
