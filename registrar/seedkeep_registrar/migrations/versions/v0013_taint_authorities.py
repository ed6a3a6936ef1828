"""Taints with effects and expiry; records that they concern without withholding them; key rings"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_COLUMNS = {
    "effect": (sa.String(16), "remove"),
    "basis": (sa.Text(), ""),
    "jurisdiction": (sa.Text(), ""),
    "evidence": (sa.String(64), ""),
    "appeal": (sa.Text(), ""),
    "expires": (sa.String(20), ""),
}


def upgrade() -> None:
    """Apply it."""
    for name, (kind, default) in _COLUMNS.items():
        op.add_column("taints", sa.Column(name, kind, nullable=False, server_default=default))
    op.create_table(
        "taint_notes",
        sa.Column("taint", sa.String(length=64), nullable=False),
        sa.Column("rid", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["rid"], ["records.rid"], name=op.f("fk_taint_notes_rid")),
        sa.ForeignKeyConstraint(["taint"], ["taints.id"], name=op.f("fk_taint_notes_taint")),
        sa.PrimaryKeyConstraint("taint", "rid", name=op.f("pk_taint_notes")),
    )
    op.create_index(op.f("ix_taint_notes_rid"), "taint_notes", ["rid"], unique=False)
    op.create_table(
        "key_rings",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_key_rings")),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("key_rings")
    op.drop_index(op.f("ix_taint_notes_rid"), table_name="taint_notes")
    op.drop_table("taint_notes")
    for name in _COLUMNS:
        op.drop_column("taints", name)
