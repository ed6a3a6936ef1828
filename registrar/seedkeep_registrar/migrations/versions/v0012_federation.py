"""Peers, what is mirrored of them, their taints, evidence"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_WAITING = sa.text("state = 'waiting'")


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "peers",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("origin_sha256", sa.String(length=64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("vkey", sa.Text(), nullable=False),
        sa.Column("naan", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("taint_mode", sa.String(length=16), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.Float(), nullable=False),
        sa.Column("last_poll", sa.Float(), nullable=False),
        sa.Column("last_ok", sa.Float(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_peers")),
        sa.UniqueConstraint("origin", name=op.f("uq_peers_origin")),
        sa.UniqueConstraint("origin_sha256", name=op.f("uq_peers_origin_sha256")),
    )
    op.create_table(
        "peer_taints",
        sa.Column("peer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("list", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["peer"], ["peers.id"], name=op.f("fk_peer_taints_peer")),
        sa.PrimaryKeyConstraint("peer", name=op.f("pk_peer_taints")),
    )
    op.create_table(
        "evidence",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("peer", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_evidence")),
    )
    op.create_index(op.f("ix_evidence_peer"), "evidence", ["peer"])
    op.create_index(
        op.f("ix_events_waiting"),
        "events",
        ["log", "log_index"],
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )


def downgrade() -> None:
    """Take it back: what was mirrored stays among the events."""
    op.drop_index(op.f("ix_events_waiting"), table_name="events")
    op.drop_table("evidence")
    op.drop_table("peer_taints")
    op.drop_table("peers")
