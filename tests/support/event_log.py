"""A log in memory: what a registrar proves of its events, without a registrar."""

from __future__ import annotations

from seedkeep.core.events import Event
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.proof import LogProof
from seedkeep.core.log.tiles import Place, Places, grow, inclusion_proof, root_of_tiles
from seedkeep.core.log.tree import leaf_hash


class EventLog:
    """Events in their order, and the tree over them."""

    def __init__(self, origin: str, key: PrivateKey) -> None:
        self.origin = origin
        self.key = key
        self.events: list[Event] = []
        self.tiles: dict[Place, bytes] = {}

    @property
    def size(self) -> int:
        return len(self.events)

    def append(self, event: Event) -> str:
        """Append an event; its proof, under a checkpoint signed now."""
        self.tiles |= grow(self.size, self.tiles, [leaf_hash(event.leaf())])
        self.events.append(event)
        return self.proof(self.size - 1)

    def checkpoint(self) -> str:
        """The signed head."""
        return Checkpoint(self.origin, self.size, root_of_tiles(Places(self.tiles), self.size)).sign(self.key)

    def proof(self, index: int) -> str:
        """The proof of an event, under the present head."""
        hashes = inclusion_proof(Places(self.tiles), index, self.size)
        return LogProof(index, tuple(hashes), self.checkpoint()).encode()
