"""Events that came from other logs and do not count yet, and why those do not that never will.

An event that is ``waiting`` is tried as soon as a checkpoint covers it, so that it can be proved, and again
when it is due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, exists, func, literal_column, select, update

from seedkeep_registrar.store.events import APPLIED, FORK, REFUSED
from seedkeep_registrar.store.federation_tables import peers
from seedkeep_registrar.store.homes_tables import event_problems
from seedkeep_registrar.store.log_tables import checkpoints
from seedkeep_registrar.store.tables import bodies, events
from seedkeep_registrar.store.upserts import upsert

#: pauses between two tries of one event, in seconds
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 10.0, 6 * 3600.0
_MOST_DOUBLINGS = 16
_LONGEST_PROBLEM = 1000

# spelt out, so that both engines see that their partial indexes will do
_WAITING = literal_column("events.state") == literal_column("'waiting'")
_NOT_APPLIED = literal_column("events.state") != literal_column("'applied'")


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event to be applied, not read yet.

    Args:
        rid: of the chain it belongs to.
    """

    position: int
    log: int
    index: int
    hash: str
    type: str
    rid: str
    seq: int
    leaf: bytes
    body_sha256: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an event does not count.

    Args:
        origin: of the log it is in; "" for this registrar's own.
        state: waiting, refused or fork.
        tries: how often it was tried.
    """

    origin: str
    index: int
    type: str
    rid: str
    seq: int
    state: str
    problem: str
    tries: int


def due(connection: Connection, log: int, now: float, limit: int) -> list[Waiting]:
    """The next events of a log that may be tried, in its order."""
    covered = select(func.max(checkpoints.c.size)).where(checkpoints.c.log == log).scalar_subquery()
    put_off = exists().where(event_problems.c.position == events.c.position, event_problems.c.due > now)
    query = (
        select(
            events.c.position,
            events.c.log,
            events.c.log_index,
            events.c.hash,
            events.c.type,
            events.c.rid,
            events.c.seq,
            events.c.leaf,
            events.c.body_sha256,
        )
        .where(events.c.log == log, _WAITING, events.c.log_index < covered, ~put_off)
        .order_by(events.c.log_index)
        .limit(limit)
    )
    return [Waiting(*row) for row in connection.execute(query)]


def logs(connection: Connection) -> list[int]:
    """The logs of which events wait."""
    query = select(events.c.log).where(_WAITING).distinct().order_by(events.c.log)
    return list(connection.execute(query).scalars())


def bodies_lacking(connection: Connection, digests: Sequence[str]) -> list[str]:
    """Those of some bodies that are not here, each once."""
    wanted = list(dict.fromkeys(digests))
    here = set(connection.execute(select(bodies.c.sha256).where(bodies.c.sha256.in_(wanted))).scalars())
    return [sha256 for sha256 in wanted if sha256 not in here]


def put_bodies(connection: Connection, some: Mapping[str, bytes]) -> None:
    """Keep bodies, whose digests were checked."""
    for sha256, body in some.items():
        put = upsert(connection, bodies).values(sha256=sha256, body=body)
        connection.execute(put.on_conflict_do_nothing())


def is_waiting(connection: Connection, position: int) -> bool:
    """Whether an event still waits."""
    query = select(events.c.position).where(events.c.position == position, _WAITING)
    return connection.execute(query).first() is not None


def state_of(connection: Connection, rid: str, seq: int, hash_: str) -> str:
    """What became of an event of this chain; "" when it is not here."""
    query = select(events.c.state).where(events.c.rid == rid, events.c.seq == seq, events.c.hash == hash_)
    found = set(connection.execute(query.where(_NOT_APPLIED)).scalars())
    return next((state for state in (FORK, REFUSED) if state in found), min(found, default=""))


def applied(connection: Connection, event: Waiting) -> None:
    """An event counts from now on; what waits for it is due."""
    connection.execute(update(events).where(events.c.position == event.position).values(state=APPLIED))
    connection.execute(event_problems.delete().where(event_problems.c.position == event.position))
    _due(connection, event)


def ended(connection: Connection, event: Waiting, state: str, problem: str) -> None:
    """An event never counts: it is :data:`REFUSED`, or a :data:`FORK`; what waits for it is due. Nothing
    happens when it waits no more."""
    if not is_waiting(connection, event.position):
        return
    connection.execute(update(events).where(events.c.position == event.position).values(state=state))
    _explain(connection, event, problem, 0.0)
    _due(connection, event)


def put_off(connection: Connection, event: Waiting, problem: str, now: float) -> None:
    """An event cannot be applied now; it is due again after a pause that doubles each time. Nothing happens
    when it waits no more."""
    if not is_waiting(connection, event.position):
        return
    query = select(event_problems.c.tries).where(event_problems.c.position == event.position)
    tries = connection.execute(query).scalar_one_or_none() or 0
    pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(tries, _MOST_DOUBLINGS))
    _explain(connection, event, problem, now + pause)


def _explain(connection: Connection, event: Waiting, problem: str, due_: float) -> None:
    put = upsert(connection, event_problems)
    said = {"problem": problem[:_LONGEST_PROBLEM], "due": due_}
    again = {**said, "tries": event_problems.c.tries + 1}
    values = put.values(position=event.position, tries=1, **said)
    connection.execute(values.on_conflict_do_update(index_elements=["position"], set_=again))


def _due(connection: Connection, event: Waiting) -> None:
    following = select(events.c.position).where(
        events.c.rid == event.rid, events.c.seq > event.seq, _NOT_APPLIED, _WAITING
    )
    held = update(event_problems).where(event_problems.c.position.in_(following))
    connection.execute(held.values(due=0.0))


def problems(connection: Connection, limit: int) -> list[Problem]:
    """What waits, was refused, or is one of two, the newest first."""
    query = (
        select(
            func.coalesce(peers.c.origin, "").label("origin"),
            events.c.log_index,
            events.c.type,
            events.c.rid,
            events.c.seq,
            events.c.state,
            event_problems.c.problem,
            event_problems.c.tries,
        )
        .select_from(event_problems)
        .join(events, events.c.position == event_problems.c.position)
        .outerjoin(peers, peers.c.id == events.c.log)
        .order_by(event_problems.c.position.desc())
        .limit(limit)
    )
    return [Problem(*row) for row in connection.execute(query)]
