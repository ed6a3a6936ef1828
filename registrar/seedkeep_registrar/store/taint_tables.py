"""Tables for taints that do not withhold a whole record, or bind nobody here."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Table

from seedkeep_registrar.store.columns import HEX64
from seedkeep_registrar.store.tables import metadata

#: which records a standing taint concerns without withholding them: it warns, or withholds some files only
taint_notes = Table(
    "taint_notes",
    metadata,
    Column("taint", HEX64, ForeignKey("taints.id"), primary_key=True),
    Column("rid", HEX64, ForeignKey("records.rid"), primary_key=True, index=True),
)

#: which records a standing taint of another registrar concerns without binding: it is advice, or a draft
taint_advice = Table(
    "taint_advice",
    metadata,
    Column("taint", HEX64, ForeignKey("taints.id"), primary_key=True),
    Column("rid", HEX64, ForeignKey("records.rid"), primary_key=True, index=True),
)
