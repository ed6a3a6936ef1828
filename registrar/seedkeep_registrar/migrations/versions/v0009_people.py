"""What people may change of their accounts; quotas of single publishers"""

from __future__ import annotations

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply it."""


def downgrade() -> None:
    """Take it back."""
