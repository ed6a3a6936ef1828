"""What to offer to a node, by the rules of :mod:`seedkeep.core.placement` over the database."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from seedkeep.core.placement import Candidate, Need, offers, suits
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import claims, collections, datasets, records
from seedkeep_registrar.store.collections import Collection
from seedkeep_registrar.store.datasets import Dataset
from seedkeep_registrar.store.nodes import Node

#: a node names a collection like this among its subjects
FOLLOWED = "collection:"
#: datasets looked at for one answer, neediest first; more of them when the first do not suit the node
LOOKED_AT = (200, 1000)
#: offers in one answer
AT_ONCE = 10


def for_node(connection: Connection, settings: Settings, node: Node) -> list[tuple[Dataset, str]]:
    """Datasets that this node should take, best first, each with the rid to read it by."""
    if node.state != "active":
        return []
    subjects, followed = _followed(connection, node)
    candidate = Candidate(
        node=node.node,
        operator=node.operator,
        pledge=node.pledge,
        free=max(0, node.pledge - node.used - node.reserved),
        subjects=subjects,
        held_of=claims.held_by_publisher(connection, node.node),
    )
    on_collections: dict[str, Dataset] = {}
    collected: dict[str, str] = {}
    for collection in followed:
        for d in datasets.needy_on(connection, collection.id, limit=LOOKED_AT[-1]):
            on_collections[d.content_id] = d
            collected[d.content_id] = FOLLOWED + collection.slug
    for most in LOOKED_AT:
        neediest = datasets.needy(connection, limit=most, free=candidate.free)
        needy = {d.content_id: d for d in neediest} | on_collections
        suiting = {c: d for c, d in needy.items() if suits(_subjects(d, collected.get(c)), candidate)}
        needs = _needs(connection, node, suiting, collected)
        chosen = offers(needs, candidate, limit=AT_ONCE, publisher_share=settings.publisher_share)
        if len(chosen) == AT_ONCE or len(neediest) < most:
            break
    found = []
    for need in chosen:
        if servable := records.servable(connection, need.content_id):
            found.append((needy[need.content_id], servable[0].rid))
    return found


def _needs(
    connection: Connection, node: Node, needy: Mapping[str, Dataset], collected: Mapping[str, str]
) -> list[Need]:
    """What placement is to know of these datasets, without those on which the node has a claim."""
    own = claims.claimed_among(connection, node.node, needy)
    holders = claims.holders_of(connection, needy)
    return [
        Need(
            content_id=d.content_id,
            bytes=d.bytes,
            files=d.files,
            wanted=d.wanted,
            created=d.created,
            publisher=d.publisher,
            subjects=_subjects(d, collected.get(d.content_id)),
            holders=tuple(holders[d.content_id]),
        )
        for d in needy.values()
        if d.content_id not in own
    ]


def _followed(connection: Connection, node: Node) -> tuple[tuple[str, ...], list[Collection]]:
    """What a node is willing to hold as placement sees it, and the collections of chosen datasets among that.

    One that follows a subject stands for the subject.
    """
    subjects, followed = [], []
    for subject in node.subjects:
        slug = subject.removeprefix(FOLLOWED)
        collection = collections.by_slug(connection, slug) if slug != subject else None
        subjects.append(collection.subject or subject if collection else subject)
        if collection and not collection.subject:
            followed.append(collection)
    return tuple(subjects), followed


def _subjects(dataset: Dataset, collected: str | None) -> tuple[str, ...]:
    """What a dataset is about; nobody puts it on a collection by naming that as its subject."""
    own = tuple(s for s in dataset.subjects if not s.casefold().startswith(FOLLOWED))
    return (*own, collected) if collected else own
