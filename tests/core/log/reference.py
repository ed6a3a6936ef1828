"""RFC 6962, section 2.1, word for word and slow: what the log's code is compared with; and a small log."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.tiles import (
    ENTRIES,
    FULL,
    Place,
    Places,
    Tile,
    edge_of,
    encode_bundle,
    grow,
    root_of_tiles,
)
from seedkeep.core.log.tree import leaf_hash
from seedkeep.core.notes import Verifier


def _split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(leaves: Sequence[bytes]) -> bytes:
    """Merkle Tree Hash, 2.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = _split(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Merkle audit path, 2.1.1."""
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def proof(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Merkle consistency proof, 2.1.2, for 0 < m."""
    return _subproof(m, leaves, True)


def _subproof(m: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
    n = len(leaves)
    if m == n:
        return [] if whole else [mth(leaves)]
    k = _split(n)
    if m <= k:
        return [*_subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*_subproof(m - k, leaves[k:], False), mth(leaves[:k])]


class SmallLog:
    """A log in memory: grows, signs its checkpoints, serves its files by path."""

    def __init__(self, origin: str = "log.example", key: PrivateKey | None = None) -> None:
        self.key = key or PrivateKey(hashlib.sha256(origin.encode()).digest())
        self.verifier = Verifier(origin, self.key.public)
        self.leaves: list[bytes] = []
        self.places: dict[Place, bytes] = {}

    @property
    def tiles(self) -> Places:
        return Places(self.places)

    def append(self, *leaves: bytes) -> str:
        """Append, and sign the new size."""
        size = len(self.leaves)
        edge = {place: self.places[place] for place in edge_of(size)}
        self.places |= grow(size, edge, [leaf_hash(leaf) for leaf in leaves])
        self.leaves += leaves
        return self.note()

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        size = len(self.leaves) if size is None else size
        return Checkpoint(self.verifier.name, size, root_of_tiles(self.tiles, size))

    def note(self, size: int | None = None) -> str:
        return self.checkpoint(size).sign(self.key)

    def get(self, path: str) -> bytes:
        """What a GET of ``path`` answers."""
        tile = Tile.parse(path)
        if tile.level == ENTRIES:
            start = tile.index * FULL
            return encode_bundle(self.leaves[start : start + tile.width])
        return self.places[tile.place][: 32 * tile.width]
