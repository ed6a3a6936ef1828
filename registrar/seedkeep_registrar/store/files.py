"""The files of every manifest: found by path, by md5, sha256 or pieces root, by leaf number.

A manifest of a million files is indexed in slices, each a transaction of its own, before the event that
names it; until a record does, its rows mean nothing and are dropped after a day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, insert, select, update

from seedkeep.core.manifest import FileEntry
from seedkeep.core.merkle import blocks_of
from seedkeep_registrar.store.pages_tables import folders
from seedkeep_registrar.store.tables import files, manifests, records
from seedkeep_registrar.store.upserts import prepared

_DIGEST_COLUMNS = {"md5": files.c.md5, "sha256": files.c.sha256, "root": files.c.root}
_MATCHES = 1000
_AT_ONCE = 500
_BEGIN = prepared(
    manifests,
    lambda into: into.on_conflict_do_update(
        index_elements=["sha256"], set_={"created": into.excluded.created}
    ).returning(manifests.c.id, manifests.c.indexed),
)
_INDEXED = select(manifests.c.indexed).where(manifests.c.id == bindparam("manifest_id"))
_ADVANCE = (
    update(manifests)
    .where(manifests.c.id == bindparam("manifest_id"), manifests.c.indexed == bindparam("first"))
    .values(indexed=bindparam("after"))
)
_INSERT = insert(files)


@dataclass(frozen=True, slots=True)
class Match:
    """A file somebody asked for by its digest: which record has it, where."""

    rid: str
    path: str


def path_key(path: str) -> bytes:
    """What paths are looked up by: they can be longer than an index takes."""
    return hashlib.sha256(path.encode()).digest()[:16]


def begin_manifest(connection: Connection, sha256: str, content_id: str, now: float) -> tuple[int, int]:
    """The manifest's id, and how many of its files are indexed already."""
    values = {"sha256": sha256, "content_id": content_id, "indexed": 0, "created": now}
    row = connection.execute(_BEGIN[connection.dialect.name], values).one()
    return int(row.id), int(row.indexed)


def add(connection: Connection, manifest_id: int, first: int, entries: Sequence[FileEntry]) -> int:
    """Index a slice of a manifest; how many files are indexed then.

    Does nothing when somebody else has indexed beyond ``first`` meanwhile.

    Args:
        first: number of the slice's first file in the manifest.
    """
    after = first + len(entries)
    ours = {"manifest_id": manifest_id, "first": first, "after": after}
    if not entries or not connection.execute(_ADVANCE, ours).rowcount:
        return int(connection.execute(_INDEXED, {"manifest_id": manifest_id}).scalar_one())
    leaves = 0
    if first:
        leaves = connection.execute(
            select(files.c.leaf_end).where(files.c.manifest_id == manifest_id, files.c.number == first - 1)
        ).scalar_one()
    rows = []
    for number, entry in enumerate(entries, first):
        leaves += blocks_of(entry.size)
        rows.append(
            {
                "manifest_id": manifest_id,
                "number": number,
                "size": entry.size,
                "md5": bytes.fromhex(entry.md5),
                "sha256": bytes.fromhex(entry.sha256),
                "root": bytes.fromhex(entry.root) if entry.root else None,
                "path": entry.path,
                "path_key": path_key(entry.path),
                "leaf_end": leaves,
            }
        )
    connection.execute(_INSERT, rows)
    return after


def matches(connection: Connection, digest: str, value: str) -> list[Match]:
    """Where files with this digest are, oldest record first; at most 1000.

    Args:
        digest: ``md5``, ``sha256`` or ``root``.
        value: hex.
    """
    rows = connection.execute(
        select(records.c.rid, files.c.path)
        .join(records, records.c.manifest_id == files.c.manifest_id)
        .where(_DIGEST_COLUMNS[digest] == bytes.fromhex(value))
        .order_by(records.c.position, files.c.number)
        .limit(_MATCHES)
    )
    return [Match(*row) for row in rows]


def find_path(connection: Connection, content_id: str, path: str) -> FileEntry | None:
    """The file at ``path`` (as in the manifest) of a registered dataset; None when there is none."""
    if "\x00" in path:  # PostgreSQL does not even compare it
        return None
    row = connection.execute(
        select(files)
        .join(records, records.c.manifest_id == files.c.manifest_id)
        .where(records.c.content_id == content_id, files.c.path_key == path_key(path), files.c.path == path)
        .order_by(records.c.position)
        .limit(1)
    ).first()
    return _entry(row) if row else None


