"""Full-text search and collections"""

from __future__ import annotations

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply it."""


def downgrade() -> None:
    """Take it back."""
