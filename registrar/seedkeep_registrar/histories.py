"""The history of a record as documents: every event with what it changed, and the versions of its series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection

from seedkeep.core import jcs
from seedkeep.core.events import MAX_BODY_BYTES
from seedkeep.core.revision import (
    RECORD,
    REHOME,
    REVISION,
    RecordState,
    RehomeBody,
    RevisionBody,
    WithdrawalBody,
)
from seedkeep_registrar import documents
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.store import events, records, taints
from seedkeep_registrar.store.events import Stored
from seedkeep_registrar.store.records import Record, Version

#: bodies in one answer
MAX_BYTES = 4 << 20


def history(
    connection: Connection, registrar: Registrar, record: Record, first: int, limit: int
) -> list[dict[str, Any]]:
    """What happened to a record from event number ``first`` on, oldest first: at most ``limit`` events, fewer
    when their bodies are long.

    Raises:
        TaintedRecord: a taint stands on it.
    """
    if standing := tuple(taints.standing_on_record(connection, record.rid)):
        raise documents.tainted_record(record, standing)
    # each event is told by what it changed, so the one before is read as well
    read = events.chain(connection, record.rid, first=max(0, first - 1), limit=limit + (first > 0))
    shown: list[dict[str, Any]] = []
    size = 0
    for stored, body, changes in _changes(connection, record, read):
        size += len(body or b"")
        if size > MAX_BYTES and shown:
            break
        if stored.event.seq >= first:
            proof = registrar.proofs.of(connection, stored.log, stored.index)
            shown.append({**_entry(stored, body, changes), "proof": proof})
    return shown


def _changes(
    connection: Connection, record: Record, read: list[tuple[Stored, bytes | None]]
) -> Iterator[tuple[Stored, bytes | None, list[dict[str, Any]]]]:
    begun = _begun(connection, record)
    before: RecordState | None = None
    for stored, body in read:
        after = _after(begun, before, stored, body)
        changes = after.changes_since(before) if before and after else []
        yield stored, body, [asdict(change) for change in changes]
        before = after


def _begun(connection: Connection, record: Record) -> RecordState | None:
    first, body = events.at(connection, record.position), events.body(connection, record.body_sha256)
    return RecordState.begin(first.event, body) if first and body is not None else None


def _after(
    begun: RecordState | None, before: RecordState | None, stored: Stored, body: bytes | None
) -> RecordState | None:
    """The state after an event; None when a body that says so has been dropped."""
    if begun is None or body is None:
        return None
    if stored.event.type == RECORD:
        return begun
    if stored.event.type == REVISION:
        after = begun.revised(stored.event, RevisionBody.parse(body))
        return replace(after, home=stored.event.home)
    if stored.event.type == REHOME:
        return before.moved(stored.event, RehomeBody.parse(body)) if before else None
    return before.ended(stored.event, WithdrawalBody.parse(body)) if before else None


def _entry(stored: Stored, body: bytes | None, changes: list[dict[str, Any]]) -> dict[str, Any]:
    event = stored.event
    said = dict(jcs.loads(body, limit=MAX_BODY_BYTES)) if body is not None else {}
    return {
        "seq": event.seq,
        "type": event.type,
        "hash": event.hash(),
        "by": event.by,
        "editor": said.get("editor"),
        "created": event.created,
        "note": said.get("note", said.get("reason", "")),
        "changes": changes,
        "index": stored.index,
        **documents.signed_document(stored, said),
    }


def versions(connection: Connection, registrar: Registrar, record: Record) -> list[dict[str, Any]]:
    """All versions of the series that a record belongs to, oldest first."""
    every = records.versions(connection, record.series)
    live = [v.rid for v in every if v.live]
    return [_version(registrar, n, v, latest=v.rid == (live or [""])[-1]) for n, v in enumerate(every, 1)]


def _version(registrar: Registrar, number: int, v: Version, *, latest: bool) -> dict[str, Any]:
    return {
        "number": number,
        "rid": v.rid,
        "ark": f"ark:/{v.ark}",
        "content_id": v.content_id,
        "name": "" if v.tainted else v.name,
        "title": "" if v.tainted else v.title or v.name,
        "files": v.files,
        "bytes": v.bytes,
        "created": v.created,
        "supersedes": v.supersedes,
        "withdrawn": bool(v.withdrawn),
        "tainted": v.tainted,
        "latest": latest,
        "landing_page": f"{registrar.public_url}/ark:/{v.ark}",
    }
