"""The two torrents' hashes, fed block by block: v1 pieces across files, v2 leaves of one file."""

from __future__ import annotations

import hashlib

from seedkeep.core import merkle
from seedkeep.ingest.jobs import Fragment, Pieces


class PieceStream:
    """The v1 pieces of one stretch of the stream, from byte ``start`` to ``end``.

    Bytes before the first and after the last piece boundary inside the stretch are kept raw. At the end
    of the whole stream the last piece is short, and is such a remainder too.
    """

    def __init__(self, start: int, end: int, piece_length: int) -> None:
        self._length = piece_length
        self._at = start
        self._start = start
        first = -(-start // piece_length)
        self._whole_from = min(first * piece_length, end)
        self._whole_to = max(end // piece_length * piece_length, self._whole_from)
        self._next = first
        self._head = bytearray()
        self._tail = bytearray()
        self._hashes = bytearray()
        self._sha1 = hashlib.sha1(usedforsecurity=False)

    def update(self, block: memoryview, /) -> None:
        """Add the next bytes."""
        while block:
            if self._at < self._whole_from:
                block = self._keep(block, self._head, self._whole_from - self._at)
            elif self._at >= self._whole_to:
                block = self._keep(block, self._tail, len(block))
            else:
                room = self._length - self._at % self._length
                taken = block[:room]
                self._sha1.update(taken)
                self._at += len(taken)
                block = block[room:]
                if len(taken) == room:
                    self._hashes += self._sha1.digest()
                    self._sha1 = hashlib.sha1(usedforsecurity=False)

    def _keep(self, block: memoryview, where: bytearray, count: int) -> memoryview:
        taken = block[:count]
        where += taken
        self._at += len(taken)
        return block[count:]

    def take(self) -> Pieces:
        """The whole pieces since the last call."""
        found = Pieces(self._next, bytes(self._hashes))
        self._next += len(self._hashes) // 20
        self._hashes.clear()
        return found

    def fragments(self) -> tuple[Fragment, ...]:
        """The raw bytes at the two ends."""
        head = Fragment(self._start, bytes(self._head))
        tail = Fragment(self._whole_to, bytes(self._tail))
        return tuple(fragment for fragment in (head, tail) if fragment.data)


class TreeStream:
    """The v2 tree of one file of known size.

    Every block given to :meth:`update` but the last must be a multiple of 16 KiB.
    """

    def __init__(self, size: int, piece_length: int, layer: bytes = b"") -> None:
        self._size = size
        self._length = piece_length
        self._per_piece = piece_length // merkle.BLOCK
        self._leaves: list[bytes] = []
        self._layer = bytearray(layer)

    def update(self, block: memoryview, /) -> None:
        """Add the next bytes."""
        leaves = self._leaves
        leaves += merkle.leaf_hashes(block)
        if self._size > self._length:
            whole = len(leaves) - len(leaves) % self._per_piece
            for node in merkle.layer_of_leaves(leaves[:whole], self._length):
                self._layer += node
            del leaves[:whole]

    @property
    def layer(self) -> bytes:
        """The nodes of all whole pieces so far."""
        return bytes(self._layer)

    def finish(self) -> tuple[str, bytes]:
        """(pieces root in hex, layer); the layer is empty for a file no larger than a piece."""
        if not self._size:
            return "", b""
        if self._size <= self._length:
            return merkle.root_of(self._leaves, size=self._size).hex(), b""
        if self._leaves:
            self._layer += merkle.piece_hash(self._leaves, self._length)
            self._leaves.clear()
        layer = bytes(self._layer)
        return merkle.root_of_layer(merkle.split_layer(layer), self._length).hex(), layer
