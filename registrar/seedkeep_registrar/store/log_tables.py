"""The Merkle trees of the logs and the heads that were signed for them.

``log`` is 0 for this registrar's own log, else the id of a peer.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, Table, Text, text

from seedkeep_registrar.store.tables import metadata

#: a tile, as long as it is now; it only grows, to 8192 bytes
log_tiles = Table(
    "log_tiles",
    metadata,
    Column("log", Integer, primary_key=True, autoincrement=False),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

#: one for each size that was signed; ``note`` has the cosignatures, ``cosigned``: as many as are wanted
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("log", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("note", Text, nullable=False),
    Column("cosigned", Boolean, nullable=False),
    Column("at", Float, nullable=False),
    Index(
        "ix_checkpoints_cosigned",
        "log",
        "size",
        sqlite_where=text("cosigned"),
        postgresql_where=text("cosigned"),
    ),
)
