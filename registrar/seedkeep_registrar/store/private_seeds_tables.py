"""The table of who has named a web seed in private storage."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table, Text

from seedkeep_registrar.store.columns import HEX64, KEY
from seedkeep_registrar.store.tables import metadata

#: ``editor`` is for whom the registrar signed: an account's id, a key, or ""
private_seeds = Table(
    "private_seeds",
    metadata,
    Column("rid", HEX64, ForeignKey("records.rid"), primary_key=True),
    Column("web_seed", Text, primary_key=True),
    Column("signer", KEY, nullable=False),
    Column("editor", String(80), nullable=False),
)
