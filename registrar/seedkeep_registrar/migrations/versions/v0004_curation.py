"""The curation queue, and the mails sent about records"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "mails",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("message_id", sa.String(length=320), nullable=False),
        sa.Column("about", sa.String(length=64), nullable=False),
        sa.Column("recipient", sa.String(length=320), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("kept_text", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try", sa.Float(), nullable=False),
        sa.Column("give_up", sa.Float(), nullable=False),
        sa.Column("ended", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
    )
    op.create_index(op.f("ix_mails_about"), "mails", ["about"])
    op.create_index(op.f("ix_mails_state_next_try"), "mails", ["state", "next_try"])
    op.create_table(
        "submissions",
        sa.Column("number", _SERIAL, nullable=False),
        sa.Column("rid", sa.String(length=64), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=51), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("content_id", sa.String(length=64), nullable=False),
        sa.Column("infohash_v1", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("license", sa.String(length=64), nullable=False),
        sa.Column("manifest", sa.String(length=64), nullable=False),
        sa.Column("piece_layers", sa.String(length=64), nullable=False),
        sa.Column("pieces_v1", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("received", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_submissions")),
        sa.UniqueConstraint("rid", name=op.f("uq_submissions_rid")),
    )
    op.create_index(op.f("ix_submissions_account_id"), "submissions", ["account_id"])
    op.create_index(op.f("ix_submissions_by_content_id"), "submissions", ["by", "content_id"])
    op.create_index(op.f("ix_submissions_manifest"), "submissions", ["manifest"])
    op.create_index(op.f("ix_submissions_piece_layers"), "submissions", ["piece_layers"])
    op.create_index(op.f("ix_submissions_pieces_v1"), "submissions", ["pieces_v1"])
    op.create_index(op.f("ix_submissions_state_number"), "submissions", ["state", "number"])
    op.create_table(
        "decisions",
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("submission", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=51), nullable=False),
        sa.Column("editor", sa.JSON(), nullable=True),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["submission"], ["submissions.rid"], name=op.f("fk_decisions_submission")),
        sa.PrimaryKeyConstraint("event", name=op.f("pk_decisions")),
    )
    op.create_index(op.f("ix_decisions_submission"), "decisions", ["submission"])


def downgrade() -> None:
    """Take it back."""
    op.drop_table("decisions")
    op.drop_table("submissions")
    op.drop_table("mails")
