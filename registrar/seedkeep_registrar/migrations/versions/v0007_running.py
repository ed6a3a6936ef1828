"""Several processes: signals, limits, quotas, the audit log; history of copies"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006_pages"


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "taint_heads",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_taint_heads")),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("taint_heads")
