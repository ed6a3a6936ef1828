"""Folders of manifests; history of copies"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_pages"
down_revision = "0006"


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "folders",
        sa.Column("manifest_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("path_key", sa.LargeBinary(length=16), nullable=False),
        sa.Column("parent_key", sa.LargeBinary(length=16), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["manifest_id"], ["manifests.id"], name=op.f("fk_folders_manifest_id")),
        sa.PrimaryKeyConstraint("manifest_id", "path_key", name=op.f("pk_folders")),
    )
    op.create_index(
        op.f("ix_folders_manifest_id_parent_key_first"), "folders", ["manifest_id", "parent_key", "first"]
    )
    op.create_table(
        "copy_counts",
        sa.Column("content_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("complete", sa.Integer(), nullable=False),
        sa.Column("audited", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["content_id"], ["datasets.content_id"], name=op.f("fk_copy_counts_content_id")
        ),
        sa.PrimaryKeyConstraint("content_id", "at", name=op.f("pk_copy_counts")),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("copy_counts")
    op.drop_table("folders")
