"""Storage managers: who they are and what they last said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, or_, select, update

from seedkeep_registrar.store.tables import nodes


@dataclass(frozen=True, slots=True)
class Node:
    """One storage manager; sizes in bytes, times in Unix seconds.

    Args:
        node: its key.
        state: what it says itself: ``active``, ``paused``, ``draining``.
        taint_version: of the newest taint list it has obeyed.
    """

    node: str
    operator: str
    institution: str
    country: str
    subjects: tuple[str, ...]
    software: str
    pledge: int
    used: int
    reserved: int
    port: int
    address: str
    state: str
    taint_version: int
    problems: tuple[str, ...]
    registered: float
    last_seen: float

    def shown_state(self, now: float, offline_after_s: float) -> str:
        """``offline`` after long silence, else what it says itself."""
        return self.state if now - self.last_seen <= offline_after_s else "offline"


def _node(row: Row[tuple[object, ...]]) -> Node:
    values = dict(row._mapping)
    return Node(**{**values, "subjects": tuple(values["subjects"]), "problems": tuple(values["problems"])})


def by_key(connection: Connection, node: str) -> Node | None:
    """One node."""
    row = connection.execute(select(nodes).where(nodes.c.node == node)).first()
    return _node(row) if row else None


def after(connection: Connection, last: tuple[float, str], limit: int | None) -> list[Node]:
    """Nodes, longest known first.

    Args:
        last: when the last node of the page before was registered, and its key.
        limit: how many at most.
    """
    registered, key = last
    query = (
        select(nodes)
        .where(
            or_(
                nodes.c.registered > registered,
                and_(nodes.c.registered == registered, nodes.c.node > key),
            )
        )
        .order_by(nodes.c.registered, nodes.c.node)
        .limit(limit)
    )
    return [_node(row) for row in connection.execute(query)]


def put(connection: Connection, node: Node) -> bool:
    """Insert a node, or update what it says of itself; True when it is new."""
    values: dict[str, Any] = {name: getattr(node, name) for name in Node.__slots__}
    values["subjects"], values["problems"] = list(node.subjects), list(node.problems)
    if by_key(connection, node.node) is None:
        connection.execute(insert(nodes).values(values))
        return True
    told = (
        "operator",
        "institution",
        "country",
        "subjects",
        "software",
        "pledge",
        "port",
        "address",
        "last_seen",
    )
    connection.execute(
        update(nodes).where(nodes.c.node == node.node).values({name: values[name] for name in told})
    )
    return False


def seen(connection: Connection, node: str, values: dict[str, Any]) -> None:
    """Write down what a heartbeat said.

    Args:
        values: by column.
    """
    connection.execute(update(nodes).where(nodes.c.node == node).values(values))
