"""The Merkle log: tiles and signed checkpoints"""

from __future__ import annotations

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply it."""


def downgrade() -> None:
    """Take it back."""
