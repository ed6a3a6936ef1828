"""Taints: proposed by one curator, in force when enough agree, lifted by a signed event; all in the log.

A taint's first event *is* the taint; an event of another curator that orders the same (subject, effect,
end) approves it. What is in force is final: it can be lifted, and it ends by itself when its time is over.
A *hold* (hide or warn, for at most 72 hours) needs one curator; whoever has held something cannot do so
alone again. Several taints may stand on one subject; none is lifted by lifting another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from seedkeep.core.audit import Outcome
from seedkeep.core.errors import Conflict, InvalidInput, NotFound, Refused
from seedkeep.core.events import Event, sign_event, sign_second
from seedkeep.core.record import Editor
from seedkeep.core.revision import check_editor
from seedkeep.core.taints.body import LiftBody, Order, Subject, TaintBody
from seedkeep_registrar import times
from seedkeep_registrar.accounts import curators
from seedkeep_registrar.accounts.curators import Curators
from seedkeep_registrar.accounts.editors import editor_of
from seedkeep_registrar.accounts.principal import Principal, Role
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.registration import SignedEvent, check_created, read_event
from seedkeep_registrar.search import index as search_index
from seedkeep_registrar.store import audits, claims, datasets, events, taint_marks, taints
from seedkeep_registrar.store.taints import LIFTED, PROPOSED, STANDING, Taint

#: what one curator may have proposed without an answer, and hold at the same time
MAX_PROPOSED = 1000
MAX_HOLDS = 100


@dataclass(frozen=True, slots=True)
class Decision:
    """How a taint stands after a curator's event.

    Args:
        approvals: people who agree, of ``needed``.
        new: False when the event was known already.
    """

    taint: Taint
    approvals: int
    needed: int
    new: bool


async def taint(registrar: Registrar, principal: Principal, message: Mapping[str, Any]) -> Decision:
    """Propose a taint, or approve another curator's that orders the same.

    Args:
        message: ``{"event", "body"}`` signed by the curator's key, or the fields of a taint's body, for which
            the registrar signs and names the curator's account.

    Raises:
        InvalidInput, VerificationFailed: the message is malformed or not signed by its key.
        Refused: they are no curator, have too much open already, or the event's time is off.
        Conflict: this curator has agreed already, or as much as this stands.
    """
    _check_curator(principal)
    if "event" in message:
        given = _signed(registrar, principal, message, "taint")
    else:
        fields = {"v": 1, **message}
        body = TaintBody(TaintBody.parse(fields).order, await _editor(registrar, principal)).encode()
        created = times.text(registrar.clock())
        made = sign_event(registrar.key, type="taint", body=body, home=registrar.origin, created=created)
        given = SignedEvent(made, body)
    if given.event.seq:
        raise Refused("a taint begins a chain of its own")
    said = TaintBody.parse(given.body)
    check_editor(given.event, said.editor, str(registrar.key.public))
    return await registrar.db.write(_taint, registrar, given, said)


def _check_curator(principal: Principal) -> None:
    if principal.role < Role.CURATOR:
        raise Refused(
            "only curators of this registrar may do this", hint="Ask the registrar to look at the dataset."
        )


def _signed(registrar: Registrar, principal: Principal, message: Mapping[str, Any], kind: str) -> SignedEvent:
    given = read_event(registrar, message, (kind,))
    if given.event.by != principal.key:
        raise Refused("the event was signed by another key than the request")
    return given


async def _editor(registrar: Registrar, principal: Principal) -> Editor:
    if principal.account is None:
        raise Refused(
            "this key is bound to no account, so the registrar cannot sign in its name",
            hint="Send a signed event, or bind the key with `seedkeep login`.",
        )
    return await registrar.db.read(editor_of, registrar.settings, principal)


def _taint(connection: Connection, registrar: Registrar, given: SignedEvent, body: TaintBody) -> Decision:
    head = events.lock(connection)
    event, order, now = given.event, body.order, registrar.clock()
    who = curators.read(connection, registrar.settings)
    if again := taints.of_event(connection, event.hash()):
        return _decision(connection, who, again, new=False)
    check_created(registrar, event)
    if order.ended(now):
        raise InvalidInput("this taint would have ended already", hint="Let it expire later.")
    approver = curators.name_of(event, body.editor)
    every = taints.of_subject(connection, order.subject)
    _check_news(every, order, now)
    open_ones = (t for t in every if t.state == PROPOSED and not t.order.ended(now))
    proposal = next((t for t in open_ones if _same(t.order, order)), None)
    if proposal is not None:
        if who.is_among(approver, taints.approvers(connection, proposal.id)):
            raise Conflict(
                "this curator has agreed to this taint already", hint="Another curator must agree."
            )
    else:
        hold = order.is_hold(event.created)
        _check_open(connection, who, approver, every, order, hold=hold)
    events.append(connection, head, event, given.body, now=now)
    proposal = _count(connection, registrar, event, order, approver, proposal)
    return _decision(connection, who, proposal, new=True)


def _count(
    connection: Connection,
    registrar: Registrar,
    event: Event,
    order: Order,
    approver: str,
    proposal: Taint | None,
) -> Taint:
    """A curator's event counts: it proposes, or agrees to ``proposal``, which may be enough."""
    who = curators.read(connection, registrar.settings)
    if proposal is None:
        proposal = Taint(event.hash(), order, PROPOSED, event.created, "", 0, "")
        taints.propose(connection, proposal)
    taints.approve(connection, proposal.id, approver, event.hash())
    decision = _decision(connection, who, proposal, new=True)
    if decision.approvals >= decision.needed:
        _stand(connection, registrar, proposal)
    return known(connection, proposal.id)


