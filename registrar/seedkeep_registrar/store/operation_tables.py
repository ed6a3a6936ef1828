"""Tables of what the operator needs: shared counts of requests, quotas, the journal."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Integer, String, Table, Text

from seedkeep_registrar.store.columns import SERIAL
from seedkeep_registrar.store.tables import metadata

#: requests by whoever is counted, in windows of a minute (Unix time // 60); kept for a few minutes
rates = Table(
    "rates",
    metadata,
    Column("name", String(120), primary_key=True),
    Column("minute", BigInteger, primary_key=True, index=True),
    Column("count", Integer, nullable=False),
)

#: what one publisher (an account's id, or a key) may register instead of what the settings say
quotas = Table(
    "quotas",
    metadata,
    Column("publisher", String(64), primary_key=True),
    Column("datasets", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)

#: who did what to this registrar: only ever added to
journal = Table(
    "journal",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("at", Float, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("action", String(64), nullable=False, index=True),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("request", String(64), nullable=False),
)
