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


def downgrade() -> None:
    """Take it back."""
    op.drop_index(op.f("ix_uploads_at"), table_name="uploads")
    op.drop_index(op.f("ix_uploads_sender"), table_name="uploads")
    op.drop_table("uploads")
