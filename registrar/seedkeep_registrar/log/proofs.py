"""Proofs that events are in a log, for record documents and whoever asks for one (C2SP tlog-proof).

Full tiles never change, and a tile's beginning never does, so what was read once is kept, within bounds. What
this process has just sealed is proved from memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from sqlalchemy import Connection

from seedkeep.core.errors import NotFound
from seedkeep.core.log.proof import LogProof
from seedkeep.core.log.tiles import Place, Places, Tile, inclusion_proof, tiles_of_inclusion
from seedkeep.core.log.tree import HASH_BYTES
from seedkeep_registrar.log.sealing import Batch
from seedkeep_registrar.store import trees
from seedkeep_registrar.store.trees import Signed

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_TILES = 512
_PROOFS = 4096
_BATCHES = 16


class _Recent(Generic[K, V]):
    """The values used last; for several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: K, value: V) -> None:
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            if len(self._values) > self._most:
                self._values.popitem(last=False)


class Proofs:
    """Makes proofs; one for the process."""

    def __init__(self) -> None:
        self._tiles: _Recent[tuple[int, Place], bytes] = _Recent(_TILES)
        self._made: _Recent[tuple[int, int, int], tuple[bytes, ...]] = _Recent(_PROOFS)
        self._batches: deque[Batch] = deque(maxlen=_BATCHES)

    def sealed(self, batch: Batch) -> None:
        """Remember what has just become durable."""
        self._batches.appendleft(batch)

    def fresh(self, index: int) -> str | None:
        """The proof of an event of this registrar's own that was sealed here a moment ago; else nothing."""
        for batch in tuple(self._batches):
            if batch.first <= index < batch.checkpoint.size:
                hashes = inclusion_proof(Places(batch.tiles), index, batch.checkpoint.size)
                return LogProof(index, tuple(hashes), batch.checkpoint.note).encode()
        return None

    def of(self, connection: Connection, log: int, index: int) -> str:
        """The proof of an event under the oldest checkpoint with enough cosignatures that covers it, else
        under the oldest that covers it.

        Raises:
            NotFound: no checkpoint covers it yet.
        """
        signed = trees.covering(connection, log, index)
        if signed is None:
            raise NotFound(f"no checkpoint of this log covers entry {index}")
        return LogProof(index, self._hashes(connection, log, index, signed), signed.note).encode()

    def _hashes(self, connection: Connection, log: int, index: int, signed: Signed) -> tuple[bytes, ...]:
        made = self._made.get((log, index, signed.size))
        if made is None:
            tiles = Places(self.tiles(connection, log, tiles_of_inclusion(index, signed.size)))
            made = tuple(inclusion_proof(tiles, index, signed.size))
            self._made.put((log, index, signed.size), made)
        return made

    def tiles(self, connection: Connection, log: int, wanted: Sequence[Tile]) -> Mapping[Place, bytes]:
        """Tiles of hashes, at least as long as asked for.

        Raises:
            NotFound: one is not there.
        """
        found: dict[Place, bytes] = {}
        for tile in wanted:
            known = self._tiles.get((log, tile.place))
            if known is not None and len(known) >= tile.width * HASH_BYTES:
                found[tile.place] = known
        lacking = [tile for tile in wanted if tile.place not in found]
        read = trees.tiles(connection, log, [tile.place for tile in lacking])
        for tile in lacking:
            data = read.get(tile.place, b"")
            if len(data) < tile.width * HASH_BYTES:
                raise NotFound(f"this log has no {tile.path}")
            self._tiles.put((log, tile.place), data)
            found[tile.place] = data
        return found
