"""Revisions, versions and other names of records"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TEXTS = {
    "head": 64,
    "state_sha256": 64,
    "updated": 20,
    "supersedes": 64,
    "series": 64,
    "account": 64,
    "withdrawn": 20,
}


def upgrade() -> None:
    """Apply it: records that are there have had no revision yet."""
    # what is added to a table with rows needs a default
    op.add_column("records", sa.Column("seq", sa.Integer(), nullable=False, server_default="0"))
    for name, length in _TEXTS.items():
        op.add_column("records", sa.Column(name, sa.String(length), nullable=False, server_default=""))
    for name in ("stewards", "subjects"):
        op.add_column("records", sa.Column(name, sa.JSON(), nullable=False, server_default="[]"))
    names = ("rid", "body_sha256", "created", "steward", "content_id", "stewards", "subjects", *_TEXTS)
    records = sa.table("records", *map(sa.column, names))
    datasets = sa.table("datasets", sa.column("content_id"), sa.column("subjects"))
    about = sa.select(datasets.c.subjects).where(datasets.c.content_id == records.c.content_id)
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    array = sa.func.json_build_array if on_postgresql else sa.func.json_array
    op.execute(
        sa.update(records).values(
            head=records.c.rid,
            state_sha256=records.c.body_sha256,
            updated=records.c.created,
            series=records.c.rid,
            stewards=array(records.c.steward),
            subjects=about.scalar_subquery(),
        )
    )
    op.create_index(op.f("ix_records_series_position"), "records", ["series", "position"], unique=False)
    op.create_table(
        "aliases",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("rid", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["rid"], ["records.rid"], name=op.f("fk_aliases_rid")),
        sa.PrimaryKeyConstraint("kind", "value", "rid", name=op.f("pk_aliases")),
    )
    op.create_index(op.f("ix_aliases_rid"), "aliases", ["rid"], unique=False)


def downgrade() -> None:
    """Take it back: what was revised is forgotten by the tables, not by the log."""
    op.drop_index(op.f("ix_aliases_rid"), table_name="aliases")
    op.drop_table("aliases")
    op.drop_index(op.f("ix_records_series_position"), table_name="records")
    for name in ("seq", *_TEXTS, "stewards", "subjects"):
        op.drop_column("records", name)
