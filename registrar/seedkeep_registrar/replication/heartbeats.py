"""Heartbeats: what a node reports is written down, and what there is for it is answered.

With ``wait`` an answer that would say nothing new is held back until there is something: the node waits in
:class:`Wakeups`, and is woken by registrations, taints, ended claims and wishes for companions. An offer,
release or challenge that was told in the answer before does not count as new, so that a node that declines
it (or takes its time) does not ask in a circle; it is repeated when the wait is over. What is told to a
heartbeat that the node has given up for a newer one does not count as told.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from seedkeep_registrar import times
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.replication import auditing, leases, offers
from seedkeep_registrar.replication.leases import Reported
from seedkeep_registrar.store import audits, claims, peers, taint_heads, taint_marks
from seedkeep_registrar.store.audits import Audit
from seedkeep_registrar.store.claims import COMPLETE, FAILED, Claim
from seedkeep_registrar.store.datasets import Dataset

MAX_WAIT_S = 60.0
#: taint heads of other registrars in one answer
MOST_HEADS = 64
#: how often a waiting node's state is looked at, however much happens
LOOK_AGAIN_S = 0.5
#: leases given back in one transaction, so that a node with very many holds nobody up
_TAKEN_BACK_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Report:
    """One heartbeat, checked.

    Args:
        seen: columns of the node's row.
        claims: by content id.
        taint_version: of the newest list the node has, or None.
        companions: content ids whose companion is loaded.
    """

    seen: Mapping[str, Any]
    claims: Mapping[str, Reported]
    taint_version: int | None
    companions: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Plan:
    taint_head: str
    taint_heads: tuple[str, ...]
    held: tuple[Claim, ...]
    offers: tuple[tuple[Dataset, str], ...]
    unanswered: tuple[Audit, ...]
    audits_due: bool
    next_audit: float | None


async def beat(registrar: Registrar, node: str, report: Report, *, wait: float) -> dict[str, Any]:
    """Take a heartbeat in and give its answer.

    Args:
        wait: seconds it may be held back; at most 60.

    Raises:
        NotFound: the node has not introduced itself.
    """
    loop, wakeups, settings = asyncio.get_running_loop(), registrar.wakeups, registrar.settings
    until = loop.time() + min(max(wait, 0.0), MAX_WAIT_S)
    with wakeups.waiting(node) as woken:
        returning = await registrar.db.read(leases.returning, node, report.claims)
        for at in range(0, len(returning), _TAKEN_BACK_AT_ONCE):
            some = [report.claims[c] for c in returning[at : at + _TAKEN_BACK_AT_ONCE]]
            await registrar.db.write(leases.take_back, settings, node, some, registrar.clock())
        await registrar.db.write(leases.report, settings, node, report.seen, report.claims, registrar.clock())
        while True:
            woken.clear()
            looked = loop.time()
            plan = await registrar.db.read(_plan, registrar, node, report)
            challenges = list(plan.unanswered)
            if plan.audits_due and wakeups.is_newest(node, woken):
                challenges += await registrar.db.write(
                    auditing.hand_out, settings, node, registrar.clock(), registrar.random
                )
            companions = wakeups.companions()
            answer, items = await asyncio.to_thread(_answer, registrar, report, plan, challenges, companions)
            left = until - loop.time()
            behind = report.taint_version is None or report.taint_version < registrar.taint_head.version
            if not wakeups.is_newest(node, woken):
                return answer
            if behind or wakeups.news(node, items) or left <= 0 or wakeups.closing:
                wakeups.tell(node, items)
                return answer
            if plan.next_audit is not None:
                left = min(left, max(0.1, plan.next_audit - registrar.clock()))
            await _wait(woken, left)
            # the first news is told at once, a flood of them in one go
            await asyncio.sleep(min(until, looked + LOOK_AGAIN_S) - loop.time())


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _plan(connection: Connection, registrar: Registrar, node_key: str, report: Report) -> _Plan:
    node = leases.known_node(connection, node_key)
    forbidden = claims.forbidden(connection, node_key)
    forbidden -= taint_marks.kept_among(connection, forbidden, registrar.clock())
    held = tuple(
        c
        for c in claims.of_node(connection, node_key)
        if c.content_id not in forbidden and (c.state != FAILED or _spared(connection, c, report))
    )
    next_audit = claims.next_audit(connection, node_key)
    return _Plan(
        taint_heads.current(connection),
        tuple(peers.taint_notes(connection)[:MOST_HEADS]),
        held,
        tuple(offers.for_node(connection, registrar.settings, node)),
        tuple(audits.unanswered(connection, node_key, registrar.clock())),
        next_audit is not None and next_audit <= registrar.clock(),
        next_audit,
    )


def _spared(connection: Connection, claim: Claim, report: Report) -> bool:
    """Whether a node is to keep a copy that failed: it may be bad in one place only, and the last one."""
    said = report.claims.get(claim.content_id)
    return (
        said is not None
        and said.state != FAILED
        and not leases.enough_proven(connection, claim.content_id, claim.node)
    )


def _answer(
    registrar: Registrar, report: Report, plan: _Plan, challenges: list[Audit], wanted: set[str]
) -> tuple[dict[str, Any], frozenset[str]]:
    """The answer, and the names of what would be news in it."""
    held = {c.content_id: c for c in plan.held}
    release = sorted(report.claims.keys() - held.keys())
    complete = {c.content_id for c in plan.held if c.state == COMPLETE}
    companions = sorted((wanted & complete) - report.companions)
    answer = {
        "now": times.text(registrar.clock()),
        "taint_head": plan.taint_head,
        "taint_heads": list(plan.taint_heads),
        "offers": [
            {"content_id": d.content_id, "rid": rid, "bytes": d.bytes, "files": d.files}
            for d, rid in plan.offers
        ],
        "leases": [
            {"content_id": c, "expires": times.text(held[c].expires)}
            for c in sorted(report.claims)
            if c in held
        ],
        "release": release,
        "challenges": [
            {
                "id": a.id,
                "content_id": a.content_id,
                "nonce": a.nonce,
                "leaves": [[at.file, at.leaf] for at in a.leaves],
                "deadline_s": registrar.settings.audit_deadline_s,
            }
            for a in challenges
        ],
        "companions": companions,
    }
    items = [f"offer {d.content_id}" for d, _ in plan.offers]
    if release:  # one name for all of them: a node may name any number
        items.append(f"release {hashlib.sha256(''.join(release).encode()).hexdigest()}")
    items += [f"companion {c}" for c in companions]
    items += [f"taints {' '.join(note.split(chr(10))[1:5:3])}" for note in plan.taint_heads]
    items += [f"challenge {a.id}" for a in challenges]
    return answer, frozenset(items)
