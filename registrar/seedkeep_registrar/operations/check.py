"""``registrar check``: does everything that was acknowledged stand, whole and in its order?

Every event of the log is verified anew: its signature, its place, the digest of its body. From the events the
tree is made again: all its tiles and every checkpoint that was ever signed must be what comes out. Then what
records name must be there: events, datasets, manifests with all their files, objects with the right bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, select

from seedkeep.core import jcs
from seedkeep.core.errors import Error
from seedkeep.core.events import Event
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.tiles import FULL_BYTES, Place, Tile, edge_of, grow
from seedkeep.core.log.tree import join, leaf_hash, node_hash
from seedkeep.core.notes import Verifier
from seedkeep_registrar.operations.snapshot import OBJECTS, Progress
from seedkeep_registrar.store import events as log_store
from seedkeep_registrar.store import trees
from seedkeep_registrar.store.events import APPLIED, OWN
from seedkeep_registrar.store.log_tables import checkpoints, log_tiles
from seedkeep_registrar.store.tables import bodies, events, files, objects, records

_ROWS = 1024
#: at most so many lines of one kind
_SHOWN = 1000


def problems(connection: Connection, verifier: Verifier, data: Path, progress: Progress) -> Iterator[str]:
    """Everything that is wrong, a line each; nothing when all is well.

    Args:
        connection: in one read transaction.
        verifier: the registrar's name and key.
        data: its data folder.
    """
    if connection.dialect.name == "sqlite":
        for (line,) in connection.exec_driver_sql("PRAGMA integrity_check"):
            if line != "ok":
                yield f"database: {line}"
    yield from log_problems(connection, verifier, progress)
    yield from _record_problems(connection)
    yield from _object_problems(connection, data / OBJECTS, progress)


def log_problems(connection: Connection, verifier: Verifier, progress: Progress) -> Iterator[str]:
    """What is wrong with the log itself."""
    state = log_store.log_state(connection)
    if state.origin != verifier.name:
        yield f"log: it was made under the name {state.origin}, not {verifier.name}"
    tree, at = _Tree(connection, verifier), 0
    while page := connection.execute(_FROM.where(events.c.log_index >= at)).all():
        found = _bodies(connection, [row.leaf for row in page])
        first, hashes = at, []
        for row in page:
            if row.log_index != at:
                yield f"log: event {at} is missing, the next one is {row.log_index}"
                return
            for problem in _event_problems(row, found, verifier):
                yield f"log: event {at}: {problem}"
            hashes.append(leaf_hash(row.leaf))
            at += 1
        yield from tree.grown(first, hashes)
        progress("events", at)
    yield from tree.ended(at)
    if at != state.size:
        yield f"log: its head says {state.size} events, {at} are there"


_FROM = (
    select(events.c.leaf, events.c.hash, events.c.rid, events.c.seq, events.c.log_index)
    .where(events.c.log == OWN)
    .order_by(events.c.log_index)
    .limit(_ROWS)
)


class _Tree:
    """The tree as it grows again, held against the tiles and checkpoints that are stored."""

    def __init__(self, connection: Connection, verifier: Verifier) -> None:
        self._connection = connection
        self._verifier = verifier
        self._subtrees: list[bytes] = []
        self._edge: dict[Place, bytes] = {}
        self._tiles = 0

    def grown(self, first: int, hashes: list[bytes]) -> Iterator[str]:
        """The next leaves."""
        end = first + len(hashes)
        signed = {row.size: row for row in self._signed(first, end)}
        for size, leaf in enumerate(hashes, first + 1):
            done = leaf
            for _ in range((size & -size).bit_length() - 1):
                done = node_hash(self._subtrees.pop(), done)
            self._subtrees.append(done)
            if size in signed:
                yield from self._judged(signed[size])
        changed = grow(first, self._edge, hashes)
        self._edge = {place: (self._edge | changed)[place] for place in edge_of(end)}
        yield from self._compared({p: data for p, data in changed.items() if len(data) == FULL_BYTES})

    def ended(self, size: int) -> Iterator[str]:
        """There are no more leaves."""
        if size == 0:
            for row in self._signed(-1, 0):
                yield from self._judged(row)
        yield from self._compared(self._edge)
        count = select(func.count()).select_from(log_tiles).where(log_tiles.c.log == OWN)
        found = self._connection.execute(count).scalar_one()
        if found != self._tiles:
            yield f"log: it has {found} tiles, its entries give {self._tiles}"
        newest = trees.newest(self._connection, OWN)
        if newest is None or newest.size != size:
            signed = newest.size if newest else 0
            yield f"log: {size} events are there, its newest checkpoint covers {signed}"

    def _signed(self, after: int, upto: int) -> list[Row[Any]]:
        query = select(checkpoints.c.size, checkpoints.c.root, checkpoints.c.note).where(
            checkpoints.c.log == OWN, checkpoints.c.size > after, checkpoints.c.size <= upto
        )
        return list(self._connection.execute(query))

    def _judged(self, row: Row[Any]) -> Iterator[str]:
        try:
            said = Checkpoint.open(row.note, self._verifier)
        except Error as error:
            yield f"log: the checkpoint of size {row.size}: {error}"
            return
        root = join(self._subtrees)
        if (said.size, said.root, row.root) != (row.size, root, root):
            yield f"log: the checkpoint of size {row.size} is not what its entries give"

    def _compared(self, computed: dict[Place, bytes]) -> Iterator[str]:
        self._tiles += len(computed)
        stored = trees.tiles(self._connection, OWN, list(computed))
        for (level, number), data in computed.items():
            if stored.get((level, number)) != data:
                yield f"log: {Tile(level, number).path} is not what its entries give"


def _bodies(connection: Connection, leaves: list[bytes]) -> dict[str, bytes]:
    """Bodies by digest; one that was dropped as unlawful is not there, which the log allows."""
    named = [str(jcs.loads(leaf).get("body_sha256", "")) for leaf in leaves]
    rows = connection.execute(select(bodies.c.sha256, bodies.c.body).where(bodies.c.sha256.in_(named)))
    return {row.sha256: row.body for row in rows}


def _event_problems(row: Any, found: dict[str, bytes], verifier: Verifier) -> Iterator[str]:
    try:
        event = Event.parse(row.leaf)
        event.verify()
        if (event.hash(), event.record_id, event.seq) != (row.hash, row.rid, row.seq):
            yield "it stands under another name than its own"
        if event.body_sha256 in found:
            event.check_body(found[event.body_sha256])
        if event.home != verifier.name:
            yield f"it was made for {event.home}"
    except Error as error:
        yield str(error)


def _record_problems(connection: Connection) -> Iterator[str]:
    """Records without their event, events without their record, manifests without all their files."""
    without = select(records.c.rid).outerjoin(events, events.c.position == records.c.position)
    for row in connection.execute(
        without.where(events.c.rid.is_(None) | (events.c.rid != records.c.rid)).limit(_SHOWN)
    ):
        yield f"record {row.rid}: its first event is not in the log"
    lost = select(events.c.rid).outerjoin(records, records.c.rid == events.c.rid)
    for row in connection.execute(
        lost.where(
            events.c.type == "record", events.c.seq == 0, events.c.state == APPLIED, records.c.rid.is_(None)
        ).limit(_SHOWN)
    ):
        yield f"record {row.rid}: acknowledged, but not among the records"
    counted = (
        select(files.c.manifest_id, func.count().label("files")).group_by(files.c.manifest_id).subquery()
    )
    for row in connection.execute(
        select(records.c.rid, records.c.files, counted.c.files.label("found"))
        .outerjoin(counted, counted.c.manifest_id == records.c.manifest_id)
        .where(func.coalesce(counted.c.files, 0) != records.c.files)
        .limit(_SHOWN)
    ):
        yield f"record {row.rid}: {row.found or 0} of its {row.files} files are indexed"


def _object_problems(connection: Connection, folder: Path, progress: Progress) -> Iterator[str]:
    named = connection.execute(select(objects.c.sha256).distinct().order_by(objects.c.sha256)).scalars().all()
    for number, sha256 in enumerate(named, 1):
        try:
            digest = _digest(folder / sha256[:2] / sha256)
        except OSError as error:
            yield f"object {sha256}: {error.strerror}"
        else:
            if digest != sha256:
                yield f"object {sha256}: its bytes are damaged"
        if number % 100 == 0 or number == len(named):
            progress(OBJECTS, number)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
