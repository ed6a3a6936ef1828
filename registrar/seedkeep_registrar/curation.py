"""Taints: proposed by one curator, in force when enough agree, lifted by a signed event; all in the log.

A taint's first event *is* the taint; an event of another curator on the same subject approves it. What is
in force is final: it can be lifted, not changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from seedkeep.core.audit import Outcome
from seedkeep.core.errors import Conflict, NotFound, Refused
from seedkeep.core.httpsig import Signed
from seedkeep.core.taints.body import LiftBody, Subject, TaintBody
from seedkeep_registrar import times
from seedkeep_registrar.accounts import curators
from seedkeep_registrar.accounts.principal import Role, principal_of_key
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.registration import SignedEvent, check_created, open_event
from seedkeep_registrar.search import index as search_index
from seedkeep_registrar.store import audits, claims, datasets, events, taints
from seedkeep_registrar.store.taints import LIFTED, PROPOSED, STANDING, Taint


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


async def _check_curator(registrar: Registrar, key: str) -> None:
    if (await principal_of_key(registrar, key)).role < Role.CURATOR:
        raise Refused(
            "this key is not a curator's at this registrar", hint="Ask the registrar to look at the dataset."
        )


async def taint(registrar: Registrar, signed: Signed, message: Mapping[str, Any]) -> Decision:
    """Propose a taint, or approve another curator's on the same subject.

    Raises:
        InvalidInput, VerificationFailed: the event or its body is malformed or not signed by its key.
        Refused: the key is not a curator's, or the event's time is off.
        Conflict: this curator has agreed already, or the taint stands.
    """
    await _check_curator(registrar, str(signed.key))
    given = open_event(registrar, signed, message, ("taint",))
    if given.event.seq:
        raise Refused("a taint begins a chain of its own")
    body = TaintBody.parse(given.body)
    return await registrar.db.write(_taint, registrar, given, body)


def _taint(connection: Connection, registrar: Registrar, given: SignedEvent, body: TaintBody) -> Decision:
    head = events.lock(connection)
    event, order, now = given.event, body.order, registrar.clock()
    if known := taints.of_event(connection, event.hash()):
        return Decision(known, *_agreed(connection, registrar, known.id), new=False)
    check_created(registrar, event)
    standing = taints.on_subject(connection, order.subject)
    if standing is not None and standing.state == STANDING:
        raise Conflict(f"{order.subject} is tainted already ({standing.id[:12]}…)")
    who = curators.read(connection, registrar.settings)
    if standing is not None and who.is_among(event.by, taints.approvers(connection, standing.id)):
        raise Conflict("this curator has agreed to this taint already", hint="Another curator must agree.")
    events.append(connection, head, event, given.body, now=now, sign=lambda r: r.sign(registrar.key))
    if standing is None:
        standing = Taint(
            id=event.hash(),
            subject=order.subject,
            category=order.category,
            reason=order.reason,
            state=PROPOSED,
            created=times.text(now),
            effective="",
            version=0,
            lifted="",
        )
        taints.propose(connection, standing)
    taints.approve(connection, standing.id, event.by, event.hash())
    count = who.count(taints.approvers(connection, standing.id))
    if count >= who.needed:
        hit = taints.stand(connection, standing.id, effective=times.text(now))
        for content_id in hit:
            _give_up(connection, content_id)
        _search_again(connection, order.subject)
        registrar.taint_head.issue(connection)
    stored = taints.by_id(connection, standing.id)
    assert stored is not None
    return Decision(stored, count, who.needed, new=True)


def _agreed(connection: Connection, registrar: Registrar, taint_id: str) -> tuple[int, int]:
    who = curators.read(connection, registrar.settings)
    return who.count(taints.approvers(connection, taint_id)), who.needed


def _search_again(connection: Connection, subject: Subject) -> None:
    """Records with a taint are not found by a search, those without are."""
    for rid, _ in taints.hit(connection, subject):
        search_index.refresh(connection, rid)


def _give_up(connection: Connection, content_id: str) -> None:
    """Nobody is to hold it any more, unless another record of the same content is clean."""
    dataset = datasets.by_content_id(connection, content_id)
    if dataset is not None and not dataset.servable:
        audits.end_all(connection, content_id, Outcome.UNKNOWN.value, "tainted")
        claims.remove_all(connection, content_id)


async def lift(registrar: Registrar, taint_id: str, signed: Signed, message: Mapping[str, Any]) -> Decision:
    """Lift a taint that stands, or withdraw one that was only proposed.

    Raises:
        NotFound: there is no such taint.
        InvalidInput, VerificationFailed, Refused: as for :func:`taint`.
        Conflict: it is lifted already.
    """
    await _check_curator(registrar, str(signed.key))
    given = open_event(registrar, signed, message, ("lift",))
    LiftBody.parse(given.body)
    return await registrar.db.write(_lift, registrar, taint_id, given)


def _lift(connection: Connection, registrar: Registrar, taint_id: str, given: SignedEvent) -> Decision:
    head = events.lock(connection)
    event = given.event
    known = taints.by_id(connection, taint_id)
    if known is None:
        raise NotFound(f"there is no taint {taint_id[:64]}", hint="See `seedkeep taint list`.")
    if event.rid != taint_id:
        raise Refused("this lift is for another taint")
    approvals = _agreed(connection, registrar, taint_id)
    if known.state == LIFTED:
        if known.lifted == event.hash():
            return Decision(known, *approvals, new=False)
        raise Conflict(f"taint {taint_id[:12]}… is lifted already")
    check_created(registrar, event)
    events.append(
        connection, head, event, given.body, now=registrar.clock(), sign=lambda r: r.sign(registrar.key)
    )
    taints.lift(connection, taint_id, event.hash())
    _search_again(connection, known.subject)
    if known.version:
        registrar.taint_head.issue(connection)
    lifted = taints.by_id(connection, taint_id)
    assert lifted is not None
    return Decision(lifted, *approvals, new=True)