def page(connection: Connection, rid: str, first: int, count: int) -> list[FileEntry]:
    """Files of a record in the manifest's order.

    Args:
        first: number of the first one, from 0.
        count: how many at most.
    """
    rows = connection.execute(
        select(files)
        .join(records, records.c.manifest_id == files.c.manifest_id)
        .where(records.c.rid == rid, files.c.number >= first)
        .order_by(files.c.number)
        .limit(count)
    )
    return [_entry(row) for row in rows]


def leaf_count(connection: Connection, manifest_id: int) -> int:
    """How many 16 KiB leaves the files have together."""
    last = select(func.max(files.c.number)).where(files.c.manifest_id == manifest_id).scalar_subquery()
    found = connection.execute(
        select(files.c.leaf_end).where(files.c.manifest_id == manifest_id, files.c.number == last)
    ).scalar_one()
    return int(found)


def at_leaf(connection: Connection, manifest_id: int, leaf: int) -> tuple[int, int]:
    """File number, and leaf within that file, of the dataset's leaf number ``leaf``."""
    row = connection.execute(
        select(files.c.number, files.c.size, files.c.leaf_end)
        .where(files.c.manifest_id == manifest_id, files.c.leaf_end > leaf)
        .order_by(files.c.leaf_end, files.c.number)
        .limit(1)
    ).one()
    return row.number, leaf - (row.leaf_end - blocks_of(row.size))


def leaves_with(connection: Connection, manifest_id: int, roots: Collection[str]) -> list[range]:
    """The numbers of the leaves, in the dataset, of all files with one of these pieces roots, in order."""
    wanted, found = sorted(roots), list[range]()
    for at in range(0, len(wanted), _AT_ONCE):
        some = [bytes.fromhex(root) for root in wanted[at : at + _AT_ONCE]]
        rows = connection.execute(
            select(files.c.size, files.c.leaf_end).where(
                files.c.manifest_id == manifest_id, files.c.root.in_(some)
            )
        )
        found += [range(row.leaf_end - blocks_of(row.size), row.leaf_end) for row in rows]
    return sorted(found, key=lambda leaves: leaves.start)


def by_number(connection: Connection, manifest_id: int, numbers: Sequence[int]) -> dict[int, FileEntry]:
    """Files by their number in the manifest."""
    rows = connection.execute(
        select(files).where(and_(files.c.manifest_id == manifest_id, files.c.number.in_(numbers)))
    )
    return {row.number: _entry(row) for row in rows}


def drop_orphans(connection: Connection, before: float, limit: int = 5000) -> int:
    """Drop file rows of manifests that no record names and that were begun before ``before``; how many.

    Call it again while it returns ``limit``.
    """
    orphan = connection.execute(
        select(manifests.c.id)
        .outerjoin(records, records.c.manifest_id == manifests.c.id)
        .where(manifests.c.created < before, records.c.rid.is_(None))
        .limit(1)
    ).scalar_one_or_none()
    if orphan is None:
        return 0
    last = connection.execute(
        select(func.max(files.c.number)).where(files.c.manifest_id == orphan)
    ).scalar_one()
    if last is not None and last >= limit:
        keep = last - limit
        connection.execute(delete(files).where(files.c.manifest_id == orphan, files.c.number > keep))
        connection.execute(delete(folders).where(folders.c.manifest_id == orphan, folders.c.first > keep))
        connection.execute(update(manifests).where(manifests.c.id == orphan).values(indexed=keep + 1))
    else:
        connection.execute(delete(files).where(files.c.manifest_id == orphan))
        connection.execute(delete(folders).where(folders.c.manifest_id == orphan))
        connection.execute(delete(manifests).where(manifests.c.id == orphan))
    return limit


def _entry(row: Row[tuple[object, ...]]) -> FileEntry:
    return FileEntry(
        path=row.path,
        size=row.size,
        md5=row.md5.hex(),
        sha256=row.sha256.hex(),
        root=row.root.hex() if row.root else "",
    )
