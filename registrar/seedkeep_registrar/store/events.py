"""The logs: every event of this registrar's own log, and of those that it mirrors, in the order they came.

Whoever appends holds :func:`lock`; what was appended is sealed, before the transaction ends, by
:mod:`seedkeep_registrar.log.sealing`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, exists, insert, literal_column, or_, select, update

from seedkeep.core.errors import Conflict, UsageError
from seedkeep.core.events import Event, check_successor
from seedkeep_registrar.database import Unavailable
from seedkeep_registrar.store.federation_tables import peers
from seedkeep_registrar.store.log_tables import checkpoints
from seedkeep_registrar.store.tables import bodies, events, log
from seedkeep_registrar.store.upserts import prepared

EMPTY_LIST = hashlib.sha256(b"").hexdigest()
#: this registrar's own log, in column ``log``
OWN = 0
#: an event's ``state``: it counts; waits for its body; cannot count; another event has its place
APPLIED, WAITING, REFUSED, FORK = "applied", "waiting", "refused", "fork"
_ONLY_ROW = 1
_APPENDED = "events of this transaction"

#: spelt out, so that both engines see that their partial indexes will do
_APPLIED = literal_column("events.state") == literal_column("'applied'")
_STATE = select(log.c.origin, log.c.size, log.c.arrived, log.c.taint_version, log.c.taint_list)
_LOCKED = _STATE.with_for_update()
_STORED = select(events.c.position, events.c.log, events.c.log_index, events.c.leaf)
_HEAD_OF = _STORED.where(events.c.rid == bindparam("rid"), _APPLIED).order_by(events.c.seq.desc()).limit(1)
_AT = _STORED.where(events.c.position == bindparam("at"))
_BODY = select(bodies.c.body).where(bodies.c.sha256 == bindparam("digest"))
_LEAVES = (
    select(events.c.leaf)
    .where(
        events.c.log == bindparam("of"),
        events.c.log_index >= bindparam("first"),
        events.c.log_index < bindparam("end"),
    )
    .order_by(events.c.log_index)
)
_INSERT = insert(events)
_WAITING = literal_column("events.state") == literal_column("'waiting'")
_LOST = select(
    or_(
        exists().where(events.c.log == OWN, _WAITING),
        exists().where(checkpoints.c.log == OWN, checkpoints.c.size > bindparam("reached")),
    )
)
_UNHEARD = select(exists().where(peers.c.unheard, peers.c.state == "active"))
_PUT_BODY = prepared(bodies, lambda put: put.on_conflict_do_nothing())
_COUNT = update(log).values(size=bindparam("grown"), arrived=bindparam("came"))


@dataclass(frozen=True, slots=True)
class LogState:
    """Head of the log and of the taint list.

    Args:
        size: of this registrar's own log.
        arrived: how many events there are of all logs.
    """

    origin: str
    size: int
    arrived: int
    taint_version: int
    taint_list: str


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it stands in a log.

    Args:
        position: its place in the order in which events came here.
        log, index: :data:`OWN` or a peer's id, and its place in that log.
    """

    position: int
    log: int
    index: int
    event: Event


def begin(connection: Connection, origin: str) -> None:
    """Make the log's head row at the first start.

    Raises:
        UsageError: the log in this database was begun under another origin.
    """
    found = connection.execute(select(log.c.origin)).scalar_one_or_none()
    if found is None:
        row = {"id": _ONLY_ROW, "origin": origin, "size": 0, "arrived": 0}
        connection.execute(insert(log).values(**row, taint_version=0, taint_list=EMPTY_LIST))
    elif found != origin:
        raise UsageError(
            f"this registrar's data were made under the name {found}, not {origin}",
            hint=f"Start it with the public URL it had (…//{found}), or with another data folder.",
        )
    connection.info[_APPENDED] = True  # what an older version left without tiles gets them


def log_state(connection: Connection) -> LogState:
    """The present heads."""
    return LogState(*connection.execute(_STATE).one())


def lock(connection: Connection) -> LogState:
    """The heads, and nobody else appends until this transaction ends."""
    return LogState(*connection.execute(_LOCKED).one())


def set_taint_list(connection: Connection, version: int, sha256: str) -> None:
    """Name the taint list that the head commits to; the caller holds :func:`lock`."""
    connection.execute(update(log).values(taint_version=version, taint_list=sha256))


