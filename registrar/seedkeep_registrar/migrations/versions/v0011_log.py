"""The Merkle log: tiles and signed checkpoints, and events of several logs"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_APPLIED = sa.text("state = 'applied'")
_COSIGNED = sa.text("cosigned")


def upgrade() -> None:
    """Apply it; the registrar makes the tiles of what is there when it starts."""
    with op.batch_alter_table("events") as events:
        events.drop_constraint("uq_events_hash", type_="unique")
        events.drop_constraint("uq_events_rid_seq", type_="unique")
        for name in ("chain", "receipt"):
            events.drop_column(name)
        events.add_column(sa.Column("log", sa.Integer(), nullable=False, server_default="0"))
        events.add_column(sa.Column("log_index", sa.BigInteger(), nullable=False, server_default="0"))
        events.add_column(sa.Column("state", sa.String(length=8), nullable=False, server_default="applied"))
        events.add_column(sa.Column("body_sha256", sa.String(length=64), nullable=False, server_default=""))
    op.execute("UPDATE events SET log_index = position")
    for name, columns in (("ix_events_hash", ["hash"]), ("ix_events_rid_seq", ["rid", "seq"])):
        op.create_index(
            op.f(name), "events", columns, unique=True, sqlite_where=_APPLIED, postgresql_where=_APPLIED
        )
    op.create_index(op.f("ix_events_log_log_index"), "events", ["log", "log_index"], unique=True)
    op.create_index(op.f("ix_events_body_sha256"), "events", ["body_sha256"])
    op.drop_column("log", "chain")
    op.add_column("log", sa.Column("arrived", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE log SET arrived = size")
    op.create_table(
        "log_tiles",
        sa.Column("log", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log", "level", "number", name=op.f("pk_log_tiles")),
    )
    op.create_table(
        "checkpoints",
        sa.Column("log", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("cosigned", sa.Boolean(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("log", "size", name=op.f("pk_checkpoints")),
    )
    op.create_index(
        op.f("ix_checkpoints_cosigned"),
        "checkpoints",
        ["log", "size"],
        sqlite_where=_COSIGNED,
        postgresql_where=_COSIGNED,
    )


def downgrade() -> None:
    """Take it back: receipts are not made again."""
    op.drop_table("checkpoints")
    op.drop_table("log_tiles")
    op.drop_column("log", "arrived")
    op.add_column("log", sa.Column("chain", sa.String(length=64), nullable=False, server_default=""))
    for name in ("body_sha256", "log_log_index", "rid_seq", "hash"):
        op.drop_index(op.f(f"ix_events_{name}"), table_name="events")
    with op.batch_alter_table("events") as events:
        for name in ("log", "log_index", "state", "body_sha256"):
            events.drop_column(name)
        events.add_column(sa.Column("chain", sa.String(length=64), nullable=False, server_default=""))
        events.add_column(sa.Column("receipt", sa.Text(), nullable=False, server_default=""))
        events.create_unique_constraint("uq_events_hash", ["hash"])
        events.create_unique_constraint("uq_events_rid_seq", ["rid", "seq"])