def restore(connection: Connection, registrar: Registrar, event: Event, body: bytes) -> None:
    """A taint or lift that this registrar had taken and lost counts again; it was checked when it was taken.

    Raises:
        NotFound: the taint that it lifts is not here.
    """
    if event.type == "lift":
        one = known(connection, event.rid)
        if one.state != LIFTED:
            _end(connection, registrar, one, event)
        return
    said = TaintBody.parse(body)
    order = said.order
    open_ones = (t for t in taints.of_subject(connection, order.subject) if t.state == PROPOSED)
    proposal = next((t for t in open_ones if _same(t.order, order)), None)
    if taints.of_event(connection, event.hash()) is None:
        _count(connection, registrar, event, order, curators.name_of(event, said.editor), proposal)


def _same(one: Order, other: Order) -> bool:
    """Whether who agrees to the one agrees to the other: reasons may differ, what is done may not."""
    return (one.effect, one.expires) == (other.effect, other.expires)


def _check_news(every: list[Taint], order: Order, now: float) -> None:
    for other in every:
        lasts = not other.order.expires or (order.expires and other.order.expires >= order.expires)
        strong = other.order.effect.rank >= order.effect.rank
        if other.state == STANDING and not other.order.ended(now) and strong and lasts:
            raise Conflict(f"{order.subject} is tainted already ({other.id[:12]}…)")


def _check_open(
    connection: Connection, who: Curators, approver: str, every: list[Taint], order: Order, *, hold: bool
) -> None:
    """No single person can fill the list, or hold something for ever."""
    own = taints.proposed_by(connection, who.names_of(approver))
    holds = sum(_is_hold(t) for t in own if t.state == STANDING)
    proposed = sum(t.state == PROPOSED for t in own)
    if holds >= MAX_HOLDS if hold else proposed >= MAX_PROPOSED:
        raise Refused(
            "too many taints of this curator are open", hint="Ask another curator to agree to some of them."
        )
    for other in every if hold else ():
        held = _is_hold(other) and other.version
        if held and who.is_among(approver, taints.approvers(connection, other.id)[:1]):
            raise Conflict(
                f"{order.subject} was held by this curator before",
                hint="Propose a taint to which another curator agrees, or let another one hold it.",
            )


def _is_hold(taint: Taint) -> bool:
    return taint.order.is_hold(taint.created)


def _stand(connection: Connection, registrar: Registrar, proposal: Taint) -> None:
    begin(
        connection,
        taints.stand(connection, proposal.id, effective=times.text(registrar.clock())),
        registrar.clock(),
    )
    registrar.taint_head.issue(connection)


def begin(connection: Connection, standing: Taint, now: float) -> None:
    """What follows from a taint that stands from now on, whosever it is."""
    for content_id in taint_marks.mark(connection, standing):
        _give_up(connection, content_id, now)
    _search_again(connection, standing.order.subject)


