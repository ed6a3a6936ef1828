"""What is counted once, so that reading stays quick with very many records"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_LACKING = sa.text("servable AND missing > 0")


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "dataset_totals",
        sa.Column("complete", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("datasets", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("lacking", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("complete", name=op.f("pk_dataset_totals")),
    )
    op.create_table(
        "node_totals",
        sa.Column("node", sa.String(length=51), nullable=False),
        sa.Column("claims", sa.BigInteger(), nullable=False),
        sa.Column("complete", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["node"], ["nodes.node"], name=op.f("fk_node_totals_node")),
        sa.PrimaryKeyConstraint("node", name=op.f("pk_node_totals")),
    )
    op.execute(
        "INSERT INTO dataset_totals (complete, datasets, bytes, lacking) SELECT complete, count(*), "
        "sum(bytes), sum(CASE WHEN missing > 0 THEN 1 ELSE 0 END) FROM datasets WHERE servable "
        "GROUP BY complete"
    )
    op.execute(
        "INSERT INTO node_totals (node, claims, complete) SELECT node, count(*), "
        "sum(CASE WHEN state = 'complete' THEN 1 ELSE 0 END) FROM claims GROUP BY node"
    )
    op.drop_index(op.f("ix_datasets_servable_missing_complete"), table_name="datasets")
    op.create_index(
        op.f("ix_datasets_complete_held_bytes"),
        "datasets",
        ["complete", "held", "bytes"],
        postgresql_where=_LACKING,
        sqlite_where=_LACKING,
    )
    op.create_index(op.f("ix_claims_audited"), "claims", ["audited"])


def downgrade() -> None:
    """Take it back."""
    op.drop_index(op.f("ix_claims_audited"), table_name="claims")
    op.drop_index(op.f("ix_datasets_complete_held_bytes"), table_name="datasets")
    op.create_index(
        op.f("ix_datasets_servable_missing_complete"), "datasets", ["servable", "missing", "complete"]
    )
    op.drop_table("node_totals")
    op.drop_table("dataset_totals")
