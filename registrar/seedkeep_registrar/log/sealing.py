"""Sealing: what a transaction appends enters the Merkle tree and gets one signed checkpoint, before it ends.

So rows, tiles and checkpoint agree after any crash, no size is ever signed twice, and nothing leaves this
process that is not durable: what a sealed batch proves is kept here until the transaction's signal is heard.
A database that has lost what was durable (a replica that lagged behind and was promoted) gets nothing more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.tiles import FULL, Place, Places, edge_of, grow, root_of_tiles
from seedkeep.core.log.tree import EMPTY_ROOT, leaf_hash
from seedkeep_registrar.database import Unavailable
from seedkeep_registrar.processes.signals import Kind, Signal, announce
from seedkeep_registrar.store import events, trees
from seedkeep_registrar.store.trees import Signed

_LOG = logging.getLogger(__name__)
#: leaves read at a time; only a log that has no tiles yet has more of them to seal
_AT_ONCE = 64 * FULL


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction has sealed.

    Args:
        first: index of its first entry; its last one is the checkpoint's.
        tiles: all that proves its entries, and all that the next one grows from.
    """

    first: int
    checkpoint: Signed
    tiles: dict[Place, bytes]


class Sealer:
    """Seals this registrar's own log; its work is done in the writing thread."""

    def __init__(self, origin: str, key: PrivateKey, clock: Callable[[], float]) -> None:
        self._origin = origin
        self._key = key
        self._clock = clock
        self._last: Batch | None = None
        # of the greatest size that was durable, as far as this process has heard
        self._durable = (0, EMPTY_ROOT)
        self._lock = threading.Lock()

    def seal(self, connection: Connection) -> None:
        """Seal what was appended, in the transaction that has appended it.

        Raises:
            Unavailable: the database has lost events that were durable.
        """
        if not events.was_appended(connection):
            return
        size = events.log_state(connection).size
        sealed = trees.newest(connection, events.OWN)
        first, root = (sealed.size, sealed.root) if sealed else (0, EMPTY_ROOT)
        if size <= first and sealed:
            return
        known = self._durable
        if first < known[0] or (first == known[0] and root != known[1]):
            _LOG.critical("the database has lost events: it knows %d of at least %d", first, known[0])
            raise Unavailable(
                f"the database has lost events: the log had {known[0]}, it knows {first}",
                hint="Its operator: bring back a newer copy, or restart, and peers are asked for the rest.",
            )
        tiles = self._edge(connection, first, root)
        end = first
        while end < size:
            first, end = end, min(size, end + _AT_ONCE)
            hashes = [leaf_hash(leaf) for leaf in events.leaves(connection, events.OWN, first, end)]
            assert len(hashes) == end - first
            changed = grow(first, tiles, hashes)
            trees.put_tiles(connection, events.OWN, changed)
            tiles = {place: tiles[place] for place in edge_of(first)} | changed
        checkpoint = Checkpoint(self._origin, size, root_of_tiles(Places(tiles), size))
        signed = Signed(size, checkpoint.root, checkpoint.sign(self._key), cosigned=False)
        trees.add_checkpoint(connection, events.OWN, signed, self._clock())
        self._last = Batch(first, signed, tiles)
        announce(connection, Kind.CHECKPOINT, _text(signed))

    def durable(self, signal: Signal) -> Batch | None:
        """What a signal says is durable, if it is what was sealed last here; called in the writing thread."""
        if signal.kind is not Kind.CHECKPOINT:
            return None
        self.heard(signal.text)
        return self._last if self._last and signal.text == _text(self._last.checkpoint) else None

    def heard(self, text: str) -> None:
        """A checkpoint of this registrar's own log is durable, whichever process has sealed it."""
        size, _, root = text.partition(" ")
        with self._lock:
            if int(size) > self._durable[0]:
                self._durable = int(size), bytes.fromhex(root)

    def _edge(self, connection: Connection, size: int, root: bytes) -> dict[Place, bytes]:
        # what was sealed last may never have become durable: only the root tells
        last = self._last
        if last and (last.checkpoint.size, last.checkpoint.root) == (size, root):
            return {place: last.tiles[place] for place in edge_of(size)}
        return trees.tiles(connection, events.OWN, edge_of(size))


def _text(signed: Signed) -> str:
    return f"{signed.size} {signed.root.hex()}"
