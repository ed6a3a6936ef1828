"""The table of idempotency keys; times are Unix seconds."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, Integer, LargeBinary, String, Table

from seedkeep_registrar.store.tables import metadata

#: ``status`` is null while the first request is being answered
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("sender", String(80), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("created", Float, nullable=False, index=True),
    Column("status", Integer, nullable=True),
    Column("headers", JSON, nullable=True),
    Column("body", LargeBinary, nullable=True),
)
