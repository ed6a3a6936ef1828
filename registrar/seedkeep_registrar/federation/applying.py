"""What an event of another log does here, in one transaction each: a record is entered, changed or frozen.

It is checked as if it had been sent to this registrar; what only its home can know (who may register there,
how much, when it came) was checked there. What cannot be applied ends in one of three ways: :class:`Later`,
:class:`Never`, or two events that contradict each other.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy import Connection

from seedkeep.core.decision import DECISION
from seedkeep.core.errors import Conflict, Error, InvalidInput, Refused, VerificationFailed
from seedkeep.core.events import Event
from seedkeep.core.identifiers import mint_ark
from seedkeep.core.record import RecordBody
from seedkeep.core.revision import (
    RECORD,
    REHOME,
    REVISION,
    WITHDRAWAL,
    RecordState,
    RehomeBody,
    RevisionBody,
    WithdrawalBody,
    check_editor,
)
from seedkeep.core.taints.body import LiftBody, TaintBody
from seedkeep_registrar import curation, revising
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.documents import Found
from seedkeep_registrar.entering import Place, Prepared, enter, index_rest, standing_on, touch_objects
from seedkeep_registrar.registration import check_terms
from seedkeep_registrar.store import backlog, events, homes, key_rings, peers, records
from seedkeep_registrar.store.backlog import Waiting
from seedkeep_registrar.store.events import FORK, OWN, REFUSED
from seedkeep_registrar.store.records import Record

_LOG = logging.getLogger(__name__)
CHANGES = (REVISION, WITHDRAWAL, REHOME)
TAINT, LIFT = "taint", "lift"


class Later(Error):
    """An event cannot be applied yet."""

    code = "waiting"


class Never(Error):
    """An event does not hold, and so never counts."""

    code = "refused"


class Contradicts(Error):
    """An event follows one that contradicts another one."""

    code = "fork"


@dataclass(frozen=True, slots=True)
class Home:
    """The registrar in whose log an event is.

    Args:
        keys: as printed; they sign, or signed, for people there. The present one comes first.
        naan: of the ARKs that it gives.
    """

    origin: str
    keys: tuple[str, ...]
    naan: str

    def key_of(self, event: Event) -> str:
        """The one that may have signed this event for somebody."""
        return event.by if event.by in self.keys else self.keys[0]


def home_of(connection: Connection, registrar: Registrar, log: int) -> Home:
    """The registrar whose log this is, perhaps this one.

    Raises:
        Later: it is not followed at present.
    """
    if log == OWN:
        own = (registrar.keys.verifier, *registrar.keys.former)
        return Home(registrar.origin, tuple(str(one.key) for one in own), registrar.settings.naan)
    peer = peers.by_id(connection, log)
    if peer is None or peer.state != peers.ACTIVE:
        raise Later("its registrar is not followed at present")
    theirs = (peer.verifier, *key_rings.former_of_peer(connection, log))
    return Home(peer.origin, tuple(str(one.key) for one in theirs), peer.naan)


def read_event(waiting: Waiting) -> Event:
    """The event, whose signature was checked when it came.

    Raises:
        Later: it is of a type that a newer version may know.
        Never: it is malformed.
    """
    try:
        return Event.parse(waiting.leaf)
    except InvalidInput as error:
        if waiting.type not in (RECORD, *CHANGES, TAINT, LIFT, DECISION):
            raise Later(f"events of type {waiting.type} are not known here") from error
        raise Never(error.what) from error


def needs_body(waiting: Waiting) -> bool:
    """Whether its body is to be fetched: what curators decide is for nobody else."""
    return waiting.type != DECISION


def read_record(waiting: Waiting, event: Event, data: bytes, home: Home) -> RecordBody:
    """The body of an event that begins a record, checked as far as it says itself.

    Raises:
        Never: it does not hold.
    """
    try:
        if event.seq:
            raise InvalidInput("a record begins a chain of its own")
        event.check_body(data)
        body = RecordBody.parse(data)
        check_editor(event, body.editor, home.key_of(event))
        check_terms(body)
        return body
    except (InvalidInput, VerificationFailed, Refused) as error:
        raise Never(error.what) from error


def enter_record(
    connection: Connection, registrar: Registrar, waiting: Waiting, ready: Prepared, home: Home
) -> Found:
    """The transaction that makes a mirrored record.

    Raises:
        Never, Later: it cannot be.
        Conflict, Unavailable: an object is gone, or somebody else indexes the same files; it is tried again.
    """
    _begin(connection, waiting)
    ark = mint_ark(home.naan, waiting.rid)
    if records.by_rid_or_ark(connection, waiting.rid, ark):
        raise Never(f"ark:/{ark} names another record already")
    touch_objects(registrar, ready.body)
    manifest_id = index_rest(connection, ready, registrar.clock())
    standing = standing_on(connection, waiting.rid, ready, manifest_id, home.origin)
    backlog.applied(connection, waiting)
    stored = events.at(connection, waiting.position)
    assert stored is not None
    editor = ready.body.editor
    place = Place(
        ark=ark,
        series=_series(connection, stored.event, ready.body),
        # accounts of other registrars are nobody here
        account=editor.account if editor and waiting.log == OWN else "",
        offered=waiting.log == OWN or home.origin in homes.silent(connection),
    )
    return enter(connection, registrar, stored, ready, place, manifest_id, standing)


def _begin(connection: Connection, waiting: Waiting) -> None:
    events.lock(connection)
    if not backlog.is_waiting(connection, waiting.position):
        raise Later("it was applied meanwhile")
    if events.is_known(connection, waiting.hash):
        raise Never("the same event is in a log twice")


def _series(connection: Connection, event: Event, body: RecordBody) -> str:
    """The rid of the first of the versions to which a record belongs; its own when it says wrongly that it
    belongs to others."""
    rid = event.record_id
    if not body.supersedes:
        return rid
    older = records.by_rid(connection, body.supersedes)
    if older is None:
        if backlog.state_of(connection, body.supersedes, 0, body.supersedes) == events.WAITING:
            raise Later("the record of which it is a new version is not here yet")
        return rid
    if older.content_id == body.dataset.content_id:
        raise Never("it has the very files of the record of which it says to be a new version")
    # who may do so at one and the same home is for that home to say
    return older.series if older.home == event.home or event.by in older.stewards else rid


def change_record(
    connection: Connection, registrar: Registrar, waiting: Waiting, event: Event, data: bytes, home: Home
) -> Found:
    """The transaction that changes a record by an event of the log in which it must be; or freezes it, when
    the record has another event in that place, and the signer has a say in the record as it is now: who once
    had one could freeze it for ever.

    Raises:
        Never, Later, Contradicts: it cannot be.
    """
    _begin(connection, waiting)
    record = records.by_rid(connection, waiting.rid)
    if record is None:
        _follows(connection, waiting.rid, 0, waiting.rid)
        raise Later("the record that it changes is not here yet")
    if event.seq > record.seq:
        if (event.seq, event.prev) != (record.seq + 1, record.head):
            _follows(connection, record.rid, event.seq - 1, event.prev)
            raise Later("the event that it follows is not here yet")
        try:
            state = revising.state_of(connection, record)
        except Refused as error:
            raise Later(error.what) from error
        after = _applied(state, event, data, home)
        backlog.applied(connection, waiting)
        return revising.write_down(connection, registrar, event, after)
    before = _state_at(connection, record, event.seq - 1)
    if before.head.hash() != event.prev:
        _follows(connection, record.rid, event.seq - 1, event.prev)
        raise Later("the event that it follows is not here yet")
    _applied(before, event, data, home)
    backlog.ended(connection, waiting, FORK, f"ark:/{record.ark} has another event {event.seq}")
    if event.by not in record.stewards and (home.origin, home.key_of(event)) != (record.home, event.by):
        return revising.read_again(connection, record.rid)
    _LOG.critical(
        "two registrars have taken different changes of ark:/%s: event %d is %s… at %s. Nothing follows them",
        record.ark,
        event.seq,
        waiting.hash[:12],
        home.origin,
    )
    records.change(connection, record.rid, fork=record.fork or waiting.hash)
    return revising.read_again(connection, record.rid)


def _follows(connection: Connection, rid: str, seq: int, hash_: str) -> None:
    """Judge an event by the one that it follows, which does not count here."""
    before = backlog.state_of(connection, rid, seq, hash_)
    if before == REFUSED:
        raise Never("the event that it follows does not hold")
    if before == FORK:
        raise Contradicts("the event that it follows contradicts another one")


def _applied(state: RecordState, event: Event, data: bytes, home: Home) -> RecordState:
    try:
        return state.apply(event, data, home_key=home.key_of(event))
    except (InvalidInput, VerificationFailed, Refused, Conflict) as error:
        raise Never(error.what) from error


def _state_at(connection: Connection, record: Record, seq: int) -> RecordState:
    """The state of a record after one of its events."""
    state: RecordState | None = None
    for stored, data in events.chain(connection, record.rid, first=0, limit=seq + 1):
        event = stored.event
        if data is None:
            raise Later(f"what was said of ark:/{record.ark} was dropped")
        if state is None:
            state = RecordState.begin(event, data)
        elif event.type == REHOME:
            state = state.moved(event, RehomeBody.parse(data))
        elif event.type == WITHDRAWAL:
            state = state.ended(event, WithdrawalBody.parse(data))
        else:
            state = state.revised(event, RevisionBody.parse(data))
    if state is None:
        raise Never("it changes nothing")
    return state


def keep(connection: Connection, registrar: Registrar, waiting: Waiting, event: Event, data: bytes) -> None:
    """The transaction for events that change no record: they are kept. What the taints of another registrar
    mean here is said by its list of taints; those of this registrar itself count again.

    Raises:
        Never, Later: it cannot be.
    """
    _begin(connection, waiting)
    try:
        if waiting.type == TAINT:
            TaintBody.parse(data)
        elif waiting.type == LIFT:
            LiftBody.parse(data)
        if waiting.log == OWN and waiting.type in (TAINT, LIFT):
            curation.restore(connection, registrar, event, data)
    except (InvalidInput, VerificationFailed) as error:
        raise Never(error.what) from error
    backlog.applied(connection, waiting)
