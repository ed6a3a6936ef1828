"""Registration where a curator has to agree: the queue, and what curators decide.

What it promises: the event that the submitter signed is the one that is appended when a curator approves it,
however long it has waited; the approval and the record are one transaction; every decision is an event in the
log. Sending the same again tells how it stands, and queues nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from seedkeep.core import jcs
from seedkeep.core.decision import APPROVE, DECISION, REJECT, RETURN, DecisionBody
from seedkeep.core.errors import Conflict, InvalidInput, NotFound, Refused
from seedkeep.core.events import MAX_BODY_BYTES, sign_event
from seedkeep.core.identifiers import mint_ark
from seedkeep.core.record import Editor, RecordBody
from seedkeep.core.revision import RECORD, check_editor
from seedkeep.core.units import print_size
from seedkeep_registrar import entering, registration, times
from seedkeep_registrar.accounts.editors import editor_of
from seedkeep_registrar.accounts.principal import Principal, Role
from seedkeep_registrar.api.fields import Fields
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.documents import Found
from seedkeep_registrar.registration import SignedEvent
from seedkeep_registrar.settings import CURATED
from seedkeep_registrar.store import account_keys, accounts, events, mails, submissions
from seedkeep_registrar.store.accounts import Account
from seedkeep_registrar.store.submissions import (
    APPROVED,
    OPEN,
    REJECTED,
    RETURNED,
    STATE_AFTER,
    WAITING,
    Decided,
    Numbered,
    Sender,
    Submission,
)

#: what one sender may have waiting
MAX_WAITING = 200
#: curators are mailed about so many submissions within so many seconds; what else comes waits in the queue
MAX_TOLD = 60
_TOLD_S = 3600.0
_MAX_REASON = 2000


async def register(
    registrar: Registrar, principal: Principal, message: Mapping[str, Any]
) -> tuple[Found, bool] | Submission:
    """Record a dataset, or queue it for a curator where the registrar asks for one.

    Returns:
        The record and whether it is new, or the submission that waits.

    Raises:
        see :func:`seedkeep_registrar.registration.register`; besides
        Conflict: a curator has returned just this.
        Refused: a curator has rejected just this.
    """
    given = registration.read_event(registrar, message, (RECORD,))
    if given.event.by != principal.key:
        raise Refused("the event was signed by another key than the request")
    if given.event.seq:
        raise InvalidInput("a record begins a chain of its own")
    return await register_event(registrar, principal, given)


async def register_event(
    registrar: Registrar, principal: Principal, given: SignedEvent
) -> tuple[Found, bool] | Submission:
    """:func:`register` for an event that was read already, or that the registrar has signed itself."""
    if registrar.settings.registration != CURATED or principal.role >= Role.CURATOR:
        return await registration.register(registrar, principal, given)
    body = RecordBody.parse(given.body)
    known = await registrar.db.read(_known, given, body)
    if isinstance(known, Submission):
        if known.state != APPROVED:
            return await _standing(registrar, known)
        given = SignedEvent(known.event, known.body)
    recorded = await registrar.db.read(registration.known, given.event.record_id, body)
    if recorded is not None:
        return recorded, False
    registration.check_created(registrar, given.event)
    check_editor(given.event, body.editor, str(registrar.key.public))
    registration.check_terms(body)
    await registration.check_objects(registrar, body)
    submission = _submission(registrar, principal, given, body)
    queued = await registrar.db.write(_queue, registrar, given, body, submission)
    registrar.mailer.wake()
    return await _standing(registrar, queued)


def _known(connection: Connection, given: SignedEvent, body: RecordBody) -> Submission | None:
    """What was submitted already: this event, or another one of the same key that says the same."""
    event = given.event
    found = submissions.by_rid(connection, event.record_id)
    return found or submissions.same(connection, event.by, body.dataset.content_id, event.body_sha256)


async def _standing(registrar: Registrar, submission: Submission) -> Submission:
    """The submission while it waits.

    Raises:
        Conflict, Refused: a curator wants it changed, or does not want it; the reason is told.
    """
    if submission.state == WAITING:
        return submission
    decisions = await registrar.db.read(submissions.decisions_on, submission.rid)
    reason = next((f": {d.reason}" for d in reversed(decisions) if d.reason), "")
    if submission.state == REJECTED:
        raise Refused(f"a curator rejected this dataset{reason}", hint="Ask the registrar if this is wrong.")
    if submission.state == RETURNED:
        raise Conflict(
            f"a curator sent this dataset back{reason}", hint="Make the change, then share the folder again."
        )
    raise Conflict("this was replaced by what you sent later", hint="Look at what you sent last.")


def _submission(
    registrar: Registrar, principal: Principal, given: SignedEvent, body: RecordBody
) -> Submission:
    dataset = body.dataset
    return Submission(
        rid=given.event.record_id,
        leaf=given.event.leaf(),
        body=given.body,
        body_sha256=given.event.body_sha256,
        by=given.event.by,
        account_id=principal.account.id if principal.account else None,
        content_id=dataset.content_id,
        infohash_v1=dataset.infohash_v1,
        name=dataset.name,
        title=body.metadata.title,
        files=dataset.files,
        bytes=dataset.bytes,
        license=body.license,
        manifest=dataset.manifest,
        piece_layers=dataset.piece_layers,
        pieces_v1=dataset.pieces_v1,
        state=WAITING,
        received=registrar.clock(),
    )


def _queue(
    connection: Connection, registrar: Registrar, given: SignedEvent, body: RecordBody, submission: Submission
) -> Submission:
    """The transaction that puts it into the queue, unless the same came in meanwhile."""
    events.lock(connection)
    known = _known(connection, given, body)
    if known is not None:
        return known
    if submissions.waiting_of_sender(connection, submission) >= MAX_WAITING:
        raise Refused(
            f"{MAX_WAITING} datasets of yours wait for a curator already",
            hint="Share more when some of them are decided.",
        )
    entering.touch_objects(registrar, body)
    submissions.add(connection, submission)
    _tell_curators(connection, registrar, submission)
    return submission


def _tell_curators(connection: Connection, registrar: Registrar, submission: Submission) -> None:
    if submissions.received_before(connection, MAX_TOLD) > registrar.clock() - _TOLD_S:
        return
    context = {
        "title": submission.title or submission.name,
        "files": submission.files,
        "size": print_size(submission.bytes),
        "license": submission.license,
        "url": f"{registrar.public_url}/curation/{submission.rid}",
    }
    settings = registrar.settings
    named = {*settings.curators, *settings.operators}
    for one in accounts.to_be_told(connection, Role.CURATOR, named):
        letter = registrar.mailer.write(one.email, "submission_received", context, submission.rid)
        mails.add(connection, replace(letter, to_curators=True))


# --- decisions -------------------------------------------------------------------------------------------


async def decide(
    registrar: Registrar, principal: Principal, rid: str, decision: str, message: Mapping[str, Any]
) -> Submission:
    """Approve, return or reject a submission; the submitter is mailed, if an address is known.

    Args:
        principal: a curator; the caller has checked that.
        message: ``{"reason"}``, for which the registrar signs and names the curator's account, or
            ``{"event", "body"}`` that the curator's key has signed.

    Returns:
        The submission as it is then.

    Raises:
        NotFound: there is no such submission.
        InvalidInput: the message is malformed, or lacks a reason.
        Refused: a key without an account sent no signed event, or the event names an editor.
        Conflict: it was decided otherwise already.
        see :func:`seedkeep_registrar.registration.make_record` for what approving may raise.
    """
    submission = await registrar.db.read(_submitted, rid)
    editor = await registrar.db.read(editor_of, registrar.settings, principal)
    given = _decision(registrar, principal, editor, rid, decision, message)
    said = DecisionBody.parse(given.body)
    if said.submission != rid or said.decision != decision:
        raise InvalidInput("this event decides something else than the address says")
    if decision == APPROVE and submission.state in OPEN:
        await registration.make_record(
            registrar,
            SignedEvent(submission.event, submission.body),
            RecordBody.parse(submission.body),
            lambda connection: _decide(connection, registrar, given, said),
        )
    else:
        await registrar.db.write(_decide, registrar, given, said)
    registrar.mailer.wake()
    return await registrar.db.read(_submitted, rid)


def _submitted(connection: Connection, rid: str) -> Submission:
    found = submissions.by_rid(connection, rid)
    if found is None:
        raise _unknown(rid)
    return found


def _unknown(rid: str) -> NotFound:
    return NotFound(f"nothing with the id {rid[:64]} was submitted", hint="Look at the queue again.")


def _decision(
    registrar: Registrar,
    principal: Principal,
    editor: Editor,
    rid: str,
    decision: str,
    message: Mapping[str, Any],
) -> SignedEvent:
    if "event" in message:
        given = registration.read_event(registrar, message, (DECISION,))
        if given.event.by != principal.key:
            raise Refused("the event was signed by another key than the request")
        if given.event.seq:
            raise InvalidInput("a decision begins a chain of its own")
        registration.check_created(registrar, given.event)
        check_editor(given.event, DecisionBody.parse(given.body).editor, str(registrar.key.public))
        return given
    if principal.account is None:
        raise Refused(
            "this key is bound to no account, so the registrar cannot sign in its name",
            hint="Send a signed decision event, or bind the key with `seedkeep login`.",
        )
    reason = Fields(message, "the decision").only("reason").text("reason", limit=_MAX_REASON, default="")
    body = DecisionBody(rid, decision, reason, editor).encode()
    created = times.text(registrar.clock())
    event = sign_event(registrar.key, type=DECISION, body=body, home=registrar.origin, created=created)
    return SignedEvent(event, body)


def _decide(connection: Connection, registrar: Registrar, given: SignedEvent, said: DecisionBody) -> None:
    """The transaction that appends a decision, unless it was made already."""
    head = events.lock(connection)
    submission = _submitted(connection, said.submission)
    event, now = given.event, registrar.clock()
    history = submissions.decisions_on(connection, said.submission)
    again = STATE_AFTER[said.decision] == submission.state and said.decision != RETURN
    if again or any(one.event == event.hash() for one in history):
        return
    if submission.state not in OPEN:
        raise Conflict(f"this submission is {submission.state} already", hint="Look at the queue again.")
    stored = events.append(connection, head, event, given.body, now=now)
    decided = Decided(
        event=event.hash(),
        submission=submission.rid,
        position=stored.index,
        decision=said.decision,
        reason=said.reason,
        by=event.by,
        editor=said.editor.encode() if said.editor else None,
        at=now,
    )
    submissions.decide(connection, decided)
    if (to := submitter(connection, submission)) and to.email:
        mails.add(connection, registrar.mailer.write(to.email, *_words(registrar, submission, said)))


def submitter(connection: Connection, submission: Submission) -> Account | None:
    """The account of whoever sent it, if it is known."""
    if submission.account_id is not None:
        return accounts.by_id(connection, submission.account_id)
    return accounts.by_key(connection, submission.by)


def ark_of(registrar: Registrar, submission: Submission) -> str:
    """The name of the record if it is made."""
    return f"ark:/{mint_ark(registrar.settings.naan, submission.rid)}"


_TEMPLATES = {APPROVE: "submission_approved", RETURN: "submission_returned", REJECT: "submission_rejected"}


def _words(
    registrar: Registrar, submission: Submission, said: DecisionBody
) -> tuple[str, dict[str, Any], str]:
    """Template, context and subject (the record) of the mail to the submitter."""
    ark = ark_of(registrar, submission)
    context = {
        "title": submission.title or submission.name,
        "curator": (said.editor.name if said.editor else "") or "a curator",
        "reason": said.reason,
        "ark": ark,
        "url": f"{registrar.public_url}/{ark}",
    }
    return _TEMPLATES[said.decision], context, submission.rid


# --- documents -------------------------------------------------------------------------------------------


def sender_of(connection: Connection, principal: Principal) -> Sender:
    """Somebody as the sender of submissions: their key, their account, and the keys bound to it."""
    keys = {principal.key} - {""}
    if principal.account is None:
        return Sender(frozenset(keys), None)
    bound = account_keys.of_account(connection, principal.account.id)
    return Sender(frozenset(keys | {one.key for one in bound}), principal.account.id)


def may_read(connection: Connection, principal: Principal, submission: Submission) -> bool:
    """Whether somebody may see a submission: curators, and who sent it."""
    return principal.role >= Role.CURATOR or sender_of(connection, principal).sent(submission)


def listed(
    connection: Connection, principal: Principal, states: tuple[str, ...], after: int, limit: int
) -> list[Numbered]:
    """The submissions that somebody may see, see :func:`seedkeep_registrar.store.submissions.page`."""
    sender = None if principal.role >= Role.CURATOR else sender_of(connection, principal)
    return submissions.page(connection, states=states, after=after, limit=limit, sender=sender)


async def find(registrar: Registrar, principal: Principal, rid: str) -> tuple[Submission, list[Decided]]:
    """A submission with the decisions about it, oldest first.

    Raises:
        NotFound: there is none, or not for them.
    """
    return await registrar.db.read(_find, principal, rid)


def _find(connection: Connection, principal: Principal, rid: str) -> tuple[Submission, list[Decided]]:
    submission = _submitted(connection, rid)
    if not may_read(connection, principal, submission):
        raise _unknown(rid)
    return submission, submissions.decisions_on(connection, rid)


def short_document(registrar: Registrar, submission: Submission) -> dict[str, Any]:
    """What lists and the answer to a submission show; ``means`` says it in words."""
    return {
        "rid": submission.rid,
        "state": submission.state,
        "means": _MEANS[submission.state],
        "content_id": submission.content_id,
        "infohash_v1": submission.infohash_v1,
        "name": submission.name,
        "title": submission.title or submission.name,
        "files": submission.files,
        "bytes": submission.bytes,
        "license": submission.license,
        "by": submission.by,
        "received": times.text(submission.received),
        "page": f"{registrar.public_url}/curation/{submission.rid}",
    }


_MEANS = {
    WAITING: "It waits for a curator of this registrar. Share the folder again later to see how it stands.",
    APPROVED: "A curator approved it; it is a record.",
    RETURNED: "A curator wants it changed first; make the change, then share the folder again.",
    REJECTED: "A curator decided that it is not recorded here.",
    submissions.REPLACED: "Its submitter sent the same files later with another description.",
}


def document(registrar: Registrar, submission: Submission, decisions: list[Decided]) -> dict[str, Any]:
    """All that is known of a submission."""
    return {
        **short_document(registrar, submission),
        "event": jcs.loads(submission.leaf),
        "body": jcs.loads(submission.body, limit=MAX_BODY_BYTES),
        "decisions": [
            {
                "decision": one.decision,
                "reason": one.reason,
                "by": one.by,
                "editor": one.editor,
                "at": times.text(one.at),
                "event": one.event,
                "index": one.position,
            }
            for one in decisions
        ],
    }
