"""Recording a dataset: checked completely, then written in one transaction; again gives the same record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from seedkeep.core import jcs
from seedkeep.core.errors import Conflict, InvalidInput, NotFound, Refused
from seedkeep.core.events import MAX_BODY_BYTES, Event
from seedkeep.core.httpsig import WINDOW_S, Signed
from seedkeep.core.identifiers import mint_ark
from seedkeep.core.licenses import check_license
from seedkeep.core.manifest import FileEntry
from seedkeep.core.record import RecordBody
from seedkeep.core.revision import check_editor
from seedkeep.core.taints.body import Subject, SubjectKind
from seedkeep_registrar import documents, times
from seedkeep_registrar.accounts import curators
from seedkeep_registrar.accounts.principal import Principal, Role
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.documents import Found, taint_documents
from seedkeep_registrar.entering import (
    Place,
    Prepared,
    enter,
    index_rest,
    objects_of,
    standing_on,
    touch_objects,
)
from seedkeep_registrar.indexing import SLICE, index_all_but_last
from seedkeep_registrar.operations import quota
from seedkeep_registrar.problems import MovedOn, TaintedRecord, TooLarge
from seedkeep_registrar.search.document import MOST_FILES
from seedkeep_registrar.settings import MEMBERS
from seedkeep_registrar.store import events, records, taints
from seedkeep_registrar.store.taints import Taint
from seedkeep_registrar.verification import check_dataset

#: an event may have been signed this long before it is sent: a share may wait for a registrar to come back
MAX_EVENT_AGE_S = 7 * 86400


@dataclass(frozen=True, slots=True)
class SignedEvent:
    """An event with its canonical body, both checked against each other and the request's key."""

    event: Event
    body: bytes


def open_event(
    registrar: Registrar, signed: Signed, message: Mapping[str, Any], kinds: tuple[str, ...]
) -> SignedEvent:
    """Read ``{"event", "body"}`` of a request that the same key has signed.

    Raises:
        see :func:`read_event`; besides
        Refused: it was made by another key than the request.
    """
    given = read_event(registrar, message, kinds)
    if given.event.by != str(signed.key):
        raise Refused("the event was signed by another key than the request")
    return given


