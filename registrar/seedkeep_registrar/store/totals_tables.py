"""Tables of what is counted once, in the transaction that changes it, because it is read all the time."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Table

from seedkeep_registrar.store.columns import KEY
from seedkeep_registrar.store.tables import metadata

#: servable datasets by their complete copies; ``lacking``: how many of them lack copies
dataset_totals = Table(
    "dataset_totals",
    metadata,
    Column("complete", Integer, primary_key=True, autoincrement=False),
    Column("datasets", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("lacking", BigInteger, nullable=False),
)

#: claims of each node, and how many of them are complete
node_totals = Table(
    "node_totals",
    metadata,
    Column("node", KEY, ForeignKey("nodes.node"), primary_key=True),
    Column("claims", BigInteger, nullable=False),
    Column("complete", BigInteger, nullable=False),
)
