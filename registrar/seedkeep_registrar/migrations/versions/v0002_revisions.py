"""Revisions, versions and other names of records"""

from __future__ import annotations

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply it."""


def downgrade() -> None:
    """Take it back."""