def head_of(connection: Connection, rid: str) -> Stored | None:
    """The last event of a chain."""
    row = connection.execute(_HEAD_OF, {"rid": rid}).first()
    return _stored(*row) if row else None


def at(connection: Connection, position: int) -> Stored | None:
    """The event at a position."""
    row = connection.execute(_AT, {"at": position}).first()
    return _stored(*row) if row else None


def _stored(position: int, log_: int, index: int, leaf: bytes) -> Stored:
    return Stored(position, log_, index, Event.parse(leaf))


def is_known(connection: Connection, event_hash: str) -> bool:
    """Whether this event counts here."""
    query = select(events.c.position).where(events.c.hash == event_hash, _APPLIED)
    return connection.execute(query).first() is not None


def chain(connection: Connection, rid: str, *, first: int, limit: int) -> list[tuple[Stored, bytes | None]]:
    """The events of a chain from number ``first`` on, in order, each with its body if it is (still) there."""
    rows = connection.execute(
        _STORED.where(events.c.rid == rid, events.c.seq >= first, _APPLIED)
        .order_by(events.c.seq)
        .limit(limit)
    )
    found = [_stored(*row) for row in rows]
    return [(stored, body(connection, stored.event.body_sha256)) for stored in found]


def leaves(connection: Connection, log_: int, first: int, end: int) -> list[bytes]:
    """The entries ``first`` to ``end`` (without that) of a log, as far as they are there."""
    given = {"of": log_, "first": first, "end": end}
    return list(connection.execute(_LEAVES, given).scalars())


def body(connection: Connection, sha256: str) -> bytes | None:
    """The body an event names, if it is (still) there."""
    found: bytes | None = connection.execute(_BODY, {"digest": sha256}).scalar_one_or_none()
    return found


def naming(connection: Connection, sha256: str) -> list[tuple[str, str]]:
    """Type and rid of the events that count and name this body."""
    query = select(events.c.type, events.c.rid).where(events.c.body_sha256 == sha256, _APPLIED)
    return [(row.type, row.rid) for row in connection.execute(query)]


def is_set_back(connection: Connection, head: LogState) -> bool:
    """Whether this registrar has, or may have, signed more than it has: events that it lost are still to come
    back from mirrors of its log, or to be applied, or a peer has not been asked for them since a restore."""
    lost = connection.execute(_LOST, {"reached": head.size}).scalar_one()
    return bool(lost or connection.execute(_UNHEARD).scalar_one())


def append(connection: Connection, head: LogState, event: Event, body_bytes: bytes, *, now: float) -> Stored:
    """Append an event (checked by the caller) with its body to this registrar's own log.

    Args:
        head: what :func:`lock` gave in this transaction.
        now: when it came, Unix seconds.

    Raises:
        Conflict: its chain has moved on.
        Unavailable: this registrar's log is coming back from its mirrors.
    """
    if connection.execute(_UNHEARD).scalar_one():
        raise Unavailable(
            "this registrar was restored from a backup, and takes nothing before its peers have said how"
            " far its log was",
            hint="Try again later. Its operator: `seedkeep registrar doctor` says who is waited for.",
        )
    if is_set_back(connection, head):
        raise Unavailable(
            "this registrar's log is coming back from its mirrors", hint="Try again in a few minutes."
        )
    if event.seq:
        previous = head_of(connection, event.rid)
        if previous is None:
            raise Conflict("this event follows one that this registrar does not know")
        check_successor(previous.event, event)
    connection.execute(
        _INSERT,
        {
            "position": head.arrived,
            "hash": event.hash(),
            "type": event.type,
            "rid": event.record_id,
            "seq": event.seq,
            "leaf": event.leaf(),
            "received": now,
            "log": OWN,
            "log_index": head.size,
            "state": APPLIED,
            "body_sha256": event.body_sha256,
        },
    )
    connection.execute(_PUT_BODY[connection.dialect.name], {"sha256": event.body_sha256, "body": body_bytes})
    connection.execute(_COUNT, {"grown": head.size + 1, "came": head.arrived + 1})
    connection.info[_APPENDED] = True
    return Stored(head.arrived, OWN, head.size, event)


def was_appended(connection: Connection) -> bool:
    """Whether something may have been appended to this registrar's own log since this was asked last."""
    return bool(connection.info.pop(_APPENDED, False))
