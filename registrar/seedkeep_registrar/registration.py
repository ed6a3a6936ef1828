"""Recording a dataset: checked completely, then written in one transaction; again gives the same record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from seedkeep.core import jcs
from seedkeep.core.errors import Conflict, InvalidInput, Refused
from seedkeep.core.events import MAX_BODY_BYTES, Event
from seedkeep.core.httpsig import WINDOW_S, Signed
from seedkeep.core.identifiers import mint_ark
from seedkeep.core.manifest import FileEntry
from seedkeep.core.record import RecordBody
from seedkeep.core.taint import Subject, SubjectKind
from seedkeep_registrar import documents, times
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.database import Unavailable
from seedkeep_registrar.documents import Found, taint_documents
from seedkeep_registrar.problems import TaintedRecord, TooLarge
from seedkeep_registrar.settings import MEMBERS
from seedkeep_registrar.store import datasets, events, files, records, taints
from seedkeep_registrar.store.datasets import Dataset
from seedkeep_registrar.store.records import Record
from seedkeep_registrar.store.taints import Taint
from seedkeep_registrar.verification import FileReader, check_dataset

#: an event may have been signed this long before it is sent: a share may wait for a registrar to come back
MAX_EVENT_AGE_S = 7 * 86400
#: files indexed in one transaction
SLICE = 2000


@dataclass(frozen=True, slots=True)
class SignedEvent:
    """An event with its canonical body, both checked against each other and the request's key."""

    event: Event
    body: bytes


def open_event(
    registrar: Registrar, signed: Signed, message: Mapping[str, Any], kinds: tuple[str, ...]
) -> SignedEvent:
    """Read ``{"event", "body"}`` and check what is common to all events.

    Args:
        kinds: the event types taken here.

    Raises:
        InvalidInput, VerificationFailed: it is malformed, or its signature or digest does not hold.
        Refused: it was made by another key than the request, or for another registrar.
        TooLarge: the body is over 256 KiB.
    """
    if set(message) != {"event", "body"} or not isinstance(message["event"], dict):
        raise InvalidInput("send exactly event and body")
    event = Event.parse(message["event"])
    if event.type not in kinds:
        raise InvalidInput(f"an event of type {event.type} is not taken here")
    body = jcs.dumps(message["body"])
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(f"the event's body is over the limit of {MAX_BODY_BYTES} bytes")
    event.verify()
    event.check_body(body)
    if event.by != str(signed.key):
        raise Refused("the event was signed by another key than the request")
    if event.home != registrar.origin:
        raise Refused(
            f"the event is addressed to {event.home}, this registrar is {registrar.origin}",
            hint="Use the registrar's public URL.",
        )
    return SignedEvent(event, body)


def check_created(registrar: Registrar, event: Event) -> None:
    """
    Raises:
        Refused: the event claims to be from the future, or is older than a week.
    """
    age = registrar.clock() - times.seconds(event.created)
    if age < -WINDOW_S:
        raise Refused("the event's time lies in the future", hint="Set this machine's clock, then try again.")
    if age > MAX_EVENT_AGE_S:
        raise Refused("the event was signed more than a week ago", hint="Sign it anew.")


def check_member(registrar: Registrar, key: str) -> None:
    """
    Raises:
        Refused: this key may not register datasets here.
    """
    settings = registrar.settings
    if settings.registration == MEMBERS and key not in (*settings.members, *settings.curators):
        raise Refused("this registrar takes datasets from its members only", hint="Ask its operator.")


async def register(registrar: Registrar, signed: Signed, message: Mapping[str, Any]) -> tuple[Found, bool]:
    """Record a dataset.

    Returns:
        The record, and whether it is new.

    Raises:
        see :func:`open_event`; besides
        Refused: the key may not register here, or the event's time is off.
        Conflict: an object is missing.
        TaintedRecord: a taint stands on the content or a file.
    """
    given = open_event(registrar, signed, message, ("record",))
    if given.event.seq:
        raise Refused("this registrar takes no revisions of records yet")
    body = RecordBody.parse(given.body)
    known = await registrar.db.read(_known, given.event.record_id, body)
    if known is not None:
        return known, False
    check_created(registrar, given.event)
    check_member(registrar, given.event.by)
    first, last = await _check_and_index(registrar, body)
    found, new = await registrar.db.write(_record, registrar, given, body, first, last)
    if new:
        registrar.changes.registered(found.record)
        registrar.wakeups.wake_all()
    return found, new


def _known(connection: Connection, rid: str, body: RecordBody) -> Found | None:
    record = records.by_rid(connection, rid)
    if record is not None:
        return documents.read(connection, record)
    # before the work: this costs nothing
    standing = taints.standing_on_subject(connection, Subject(SubjectKind.CONTENT, body.dataset.content_id))
    _refuse([standing] if standing else [])
    return None


