"""Placement: which datasets to offer to a node. A pure function (decision 9).

For one node that asks for work:

1. Leave out what it cannot or need not take: datasets it holds already, tainted ones, those larger than
   its free pledge, those outside its subjects (when it named any), and those whose publisher would then
   fill more than ``publisher_share`` of its pledge.
2. A dataset needs copies while it is held (or being fetched) in fewer *failure domains* than wanted. All
   nodes of one operator are one domain, for one person's ten nodes fail together. At ``wanted`` domains
   nothing is offered; between wanted and the maximum nothing is done.
3. A node whose domain holds the dataset already adds nothing and is not offered it. Nodes that name no
   operator are domains of their own.
4. The neediest first: fewest complete domains, then fewest domains on the way, then the best fit into the
   free pledge (largest first), then the oldest.
5. Ties are broken by a hash of node and dataset, so that many nodes asking at once spread out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Holder:
    """A node that holds a dataset or is fetching it."""

    node: str
    operator: str
    complete: bool

    @property
    def domain(self) -> str:
        """What fails together: the operator, or the node itself when it names none."""
        return self.operator or self.node


@dataclass(frozen=True, slots=True)
class Need:
    """One dataset as placement sees it.

    Args:
        bytes, files: the dataset's size.
        wanted: copies in distinct domains.
        created: Unix seconds.
    """

    content_id: str
    bytes: int
    files: int
    wanted: int
    created: float
    publisher: str = ""
    subjects: tuple[str, ...] = ()
    holders: tuple[Holder, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """The node that asks.

    Args:
        free: bytes of its pledge that are neither used nor reserved.
        subjects: what it is willing to hold; empty = anything.
        held_of: bytes it holds, by publisher.
    """

    node: str
    operator: str
    pledge: int
    free: int
    subjects: tuple[str, ...] = ()
    held_of: Mapping[str, int] = field(default_factory=dict)


def footprint(total_bytes: int, files: int) -> int:
    """An upper bound of the allocated bytes a dataset takes on a disk with 4 KiB blocks.

    Every file may waste a block, needs directory room, and its metainfo and resume data come on top.
    """
    return total_bytes + files * (BLOCK + 512) + total_bytes // 4096 + 256 * 1024


def suits(subjects: Iterable[str], node: Candidate) -> bool:
    """Whether ``node`` is willing to hold what is about these subjects."""
    return not node.subjects or bool({s.casefold() for s in node.subjects} & {s.casefold() for s in subjects})


def _takes(need: Need, node: Candidate, publisher_share: float) -> bool:
    held_by = {h.node for h in need.holders}
    domains = {h.domain for h in need.holders}
    if node.node in held_by or len(domains) >= need.wanted or (node.operator or node.node) in domains:
        return False
    size = footprint(need.bytes, need.files)
    if size > node.free:
        return False
    if not suits(need.subjects, node):
        return False
    return node.held_of.get(need.publisher, 0) + size <= publisher_share * node.pledge


def offers(
    needs: Iterable[Need], node: Candidate, *, limit: int = 10, publisher_share: float = 1.0
) -> list[Need]:
    """What to offer to ``node``, best first, at most ``limit``; each fits on its own."""

    def order(need: Need) -> tuple[int, int, int, float, bytes]:
        complete = {h.domain for h in need.holders if h.complete}
        coming = {h.domain for h in need.holders} - complete
        tie = hashlib.sha256(f"{node.node} {need.content_id}".encode()).digest()
        return (len(complete), len(coming), -need.bytes, need.created, tie)

    return sorted((n for n in needs if _takes(n, node, publisher_share)), key=order)[:limit]
