"""Other registrars whose logs this one mirrors, what they have ordered, and what shows that one has lied."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    false,
)

from seedkeep_registrar.store.columns import HEX64
from seedkeep_registrar.store.tables import metadata

#: ``id`` is the number of its log in the other tables, from 1. ``note`` is its newest checkpoint that is
#: trusted, "" before the first; its first ``stored`` entries are here. ``origin_sha256`` names it in paths.
#: ``last_poll`` and ``last_ok`` are 0 before the first; ``problem`` says what is wrong at present.
#: ``unheard``: since a snapshot was restored it has not said how far this registrar's log was
peers = Table(
    "peers",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False, unique=True),
    Column("origin_sha256", HEX64, nullable=False, unique=True),
    Column("url", Text, nullable=False),
    Column("vkey", Text, nullable=False),
    Column("naan", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("taint_mode", String(16), nullable=False),
    Column("note", Text, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("added", Float, nullable=False),
    Column("last_poll", Float, nullable=False),
    Column("last_ok", Float, nullable=False),
    Column("problem", Text, nullable=False),
    Column("unheard", Boolean, nullable=False, server_default=false()),
)

#: the newest verified head of a peer's taint list, and the list
peer_taints = Table(
    "peer_taints",
    metadata,
    Column("peer", Integer, ForeignKey("peers.id"), primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
    Column("list", LargeBinary, nullable=False),
    Column("at", Float, nullable=False),
)

#: what shows that a log has lied; ``peer`` 0 is this registrar itself. ``says`` is that in one sentence
evidence = Table(
    "evidence",
    metadata,
    Column("sha256", HEX64, primary_key=True),
    Column("peer", Integer, nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("says", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("at", Float, nullable=False),
)
