"""Taints: proposed, standing, ended; the published lists; receipts of removal. What they hit: taint_marks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, exists, insert, or_, select, update

from seedkeep.core.errors import Refused
from seedkeep.core.events import Event
from seedkeep.core.statements import Removal
from seedkeep.core.taints.body import Effect, LiftBody, Order, Subject, SubjectKind
from seedkeep.core.taints.entry import LIFT_BYTES, MAX_LIST_BYTES, Entry, encode_list
from seedkeep_registrar.store import events
from seedkeep_registrar.store.tables import (
    approvals,
    files,
    log,
    removals,
    taint_lists,
    tainted_records,
    taints,
)
from seedkeep_registrar.store.tables import events as event_rows
from seedkeep_registrar.store.taint_tables import taint_notes

PROPOSED = "proposed"
STANDING = "standing"
LIFTED = "lifted"
EXPIRED = "expired"
#: how a taint came to bind, or not: it is this registrar's own; of another that is followed as binding, for
#: advice, or for drafts; for advice, and enough agree; as binding, but of a flood that waits for an operator
OWN, BINDING, ADVISORY, DRAFT, AGREED, HELD = "own", "binding", "advisory", "draft", "agreed", "held"
#: those that bind on every record here; the others bind on the records of the authority's own
BINDS = (OWN, BINDING, AGREED)
_LISTS_KEPT = 16
_ROOTS_AT_ONCE = 500
_ORDER = ("category", "reason", "basis", "jurisdiction", "evidence", "appeal", "expires")
_OURS = taints.c.authority == ""
_MARKS = or_(
    exists().where(tainted_records.c.taint == taints.c.id),
    exists().where(taint_notes.c.taint == taints.c.id),
)
#: a taint binds on new records of this registrar: as on all, or because it does on some record here, which is
#: not to come back under another name
_BINDS_HERE = or_(taints.c.way.in_(BINDS), _MARKS)
_STANDING_ON_SUBJECT = (
    select(taints)
    .where(
        taints.c.kind == bindparam("kind"),
        taints.c.value == bindparam("value"),
        taints.c.state == STANDING,
        taints.c.effect != Effect.WARN.value,
        _BINDS_HERE,
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
_BIND_NEW_RECORD = _MAY_HIT_NEW_RECORD.where(
    or_(
        taints.c.way.in_(BINDS),
        taints.c.authority == bindparam("home"),
        and_(select(log.c.origin).scalar_subquery() == bindparam("home"), _MARKS),
    )
)
_ADVISE_NEW_RECORD = _MAY_HIT_NEW_RECORD.where(
    taints.c.way.not_in(BINDS), taints.c.authority != bindparam("home")
)


@dataclass(frozen=True, slots=True)
class Taint:
    """One taint.

    Args:
        id: hash of the first curator's event.
        created: when it was proposed; ``effective``: when enough curators had agreed (or "").
        version: of the list in which it first stood; 0 before.
        lifted: hash of the lift event, or "".
        authority: origin of the registrar whose it is, "" for this one.
        entry: its id there.
        way: why it binds, or not: see :data:`OWN`.
    """

    id: str
    order: Order
    state: str
    created: str
    effective: str
    version: int
    lifted: str
    authority: str = ""
    entry: str = ""
    way: str = OWN

    @property
    def name(self) -> str:
        """Its id, as everybody knows it."""
        return self.entry or self.id

    def binds_on(self, home: str) -> bool:
        """Whether it binds on the records of this home."""
        return self.way in BINDS or self.authority == home


def taint_of(row: Row[tuple[object, ...]]) -> Taint:
    """A row of the table."""
    said = {name: getattr(row, name) for name in _ORDER}
    order = Order(subject=Subject(SubjectKind(row.kind), row.value), effect=Effect(row.effect), **said)
    whose = (row.authority, row.entry, row.way)
    return Taint(row.id, order, row.state, row.created, row.effective, row.version, row.lifted, *whose)


def by_id(connection: Connection, taint_id: str) -> Taint | None:
    """One taint of this registrar."""
    row = connection.execute(select(taints).where(taints.c.id == taint_id, _OURS)).first()
    return taint_of(row) if row else None


def named(connection: Connection, name: str) -> list[Taint]:
    """This registrar's taint of this id, and those that others name so."""
    query = select(taints).where(or_(and_(taints.c.id == name, _OURS), taints.c.entry == name))
    return [taint_of(row) for row in connection.execute(query)]


