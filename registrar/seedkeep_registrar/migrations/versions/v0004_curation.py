"""The curation queue, and the mails sent about records"""

from __future__ import annotations

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply it."""


def downgrade() -> None:
    """Take it back."""
