"""After a restore: which peers have not said yet how far this registrar's log was"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Apply it."""
    op.add_column("peers", sa.Column("unheard", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("peers", "unheard")
