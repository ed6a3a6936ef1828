"""Which bytes of which files make up a piece, and whether bytes are those of a piece.

Pieces are numbered as in the torrent: in v2 (BEP 52) every file that is not empty begins a new piece; in v1
(BEP 3) the files lie end to end and a piece may span several.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from seedkeep.core.bencode import Limits
from seedkeep.core.merkle import leaf_hashes, piece_hash, root_of
from seedkeep.core.metainfo import Metainfo, read_metainfo

#: what the engine itself lets libtorrent load
LIMITS = Limits(size=512 * 1024 * 1024, depth=130, tokens=10_000_000)


@dataclass(frozen=True, slots=True)
class Slice:
    """``length`` bytes from ``offset`` of the file with this index in the manifest."""

    file: int
    offset: int
    length: int


class PieceMap:
    """The pieces of one torrent."""

    def __init__(self, meta: Metainfo) -> None:
        self.meta = meta
        self._length = meta.piece_length
        sizes = [file.size for file in meta.files]
        if meta.version == 2:
            counts = [-(-size // self._length) for size in sizes]
            self._starts = [0, *accumulate(counts)]
            layered = [count if count > 1 else 0 for count in counts]
            self._layer_starts = [0, *accumulate(layered)]
            self.count = self._starts[-1]
        else:
            self._starts = [0, *accumulate(sizes)]
            self.count = -(-self._starts[-1] // self._length)

    @classmethod
    def of(cls, metainfo: bytes) -> PieceMap:
        """Of a whole ``.torrent``. Raises HostileMetainfo."""
        return cls(read_metainfo(metainfo, limits=LIMITS))

    def size(self, piece: int) -> int:
        if self.meta.version == 2:
            file = self._file_of(piece)
            inside = piece - self._starts[file]
            return min(self._length, self.meta.files[file].size - inside * self._length)
        return min(self._length, self._starts[-1] - piece * self._length)

    def slices(self, first: int, last: int) -> Iterator[Slice]:
        """The bytes of pieces ``first`` to ``last`` (inclusive) in order, as long as possible per file."""
        if self.meta.version == 2:
            file = self._file_of(first)
            while file < len(self.meta.files) and self._starts[file] <= last:
                begin = max(first, self._starts[file]) - self._starts[file]
                end = min(last + 1, self._starts[file + 1]) - self._starts[file]
                stop = min(end * self._length, self.meta.files[file].size)
                if end > begin:
                    yield Slice(file, begin * self._length, stop - begin * self._length)
                file += 1
            return
        at, stop = first * self._length, min((last + 1) * self._length, self._starts[-1])
        file = bisect_right(self._starts, at) - 1
        while at < stop:
            end = min(stop, self._starts[file + 1])
            if end > at:
                yield Slice(file, at - self._starts[file], end - at)
            at, file = end, file + 1

    def matches(self, piece: int, data: bytes) -> bool:
        """Whether ``data`` is the piece. Hashes: call it in a thread for large pieces."""
        if len(data) != self.size(piece):
            return False
        if self.meta.version == 1:
            digest = hashlib.sha1(data, usedforsecurity=False).digest()
            return digest == self.meta.pieces[20 * piece : 20 * piece + 20]
        file = self._file_of(piece)
        entry = self.meta.files[file]
        leaves = leaf_hashes(data)
        if entry.size <= self._length:
            return root_of(leaves, size=entry.size).hex() == entry.root
        at = 32 * (self._layer_starts[file] + piece - self._starts[file])
        return piece_hash(leaves, self._length) == self.meta.layers[at : at + 32]

    def _file_of(self, piece: int) -> int:
        """v2: the only file that has bytes of this piece (empty files have no piece)."""
        return bisect_right(self._starts, piece) - 1
