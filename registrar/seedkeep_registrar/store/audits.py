"""Audits: challenges to nodes and how they ended.

States: ``asked`` (handed out with a heartbeat), ``committed`` (round two runs), ``done``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Update, delete, insert, select, update

from seedkeep.core.audit import LeafAt
from seedkeep_registrar.store.tables import audit_tallies, audits
from seedkeep_registrar.store.upserts import upsert

ASKED = "asked"
COMMITTED = "committed"
DONE = "done"


@dataclass(frozen=True, slots=True)
class Audit:
    """One challenge.

    Args:
        nonce: hex.
        leaves: asked for, in this order.
        commitments: hex, in the order of the leaves; empty until they came.
        opened: drawn after the commitments came.
        deadline: of the round that runs, Unix seconds.
        outcome: a :class:`seedkeep.core.audit.Outcome` value, or "" while it runs.
    """

    id: str
    content_id: str
    node: str
    state: str
    nonce: str
    leaves: tuple[LeafAt, ...]
    commitments: tuple[str, ...]
    opened: tuple[LeafAt, ...]
    created: float
    deadline: float
    outcome: str
    detail: str


def _pairs(leaves: Sequence[LeafAt]) -> list[list[int]]:
    return [[at.file, at.leaf] for at in leaves]


def _leaves(pairs: list[list[int]] | None) -> tuple[LeafAt, ...]:
    return tuple(LeafAt(file, leaf) for file, leaf in pairs or [])


def _audit(row: Row[tuple[object, ...]]) -> Audit:
    values: dict[str, Any] = dict(row._mapping)
    values["leaves"], values["opened"] = _leaves(values["leaves"]), _leaves(values["opened"])
    values["commitments"] = tuple(values["commitments"] or ())
    return Audit(**values)


def add(
    connection: Connection,
    *,
    audit_id: str,
    content_id: str,
    node: str,
    nonce: str,
    leaves: Sequence[LeafAt],
    now: float,
    deadline: float,
) -> None:
    """A challenge is handed out; the node has until ``deadline`` for round one."""
    connection.execute(
        insert(audits).values(
            id=audit_id,
            content_id=content_id,
            node=node,
            state=ASKED,
            nonce=nonce,
            leaves=_pairs(leaves),
            created=now,
            deadline=deadline,
            outcome="",
            detail="",
        )
    )


def by_id(connection: Connection, audit_id: str) -> Audit | None:
    """One audit."""
    row = connection.execute(select(audits).where(audits.c.id == audit_id)).first()
    return _audit(row) if row else None


def running(connection: Connection, content_id: str, node: str) -> bool:
    """Whether an audit of this copy has not ended yet."""
    row = connection.execute(
        select(audits.c.id).where(
            audits.c.content_id == content_id, audits.c.node == node, audits.c.state != DONE
        )
    ).first()
    return row is not None


def unanswered(connection: Connection, node: str, now: float) -> list[Audit]:
    """Challenges handed to a node, in time still, of which nothing has come back; oldest first."""
    rows = connection.execute(
        select(audits)
        .where(audits.c.node == node, audits.c.state == ASKED, audits.c.deadline > now)
        .order_by(audits.c.created, audits.c.id)
    )
    return [_audit(row) for row in rows]


def committed(
    connection: Connection,
    audit_id: str,
    commitments: Sequence[str],
    opened: Sequence[LeafAt],
    *,
    deadline: float,
) -> None:
    """Round one is in; the node has until ``deadline`` for round two."""
    connection.execute(
        update(audits)
        .where(audits.c.id == audit_id)
        .values(state=COMMITTED, commitments=list(commitments), opened=_pairs(opened), deadline=deadline)
    )


def end(connection: Connection, audit_id: str, outcome: str, detail: str) -> None:
    """Write down how it ended."""
    _end(connection, update(audits).where(audits.c.id == audit_id), outcome, detail)


def end_all(connection: Connection, content_id: str, outcome: str, detail: str, node: str = "") -> None:
    """End whatever still runs over a dataset (of one node, if named)."""
    query = update(audits).where(audits.c.content_id == content_id)
    _end(connection, query.where(audits.c.node == node) if node else query, outcome, detail)


def _end(connection: Connection, query: Update, outcome: str, detail: str) -> None:
    """End those of a query that still run, and count them."""
    ended = connection.execute(
        query.where(audits.c.state != DONE)
        .values(state=DONE, outcome=outcome, detail=detail)
        .returning(audits.c.node)
    )
    for node, count in sorted(Counter(ended.scalars()).items()):
        connection.execute(
            upsert(connection, audit_tallies)
            .values(node=node, outcome=outcome, count=count)
            .on_conflict_do_update(
                index_elements=["node", "outcome"], set_={"count": audit_tallies.c.count + count}
            )
        )


def overdue(connection: Connection, now: float, *, limit: int = 500) -> list[Audit]:
    """Audits past their deadline."""
    rows = connection.execute(
        select(audits).where(audits.c.state.in_((ASKED, COMMITTED)), audits.c.deadline < now).limit(limit)
    )
    return [_audit(row) for row in rows]


def tallies(connection: Connection) -> dict[str, dict[str, int]]:
    """How many audits ended how, by node and outcome."""
    found: dict[str, dict[str, int]] = {}
    for node, outcome, count in connection.execute(select(audit_tallies)):
        found.setdefault(node, {})[outcome] = int(count)
    return found


def purge(connection: Connection, before: float) -> int:
    """Forget ended audits created before ``before``; how many."""
    return connection.execute(
        delete(audits).where(audits.c.state == DONE, audits.c.created < before)
    ).rowcount
