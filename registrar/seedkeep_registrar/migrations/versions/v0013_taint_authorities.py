"""Taints with effects and expiry, also of other registrars; what they concern otherwise; key rings"""

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
    "authority": (sa.Text(), ""),
    "entry": (sa.String(64), ""),
    "way": (sa.String(16), "own"),
}
_MARKS = ("taint_notes", "taint_advice")


def upgrade() -> None:
    """Apply it."""
    for name, (kind, default) in _COLUMNS.items():
        op.add_column("taints", sa.Column(name, kind, nullable=False, server_default=default))
    op.create_index(op.f("ix_taints_authority_state"), "taints", ["authority", "state"], unique=False)
    for marks in _MARKS:
        op.create_table(
            marks,
            sa.Column("taint", sa.String(length=64), nullable=False),
            sa.Column("rid", sa.String(length=64), nullable=False),
            sa.ForeignKeyConstraint(["rid"], ["records.rid"], name=op.f(f"fk_{marks}_rid")),
            sa.ForeignKeyConstraint(["taint"], ["taints.id"], name=op.f(f"fk_{marks}_taint")),
            sa.PrimaryKeyConstraint("taint", "rid", name=op.f(f"pk_{marks}")),
        )
        op.create_index(op.f(f"ix_{marks}_rid"), marks, ["rid"], unique=False)
    op.create_table(
        "key_rings",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_key_rings")),
    )
    op.create_table(
        "peer_key_rings",
        sa.Column("peer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["peer"], ["peers.id"], name=op.f("fk_peer_key_rings_peer")),
        sa.PrimaryKeyConstraint("peer", "version", name=op.f("pk_peer_key_rings")),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("peer_key_rings")
    op.drop_table("key_rings")
    for marks in _MARKS:
        op.drop_index(op.f(f"ix_{marks}_rid"), table_name=marks)
        op.drop_table(marks)
    op.execute("DELETE FROM removals WHERE taint IN (SELECT id FROM taints WHERE way <> 'own')")
    op.execute("DELETE FROM tainted_records WHERE taint IN (SELECT id FROM taints WHERE way <> 'own')")
    op.execute("DELETE FROM taints WHERE way <> 'own'")
    op.drop_index(op.f("ix_taints_authority_state"), table_name="taints")
    for name in _COLUMNS:
        op.drop_column("taints", name)
