"""Many names at once: one indexed query for each kind of name, whatever the number of names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, literal, select, union_all

from seedkeep_registrar.store import records
from seedkeep_registrar.store.records import Record
from seedkeep_registrar.store.tables import files, manifests, tainted_records
from seedkeep_registrar.store.tables import records as table

#: indexed columns that name a record
_NAMES = {
    "ark": table.c.ark,
    "rid": table.c.rid,
    "content_id": table.c.content_id,
    "infohash_v1": table.c.infohash_v1,
}
_DIGESTS = {"md5": files.c.md5, "sha256": files.c.sha256, "root": files.c.root}
_AT_ONCE = 5000
#: SQLite joins at most 500 selects
_UNITED = 250


def by_name(connection: Connection, kind: str, values: Sequence[str]) -> dict[str, list[Record]]:
    """Records by a name, oldest first.

    Args:
        kind: ``ark``, ``rid``, ``content_id`` or ``infohash_v1``.
        values: at most 5000.
    """
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records.in_order(connection, select(table.c.rid).where(_NAMES[kind].in_(values))):
        found[getattr(record, kind)].append(record)
    return found


def by_manifest(connection: Connection, digests: Sequence[str]) -> dict[str, list[Record]]:
    """Records by the SHA-256 of their manifest, oldest first."""
    rids = (
        select(table.c.rid)
        .join(manifests, manifests.c.id == table.c.manifest_id)
        .where(manifests.c.sha256.in_(digests))
    )
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records.in_order(connection, rids):
        found[record.manifest].append(record)
    return found


def by_file(
    connection: Connection, digest: str, values: Sequence[str], each: int
) -> dict[str, list[tuple[str, str]]]:
    """Where files with these digests are, as rid and path, oldest record first.

    Args:
        digest: ``md5``, ``sha256`` or ``root``.
        values: hex.
        each: how many are given for one digest at most: some files are in very many datasets.
    """
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for at in range(0, len(values), _UNITED):
        every = [
            select(
                select(literal(value).label("value"), table.c.rid, files.c.path)
                .join(table, table.c.manifest_id == files.c.manifest_id)
                .where(_DIGESTS[digest] == bytes.fromhex(value))
                .order_by(table.c.position, files.c.number)
                .limit(each)
                .subquery()
            )
            for value in values[at : at + _UNITED]
        ]
        for row in connection.execute(union_all(*every)):
            found[row.value].append((row.rid, row.path))
    return found


def by_rids(connection: Connection, rids: Iterable[str]) -> dict[str, Record]:
    """Records by their rid."""
    wanted = sorted(set(rids))
    found: dict[str, Record] = {}
    for at in range(0, len(wanted), _AT_ONCE):
        for rid, (record,) in by_name(connection, "rid", wanted[at : at + _AT_ONCE]).items():
            found[rid] = record
    return found


def tainted_among(connection: Connection, rids: Iterable[str]) -> set[str]:
    """Those of these records on which a taint stands."""
    wanted = sorted(set(rids))
    found: set[str] = set()
    for at in range(0, len(wanted), _AT_ONCE):
        some = wanted[at : at + _AT_ONCE]
        found |= set(
            connection.execute(
                select(tainted_records.c.rid).where(tainted_records.c.rid.in_(some)).distinct()
            ).scalars()
        )
    return found