async def _check_and_index(registrar: Registrar, body: RecordBody) -> tuple[int, list[FileEntry]]:
    """Check the objects and index all files but the last slice.

    Returns:
        The number of the first file that is not indexed yet, and the files from there on.
    """
    dataset, objects = body.dataset, registrar.objects
    total = 0
    for what, sha256 in _objects(body):
        size = objects.size(sha256)
        if size is None:
            raise Conflict(
                f"the {what} {sha256[:12]}… is not here", hint="Upload it, then send the event again."
            )
        total += size
    manifest = objects.path(dataset.manifest)
    layers, pieces = objects.path(dataset.piece_layers), objects.path(dataset.pieces_v1)
    entries = await registrar.workers.run(total, check_dataset, dataset, manifest, layers, pieces, SLICE)
    if dataset.files <= SLICE:
        return 0, entries
    manifest_id, indexed = await registrar.db.write(
        files.begin_manifest, dataset.manifest, dataset.content_id, registrar.clock()
    )
    reader = FileReader(manifest)
    while dataset.files - indexed > SLICE:
        entries = await asyncio.to_thread(reader.read, indexed, SLICE)
        indexed = await registrar.db.write(files.add, manifest_id, indexed, entries)
    return indexed, await asyncio.to_thread(reader.read, indexed, SLICE)


def _objects(body: RecordBody) -> tuple[tuple[str, str], ...]:
    d = body.dataset
    return (("manifest", d.manifest), ("piece layers", d.piece_layers), ("v1 pieces", d.pieces_v1))


def _refuse(standing: list[Taint]) -> None:
    if standing:
        first = standing[0]
        raise TaintedRecord(
            f"a taint forbids this dataset ({first.category}): {first.reason}",
            hint="It must not be shared. Ask the registrar if you think this is wrong.",
            members={"taints": taint_documents(tuple(standing))},
        )


def _index_rest(
    connection: Connection, body: RecordBody, first: int, last: list[FileEntry], now: float
) -> int:
    """Index the last slice, unless that was done for another record; the manifest's id."""
    dataset = body.dataset
    manifest_id, indexed = files.begin_manifest(connection, dataset.manifest, dataset.content_id, now)
    if indexed == first:
        indexed = files.add(connection, manifest_id, first, last)
    if indexed != dataset.files:
        raise Unavailable("this dataset is being registered by somebody else now", hint="Try again.")
    return manifest_id


def _record(
    connection: Connection,
    registrar: Registrar,
    given: SignedEvent,
    body: RecordBody,
    first: int,
    last: list[FileEntry],
) -> tuple[Found, bool]:
    """The transaction that makes the record."""
    head = events.lock(connection)
    event, dataset, now = given.event, body.dataset, registrar.clock()
    rid = event.record_id
    known = records.by_rid(connection, rid)
    if known is not None:
        return documents.read(connection, known), False
    for what, sha256 in _objects(body):
        if not registrar.objects.touch(sha256):
            raise Conflict(f"the {what} {sha256[:12]}… is gone", hint="Upload it again.")
    manifest_id = _index_rest(connection, body, first, last, now)
    _refuse(taints.standing_on_new_record(connection, rid, dataset.content_id, manifest_id))
    ark = mint_ark(registrar.settings.naan, rid)
    if records.by_ark(connection, ark) is not None:
        raise Conflict(f"ark:/{ark} names another record already", hint="Sign the event anew.")
    stored = events.append(
        connection, head, event, given.body, now=now, sign=lambda receipt: receipt.sign(registrar.key)
    )
    wanted = max(body.copies, registrar.settings.min_copies)
    new_content = datasets.put(
        connection,
        Dataset(
            content_id=dataset.content_id,
            short_id=dataset.content_id[:40],
            name=dataset.name,
            files=dataset.files,
            bytes=dataset.bytes,
            publisher=event.by,
            subjects=body.metadata.keywords,
            wanted=wanted,
            created=now,
            servable=True,
            complete=0,
            held=0,
            missing=wanted,
        ),
    )
    record = Record(
        rid=rid,
        position=stored.position,
        ark=ark,
        content_id=dataset.content_id,
        infohash_v1=dataset.infohash_v1,
        manifest_id=manifest_id,
        steward=event.by,
        name=dataset.name,
        title=body.metadata.title,
        files=dataset.files,
        bytes=dataset.bytes,
        license=body.license,
        copies=body.copies,
        created=event.created,
        web_seeds=body.web_seeds,
        body_sha256=event.body_sha256,
        manifest=dataset.manifest,
        piece_layers=dataset.piece_layers,
        pieces_v1=dataset.pieces_v1,
    )
    records.add(connection, record)
    if new_content:  # nobody can hold it yet
        return Found(record, asdict(event), jcs.loads(given.body), stored.receipt, wanted, (), ()), True
    return documents.read(connection, record), True
