"""Records of other registrars: whose each is, what waits to be applied and why, whose datasets are offered"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_NOT_APPLIED = sa.text("state <> 'applied'")
_OFFERED, _LACKING = sa.text("servable AND offered AND missing > 0"), sa.text("servable AND missing > 0")


def _lacking(condition: sa.TextClause) -> None:
    op.create_index(
        op.f("ix_datasets_complete_held_bytes"),
        "datasets",
        ["complete", "held", "bytes"],
        sqlite_where=condition,
        postgresql_where=condition,
    )


def upgrade() -> None:
    """Apply it; all that is there belongs to this registrar."""
    op.add_column("records", sa.Column("home", sa.Text(), nullable=False, server_default=""))
    op.add_column("records", sa.Column("fork", sa.String(length=64), nullable=False, server_default=""))
    op.execute("UPDATE records SET home = (SELECT origin FROM log)")
    op.create_index(op.f("ix_records_home"), "records", ["home"])
    op.add_column("datasets", sa.Column("offered", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.drop_index(op.f("ix_datasets_complete_held_bytes"), table_name="datasets")
    _lacking(_OFFERED)
    op.create_index(
        op.f("ix_events_not_applied"),
        "events",
        ["rid", "seq"],
        sqlite_where=_NOT_APPLIED,
        postgresql_where=_NOT_APPLIED,
    )
    op.create_table(
        "event_problems",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["position"], ["events.position"], name=op.f("fk_event_problems_position")),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_event_problems")),
    )
    op.create_table(
        "silent_homes",
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("origin", name=op.f("pk_silent_homes")),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("silent_homes")
    op.drop_table("event_problems")
    op.drop_index(op.f("ix_events_not_applied"), table_name="events")
    op.drop_index(op.f("ix_datasets_complete_held_bytes"), table_name="datasets")
    op.drop_column("datasets", "offered")
    _lacking(_LACKING)
    op.drop_index(op.f("ix_records_home"), table_name="records")
    op.drop_column("records", "fork")
    op.drop_column("records", "home")