def newest(connection: Connection, last: tuple[str, str] | None, limit: int | None) -> list[Taint]:
    """Taints of this registrar, newest first.

    Args:
        last: when the last taint of the page before was proposed, and its id.
        limit: how many at most.
    """
    query = select(taints).where(_OURS).order_by(taints.c.created.desc(), taints.c.id).limit(limit)
    if last is not None:
        created, taint_id = last
        query = query.where(
            or_(taints.c.created < created, and_(taints.c.created == created, taints.c.id > taint_id))
        )
    return [taint_of(row) for row in connection.execute(query)]


def of_subject(connection: Connection, subject: Subject) -> list[Taint]:
    """All taints ever proposed here on exactly this subject, oldest first."""
    rows = connection.execute(
        select(taints)
        .where(taints.c.kind == subject.kind.value, taints.c.value == subject.value, _OURS)
        .order_by(taints.c.created, taints.c.id)
    )
    return [taint_of(row) for row in rows]


def proposed_by(connection: Connection, approvers: Iterable[str]) -> list[Taint]:
    """Taints that are proposed or stand, of which one of these was the first to agree."""
    rows = connection.execute(
        select(taints)
        .join(approvals, approvals.c.taint == taints.c.id)
        .where(
            approvals.c.number == 0,
            approvals.c.curator.in_(list(approvers)),
            taints.c.state.in_((PROPOSED, STANDING)),
        )
    )
    return [taint_of(row) for row in rows]


def of_event(connection: Connection, event_hash: str) -> Taint | None:
    """The taint that a curator's event proposed or approved."""
    row = connection.execute(
        select(taints)
        .join(approvals, approvals.c.taint == taints.c.id)
        .where(approvals.c.event == event_hash)
    ).first()
    return taint_of(row) if row else None


def propose(connection: Connection, taint: Taint) -> None:
    """Insert a taint that does not stand yet."""
    put(connection, taint)


