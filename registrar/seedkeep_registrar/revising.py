"""Records after they were made: revised and withdrawn by signed events, each taken in one transaction.

Two ways lead here: an event that a steward has signed (:func:`accept`), and a wish of somebody who may have
it signed by this registrar's own key, which then names them as editor (:func:`revise`, :func:`withdraw`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from seedkeep.core.audit import Outcome
from seedkeep.core.errors import InvalidInput, NotFound, Refused
from seedkeep.core.events import MAX_BODY_BYTES, Event, sign_event
from seedkeep.core.record import Editor
from seedkeep.core.revision import REVISION, WITHDRAWAL, RecordState, RevisionBody, WithdrawalBody
from seedkeep_registrar import documents, times
from seedkeep_registrar.accounts.editors import editor_of
from seedkeep_registrar.accounts.principal import Principal, Role
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.documents import Found
from seedkeep_registrar.problems import MovedOn, NotAsExpected, TooLarge
from seedkeep_registrar.registration import SignedEvent, check_created, read_event
from seedkeep_registrar.search import index
from seedkeep_registrar.store import (
    account_keys,
    aliases,
    audits,
    claims,
    datasets,
    events,
    private_seeds,
    records,
    taints,
)
from seedkeep_registrar.store.records import Record

#: the events taken here
TYPES = (REVISION, WITHDRAWAL)


def is_meant(message: Mapping[str, Any]) -> bool:
    """Whether a message with an event is one to :func:`accept`."""
    event = message.get("event")
    return isinstance(event, dict) and event.get("type") in TYPES


async def accept(registrar: Registrar, message: Mapping[str, Any], key: str) -> tuple[Found, bool]:
    """Take a revision or withdrawal that a steward has signed.

    Args:
        message: ``{"event", "body"}``.
        key: that signed the request.

    Returns:
        The record as it is now, and whether the event is new.

    Raises:
        NotFound: there is no such record.
        InvalidInput, VerificationFailed: event or body is malformed, or does not hold.
        Refused: the signer is no steward, or not the request's, or the event's time is off.
        MovedOn: it does not follow the record's present head.
        TaintedRecord: a taint stands on the record.
    """
    given = read_event(registrar, message, TYPES)
    if given.event.by != key:
        raise Refused("the event was signed by another key than the request")
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
    return state.ended(head.event, WithdrawalBody.parse(last)) if record.withdrawn else state


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
    state = state_of(connection, record)
    if (event.seq, event.prev) != (state.head.seq + 1, state.head.hash()) and not state.withdrawn:
        raise _moved_on(state)
    after = state.apply(event, given.body, home_key=str(registrar.key.public))
    events.append(connection, log, event, given.body, now=registrar.clock())
    _write_down(connection, registrar, event, after)
    changed = records.by_rid(connection, record.rid)
    assert changed is not None
    return documents.read(connection, changed), True


def _write_down(connection: Connection, registrar: Registrar, event: Event, after: RecordState) -> None:
    """Bring all tables to the state after an event."""
    content_id = after.dataset.content_id
    newest: dict[str, Any] = {"seq": event.seq, "head": event.hash(), "updated": event.created}
    if after.withdrawn:
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
        namer = private_seeds.Namer(event.by, after.editor.account if after.editor else "")
        private_seeds.put(connection, after.rid, after.web_seeds, namer)
        aliases.put(connection, after.rid, aliases.DOI, after.metadata.dois)
    index.refresh(connection, after.rid)
    datasets.follow(connection, content_id, least=registrar.settings.min_copies)
    if after.withdrawn and not datasets.servable_among(connection, [content_id]):
        # nobody is to hold it any more
        audits.end_all(connection, content_id, Outcome.UNKNOWN.value, "withdrawn")
        claims.remove_all(connection, content_id)


def _tell(registrar: Registrar, record: Record) -> None:
    registrar.changes.registered(record)
    registrar.wakeups.wake_all()
