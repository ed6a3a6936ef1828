"""A log in memory: what a registrar proves of its events, without a registrar."""

from __future__ import annotations

from seedkeep.core.errors import NotFound
from seedkeep.core.events import Event
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.proof import LogProof
from seedkeep.core.log.tiles import (
    ENTRIES,
    FULL,
    Place,
    Places,
    Tile,
    encode_bundle,
    grow,
    inclusion_proof,
    root_of_tiles,
)
from seedkeep.core.log.tree import HASH_BYTES, leaf_hash


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

    def file(self, path: str) -> bytes:
        """A file of the log, as it is served.

        Raises:
            NotFound: there is none.
        """
        if path == "checkpoint":
            return self.checkpoint().encode()
        tile = Tile.parse(path)
        if tile.level == ENTRIES:
            leaves = [event.leaf() for event in self.events[tile.index * FULL :][: tile.width]]
            if len(leaves) == tile.width:
                return encode_bundle(leaves)
        elif len(data := self.tiles.get(tile.place, b"")) >= tile.width * HASH_BYTES:
            return data[: tile.width * HASH_BYTES]
        raise NotFound(f"there is no {path}")