def put(connection: Connection, taint: Taint) -> None:
    """Insert a taint as it is."""
    order = taint.order
    connection.execute(
        insert(taints).values(
            id=taint.id,
            kind=order.subject.kind.value,
            value=order.subject.value,
            effect=order.effect.value,
            state=taint.state,
            created=taint.created,
            effective=taint.effective,
            version=taint.version,
            lifted=taint.lifted,
            authority=taint.authority,
            entry=taint.entry,
            way=taint.way,
            **{name: getattr(order, name) for name in _ORDER},
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


def stand(connection: Connection, taint_id: str, *, effective: str) -> Taint:
    """Put a taint into force: a new version of the list has it.

    Raises:
        Refused: the list is full.
    """
    version = events.lock(connection).taint_version + 1
    connection.execute(
        update(taints)
        .where(taints.c.id == taint_id)
        .values(state=STANDING, effective=effective, version=version)
    )
    _publish(connection, version)
    taint = by_id(connection, taint_id)
    assert taint is not None
    return taint


def lift(connection: Connection, taint: Taint, lift_hash: str) -> None:
    """Lift a taint, or withdraw one that was only proposed."""
    changed = update(taints).where(taints.c.id == taint.id).values(state=LIFTED, lifted=lift_hash)
    connection.execute(changed)
    if taint.version:
        _publish(connection, events.lock(connection).taint_version + 1)


def ended(connection: Connection, now: str, *, limit: int = 200) -> list[Taint]:
    """Taints whose time is over and that are still in the state before.

    Args:
        now: as printed.
    """
    rows = connection.execute(
        select(taints)
        .where(taints.c.state.in_((PROPOSED, STANDING)), taints.c.expires != "", taints.c.expires <= now)
        .limit(limit)
    )
    return [taint_of(row) for row in rows]


def expire(connection: Connection, taint: Taint) -> None:
    """Write down that its time is over; the list says so already."""
    connection.execute(update(taints).where(taints.c.id == taint.id).values(state=EXPIRED))


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
        Entry(t.id, t.order, t.effective, tuple(agreed.get(t.id, [])), t.lifted) for t in map(taint_of, rows)
    ]


def _publish(connection: Connection, version: int) -> None:
    every = entries(connection)
    data = encode_list(every)
    # a list that clients must refuse would hide all that comes after; there is always room for every lift
    if len(data) + LIFT_BYTES * sum(not e.lifted for e in every) > MAX_LIST_BYTES:
        raise Refused("the list of taints is full", hint="Ask the registrar's operator.")
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
    """The taints that withhold a record, oldest first: on it, its content, or all its files."""
    return [taint_of(row) for row in connection.execute(_STANDING_ON_RECORD, {"rid": rid})]


def standing_on_new_record(
    connection: Connection, rid: str, content_id: str, manifest_id: int, home: str
) -> list[Taint]:
    """The taints that bind on a record to be made, warnings too: on its rid, its content or a file of its
    indexed manifest, oldest first.

    Args:
        home: origin of the registrar it belongs to.
    """
    named = {"content_id": content_id, "rid": rid, "home": home}
    return _with_files(connection, manifest_id, connection.execute(_BIND_NEW_RECORD, named))


def advice_on_new_record(
    connection: Connection, rid: str, content_id: str, manifest_id: int, home: str
) -> list[Taint]:
    """What other registrars have ordered about it that does not bind, likewise."""
    named = {"content_id": content_id, "rid": rid, "home": home}
    return _with_files(connection, manifest_id, connection.execute(_ADVISE_NEW_RECORD, named))


def _with_files(connection: Connection, manifest_id: int, rows: Iterable[Row[Any]]) -> list[Taint]:
    """Without those on files that are not in the manifest."""
    found = list(map(taint_of, rows))
    roots = [t.order.subject.value for t in found if t.order.subject.kind is SubjectKind.ROOT]
    there = _roots_in(connection, manifest_id, roots)
    return [
        t for t in found if t.order.subject.kind is not SubjectKind.ROOT or t.order.subject.value in there
    ]


def _roots_in(connection: Connection, manifest_id: int, roots: list[str]) -> set[str]:
    """Which of these pieces roots a file of the manifest has."""
    there: set[str] = set()
    for at in range(0, len(roots), _ROOTS_AT_ONCE):
        wanted = [bytes.fromhex(root) for root in roots[at : at + _ROOTS_AT_ONCE]]
        query = select(files.c.root).where(files.c.manifest_id == manifest_id, files.c.root.in_(wanted))
        there |= {root.hex() for root in connection.execute(query.distinct()).scalars() if root}
    return there


def standing_on_subject(connection: Connection, subject: Subject) -> Taint | None:
    """A taint in force that forbids exactly this subject."""
    named = {"kind": subject.kind.value, "value": subject.value}
    row = connection.execute(_STANDING_ON_SUBJECT, named).first()
    return taint_of(row) if row else None


def put_removal(connection: Connection, taint: Taint, removal: Removal, document: dict[str, Any]) -> None:
    """Keep a node's receipt; the last one of the same action wins.

    Args:
        document: as the node signed it.
    """
    same = and_(
        removals.c.taint == taint.id,
        removals.c.content_id == removal.content_id,
        removals.c.node == removal.node,
        removals.c.action == removal.action.value,
    )
    connection.execute(delete(removals).where(same))
    connection.execute(
        insert(removals).values(
            taint=taint.id,
            content_id=removal.content_id,
            node=removal.node,
            action=removal.action.value,
            bytes=removal.bytes,
            at=removal.at,
            document=document,
        )
    )


def why_lifted(connection: Connection, taint: Taint) -> str:
    """The reason that the lift of a taint gives; "" when it was not lifted, or its body has been dropped."""
    query = select(event_rows.c.leaf).where(event_rows.c.hash == taint.lifted)
    leaf = connection.execute(query).scalar_one_or_none() if taint.lifted else None
    body = events.body(connection, Event.parse(leaf).body_sha256) if leaf is not None else None
    return LiftBody.parse(body).reason if body is not None else ""
