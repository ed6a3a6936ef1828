"""Records after they were made: revised, withdrawn and moved by signed events, each taken in one transaction.

Two ways lead here: an event that a steward has signed (:func:`accept`), and a wish of somebody who may have
it signed by this registrar's own key, which then names them as editor (:func:`revise`, :func:`withdraw`).
Both are for records whose home is here, or comes here; :func:`write_down` is for those of others as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection

from seedkeep.core.audit import Outcome
from seedkeep.core.errors import Conflict, InvalidInput, NotFound, Refused
from seedkeep.core.events import MAX_BODY_BYTES, Event, sign_event
from seedkeep.core.record import Editor
from seedkeep.core.revision import (
    REHOME,
    REVISION,
    WITHDRAWAL,
    RecordState,
    RevisionBody,
    WithdrawalBody,
)
from seedkeep_registrar import documents, times
from seedkeep_registrar.accounts.editors import editor_of
from seedkeep_registrar.accounts.principal import Principal, Role
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.documents import Found
from seedkeep_registrar.operations import quota
from seedkeep_registrar.problems import Elsewhere, MovedOn, NotAsExpected, TooLarge
from seedkeep_registrar.registration import SignedEvent, check_created, check_member, read_event
from seedkeep_registrar.search import index
from seedkeep_registrar.settings import CURATED
from seedkeep_registrar.store import (
    account_keys,
    aliases,
    audits,
    claims,
    datasets,
    events,
    peers,
    private_seeds,
    records,
    taints,
)
from seedkeep_registrar.store.records import Record

#: the events taken here
TYPES = (REVISION, WITHDRAWAL, REHOME)


def is_meant(message: Mapping[str, Any]) -> bool:
    """Whether a message with an event is one to :func:`accept`."""
    event = message.get("event")
    return isinstance(event, dict) and event.get("type") in TYPES


async def accept(
    registrar: Registrar, principal: Principal, message: Mapping[str, Any]
) -> tuple[Found, bool]:
    """Take a revision, a withdrawal, or a record of another registrar, as a steward has signed it.

    Args:
        message: ``{"event", "body"}``.

    Returns:
        The record as it is now, and whether the event is new.

    Raises:
        NotFound: there is no such record.
        InvalidInput, VerificationFailed: event or body is malformed, or does not hold.
        Refused: the signer is no steward, or not the request's, or the event's time is off.
        MovedOn: it does not follow the record's present head.
        Elsewhere: the record belongs to another registrar, and is not given to this one.
        Conflict: two events contradict each other, so that nothing follows.
        TaintedRecord: a taint stands on the record.
    """
    given = read_event(registrar, message, TYPES)
    if given.event.by != principal.key:
        raise Refused("the event was signed by another key than the request")
    if given.event.type == REHOME:
        check_member(registrar, principal)
        if registrar.settings.registration == CURATED and principal.role < Role.MEMBER:
            raise Refused(
                "this registrar takes over records from its members only", hint="Ask one of its curators."
            )
    found, new = await registrar.db.write(_accept, registrar, given)
    if new:
        _tell(registrar, found.record)
    return found, new


async def revise(
    registrar: Registrar,
    principal: Principal,
    rid: str,
    change: Callable[[RecordState], dict[str, Any]],
    *,
    note: str = "",
    expected_head: str = "",
) -> tuple[Found, bool]:
    """Change what is said of a record, for somebody; this registrar signs.

    Args:
        change: gives, of the present state, new ``metadata``, ``web_seeds``, ``copies`` or ``stewards``.
        note: why.
        expected_head: hash of the event that the change was made upon; "" for whatever it is.

    Returns:
        The record as it is now, and whether that is anything new: what changes nothing makes no event.

    Raises:
        see :func:`accept`; besides
        Refused: they may not.
        NotAsExpected: the head is another one.
    """

    def body(state: RecordState, editor: Editor) -> RevisionBody:
        after = state.revision(note=note, editor=editor, **change(state))
        return RevisionBody.parse(after.encode())

    return await _for_somebody(registrar, principal, rid, REVISION, body, expected_head)


async def withdraw(
    registrar: Registrar, principal: Principal, rid: str, reason: str, *, expected_head: str = ""
) -> tuple[Found, bool]:
    """Withdraw a record for somebody; this registrar signs. Arguments and errors as for :func:`revise`."""

    def body(_: RecordState, editor: Editor) -> WithdrawalBody:
        return WithdrawalBody.parse(WithdrawalBody(reason, editor).encode())

    return await _for_somebody(registrar, principal, rid, WITHDRAWAL, body, expected_head)


def may_edit(connection: Connection, registrar: Registrar, principal: Principal, record: Record) -> bool:
    """Whether somebody may change this record: a steward, by key or account, or a curator."""
    if principal.role >= Role.CURATOR or principal.key in record.stewards:
        return True
    if principal.account is None:
        return False
    keys = {bound.key for bound in account_keys.of_account(connection, principal.account.id)}
    # what the registrar recorded for an account is that account's until it has other stewards
    own = str(principal.account.id) == record.account and not registrar.own_keys.isdisjoint(record.stewards)
    return own or bool(keys & set(record.stewards))


def state_of(connection: Connection, record: Record) -> RecordState:
    """The present state of a record.

    Raises:
        Refused: what was said of it has been dropped.
    """
    first, head = events.at(connection, record.position), events.head_of(connection, record.rid)
    assert first is not None
    assert head is not None
    names = (record.body_sha256, record.state_sha256, head.event.body_sha256)
    body, now, last = (events.body(connection, name) for name in names)
    if body is None or now is None or last is None:
        raise Refused(f"what was said of ark:/{record.ark} was dropped, so nothing can follow it")
    state = RecordState.begin(first.event, body)
    if record.state_sha256 != record.body_sha256:
        state = state.revised(head.event, RevisionBody.parse(now))
    state = replace(state, head=head.event, home=record.home)
    return state.ended(head.event, WithdrawalBody.parse(last)) if record.withdrawn else state


def check_changeable(connection: Connection, registrar: Registrar, record: Record) -> None:
    """
    Raises:
        Elsewhere: the record belongs to another registrar.
        Conflict: two events contradict each other.
    """
    if record.fork:
        raise Conflict(
            f"two registrars have taken different changes of ark:/{record.ark}: nothing follows them",
            hint="It can be found and fetched as before. Share it anew to say something else of it.",
        )
    if record.home != registrar.origin:
        home = peers.by_origin(connection, record.home)
        url = home.url if home else ""
        raise Elsewhere(
            f"ark:/{record.ark} belongs to {record.home}; it is only mirrored here",
            hint=f"Change it there{f' ({url})' if url else ''}; or, when that registrar is gone, a steward"
            f" makes this one its home: `seedkeep rehome ark:/{record.ark} --to {registrar.public_url}`.",
            members={"home": record.home, "home_url": url},
        )


async def _for_somebody(
    registrar: Registrar,
    principal: Principal,
    rid: str,
    kind: str,
    body: Callable[[RecordState, Editor], RevisionBody | WithdrawalBody],
    expected_head: str,
) -> tuple[Found, bool]:
    def run(connection: Connection) -> tuple[Found, bool]:
        events.lock(connection)
        record = _record(connection, rid)
        if not may_edit(connection, registrar, principal, record):
            raise Refused(
                f"only a steward of ark:/{record.ark} or a curator may change what is said of it",
                hint="Ask its steward.",
            )
        check_changeable(connection, registrar, record)
        state = state_of(connection, record)
        if expected_head not in ("", state.head.hash()):
            raise _moved_on(state, NotAsExpected)
        said = body(state, editor_of(connection, registrar.settings, principal))
        if isinstance(said, RevisionBody) and said == state.revision(note=said.note, editor=said.editor):
            return documents.read(connection, record), False
        data = said.encode()
        if len(data) > MAX_BODY_BYTES:
            raise TooLarge(f"what is said of the record is over the limit of {MAX_BODY_BYTES} bytes")
        event = sign_event(
            registrar.key,
            type=kind,
            body=data,
            home=registrar.origin,
            created=times.text(registrar.clock()),
            after=state.head,
        )
        return _accept(connection, registrar, SignedEvent(event, data))

    found, new = await registrar.db.write(run)
    if new:
        _tell(registrar, found.record)
    return found, new


def _record(connection: Connection, rid: str) -> Record:
    record = records.by_rid(connection, rid)
    if record is None:
        raise NotFound(f"this registrar has no record {rid[:64]}", hint="Ask its home registrar.")
    return record


def _moved_on(state: RecordState, kind: type[MovedOn] = MovedOn) -> MovedOn:
    head = state.head
    return kind(
        f"record {state.rid[:12]}… has changed meanwhile (it is at revision {head.seq})",
        hint="Look at the current revision, then make the change again on top of it.",
        members={"rid": state.rid, "seq": head.seq, "head": head.hash(), "event": asdict(head)},
    )


def _accept(connection: Connection, registrar: Registrar, given: SignedEvent) -> tuple[Found, bool]:
    """The transaction."""
    log, event = events.lock(connection), given.event
    if not event.rid:
        raise InvalidInput("this event follows no other one")
    record = _record(connection, event.rid)
    if events.is_known(connection, event.hash()):
        return documents.read(connection, record), False
    check_created(registrar, event)
    if standing := tuple(taints.standing_on_record(connection, record.rid)):
        raise documents.tainted_record(record, standing)
    if event.type == REHOME and record.home != registrar.origin and not record.fork:
        quota.check(connection, registrar.settings, event.by, "", record.bytes)
    else:
        check_changeable(connection, registrar, record)
    state = state_of(connection, record)
    if (event.seq, event.prev) != (state.head.seq + 1, state.head.hash()) and not state.withdrawn:
        raise _moved_on(state)
    after = state.apply(event, given.body, home_key=str(registrar.key.public))
    events.append(connection, log, event, given.body, now=registrar.clock())
    return write_down(connection, registrar, event, after), True


def write_down(connection: Connection, registrar: Registrar, event: Event, after: RecordState) -> Found:
    """Bring all tables to the state after an event that counts since this transaction."""
    content_id = after.dataset.content_id
    newest: dict[str, Any] = {"seq": event.seq, "head": event.hash(), "updated": event.created}
    if event.type == REHOME:
        # accounts are those of the home it had
        records.change(connection, after.rid, **newest, home=after.home, account="")
        private_seeds.forget_editors(connection, after.rid)
    elif after.withdrawn:
        records.change(connection, after.rid, **newest, withdrawn=event.created)
    else:
        records.change(
            connection,
            after.rid,
            **newest,
            state_sha256=event.body_sha256,
            title=after.metadata.title,
            copies=after.copies,
            web_seeds=after.web_seeds,
            stewards=after.stewards,
            subjects=after.metadata.keywords,
        )
        here = after.editor is not None and after.home == registrar.origin
        namer = private_seeds.Namer(event.by, after.editor.account if after.editor and here else "")
        private_seeds.put(connection, after.rid, after.web_seeds, namer)
        aliases.put(connection, after.rid, aliases.DOI, after.metadata.dois)
    index.refresh(connection, after.rid)
    datasets.follow(connection, content_id, least=registrar.settings.min_copies)
    if after.withdrawn and not datasets.servable_among(connection, [content_id]):
        # nobody is to hold it any more
        audits.end_all(connection, content_id, Outcome.UNKNOWN.value, "withdrawn")
        claims.remove_all(connection, content_id)
    return read_again(connection, after.rid)


def read_again(connection: Connection, rid: str) -> Found:
    """A record that was changed in this transaction."""
    changed = records.by_rid(connection, rid)
    assert changed is not None
    return documents.read(connection, changed)


def _tell(registrar: Registrar, record: Record) -> None:
    registrar.changes.registered(record)
    registrar.wakeups.wake_all()
