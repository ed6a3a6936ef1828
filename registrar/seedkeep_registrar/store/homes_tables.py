"""What belongs to the records of other registrars beside the records: see also the columns of those."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Integer, Table, Text

from seedkeep_registrar.store.tables import metadata

#: why an event waits, cannot count, or is one of two; one that waits is tried again when it is ``due``
event_problems = Table(
    "event_problems",
    metadata,
    Column("position", BigInteger, ForeignKey("events.position"), primary_key=True, autoincrement=False),
    Column("problem", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due", Float, nullable=False),
)

#: the registrars that have been silent for so long that this one offers their datasets; ``since`` when
silent_homes = Table(
    "silent_homes",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("since", Float, nullable=False),
)