def read_event(registrar: Registrar, message: Mapping[str, Any], kinds: tuple[str, ...]) -> SignedEvent:
    """Read ``{"event", "body"}`` and check what is common to all events.

    Args:
        kinds: the event types taken here.

    Raises:
        InvalidInput, VerificationFailed: it is malformed, or its signature or digest does not hold.
        Refused: it was made for another registrar.
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


def check_terms(body: RecordBody) -> None:
    """
    Raises:
        InvalidInput: the licence is none that SPDX knows, or is not written as SPDX does.
    """
    printed = check_license(body.license)
    if printed != body.license:
        raise InvalidInput(
            f"the licence {body.license} is not written as SPDX does", hint=f"Write {printed}."
        )


def check_member(registrar: Registrar, principal: Principal) -> None:
    """
    Raises:
        Refused: they may not register datasets here.
    """
    if registrar.settings.registration == MEMBERS and principal.role < Role.MEMBER:
        raise Refused("this registrar takes datasets from its members only", hint="Ask its operator.")


async def register(registrar: Registrar, principal: Principal, given: SignedEvent) -> tuple[Found, bool]:
    """Record a dataset, whatever the registrar's policy says of curators.

    Args:
        given: an event of theirs, or one that the registrar has signed for them.

    Returns:
        The record, and whether it is new.

    Raises:
        InvalidInput: the event, its body or an object is malformed or contradicts another.
        Refused: they may not register here or name an editor, or the event's time is off.
        Conflict: an object is missing.
        MovedOn: what it supersedes has a newer version already.
        TaintedRecord: a taint stands on the content or a file.
    """
    body = RecordBody.parse(given.body)
    recorded = await registrar.db.read(known, given.event.record_id, body)
    if recorded is not None:
        return recorded, False
    check_created(registrar, given.event)
    check_editor(given.event, body.editor, str(registrar.key.public))
    check_terms(body)
    check_member(registrar, principal)
    return await make_record(registrar, given, body)


async def make_record(
    registrar: Registrar,
    given: SignedEvent,
    body: RecordBody,
    also: Callable[[Connection], None] = lambda _: None,
) -> tuple[Found, bool]:
    """Make the record of an event that may be taken: check its objects, index its files, append it.

    Args:
        also: what else belongs into the transaction that appends it.

    Returns:
        The record, and whether it is new.

    Raises:
        InvalidInput, VerificationFailed, Conflict, TaintedRecord: as :func:`register`.
    """
    ready = await prepare(registrar, body, given.body)
    found, new = await registrar.db.write(_record, registrar, given, ready, also)
    if new:
        registrar.changes.registered(found.record)
        registrar.wakeups.wake_all()
    return found, new


async def prepare(registrar: Registrar, body: RecordBody, data: bytes) -> Prepared:
    """Do all that a record needs and that does not belong into its transaction.

    Args:
        data: the body as it is stored.

    Raises:
        InvalidInput, VerificationFailed, Conflict: as :func:`check_objects`.
    """
    first = await check_objects(registrar, body)
    rest = await index_all_but_last(registrar, body.dataset, first)
    return Prepared(body, data, [entry.path for entry in first[:MOST_FILES]], rest)


def known(connection: Connection, rid: str, body: RecordBody) -> Found | None:
    """The record with this rid.

    Raises:
        TaintedRecord: there is none, and a taint forbids its content.
    """
    record = records.by_rid(connection, rid)
    if record is not None:
        return documents.read(connection, record)
    # before the work: this costs nothing
    standing = taints.standing_on_subject(connection, Subject(SubjectKind.CONTENT, body.dataset.content_id))
    _refuse([standing] if standing else [])
    return None


async def check_objects(registrar: Registrar, body: RecordBody) -> list[FileEntry]:
    """Check a dataset's objects against what its record says.

    Returns:
        The first files, at most ``SLICE``.

    Raises:
        InvalidInput, VerificationFailed: they do not give what the record says.
        Conflict: one is missing.
    """
    dataset, objects = body.dataset, registrar.objects
    total = 0
    for what, sha256 in objects_of(body):
        size = objects.size(sha256)
        if size is None:
            raise Conflict(
                f"the {what} {sha256[:12]}… is not here", hint="Upload it, then send the event again."
            )
        total += size
    manifest = objects.path(dataset.manifest)
    layers, pieces = objects.path(dataset.piece_layers), objects.path(dataset.pieces_v1)
    return await registrar.workers.run(total, check_dataset, dataset, manifest, layers, pieces, SLICE)


def _refuse(standing: list[Taint]) -> None:
    forbidding = tuple(taint for taint in standing if taint.order.effect.withholds)
    if forbidding:
        order = forbidding[0].order
        raise TaintedRecord(
            f"a taint forbids this dataset ({order.category}): {order.reason}",
            hint=f"It must not be shared. {order.appeal or 'Ask the registrar if you think this is wrong.'}",
            members={"taints": taint_documents(forbidding)},
        )


def _series(connection: Connection, registrar: Registrar, event: Event, body: RecordBody) -> str:
    """The rid of the first of the versions to which a new record belongs.

    Raises:
        NotFound: what it supersedes is not here.
        InvalidInput: that has the same content.
        Refused: its signer is no steward of that.
        MovedOn: that has a newer version already: versions are a line, not a tree.
    """
    if not body.supersedes:
        return event.record_id
    older = records.by_rid(connection, body.supersedes)
    if older is None:
        raise NotFound(f"there is no record {body.supersedes[:12]}… here that this one could supersede")
    if older.content_id == body.dataset.content_id:
        raise InvalidInput(
            f"ark:/{older.ark} has these very files, so this is no new version of it",
            hint="Revise what is said of it: `seedkeep edit`.",
        )
    entitled = event.by in (*older.stewards, str(registrar.key.public))
    if not entitled and event.by not in curators.read(connection, registrar.settings).people:
        raise Refused(
            f"only a steward of ark:/{older.ark} can record a new version of it",
            hint="Ask its steward, or a curator of this registrar; or share it as a dataset of its own.",
        )
    newer = [v for v in records.versions(connection, older.series) if v.live and v.position > older.position]
    if newer:
        raise MovedOn(
            f"ark:/{older.ark} has a newer version already: ark:/{newer[-1].ark}",
            hint=f"Make the new version of ark:/{newer[-1].ark}.",
            members={"latest": {"rid": newer[-1].rid, "ark": f"ark:/{newer[-1].ark}"}},
        )
    return older.series


def _record(
    connection: Connection,
    registrar: Registrar,
    given: SignedEvent,
    ready: Prepared,
    also: Callable[[Connection], None],
) -> tuple[Found, bool]:
    """The transaction that makes the record."""
    head = events.lock(connection)
    event, body, now = given.event, ready.body, registrar.clock()
    rid = event.record_id
    ark = mint_ark(registrar.settings.naan, rid)
    same = {record.rid: record for record in records.by_rid_or_ark(connection, rid, ark)}
    if rid in same:
        also(connection)
        return documents.read(connection, same[rid]), False
    if same:
        raise Conflict(f"ark:/{ark} names another record already", hint="Sign the event anew.")
    touch_objects(registrar, body)
    manifest_id = index_rest(connection, ready, now)
    standing = standing_on(connection, rid, ready, manifest_id, registrar.origin)
    _refuse(standing)
    account = body.editor.account if body.editor else ""
    quota.check(connection, registrar.settings, event.by, account, body.dataset.bytes)
    place = Place(ark, _series(connection, registrar, event, body), account, offered=True)
    stored = events.append(connection, head, event, given.body, now=now)
    found = enter(connection, registrar, stored, ready, place, manifest_id, standing)
    also(connection)
    return found, True
