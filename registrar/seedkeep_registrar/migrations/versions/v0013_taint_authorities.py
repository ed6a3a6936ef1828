"""Taints with effects and expiry; authorities that are followed"""

from __future__ import annotations

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Apply it."""


def downgrade() -> None:
    """Take it back."""
