"""``registrar check``: does everything that was acknowledged stand, whole and in its order?

Every event of the log is verified anew: its signature, its place, the chain, the receipt that was given for
it, the digest of its body. Then what records name must be there: events, datasets, manifests with all their
files, objects with the right bytes.
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
from seedkeep.core.notes import Verifier
from seedkeep.core.record import CHAIN_START, Receipt, leaf_hash, next_chain
from seedkeep_registrar.operations.snapshot import OBJECTS, Progress
from seedkeep_registrar.store import events as log_store
from seedkeep_registrar.store.tables import bodies, events, files, objects, records

_ROWS = 1000
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
    chain, expected = CHAIN_START, 0
    while True:
        page = connection.execute(
            select(events).where(events.c.position >= expected).order_by(events.c.position).limit(_ROWS)
        ).all()
        if not page:
            break
        found = _bodies(connection, [row.leaf for row in page])
        for row in page:
            if row.position != expected:
                yield f"log: event {expected} is missing, the next one is {row.position}"
            chain = next_chain(chain, row.leaf)
            if chain != row.chain:
                yield f"log: the chain breaks at event {row.position}"
                chain = row.chain
            for problem in _event_problems(row, found, verifier):
                yield f"log: event {row.position}: {problem}"
            expected = row.position + 1
        progress("events", expected)
    if (expected, chain) != (state.size, state.chain):
        yield f"log: its head says {state.size} events, {expected} are there"


def _bodies(connection: Connection, leaves: list[bytes]) -> dict[str, bytes]:
    """Bodies by digest; one that was dropped as unlawful is not there, which the log allows."""
    named = [str(jcs.loads(leaf).get("body_sha256", "")) for leaf in leaves]
    rows = connection.execute(select(bodies.c.sha256, bodies.c.body).where(bodies.c.sha256.in_(named)))
    return {row.sha256: row.body for row in rows}


def _event_problems(row: Row[Any], found: dict[str, bytes], verifier: Verifier) -> Iterator[str]:
    try:
        event = Event.parse(row.leaf)
        event.verify()
        if (event.hash(), event.record_id, event.seq) != (row.hash, row.rid, row.seq):
            yield "it stands under another name than its own"
        if event.body_sha256 in found:
            event.check_body(found[event.body_sha256])
        if Receipt.open(row.receipt, verifier) != Receipt(
            verifier.name, row.position, leaf_hash(row.leaf), row.chain
        ):
            yield "its receipt is for something else"
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
        lost.where(events.c.type == "record", events.c.seq == 0, records.c.rid.is_(None)).limit(_SHOWN)
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
