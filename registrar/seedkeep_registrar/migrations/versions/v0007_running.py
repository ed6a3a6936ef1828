"""Several processes: signals, limits, quotas, the audit log; history of copies"""

from __future__ import annotations

revision = "0007"
down_revision = "0006_pages"


def upgrade() -> None:
    """Apply it."""


def downgrade() -> None:
    """Take it back."""
