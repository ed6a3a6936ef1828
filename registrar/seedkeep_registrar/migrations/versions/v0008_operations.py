"""Shared counts of requests, quotas, the journal"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "rates",
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", "minute", name=op.f("pk_rates")),
    )
    op.create_index(op.f("ix_rates_minute"), "rates", ["minute"])
    op.create_table(
        "quotas",
        sa.Column("publisher", sa.String(length=64), nullable=False),
        sa.Column("datasets", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("publisher", name=op.f("pk_quotas")),
    )
    op.create_table(
        "journal",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("request", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
    )
    op.create_index(op.f("ix_journal_at"), "journal", ["at"])
    op.create_index(op.f("ix_journal_action"), "journal", ["action"])
    op.create_index(op.f("ix_records_steward"), "records", ["steward"])


def downgrade() -> None:
    """Take it back."""
    op.drop_index(op.f("ix_records_steward"), "records")
    op.drop_index(op.f("ix_journal_action"), "journal")
    op.drop_index(op.f("ix_journal_at"), "journal")
    op.drop_table("journal")
    op.drop_table("quotas")
    op.drop_index(op.f("ix_rates_minute"), "rates")
    op.drop_table("rates")
