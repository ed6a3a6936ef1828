"""Peers, what is mirrored of them, cosignatures, evidence"""

from __future__ import annotations

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply it."""


def downgrade() -> None:
    """Take it back."""
