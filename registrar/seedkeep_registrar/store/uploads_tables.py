"""The table of uploaded objects that no record names yet; times are Unix seconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, String, Table

from seedkeep_registrar.store.columns import HEX64
from seedkeep_registrar.store.tables import metadata

#: ``sender`` is ``key …``, ``account …`` or ``address …``; one upload is charged to several of them
uploads = Table(
    "uploads",
    metadata,
    Column("sha256", HEX64, primary_key=True),
    Column("sender", String(80), primary_key=True, index=True),
    Column("bytes", BigInteger, nullable=False),
    Column("at", Float, nullable=False, index=True),
)
