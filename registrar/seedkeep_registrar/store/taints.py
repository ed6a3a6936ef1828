"""Taints: proposed, standing, lifted; what they hit; the published lists; receipts of removal."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, insert, or_, select, update

from seedkeep.core.statements import Removal
from seedkeep.core.taints.body import Order, Subject, SubjectKind, usual_effect
from seedkeep.core.taints.entry import Entry, encode_list
from seedkeep_registrar.store import datasets, events
from seedkeep_registrar.store.tables import (
    approvals,
    files,
    records,
    removals,
    taint_lists,
    tainted_records,
    taints,
)

PROPOSED = "proposed"
STANDING = "standing"
LIFTED = "lifted"
_LISTS_KEPT = 16
_ROOTS_AT_ONCE = 500
_STANDING_ON_SUBJECT = (
    select(taints)
    .where(
        taints.c.kind == bindparam("kind"), taints.c.value == bindparam("value"), taints.c.state == STANDING
    )
    .limit(1)
)
_STANDING_ON_RECORD = (
    select(taints)
    .join(tainted_records, tainted_records.c.taint == taints.c.id)
    .where(tainted_records.c.rid == bindparam("rid"))
    .order_by(taints.c.effective, taints.c.id)
)
#: those on files are compared with the manifest's afterwards
_MAY_HIT_NEW_RECORD = (
    select(taints)
    .where(
        taints.c.state == STANDING,
        or_(
            taints.c.kind == SubjectKind.ROOT.value,
            and_(taints.c.kind == SubjectKind.CONTENT.value, taints.c.value == bindparam("content_id")),
            and_(taints.c.kind == SubjectKind.RECORD.value, taints.c.value == bindparam("rid")),
        ),
    )
    .order_by(taints.c.effective, taints.c.id)
)


@dataclass(frozen=True, slots=True)
class Taint:
    """One taint.

    Args:
        id: hash of the first curator's event.
        created: when it was proposed; ``effective``: when enough curators had agreed (or "").
        version: of the list in which it first stood; 0 before.
        lifted: hash of the lift event, or "".
    """

    id: str
    subject: Subject
    category: str
    reason: str
    state: str
    created: str
    effective: str
    version: int
    lifted: str


def _taint(row: Row[tuple[object, ...]]) -> Taint:
    return Taint(
        row.id,
        Subject(SubjectKind(row.kind), row.value),
        row.category,
        row.reason,
        row.state,
        row.created,
        row.effective,
        row.version,
        row.lifted,
    )


def by_id(connection: Connection, taint_id: str) -> Taint | None:
    """One taint."""
    row = connection.execute(select(taints).where(taints.c.id == taint_id)).first()
    return _taint(row) if row else None


def newest(connection: Connection, last: tuple[str, str] | None, limit: int | None) -> list[Taint]:
    """Taints, newest first.

    Args:
        last: when the last taint of the page before was proposed, and its id.
        limit: how many at most.
    """
    query = select(taints).order_by(taints.c.created.desc(), taints.c.id).limit(limit)
    if last is not None:
        created, taint_id = last
        query = query.where(
            or_(taints.c.created < created, and_(taints.c.created == created, taints.c.id > taint_id))
        )
    return [_taint(row) for row in connection.execute(query)]


def on_subject(connection: Connection, subject: Subject) -> Taint | None:
    """The taint proposed or standing on exactly this subject."""
    row = connection.execute(
        select(taints)
        .where(
            taints.c.kind == subject.kind.value,
            taints.c.value == subject.value,
            taints.c.state.in_((PROPOSED, STANDING)),
        )
        .limit(1)
    ).first()
    return _taint(row) if row else None


def of_event(connection: Connection, event_hash: str) -> Taint | None:
    """The taint that a curator's event proposed or approved."""
    row = connection.execute(
        select(taints)
        .join(approvals, approvals.c.taint == taints.c.id)
        .where(approvals.c.event == event_hash)
    ).first()
    return _taint(row) if row else None


