"""What to offer to a node, by the rules of :mod:`seedkeep.core.placement` over the database."""

from __future__ import annotations

from sqlalchemy import Connection

from seedkeep.core.placement import Candidate, Need, offers
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import claims, datasets, records
from seedkeep_registrar.store.datasets import Dataset
from seedkeep_registrar.store.nodes import Node

#: datasets looked at for one answer, neediest first
LOOKED_AT = 500
#: offers in one answer
AT_ONCE = 10


def for_node(connection: Connection, settings: Settings, node: Node) -> list[tuple[Dataset, str]]:
    """Datasets that this node should take, best first, each with the rid to read it by."""
    if node.state != "active":
        return []
    needy = {d.content_id: d for d in datasets.needy(connection, limit=LOOKED_AT)}
    if not needy:
        return []
    own = set(claims.content_ids_of(connection, node.node))
    holders = claims.holders_of(connection, needy)
    needs = [
        Need(
            content_id=d.content_id,
            bytes=d.bytes,
            files=d.files,
            wanted=d.wanted,
            created=d.created,
            publisher=d.publisher,
            subjects=d.subjects,
            holders=tuple(holders[d.content_id]),
        )
        for d in needy.values()
        if d.content_id not in own
    ]
    candidate = Candidate(
        node=node.node,
        operator=node.operator,
        pledge=node.pledge,
        free=max(0, node.pledge - node.used - node.reserved),
        subjects=node.subjects,
        held_of=claims.held_by_publisher(connection, node.node),
    )
    chosen = offers(needs, candidate, limit=AT_ONCE, publisher_share=settings.publisher_share)
    found = []
    for need in chosen:
        if servable := records.servable(connection, need.content_id):
            found.append((needy[need.content_id], servable[0].rid))
    return found
