"""Claims: a node's work on one dataset, under a lease.

States: ``downloading``; ``slow`` (downloading for so long that it counts nowhere, but it may still become
complete); ``complete`` (the node has attested the bytes); ``failed`` (given up or caught with wrong bytes: it
counts nowhere, and keeps the dataset from being offered to that node until it expires).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from seedkeep.core.placement import Holder
from seedkeep_registrar.store import datasets as dataset_store
from seedkeep_registrar.store import totals
from seedkeep_registrar.store.among import among
from seedkeep_registrar.store.tables import claims, datasets, nodes

DOWNLOADING = "downloading"
SLOW = "slow"
COMPLETE = "complete"
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim; times in Unix seconds.

    Args:
        bytes: how much of it the node has.
        attested: when the node's attestation came.
        audited: when the last audit succeeded.
        next_audit: when the next one is due.
        silences: weight of the audits left unanswered in a row, see ``replication.auditing``.
    """

    content_id: str
    node: str
    state: str
    bytes: int
    created: float
    expires: float
    attested: float | None
    audited: float | None
    next_audit: float | None
    silences: int


@dataclass(frozen=True, slots=True)
class Copy:
    """A claim with its node, as record documents and pages show it."""

    claim: Claim
    operator: str
    institution: str
    country: str
    node_state: str
    last_seen: float

    @property
    def domain(self) -> str:
        """What fails together, see :class:`seedkeep.core.placement.Holder`."""
        return Holder(self.claim.node, self.operator, complete=False).domain


def _claim(row: Row[tuple[object, ...]]) -> Claim:
    return Claim(**{name: getattr(row, name) for name in Claim.__slots__})


def one(connection: Connection, content_id: str, node: str) -> Claim | None:
    """The node's claim on the dataset."""
    row = connection.execute(
        select(claims).where(claims.c.content_id == content_id, claims.c.node == node)
    ).first()
    return _claim(row) if row else None


def of_node(connection: Connection, node: str) -> list[Claim]:
    """All claims of a node."""
    return [_claim(row) for row in connection.execute(select(claims).where(claims.c.node == node))]


def content_ids_of(connection: Connection, node: str) -> list[str]:
    """What a node has claims on, failed ones included."""
    return list(connection.execute(select(claims.c.content_id).where(claims.c.node == node)).scalars())


def claimed_among(connection: Connection, node: str, content_ids: Iterable[str]) -> set[str]:
    """Those of these content ids on which a node has claims, failed ones included."""
    query = select(claims.c.content_id).where(
        among(connection, claims.c.content_id, list(content_ids)), claims.c.node == node
    )
    return set(connection.execute(query).scalars())


def copies(connection: Connection, content_id: str) -> list[Copy]:
    """All claims on a dataset with their nodes, oldest first, failed ones left out."""
    rows = connection.execute(
        select(
            claims,
            nodes.c.operator,
            nodes.c.institution,
            nodes.c.country,
            nodes.c.state.label("node_state"),
            nodes.c.last_seen,
        )
        .join(nodes, nodes.c.node == claims.c.node)
        .where(claims.c.content_id == content_id, claims.c.state != FAILED)
        .order_by(claims.c.created, claims.c.node)
    )
    names = ("operator", "institution", "country", "node_state", "last_seen")
    return [Copy(_claim(row), *(getattr(row, name) for name in names)) for row in rows]


def holders(connection: Connection, content_id: str) -> list[str]:
    """Keys of the nodes that hold the dataset complete."""
    rows = connection.execute(
        select(claims.c.node).where(claims.c.content_id == content_id, claims.c.state == COMPLETE)
    )
    return list(rows.scalars())


def holders_of(connection: Connection, content_ids: Iterable[str]) -> dict[str, list[Holder]]:
    """Every holder of these datasets as placement sees it; failed and slow claims count for nothing."""
    wanted = list(content_ids)
    found: dict[str, list[Holder]] = {c: [] for c in wanted}
    rows = connection.execute(
        select(claims.c.content_id, claims.c.node, claims.c.state, nodes.c.operator)
        .join(nodes, nodes.c.node == claims.c.node)
        .where(among(connection, claims.c.content_id, wanted), claims.c.state.in_((DOWNLOADING, COMPLETE)))
    )
    for row in rows:
        found[row.content_id].append(Holder(row.node, row.operator, row.state == COMPLETE))
    return found


def recount(connection: Connection, content_id: str) -> None:
    """Bring the dataset's counts into step after a change of its claims."""
    domains: dict[str, bool] = {}
    for holder in holders_of(connection, [content_id])[content_id]:
        domains[holder.domain] = domains.get(holder.domain, False) or holder.complete
    dataset_store.set_counts(connection, content_id, complete=sum(domains.values()), held=len(domains))


def put(connection: Connection, claim: Claim) -> None:
    """Insert or replace a claim, and recount."""
    remove(connection, claim.content_id, claim.node)
    connection.execute(insert(claims).values({name: getattr(claim, name) for name in Claim.__slots__}))
    totals.claims_changed(connection, claim.node, claims=1, complete=int(claim.state == COMPLETE))
    recount(connection, claim.content_id)


