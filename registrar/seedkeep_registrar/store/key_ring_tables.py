"""The versions of this registrar's keys, and of those of others."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, Table, Text

from seedkeep_registrar.store.tables import metadata

#: signed notes, see :mod:`seedkeep.core.keyring`; none as long as the registrar has the key it began with
key_rings = Table(
    "key_rings",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
)

#: what is trusted of another registrar's keys: as version 0 the first one as a vkey, then its signed notes
peer_key_rings = Table(
    "peer_key_rings",
    metadata,
    Column("peer", Integer, ForeignKey("peers.id"), primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
)
