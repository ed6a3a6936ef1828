"""Proof of possession over time: when a copy is audited, what an answer or a silence leads to.

The rules of one challenge are in :mod:`seedkeep.core.audit`. Around it:

* the first audit follows the attestation at once, then one every ``audit_interval_s``, at a random moment;
* wrong bytes, or ``missing``, fail the claim at once: the dataset is offered elsewhere;
* a late answer of a node that is there is *contained*: the node is asked again soon, and fails the third
  time in a row; the silence of a node that is not there is *offline*: it weighs a third of that, so that
  nobody escapes by falling silent whenever a challenge has come;
* of files that taints withhold nothing is asked, and a node that had to give them up meanwhile says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from seedkeep.core.audit import LEAVES, LeafAt, Opening, Outcome, draw_numbers, draw_opened, judge
from seedkeep.core.errors import Conflict, NotFound, Refused
from seedkeep_registrar.replication import leases
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import (
    attestations,
    audits,
    claims,
    datasets,
    files,
    nodes,
    records,
    taint_marks,
)
from seedkeep_registrar.store.audits import ASKED, COMMITTED, DONE, Audit

#: how much an audit without an answer weighs, and the weight in a row that fails a claim
WEIGHTS = {Outcome.CONTAINED: 3, Outcome.OFFLINE: 1}
PATIENCE = 9
#: challenges handed out with one heartbeat
AT_ONCE = 4
REFUSALS = ("tainted", "withheld", "missing", "busy")

Random = Callable[[int], bytes]


def _later(settings: Settings, now: float, random: Random) -> float:
    """Between half and one and a half intervals from now, so that no node knows when."""
    share = int.from_bytes(random(4), "big") / 2**32
    return now + settings.audit_interval_s * (0.5 + share)


def hand_out(
    connection: Connection, settings: Settings, node: str, now: float, random: Random
) -> list[Audit]:
    """Draw challenges for the copies of a node that are due, and start their first round."""
    handed = []
    for claim in claims.due_audits(connection, node, now, limit=AT_ONCE):
        known = records.servable(connection, claim.content_id)
        if not known or audits.running(connection, claim.content_id, node):
            soon = {"next_audit": now + settings.audit_deadline_s}
            claims.change(connection, claim.content_id, node, soon)
            continue
        manifest_id = known[0].manifest_id
        withheld = files.leaves_with(connection, manifest_id, _withheld_roots(connection, claim.content_id))
        total = files.leaf_count(connection, manifest_id) - sum(map(len, withheld))
        numbers = [_beside(withheld, n) for n in draw_numbers(random(32), total, LEAVES)]
        leaves = [LeafAt(*files.at_leaf(connection, manifest_id, n)) for n in numbers]
        audit_id = random(16).hex()
        audits.add(
            connection,
            audit_id=audit_id,
            content_id=claim.content_id,
            node=node,
            nonce=random(32).hex(),
            leaves=leaves,
            now=now,
            deadline=now + settings.audit_deadline_s,
        )
        claims.change(connection, claim.content_id, node, {"next_audit": _later(settings, now, random)})
        made = audits.by_id(connection, audit_id)
        assert made is not None
        handed.append(made)
    return handed


def _withheld_roots(connection: Connection, content_id: str) -> set[str]:
    """Pieces roots of the files of a dataset that taints withhold, by whichever of its records."""
    known = records.servable(connection, content_id)
    return taint_marks.withheld_roots(t for r in known for t in taint_marks.notes(connection, r.rid))


def _beside(withheld: Sequence[range], number: int) -> int:
    """The leaf that is number ``number`` when those that are withheld are not counted."""
    for leaves in withheld:
        if number < leaves.start:
            break
        number += len(leaves)
    return number


def _own(connection: Connection, audit_id: str, node: str) -> Audit:
    audit = audits.by_id(connection, audit_id)
    if audit is None:
        raise NotFound("there is no such audit")
    if audit.node != node:
        raise Refused("this audit is for another storage manager")
    return audit


def _in_time(audit: Audit, now: float) -> None:
    if audit.state == DONE:
        raise Conflict(f"this audit has ended ({audit.outcome})")
    if now > audit.deadline:
        raise Conflict("this answer came too late", hint="Another audit will follow.")


def commit(
    connection: Connection,
    settings: Settings,
    audit_id: str,
    node: str,
    commitments: Sequence[str],
    now: float,
    random: Random,
) -> tuple[LeafAt, ...]:
    """Round one is answered; the leaves to be opened come back (the same ones for the same answer).

    Raises:
        NotFound, Refused: not an audit of this node.
        Conflict: it has ended, is too late, or other commitments came before.
    """
    audit = _own(connection, audit_id, node)
    _in_time(audit, now)
    if audit.state == COMMITTED:
        if tuple(commitments) != audit.commitments:
            raise Conflict("other commitments came before these")
        return audit.opened
    opened = tuple(draw_opened(audit.leaves, random(32)))
    deadline = now + settings.audit_deadline_s
    audits.committed(connection, audit_id, commitments, opened, deadline=deadline)
    return opened


def refuse(
    connection: Connection, settings: Settings, audit_id: str, node: str, why: str, now: float
) -> Outcome:
    """A node refuses: ``tainted``, ``withheld`` (files of it are), ``missing`` or ``busy``.

    Raises:
        NotFound, Refused, Conflict: as for :func:`commit`.
    """
    audit = _own(connection, audit_id, node)
    _in_time(audit, now)
    if why == "busy":
        return _silent(connection, settings, audit, now, Outcome.CONTAINED, "the node was busy")
    if why == "missing":
        return _failed(connection, settings, audit, now, "the node says that it does not have the bytes")
    if why == "withheld" and _withheld_roots(connection, audit.content_id):
        audits.end(connection, audit_id, Outcome.UNKNOWN.value, "files are withheld since it was asked")
        soon = {"next_audit": now + settings.heartbeat_s}
        claims.change(connection, audit.content_id, node, soon)
        return Outcome.UNKNOWN
    dataset = datasets.by_content_id(connection, audit.content_id)
    here = dataset is not None and not dataset.servable
    if here and taint_marks.kept_among(connection, [audit.content_id], now):
        audits.end(connection, audit_id, Outcome.UNKNOWN.value, "tainted, and to be kept")
        return Outcome.UNKNOWN
    audits.end(
        connection, audit_id, Outcome.UNKNOWN.value, "tainted" if here else "tainted elsewhere, says the node"
    )
    leases.fail(connection, settings, audit.content_id, node, now)
    return Outcome.UNKNOWN


def opened(
    connection: Connection,
    settings: Settings,
    audit_id: str,
    node: str,
    openings: Sequence[Opening],
    now: float,
) -> tuple[Outcome, str]:
    """Round two is answered: the verdict, and in words what was wrong.

    Raises:
        NotFound, Refused, Conflict: as for :func:`commit`.
    """
    audit = _own(connection, audit_id, node)
    _in_time(audit, now)
    if audit.state == ASKED:
        raise Conflict("the commitments of this audit have not come yet")
    known = records.by_content_id(connection, audit.content_id)
    entries = files.by_number(connection, known[0].manifest_id, [at.file for at in audit.opened])
    commitments = dict(zip(audit.leaves, audit.commitments, strict=True))
    outcome, detail = judge(
        entries,
        nonce=bytes.fromhex(audit.nonce),
        commitments=commitments,
        asked=audit.opened,
        openings=openings,
    )
    if outcome is not Outcome.SUCCESS:
        return _failed(connection, settings, audit, now, detail), detail
    audits.end(connection, audit_id, outcome.value, "")
    claims.change(connection, audit.content_id, node, {"audited": now, "silences": 0})
    return outcome, detail


def _failed(connection: Connection, settings: Settings, audit: Audit, now: float, detail: str) -> Outcome:
    """The node does not have the right bytes: what it has attested is void."""
    attestations.forget(connection, audit.content_id, audit.node)
    return _given_up(connection, settings, audit, now, detail)


def _given_up(connection: Connection, settings: Settings, audit: Audit, now: float, detail: str) -> Outcome:
    audits.end(connection, audit.id, Outcome.FAILURE.value, detail)
    leases.fail(connection, settings, audit.content_id, audit.node, now)
    return Outcome.FAILURE


def _silent(
    connection: Connection, settings: Settings, audit: Audit, now: float, outcome: Outcome, detail: str
) -> Outcome:
    claim = claims.one(connection, audit.content_id, audit.node)
    silences = (claim.silences if claim else 0) + WEIGHTS[outcome]
    if silences >= PATIENCE:
        return _given_up(connection, settings, audit, now, "too many audits in a row without an answer")
    audits.end(connection, audit.id, outcome.value, detail)
    claims.change(
        connection,
        audit.content_id,
        audit.node,
        {"silences": silences, "next_audit": now + settings.heartbeat_s},
    )
    return outcome


def end_overdue(connection: Connection, settings: Settings, now: float) -> list[tuple[Audit, Outcome]]:
    """End the audits whose deadline is over."""
    ended = []
    for audit in audits.overdue(connection, now):
        node = nodes.by_key(connection, audit.node)
        there = node is not None and node.last_seen > audit.created
        outcome = Outcome.CONTAINED if there else Outcome.OFFLINE
        detail = "no answer in time"
        ended.append((audit, _silent(connection, settings, audit, now, outcome, detail)))
    return ended