def change(connection: Connection, content_id: str, node: str, values: dict[str, Any]) -> None:
    """Update columns of one claim, and recount if its state is among them."""
    which = (claims.c.content_id == content_id, claims.c.node == node)
    was = connection.execute(select(claims.c.state).where(*which)).scalar_one_or_none()
    connection.execute(update(claims).where(*which).values(values))
    if "state" in values and was is not None:
        more = int(values["state"] == COMPLETE) - int(was == COMPLETE)
        totals.claims_changed(connection, node, claims=0, complete=more)
        recount(connection, content_id)


def set_bytes(connection: Connection, node: str, have: Sequence[tuple[str, int]]) -> None:
    """Write down how many bytes a node has.

    Args:
        have: pairs of content id and bytes.
    """
    if have:
        query = (
            update(claims)
            .where(claims.c.node == node, claims.c.content_id == bindparam("which"))
            .values(bytes=bindparam("have"))
        )
        connection.execute(query, [{"which": c, "have": b} for c, b in have])


def remove(connection: Connection, content_id: str, node: str) -> bool:
    """Delete a claim and recount; True when it was there."""
    one = delete(claims).where(claims.c.content_id == content_id, claims.c.node == node)
    was = connection.execute(one.returning(claims.c.state)).scalar_one_or_none()
    if was is not None:
        totals.claims_changed(connection, node, claims=-1, complete=-int(was == COMPLETE))
        recount(connection, content_id)
    return was is not None


def remove_all(connection: Connection, content_id: str) -> list[str]:
    """Delete every claim on a dataset; the nodes that had one."""
    every = delete(claims).where(claims.c.content_id == content_id)
    had = connection.execute(every.returning(claims.c.node, claims.c.state)).all()
    for node, state in had:
        totals.claims_changed(connection, node, claims=-1, complete=-int(state == COMPLETE))
    recount(connection, content_id)
    return [node for node, _ in had]


def expired(connection: Connection, now: float, *, limit: int = 1000) -> list[Claim]:
    """Claims whose lease is over."""
    rows = connection.execute(select(claims).where(claims.c.expires < now).limit(limit))
    return [_claim(row) for row in rows]


def downloads_since(
    connection: Connection, before: float, bytes_per_s: float, *, limit: int = 200
) -> list[Claim]:
    """Claims in progress whose bytes could have come at this rate until ``before``, the latest first."""
    had_time_for = (before - claims.c.created) * bytes_per_s
    rows = connection.execute(
        select(claims)
        .join(datasets, datasets.c.content_id == claims.c.content_id)
        .where(claims.c.state == DOWNLOADING, claims.c.created < before, datasets.c.bytes < had_time_for)
        .order_by(claims.c.created.desc())
        .limit(limit)
    )
    return [_claim(row) for row in rows]


def due_audits(connection: Connection, node: str, now: float, *, limit: int) -> list[Claim]:
    """Complete claims of a node that are to be audited now, longest overdue first."""
    rows = connection.execute(
        select(claims)
        .where(claims.c.node == node, claims.c.state == COMPLETE, claims.c.next_audit <= now)
        .order_by(claims.c.next_audit)
        .limit(limit)
    )
    return [_claim(row) for row in rows]


def next_audit(connection: Connection, node: str) -> float | None:
    """When the node's next audit is due."""
    found: float | None = connection.execute(
        select(func.min(claims.c.next_audit)).where(claims.c.node == node, claims.c.state == COMPLETE)
    ).scalar_one()
    return found


def held_by_publisher(connection: Connection, node: str) -> dict[str, int]:
    """Bytes the node holds or fetches, by publisher."""
    rows = connection.execute(
        select(datasets.c.publisher, func.sum(datasets.c.bytes))
        .join(claims, claims.c.content_id == datasets.c.content_id)
        .where(claims.c.node == node, claims.c.state != FAILED)
        .group_by(datasets.c.publisher)
    )
    return {publisher: int(total) for publisher, total in rows}


def renew(
    connection: Connection, node: str, content_ids: Iterable[str], *, states: Sequence[str], expires: float
) -> None:
    """Prolong the leases of these claims of a node that are in one of the ``states``."""
    wanted = list(content_ids)
    for at in range(0, len(wanted), 5000):
        connection.execute(
            update(claims)
            .where(
                claims.c.node == node,
                claims.c.state.in_(states),
                claims.c.content_id.in_(wanted[at : at + 5000]),
            )
            .values(expires=expires)
        )


def extend_all(connection: Connection, until: float) -> None:
    """No lease ends before ``until``: after a pause of the registrar, for which no node is to blame."""
    connection.execute(update(claims).where(claims.c.expires < until).values(expires=until))


def forbidden(connection: Connection, node: str) -> set[str]:
    """Datasets of a node's claims that must not be served any more."""
    rows = connection.execute(
        select(claims.c.content_id)
        .join(datasets, datasets.c.content_id == claims.c.content_id)
        .where(claims.c.node == node, datasets.c.servable.is_(False))
    )
    return set(rows.scalars())
