"""Uploads that no record names; who named private storage; claims of names that a curator has confirmed"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "uploads",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("sender", sa.String(length=80), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", "sender", name=op.f("pk_uploads")),
    )
    op.create_index(op.f("ix_uploads_sender"), "uploads", ["sender"], unique=False)
    op.create_index(op.f("ix_uploads_at"), "uploads", ["at"], unique=False)
    op.create_table(
        "private_seeds",
        sa.Column("rid", sa.String(length=64), nullable=False),
        sa.Column("web_seed", sa.Text(), nullable=False),
        sa.Column("signer", sa.String(length=51), nullable=False),
        sa.Column("editor", sa.String(length=80), nullable=False),
        sa.ForeignKeyConstraint(["rid"], ["records.rid"], name=op.f("fk_private_seeds_rid_records")),
        sa.PrimaryKeyConstraint("rid", "web_seed", name=op.f("pk_private_seeds")),
    )
    op.create_table(
        "confirmed_names",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("rid", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=80), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["rid"], ["records.rid"], name=op.f("fk_confirmed_names_rid_records")),
        sa.PrimaryKeyConstraint("kind", "value", name=op.f("pk_confirmed_names")),
    )
    op.create_index(op.f("ix_confirmed_names_rid"), "confirmed_names", ["rid"], unique=False)


def downgrade() -> None:
    """Take it back."""
    op.drop_index(op.f("ix_confirmed_names_rid"), table_name="confirmed_names")
    op.drop_table("confirmed_names")
    op.drop_table("private_seeds")
    op.drop_index(op.f("ix_uploads_at"), table_name="uploads")
    op.drop_index(op.f("ix_uploads_sender"), table_name="uploads")
    op.drop_table("uploads")
