"""The first schema"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "bodies",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_bodies")),
    )
    op.create_table(
        "datasets",
        sa.Column("content_id", sa.String(length=64), nullable=False),
        sa.Column("short_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("publisher", sa.String(length=51), nullable=False),
        sa.Column("subjects", sa.JSON(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("servable", sa.Boolean(), nullable=False),
        sa.Column("complete", sa.Integer(), nullable=False),
        sa.Column("held", sa.Integer(), nullable=False),
        sa.Column("missing", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("content_id", name=op.f("pk_datasets")),
    )
    op.create_index(
        op.f("ix_datasets_servable_missing_complete"),
        "datasets",
        ["servable", "missing", "complete"],
        unique=False,
    )
    op.create_index(op.f("ix_datasets_short_id"), "datasets", ["short_id"], unique=False)
    op.create_table(
        "events",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("rid", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("chain", sa.String(length=64), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("received", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_events")),
        sa.UniqueConstraint("hash", name=op.f("uq_events_hash")),
        sa.UniqueConstraint("rid", "seq", name=op.f("uq_events_rid_seq")),
    )
    op.create_table(
        "log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("chain", sa.String(length=64), nullable=False),
        sa.Column("taint_version", sa.BigInteger(), nullable=False),
        sa.Column("taint_list", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log")),
    )
    op.create_table(
        "manifests",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("content_id", sa.String(length=64), nullable=False),
        sa.Column("indexed", sa.Integer(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_manifests")),
        sa.UniqueConstraint("sha256", name=op.f("uq_manifests_sha256")),
    )
    op.create_index(op.f("ix_manifests_content_id"), "manifests", ["content_id"], unique=False)
    op.create_table(
        "nodes",
        sa.Column("node", sa.String(length=51), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("institution", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("subjects", sa.JSON(), nullable=False),
        sa.Column("software", sa.Text(), nullable=False),
        sa.Column("pledge", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("taint_version", sa.BigInteger(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("registered", sa.Float(), nullable=False),
        sa.Column("last_seen", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("node", name=op.f("pk_nodes")),
    )
    op.create_table(
        "nonces",
        sa.Column("key", sa.String(length=51), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("expires", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", "nonce", name=op.f("pk_nonces")),
    )
    op.create_index(op.f("ix_nonces_expires"), "nonces", ["expires"], unique=False)
    op.create_table(
        "taint_lists",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("list", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_taint_lists")),
    )
    op.create_table(
        "taints",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.Column("category", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created", sa.String(length=20), nullable=False),
        sa.Column("effective", sa.String(length=20), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("lifted", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_taints")),
    )
    op.create_index(op.f("ix_taints_kind_value_state"), "taints", ["kind", "value", "state"], unique=False)
    op.create_index(op.f("ix_taints_state"), "taints", ["state"], unique=False)
    op.create_table(
        "approvals",
        sa.Column("taint", sa.String(length=64), nullable=False),
        sa.Column("curator", sa.String(length=51), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["taint"], ["taints.id"], name=op.f("fk_approvals_taint")),
        sa.PrimaryKeyConstraint("taint", "curator", name=op.f("pk_approvals")),
    )
    op.create_table(
        "attestations",
        sa.Column("content_id", sa.String(length=64), nullable=False),
        sa.Column("node", sa.String(length=51), nullable=False),
        sa.Column("manifest", sa.String(length=64), nullable=False),
        sa.Column("infohash_v1", sa.String(length=40), nullable=False),
        sa.Column("at", sa.String(length=20), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["content_id"], ["datasets.content_id"], name=op.f("fk_attestations_content_id")
        ),
        sa.ForeignKeyConstraint(["node"], ["nodes.node"], name=op.f("fk_attestations_node")),
        sa.PrimaryKeyConstraint("content_id", "node", name=op.f("pk_attestations")),
    )
    op.create_table(
        "audits",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("content_id", sa.String(length=64), nullable=False),
        sa.Column("node", sa.String(length=51), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("leaves", sa.JSON(), nullable=False),
        sa.Column("commitments", sa.JSON(), nullable=True),
        sa.Column("opened", sa.JSON(), nullable=True),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("deadline", sa.Float(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["node"], ["nodes.node"], name=op.f("fk_audits_node")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audits")),
    )
    op.create_index(op.f("ix_audits_content_id_node"), "audits", ["content_id", "node"], unique=False)
    op.create_index(op.f("ix_audits_state_deadline"), "audits", ["state", "deadline"], unique=False)
    op.create_table(
        "claims",
        sa.Column("content_id", sa.String(length=64), nullable=False),
        sa.Column("node", sa.String(length=51), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("expires", sa.Float(), nullable=False),
        sa.Column("attested", sa.Float(), nullable=True),
        sa.Column("audited", sa.Float(), nullable=True),
        sa.Column("next_audit", sa.Float(), nullable=True),
        sa.Column("silences", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["content_id"], ["datasets.content_id"], name=op.f("fk_claims_content_id")),
        sa.ForeignKeyConstraint(["node"], ["nodes.node"], name=op.f("fk_claims_node")),
        sa.PrimaryKeyConstraint("content_id", "node", name=op.f("pk_claims")),
    )
    op.create_index(op.f("ix_claims_expires"), "claims", ["expires"], unique=False)
    op.create_index(op.f("ix_claims_node"), "claims", ["node"], unique=False)
    op.create_table(
        "files",
        sa.Column("manifest_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("md5", sa.LargeBinary(length=16), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("path_key", sa.LargeBinary(length=16), nullable=False),
        sa.Column("leaf_end", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["manifest_id"], ["manifests.id"], name=op.f("fk_files_manifest_id")),
        sa.PrimaryKeyConstraint("manifest_id", "number", name=op.f("pk_files")),
    )
    op.create_index(op.f("ix_files_manifest_id_leaf_end"), "files", ["manifest_id", "leaf_end"], unique=False)
    op.create_index(op.f("ix_files_manifest_id_path_key"), "files", ["manifest_id", "path_key"], unique=False)
    op.create_index(op.f("ix_files_md5"), "files", ["md5"], unique=False)
    op.create_index(op.f("ix_files_root"), "files", ["root"], unique=False)
    op.create_index(op.f("ix_files_sha256"), "files", ["sha256"], unique=False)
    op.create_table(
        "records",
        sa.Column("rid", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("ark", sa.String(length=40), nullable=False),
        sa.Column("content_id", sa.String(length=64), nullable=False),
        sa.Column("infohash_v1", sa.String(length=40), nullable=False),
        sa.Column("manifest_id", sa.BigInteger(), nullable=False),
        sa.Column("steward", sa.String(length=51), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("license", sa.String(length=64), nullable=False),
        sa.Column("copies", sa.Integer(), nullable=False),
        sa.Column("created", sa.String(length=20), nullable=False),
        sa.Column("web_seeds", sa.JSON(), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.Column("manifest", sa.String(length=64), nullable=False),
        sa.Column("piece_layers", sa.String(length=64), nullable=False),
        sa.Column("pieces_v1", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["content_id"], ["datasets.content_id"], name=op.f("fk_records_content_id")),
        sa.ForeignKeyConstraint(["manifest_id"], ["manifests.id"], name=op.f("fk_records_manifest_id")),
        sa.ForeignKeyConstraint(["position"], ["events.position"], name=op.f("fk_records_position")),
        sa.PrimaryKeyConstraint("rid", name=op.f("pk_records")),
        sa.UniqueConstraint("ark", name=op.f("uq_records_ark")),
        sa.UniqueConstraint("position", name=op.f("uq_records_position")),
    )
    op.create_index(op.f("ix_records_content_id"), "records", ["content_id"], unique=False)
    op.create_index(op.f("ix_records_infohash_v1"), "records", ["infohash_v1"], unique=False)
    op.create_index(op.f("ix_records_manifest_id"), "records", ["manifest_id"], unique=False)
    op.create_table(
        "removals",
        sa.Column("taint", sa.String(length=64), nullable=False),
        sa.Column("content_id", sa.String(length=64), nullable=False),
        sa.Column("node", sa.String(length=51), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.String(length=20), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["node"], ["nodes.node"], name=op.f("fk_removals_node")),
        sa.ForeignKeyConstraint(["taint"], ["taints.id"], name=op.f("fk_removals_taint")),
        sa.PrimaryKeyConstraint("taint", "content_id", "node", "action", name=op.f("pk_removals")),
    )
    op.create_table(
        "web_seed_reports",
        sa.Column("content_id", sa.String(length=64), nullable=False),
        sa.Column("web_seed_sha256", sa.String(length=64), nullable=False),
        sa.Column("reporter", sa.String(length=51), nullable=False),
        sa.Column("web_seed", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["content_id"], ["datasets.content_id"], name=op.f("fk_web_seed_reports_content_id")
        ),
        sa.PrimaryKeyConstraint(
            "content_id", "web_seed_sha256", "reporter", name=op.f("pk_web_seed_reports")
        ),
    )
    op.create_table(
        "objects",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("rid", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["rid"], ["records.rid"], name=op.f("fk_objects_rid")),
        sa.PrimaryKeyConstraint("sha256", "rid", name=op.f("pk_objects")),
    )
    op.create_table(
        "tainted_records",
        sa.Column("taint", sa.String(length=64), nullable=False),
        sa.Column("rid", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["rid"], ["records.rid"], name=op.f("fk_tainted_records_rid")),
        sa.ForeignKeyConstraint(["taint"], ["taints.id"], name=op.f("fk_tainted_records_taint")),
        sa.PrimaryKeyConstraint("taint", "rid", name=op.f("pk_tainted_records")),
    )
    op.create_index(op.f("ix_tainted_records_rid"), "tainted_records", ["rid"], unique=False)


def downgrade() -> None:
    """Take it back."""
    op.drop_index(op.f("ix_tainted_records_rid"), table_name="tainted_records")
    op.drop_table("tainted_records")
    op.drop_table("objects")
    op.drop_table("web_seed_reports")
    op.drop_table("removals")
    op.drop_index(op.f("ix_records_manifest_id"), table_name="records")
    op.drop_index(op.f("ix_records_infohash_v1"), table_name="records")
    op.drop_index(op.f("ix_records_content_id"), table_name="records")
    op.drop_table("records")
    op.drop_index(op.f("ix_files_sha256"), table_name="files")
    op.drop_index(op.f("ix_files_root"), table_name="files")
    op.drop_index(op.f("ix_files_md5"), table_name="files")
    op.drop_index(op.f("ix_files_manifest_id_path_key"), table_name="files")
    op.drop_index(op.f("ix_files_manifest_id_leaf_end"), table_name="files")
    op.drop_table("files")
    op.drop_index(op.f("ix_claims_node"), table_name="claims")
    op.drop_index(op.f("ix_claims_expires"), table_name="claims")
    op.drop_table("claims")
    op.drop_index(op.f("ix_audits_state_deadline"), table_name="audits")
    op.drop_index(op.f("ix_audits_content_id_node"), table_name="audits")
    op.drop_table("audits")
    op.drop_table("attestations")
    op.drop_table("approvals")
    op.drop_index(op.f("ix_taints_state"), table_name="taints")
    op.drop_index(op.f("ix_taints_kind_value_state"), table_name="taints")
    op.drop_table("taints")
    op.drop_table("taint_lists")
    op.drop_index(op.f("ix_nonces_expires"), table_name="nonces")
    op.drop_table("nonces")
    op.drop_table("nodes")
    op.drop_index(op.f("ix_manifests_content_id"), table_name="manifests")
    op.drop_table("manifests")
    op.drop_table("log")
    op.drop_table("events")
    op.drop_index(op.f("ix_datasets_short_id"), table_name="datasets")
    op.drop_index(op.f("ix_datasets_servable_missing_complete"), table_name="datasets")
    op.drop_table("datasets")
    op.drop_table("bodies")