def propose(connection: Connection, taint: Taint) -> None:
    """Insert a taint that does not stand yet."""
    connection.execute(
        insert(taints).values(
            id=taint.id,
            kind=taint.subject.kind.value,
            value=taint.subject.value,
            category=taint.category,
            reason=taint.reason,
            state=PROPOSED,
            created=taint.created,
            effective="",
            version=0,
            lifted="",
        )
    )


def approve(connection: Connection, taint_id: str, curator: str, event_hash: str) -> None:
    """Add a curator's agreement."""
    count = len(approvers(connection, taint_id))
    connection.execute(
        insert(approvals).values(taint=taint_id, curator=curator, event=event_hash, number=count)
    )


def approvers(connection: Connection, taint_id: str) -> tuple[str, ...]:
    """The curators who agreed, in that order."""
    rows = connection.execute(
        select(approvals.c.curator).where(approvals.c.taint == taint_id).order_by(approvals.c.number)
    )
    return tuple(rows.scalars())


def hit(connection: Connection, subject: Subject) -> list[tuple[str, str]]:
    """The records (rid, content id) that a taint on ``subject`` forbids."""
    query = select(records.c.rid, records.c.content_id)
    if subject.kind is SubjectKind.ROOT:
        tainted = select(files.c.manifest_id).where(files.c.root == bytes.fromhex(subject.value))
        query = query.where(records.c.manifest_id.in_(tainted))
    elif subject.kind is SubjectKind.CONTENT:
        query = query.where(records.c.content_id == subject.value)
    else:
        query = query.where(records.c.rid == subject.value)
    return [(row.rid, row.content_id) for row in connection.execute(query)]


def stand(connection: Connection, taint_id: str, *, effective: str) -> list[str]:
    """Put a taint into force: a new list version, its records marked.

    Returns:
        The content ids that it hits.
    """
    head = events.lock(connection)
    version = head.taint_version + 1
    connection.execute(
        update(taints)
        .where(taints.c.id == taint_id)
        .values(state=STANDING, effective=effective, version=version)
    )
    taint = by_id(connection, taint_id)
    assert taint is not None
    found = hit(connection, taint.subject)
    if found:
        connection.execute(insert(tainted_records), [{"taint": taint_id, "rid": rid} for rid, _ in found])
    content_ids = sorted({content_id for _, content_id in found})
    datasets.update_servable(connection, content_ids)
    _publish(connection, version)
    return content_ids


def lift(connection: Connection, taint_id: str, lift_hash: str) -> list[str]:
    """Lift a taint, or withdraw one that was only proposed.

    Returns:
        The content ids that it had hit.
    """
    taint = by_id(connection, taint_id)
    assert taint is not None
    connection.execute(update(taints).where(taints.c.id == taint_id).values(state=LIFTED, lifted=lift_hash))
    if taint.state != STANDING:
        return []
    content_ids = sorted({content_id for _, content_id in _marked(connection, taint_id)})
    connection.execute(delete(tainted_records).where(tainted_records.c.taint == taint_id))
    datasets.update_servable(connection, content_ids)
    _publish(connection, events.lock(connection).taint_version + 1)
    return content_ids


def _marked(connection: Connection, taint_id: str) -> list[tuple[str, str]]:
    rows = connection.execute(
        select(records.c.rid, records.c.content_id)
        .join(tainted_records, tainted_records.c.rid == records.c.rid)
        .where(tainted_records.c.taint == taint_id)
    )
    return [(row.rid, row.content_id) for row in rows]


def all_approvers(connection: Connection) -> dict[str, list[str]]:
    """The curators who agreed, in that order, by taint."""
    agreed: dict[str, list[str]] = {}
    for row in connection.execute(
        select(approvals.c.taint, approvals.c.curator).order_by(approvals.c.taint, approvals.c.number)
    ):
        agreed.setdefault(row.taint, []).append(row.curator)
    return agreed


