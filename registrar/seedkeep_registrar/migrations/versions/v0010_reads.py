"""What is counted once, so that reading stays quick with very many records"""

from __future__ import annotations

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply it."""


def downgrade() -> None:
    """Take it back."""
