"""Full-text search and collections"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0005"
down_revision = "0004"

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INVERTED_INDEX = {
    "sqlite": (
        "CREATE VIRTUAL TABLE search_words "
        "USING fts5(title, people, text, files, facets, tokenize='unicode61')",
    ),
    "postgresql": (
        "CREATE TABLE search_words (position bigint PRIMARY KEY, words tsvector NOT NULL) "
        "WITH (toast_tuple_target = 128)",
        "ALTER TABLE search_words ALTER COLUMN words SET STORAGE EXTERNAL",
        # with the stretches of the log; what is new is read one by one until it is sorted in
        "CREATE INDEX ix_search_words_words ON search_words USING gin (words, "
        "(ARRAY[(position >> 12) * 3, (position >> 15) * 3 + 1, (position >> 18) * 3 + 2])) "
        "WITH (gin_pending_list_limit = 256)",
    ),
}


def upgrade() -> None:
    """Apply it."""
    _search()
    _collections()
    _tallies()


def _search() -> None:
    op.create_table(
        "search_documents",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content_id", sa.String(length=64), nullable=False),
        sa.Column("facets", ARRAY(sa.Integer()).with_variant(sa.JSON(), "sqlite"), nullable=False),
        sa.Column("complete", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["position"], ["records.position"], name=op.f("fk_search_documents_position")
        ),
        sa.ForeignKeyConstraint(
            ["content_id"], ["datasets.content_id"], name=op.f("fk_search_documents_content_id")
        ),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_search_documents")),
    )
    op.create_index(op.f("ix_search_documents_content_id"), "search_documents", ["content_id"], unique=False)
    op.create_table(
        "search_values",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("facet", sa.Integer(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_values")),
    )
    op.create_index(op.f("ix_search_values_facet_value"), "search_values", ["facet", "value"], unique=True)
    op.create_index(op.f("ix_search_values_facet_count"), "search_values", ["facet", "count"], unique=False)
    for statement in _INVERTED_INDEX[op.get_bind().dialect.name]:
        op.execute(statement)


def _collections() -> None:
    op.create_table(
        "collections",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("slug", sa.String(length=64), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("owner_account", sa.BigInteger(), nullable=True),
        sa.Column("owner_group", sa.BigInteger(), nullable=True),
        sa.Column("owner_key", sa.String(length=51), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("changed", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_account"], ["accounts.id"], name=op.f("fk_collections_owner_account")
        ),
        sa.ForeignKeyConstraint(["owner_group"], ["groups.id"], name=op.f("fk_collections_owner_group")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collections")),
        sa.UniqueConstraint("slug", name=op.f("uq_collections_slug")),
    )
    op.create_index(op.f("ix_collections_subject"), "collections", ["subject"], unique=False)
    op.create_table(
        "collection_entries",
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("rid", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name=op.f("fk_collection_entries_collection_id")
        ),
        sa.ForeignKeyConstraint(["rid"], ["records.rid"], name=op.f("fk_collection_entries_rid")),
        sa.PrimaryKeyConstraint("collection_id", "rid", name=op.f("pk_collection_entries")),
    )
    op.create_index(op.f("ix_collection_entries_rid"), "collection_entries", ["rid"], unique=False)
    op.create_index(
        op.f("ix_collection_entries_collection_id_number"),
        "collection_entries",
        ["collection_id", "number"],
        unique=False,
    )
    op.create_table(
        "collection_history",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("rid", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name=op.f("fk_collection_history_collection_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collection_history")),
    )
    op.create_index(
        op.f("ix_collection_history_collection_id_id"),
        "collection_history",
        ["collection_id", "id"],
        unique=False,
    )


def _tallies() -> None:
    """What is read all the time is counted once."""
    op.create_table(
        "audit_tallies",
        sa.Column("node", sa.String(length=51), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["node"], ["nodes.node"], name=op.f("fk_audit_tallies_node")),
        sa.PrimaryKeyConstraint("node", "outcome", name=op.f("pk_audit_tallies")),
    )
    op.execute(
        "INSERT INTO audit_tallies (node, outcome, count) "
        "SELECT node, outcome, count(*) FROM audits WHERE state = 'done' GROUP BY node, outcome"
    )
    op.create_index(op.f("ix_claims_state_created"), "claims", ["state", "created"], unique=False)
    op.create_index(op.f("ix_datasets_complete"), "datasets", ["complete"], unique=False)


def downgrade() -> None:
    """Take it back."""
    op.drop_index(op.f("ix_datasets_complete"), table_name="datasets")
    op.drop_index(op.f("ix_claims_state_created"), table_name="claims")
    for table in (
        "audit_tallies",
        "collection_history",
        "collection_entries",
        "collections",
        "search_words",
        "search_values",
        "search_documents",
    ):
        op.drop_table(table)
