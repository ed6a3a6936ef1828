"""Accounts, sessions, tokens, groups"""

from __future__ import annotations

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply it."""


def downgrade() -> None:
    """Take it back."""
