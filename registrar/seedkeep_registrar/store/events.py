"""The log: every event in its order, each with the chain value and the receipt it was given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from seedkeep.core.errors import Conflict, UsageError
from seedkeep.core.events import Event, check_successor
from seedkeep.core.record import CHAIN_START, Receipt, leaf_hash, next_chain
from seedkeep_registrar.store.tables import bodies, events, log
from seedkeep_registrar.store.upserts import upsert

EMPTY_LIST = hashlib.sha256(b"").hexdigest()
_ONLY_ROW = 1


@dataclass(frozen=True, slots=True)
class LogState:
    """Head of the log and of the taint list."""

    origin: str
    size: int
    chain: str
    taint_version: int
    taint_list: str


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it stands in the log."""

    position: int
    event: Event
    receipt: str


def begin(connection: Connection, origin: str) -> None:
    """Make the log's head row at the first start.

    Raises:
        UsageError: the log in this database was begun under another origin.
    """
    found = connection.execute(select(log.c.origin)).scalar_one_or_none()
    if found is None:
        connection.execute(
            insert(log).values(
                id=_ONLY_ROW,
                origin=origin,
                size=0,
                chain=CHAIN_START,
                taint_version=0,
                taint_list=EMPTY_LIST,
            )
        )
    elif found != origin:
        raise UsageError(
            f"this registrar's data were made under the name {found}, not {origin}",
            hint=f"Start it with the public URL it had (…//{found}), or with another data folder.",
        )


def log_state(connection: Connection) -> LogState:
    """The present heads."""
    row = connection.execute(
        select(log.c.origin, log.c.size, log.c.chain, log.c.taint_version, log.c.taint_list)
    ).one()
    return LogState(*row)


def lock(connection: Connection) -> LogState:
    """The heads, and nobody else appends until this transaction ends."""
    row = connection.execute(
        select(log.c.origin, log.c.size, log.c.chain, log.c.taint_version, log.c.taint_list).with_for_update()
    ).one()
    return LogState(*row)


def set_taint_list(connection: Connection, version: int, sha256: str) -> None:
    """Name the taint list that the head commits to; the caller holds :func:`lock`."""
    connection.execute(update(log).values(taint_version=version, taint_list=sha256))


def head_of(connection: Connection, rid: str) -> Stored | None:
    """The last event of a chain."""
    row = connection.execute(
        select(events.c.position, events.c.leaf, events.c.receipt)
        .where(events.c.rid == rid)
        .order_by(events.c.seq.desc())
        .limit(1)
    ).first()
    return Stored(row.position, Event.parse(row.leaf), row.receipt) if row else None


def at(connection: Connection, position: int) -> Stored | None:
    """The event at a position of the log."""
    row = connection.execute(
        select(events.c.leaf, events.c.receipt).where(events.c.position == position)
    ).first()
    return Stored(position, Event.parse(row.leaf), row.receipt) if row else None


def is_known(connection: Connection, event_hash: str) -> bool:
    """Whether the log has this event."""
    return (
        connection.execute(select(events.c.position).where(events.c.hash == event_hash)).first() is not None
    )


def chain(connection: Connection, rid: str, *, first: int, limit: int) -> list[tuple[Stored, bytes | None]]:
    """The events of a chain from number ``first`` on, in order, each with its body if it is (still) there."""
    rows = connection.execute(
        select(events.c.position, events.c.leaf, events.c.receipt)
        .where(events.c.rid == rid, events.c.seq >= first)
        .order_by(events.c.seq)
        .limit(limit)
    )
    found = [Stored(row.position, Event.parse(row.leaf), row.receipt) for row in rows]
    return [(stored, body(connection, stored.event.body_sha256)) for stored in found]


def body(connection: Connection, sha256: str) -> bytes | None:
    """The body an event names, if it is (still) there."""
    found: bytes | None = connection.execute(
        select(bodies.c.body).where(bodies.c.sha256 == sha256)
    ).scalar_one_or_none()
    return found


def append(
    connection: Connection,
    head: LogState,
    event: Event,
    body_bytes: bytes,
    *,
    now: float,
    sign: Callable[[Receipt], str],
) -> Stored:
    """Append an event (checked by the caller) with its body.

    Args:
        head: what :func:`lock` gave in this transaction.
        now: when it came, Unix seconds.
        sign: makes the receipt's note.

    Raises:
        Conflict: its chain has moved on.
    """
    if event.seq:
        previous = head_of(connection, event.rid)
        if previous is None:
            raise Conflict("this event follows one that this registrar does not know")
        check_successor(previous.event, event)
    leaf = event.leaf()
    chain = next_chain(head.chain, leaf)
    receipt = sign(Receipt(head.origin, head.size, leaf_hash(leaf), chain))
    connection.execute(
        insert(events),
        {
            "position": head.size,
            "hash": event.hash(),
            "type": event.type,
            "rid": event.record_id,
            "seq": event.seq,
            "leaf": leaf,
            "chain": chain,
            "receipt": receipt,
            "received": now,
        },
    )
    connection.execute(
        upsert(connection, bodies).on_conflict_do_nothing(), {"sha256": event.body_sha256, "body": body_bytes}
    )
    connection.execute(update(log).values(size=head.size + 1, chain=chain))
    return Stored(head.size, event, receipt)
