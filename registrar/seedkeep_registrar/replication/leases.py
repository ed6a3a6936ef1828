"""Claims and their leases: who may take a dataset on, how long it counts, when it is given up.

A claim in progress lives ``lease_s`` from the node's last heartbeat; a complete copy counts ``grace_s``, so
that a restart or a short failure of a network moves no data. What has run out is offered elsewhere; so is
what has been in progress for longer than an honest download takes, though its node may go on. A node that
comes back with a copy later gets its claim back while there are not too many.

A node is told to delete bytes it has attested only when enough *proven* copies (complete, and audited with
success) are elsewhere: what others merely say or promise must never cost a copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from seedkeep.core.audit import Outcome
from seedkeep.core.errors import Conflict, Error, NotFound
from seedkeep.core.placement import Holder, footprint
from seedkeep_registrar.problems import TaintedRecord
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import attestations, audits, claims, datasets, nodes, records, taints
from seedkeep_registrar.store.claims import COMPLETE, DOWNLOADING, FAILED, SLOW, Claim
from seedkeep_registrar.store.nodes import Node

#: a claim that a heartbeat does not name may be on its way for this long
UNSEEN_S = 60.0
#: slow claims on a dataset, for each copy that is wanted, after which nobody else is asked
SLOW_PER_COPY = 3


@dataclass(frozen=True, slots=True)
class Reported:
    """What a heartbeat says of one claim; ``state`` is ``downloading``, ``complete`` or ``failed``."""

    content_id: str
    state: str
    bytes: int


def known_node(connection: Connection, node: str) -> Node:
    """
    Raises:
        NotFound: it has not introduced itself.
    """
    found = nodes.by_key(connection, node)
    if found is None:
        raise NotFound(
            "this registrar does not know this storage manager",
            hint="Introduce it first: POST /api/v1/nodes.",
        )
    return found


def _new(content_id: str, node: str, state: str, size: int, now: float, expires: float) -> Claim:
    return Claim(
        content_id=content_id,
        node=node,
        state=state,
        bytes=size,
        created=now,
        expires=expires,
        attested=None,
        audited=None,
        next_audit=None,
        silences=0,
    )


def _domains(connection: Connection, content_id: str, besides: str) -> set[str]:
    holders = claims.holders_of(connection, [content_id])[content_id]
    return {h.domain for h in holders if h.node != besides}


def withheld(connection: Connection, content_id: str) -> Error:
    """Why a dataset, none of whose records may be served, must not be held."""
    every = records.by_content_id(connection, content_id)
    if any(taints.standing_on_record(connection, record.rid) for record in every):
        return TaintedRecord(f"dataset {content_id[:12]}… is tainted")
    return Conflict(f"dataset {content_id[:12]}… is withdrawn: nobody offers it any more")


def claim(
    connection: Connection, settings: Settings, node_key: str, content_id: str, now: float
) -> tuple[Claim, str]:
    """A node takes a dataset on.

    Returns:
        The claim (an existing one is given again), and the rid to read it by.

    Raises:
        NotFound: no such node or dataset.
        TaintedRecord: it must not be held.
        Conflict: it is withdrawn, enough nodes have it, the node's operator has it, it failed there, or it
            does not fit.
    """
    node = known_node(connection, node_key)
    dataset = datasets.by_content_id(connection, content_id)
    if dataset is None:
        raise NotFound(f"this registrar has no dataset {content_id[:64]}")
    servable = records.servable(connection, content_id)
    if not servable:
        raise withheld(connection, content_id)
    known = claims.one(connection, content_id, node_key)
    if known is not None and known.state == FAILED:
        raise Conflict(
            f"dataset {content_id[:12]}… has failed on this storage manager", hint="Try again later."
        )
    if known is not None:
        return known, servable[0].rid
    domains = _domains(connection, content_id, node_key)
    if len(domains) >= dataset.wanted:
        raise Conflict(f"enough storage managers have dataset {content_id[:12]}…")
    if Holder(node_key, node.operator, complete=False).domain in domains:
        raise Conflict(f"another storage manager of the same operator has dataset {content_id[:12]}…")
    if footprint(dataset.bytes, dataset.files) > node.pledge:
        raise Conflict(f"dataset {content_id[:12]}… is larger than this storage manager's pledge")
    made = _new(content_id, node_key, DOWNLOADING, 0, now, now + settings.lease_s)
    claims.put(connection, made)
    return made, servable[0].rid


def report(
    connection: Connection,
    settings: Settings,
    node_key: str,
    seen: Mapping[str, Any],
    reported: Mapping[str, Reported],
    now: float,
) -> None:
    """Take in a heartbeat: what the node says of itself and of its claims; renew the leases.

    Args:
        seen: columns of the node's row.

    Raises:
        NotFound: the node has not introduced itself.
    """
    known_node(connection, node_key)
    nodes.seen(connection, node_key, dict(seen))
    grown = []
    for known in claims.of_node(connection, node_key):
        said = reported.get(known.content_id)
        if said is None:
            _unseen(connection, settings, known, now)
        elif known.state != FAILED:
            _update(connection, settings, known, said, now)
            if said.bytes != known.bytes:
                grown.append((known.content_id, said.bytes))
    claims.set_bytes(connection, node_key, grown)
    lease, grace = now + settings.lease_s, now + settings.grace_s
    claims.renew(connection, node_key, reported, states=(DOWNLOADING, SLOW), expires=lease)
    claims.renew(connection, node_key, reported, states=(COMPLETE,), expires=grace)


def _update(connection: Connection, settings: Settings, known: Claim, said: Reported, now: float) -> None:
    if said.state == FAILED:
        fail(connection, settings, known.content_id, known.node, now)
        return
    if said.state == DOWNLOADING:
        if known.state == COMPLETE:  # it repairs its copy
            again = {"state": DOWNLOADING, "created": now}
            claims.change(connection, known.content_id, known.node, again)
    elif known.state != COMPLETE and attestations.exists(connection, known.content_id, known.node):
        values = {"state": COMPLETE, "next_audit": now}
        claims.change(connection, known.content_id, known.node, values)


def _unseen(connection: Connection, settings: Settings, known: Claim, now: float) -> None:
    """The node does not name a claim that we have: it counts no more, and ends soon."""
    if known.state == FAILED or now - known.created < UNSEEN_S:
        return
    soon = min(known.expires, now + settings.lease_s)
    if known.state == COMPLETE:
        claims.change(connection, known.content_id, known.node, {"state": DOWNLOADING, "expires": soon})


def returning(connection: Connection, node: str, reported: Mapping[str, Reported]) -> list[str]:
    """Content ids that a heartbeat names, that may be held, and on which the node has no claim (any more)."""
    named = [c for c, said in reported.items() if said.state != FAILED]
    unclaimed = set(named).difference(claims.content_ids_of(connection, node))
    return datasets.servable_among(connection, sorted(unclaimed)) if unclaimed else []


def take_back(
    connection: Connection, settings: Settings, node_key: str, reported: Sequence[Reported], now: float
) -> None:
    """A node names claims whose leases had run out: it gets back those of which there are not enough."""
    node = nodes.by_key(connection, node_key)
    if node is not None:
        for said in reported:
            _take_back(connection, settings, node, said, now)


def _proven(connection: Connection, content_id: str, besides: str) -> set[str]:
    """Failure domains of other nodes with a copy that has stood an audit."""
    return {
        c.domain
        for c in claims.copies(connection, content_id)
        if c.claim.node != besides and c.claim.state == COMPLETE and c.claim.audited is not None
    }


def enough_proven(connection: Connection, content_id: str, besides: str) -> bool:
    """Whether as many proven copies as are wanted are on other nodes than ``besides``."""
    dataset = datasets.by_content_id(connection, content_id)
    return dataset is None or len(_proven(connection, content_id, besides)) >= dataset.wanted


def _take_back(connection: Connection, settings: Settings, node: Node, said: Reported, now: float) -> None:
    dataset = datasets.by_content_id(connection, said.content_id)
    if dataset is None or not dataset.servable or claims.one(connection, said.content_id, node.node):
        return
    attested = said.state == COMPLETE and attestations.exists(connection, said.content_id, node.node)
    domains = (_proven if attested else _domains)(connection, said.content_id, node.node)
    own = Holder(node.node, node.operator, complete=False).domain
    if own in domains or len(domains) >= dataset.wanted + settings.max_spare_copies:
        return
    state = COMPLETE if attested else DOWNLOADING
    expires = now + (settings.grace_s if attested else settings.lease_s)
    made = _new(said.content_id, node.node, state, said.bytes, now, expires)
    claims.put(connection, made)
    if attested:
        values = {"attested": now, "next_audit": now}
        claims.change(connection, said.content_id, node.node, values)


def fail(connection: Connection, settings: Settings, content_id: str, node: str, now: float) -> None:
    """The copy is bad or given up: it counts no more, and is not offered to that node again for a while."""
    values = {"state": FAILED, "expires": now + settings.grace_s, "next_audit": None, "audited": None}
    claims.change(connection, content_id, node, values)
    audits.end_all(connection, content_id, Outcome.UNKNOWN.value, "the claim has ended", node)


def release(connection: Connection, content_id: str, node: str) -> bool:
    """A node gives a claim back, and its attestation with it; False when it had none."""
    attestations.forget(connection, content_id, node)
    return _end(connection, content_id, node)


def _end(connection: Connection, content_id: str, node: str) -> bool:
    audits.end_all(connection, content_id, Outcome.UNKNOWN.value, "the claim was released", node)
    return claims.remove(connection, content_id, node)


def slow_down(connection: Connection, settings: Settings, now: float) -> list[Claim]:
    """Let claims that are in progress for too long keep nobody else from being asked; which they were."""
    slowed = []
    for one in claims.downloads_since(connection, now - settings.grace_s, settings.slowest_fetch):
        dataset = datasets.by_content_id(connection, one.content_id)
        slow = sum(c.claim.state == SLOW for c in claims.copies(connection, one.content_id))
        # what nobody can fetch must not fill everybody's pledge
        if dataset is not None and slow < SLOW_PER_COPY * dataset.wanted:
            claims.change(connection, one.content_id, one.node, {"state": SLOW})
            slowed.append(one)
    return slowed


def expire(connection: Connection, now: float) -> list[Claim]:
    """End all claims whose lease is over; which they were."""
    ended = claims.expired(connection, now)
    for one in ended:
        _end(connection, one.content_id, one.node)
    return ended
