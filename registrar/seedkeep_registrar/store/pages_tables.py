"""Tables that only pages need: the folders of every manifest, and how many copies there were when."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from seedkeep_registrar.store.tables import metadata

#: folders as a page shows them, see ``folder_tree``; the files of one are numbered in a row from ``first``
folders = Table(
    "folders",
    metadata,
    Column("manifest_id", BigInteger, ForeignKey("manifests.id"), primary_key=True, autoincrement=False),
    Column("path_key", LargeBinary(16), primary_key=True),
    Column("parent_key", LargeBinary(16), nullable=False),
    Column("first", Integer, nullable=False),
    Column("files", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("path", Text, nullable=False),
    Index(None, "manifest_id", "parent_key", "first"),
)

#: counts of distinct failure domains, written when they have changed; ``at``: a full hour, Unix seconds
copy_counts = Table(
    "copy_counts",
    metadata,
    Column("content_id", String(64), ForeignKey("datasets.content_id"), primary_key=True),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("wanted", Integer, nullable=False),
    Column("complete", Integer, nullable=False),
    Column("audited", Integer, nullable=False),
)