def end(connection: Connection, one: Taint) -> None:
    """What follows from a taint that stands no more, whosever it is."""
    taint_marks.unmark(connection, one)
    _search_again(connection, one.order.subject)


def known(connection: Connection, taint_id: str) -> Taint:
    """A taint.

    Raises:
        NotFound: there is none.
    """
    found = taints.by_id(connection, taint_id)
    if found is None:
        raise NotFound(f"there is no taint {taint_id[:64]}", hint="See `seedkeep taint list`.")
    return found


def _decision(connection: Connection, who: Curators, taint: Taint, *, new: bool) -> Decision:
    return Decision(taint, who.count(taints.approvers(connection, taint.id)), needed(who, taint), new=new)


def needed(who: Curators, taint: Taint) -> int:
    """How many curators have to agree to it."""
    return 1 if _is_hold(taint) else who.needed


def _search_again(connection: Connection, subject: Subject) -> None:
    """Records that are withheld are not found by a search, those that are not are."""
    for rid, _ in taint_marks.hit(connection, subject):
        search_index.refresh(connection, rid)


def _give_up(connection: Connection, content_id: str, now: float) -> None:
    """Nobody is asked for it any more; nor is to hold it, unless its bytes are to be kept."""
    dataset = datasets.by_content_id(connection, content_id)
    if dataset is None or dataset.servable:
        return
    audits.end_all(connection, content_id, Outcome.UNKNOWN.value, "tainted")
    if not taint_marks.kept_among(connection, [content_id], now):
        claims.remove_all(connection, content_id)


async def lift(
    registrar: Registrar, taint_id: str, principal: Principal, message: Mapping[str, Any]
) -> Decision:
    """Lift a taint that stands, or withdraw one that was only proposed.

    Args:
        message: ``{"event", "body"}`` or ``{"reason"}``, as for :func:`taint`.

    Raises:
        NotFound: there is no such taint.
        InvalidInput, VerificationFailed, Refused: as for :func:`taint`.
        Conflict: it is lifted already.
    """
    _check_curator(principal)
    if "event" in message:
        given = _signed(registrar, principal, message, "lift")
    else:
        said = LiftBody.parse({"v": 1, **message})
        body = LiftBody(said.reason, await _editor(registrar, principal)).encode()
        await registrar.db.read(known, taint_id)
        given = SignedEvent(
            sign_second(
                registrar.key,
                type="lift",
                body=body,
                home=registrar.origin,
                created=times.text(registrar.clock()),
                first=taint_id,
            ),
            body,
        )
    check_editor(given.event, LiftBody.parse(given.body).editor, str(registrar.key.public))
    return await registrar.db.write(_lift, registrar, taint_id, given)


def _lift(connection: Connection, registrar: Registrar, taint_id: str, given: SignedEvent) -> Decision:
    head = events.lock(connection)
    event, one = given.event, known(connection, taint_id)
    if event.rid != taint_id:
        raise Refused("this lift is for another taint")
    who = curators.read(connection, registrar.settings)
    if one.state == LIFTED:
        if one.lifted == event.hash():
            return _decision(connection, who, one, new=False)
        raise Conflict(f"taint {taint_id[:12]}… is lifted already")
    check_created(registrar, event)
    events.append(connection, head, event, given.body, now=registrar.clock())
    _end(connection, registrar, one, event)
    return _decision(connection, who, known(connection, taint_id), new=True)


def _end(connection: Connection, registrar: Registrar, one: Taint, lifting: Event) -> None:
    taints.lift(connection, one, lifting.hash())
    if one.state == STANDING:
        end(connection, one)
    if one.version:
        registrar.taint_head.issue(connection)


def any_expired(connection: Connection, registrar: Registrar) -> bool:
    """Whether :func:`end_expired` has something to do."""
    return bool(taints.ended(connection, times.text(registrar.clock()), limit=1))


def end_expired(connection: Connection, registrar: Registrar) -> int:
    """What the taints whose time is over had withheld is served again; how many they were."""
    over = taints.ended(connection, times.text(registrar.clock()))
    if over:
        events.lock(connection)
    for one in over:
        taints.expire(connection, one)
        if one.state == STANDING:
            end(connection, one)
    return len(over)