def entries(connection: Connection) -> list[Entry]:
    """What the list says: every taint that ever stood."""
    rows = connection.execute(select(taints).where(taints.c.version > 0)).all()
    agreed = all_approvers(connection)
    return [
        Entry(
            t.id,
            Order(t.subject, t.category, t.reason, usual_effect(t.category)),
            t.effective,
            tuple(agreed.get(t.id, [])),
            t.lifted,
        )
        for t in map(_taint, rows)
    ]


def _publish(connection: Connection, version: int) -> None:
    data = encode_list(entries(connection))
    sha256 = hashlib.sha256(data).hexdigest()
    connection.execute(insert(taint_lists).values(sha256=sha256, version=version, list=data))
    connection.execute(delete(taint_lists).where(taint_lists.c.version <= version - _LISTS_KEPT))
    events.set_taint_list(connection, version, sha256)


def published(connection: Connection, sha256: str) -> bytes | None:
    """A published list by its digest; the last sixteen are kept, and the empty one of the beginning."""
    if sha256 == events.EMPTY_LIST:
        return b""
    found: bytes | None = connection.execute(
        select(taint_lists.c.list).where(taint_lists.c.sha256 == sha256)
    ).scalar_one_or_none()
    return found


def standing_on_record(connection: Connection, rid: str) -> list[Taint]:
    """The taints in force on a record, its content or its files, oldest first."""
    return [_taint(row) for row in connection.execute(_STANDING_ON_RECORD, {"rid": rid})]


def standing_on_new_record(
    connection: Connection, rid: str, content_id: str, manifest_id: int
) -> list[Taint]:
    """The taints in force on a record to be made: on its rid, its content or a file of its indexed manifest,
    oldest first."""
    may_hit = connection.execute(_MAY_HIT_NEW_RECORD, {"content_id": content_id, "rid": rid})
    found = list(map(_taint, may_hit))
    roots = [t.subject.value for t in found if t.subject.kind is SubjectKind.ROOT]
    there = _roots_in(connection, manifest_id, roots)
    return [t for t in found if t.subject.kind is not SubjectKind.ROOT or t.subject.value in there]


def _roots_in(connection: Connection, manifest_id: int, roots: list[str]) -> set[str]:
    """Which of these pieces roots a file of the manifest has."""
    there: set[str] = set()
    for at in range(0, len(roots), _ROOTS_AT_ONCE):
        wanted = [bytes.fromhex(root) for root in roots[at : at + _ROOTS_AT_ONCE]]
        query = select(files.c.root).where(files.c.manifest_id == manifest_id, files.c.root.in_(wanted))
        there |= {root.hex() for root in connection.execute(query.distinct()).scalars() if root}
    return there


def standing_on_subject(connection: Connection, subject: Subject) -> Taint | None:
    """The taint in force on exactly this subject."""
    named = {"kind": subject.kind.value, "value": subject.value}
    row = connection.execute(_STANDING_ON_SUBJECT, named).first()
    return _taint(row) if row else None


def put_removal(connection: Connection, removal: Removal, document: dict[str, Any]) -> None:
    """Keep a node's receipt; the last one of the same removal wins.

    Args:
        document: as the node signed it.
    """
    same = and_(
        removals.c.taint == removal.taint,
        removals.c.content_id == removal.content_id,
        removals.c.node == removal.node,
    )
    connection.execute(delete(removals).where(same))
    connection.execute(
        insert(removals).values(
            taint=removal.taint,
            content_id=removal.content_id,
            node=removal.node,
            bytes=removal.bytes,
            at=removal.at,
            document=document,
        )
    )


def obeyed(connection: Connection) -> dict[str, int]:
    """How many nodes returned a receipt, by taint."""
    rows = connection.execute(
        select(removals.c.taint, func.count(removals.c.node.distinct())).group_by(removals.c.taint)
    )
    return {taint: int(count) for taint, count in rows}
