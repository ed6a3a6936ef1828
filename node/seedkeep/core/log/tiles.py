"""A log as static files (C2SP tlog-tiles): tiles of hashes, bundles of entries, and proofs made from them.

A tile is up to 256 consecutive hashes of one height: level 0 the leaf hashes, level n+1 the roots of the full
tiles of level n. A tile that is not full yet only grows: a shorter one is always a prefix of a longer one, so
whoever stores tiles keeps one value per (level, index), a :data:`Place`, and :class:`Places` reads from that.

Example::

    edge = {place: stored[place] for place in edge_of(size)}
    changed = grow(size, edge, [leaf_hash(leaf) for leaf in leaves])
    stored |= changed
    root = root_of_tiles(Places(stored), size + len(leaves))
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from seedkeep.core.errors import InvalidInput
from seedkeep.core.events import MAX_LEAF_BYTES
from seedkeep.core.log.tree import EMPTY_ROOT, HASH_BYTES, MAX_SIZE, join, root_of_full

#: hashes in a full tile, entries in a full bundle
FULL = 256
FULL_BYTES = FULL * HASH_BYTES
#: the ``level`` of a bundle of entries
ENTRIES = -1
MAX_LEVEL = 63
_MAX_ENTRY = 2**16 - 1
_PATH = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?", re.ASCII)

#: (level, index)
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tile:
    """The name of one tile.

    Args:
        level: 0 to 63, or :data:`ENTRIES`.
        index: from 0 within the level.
        width: hashes or entries in it, 1 to 256.
    """

    level: int
    index: int
    width: int = FULL

    def __post_init__(self) -> None:
        if not (ENTRIES <= self.level <= MAX_LEVEL and 0 <= self.index < 2**55 and 1 <= self.width <= FULL):
            raise InvalidInput(f"there is no tile ({self.level}, {self.index}, {self.width})")

    @property
    def place(self) -> Place:
        """(level, index)."""
        return self.level, self.index

    @property
    def path(self) -> str:
        """``tile/0/x001/234`` or ``tile/0/x001/234.p/17``, under the log's prefix."""
        groups = f"{self.index:03d}"
        groups = groups.zfill(-(-len(groups) // 3) * 3)
        parts = [groups[at : at + 3] for at in range(0, len(groups), 3)]
        number = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
        level = "entries" if self.level == ENTRIES else str(self.level)
        return f"tile/{level}/{number}" + (f".p/{self.width}" if self.width < FULL else "")

    @classmethod
    def parse(cls, path: str) -> Tile:
        """Read a path as :attr:`path` prints it.

        Raises:
            InvalidInput: it is no tile's, or not in its one printed form.
        """
        found = _PATH.fullmatch(path)
        if found is None:
            raise InvalidInput(f"{path[:120]!r} is not the path of a tile")
        level = ENTRIES if found[1] == "entries" else int(found[1])
        tile = cls(level, int(found[2].replace("/", "").replace("x", "")), int(found[3] or FULL))
        if tile.path != path:
            raise InvalidInput(f"{path[:120]!r} is not the path of a tile")
        return tile

    @property
    def max_bytes(self) -> int:
        """What it can have at most; a tile of hashes has exactly that."""
        return self.width * (2 + MAX_LEAF_BYTES if self.level == ENTRIES else HASH_BYTES)


class TileReader(Protocol):
    """Where tiles are read: ``tiles[tile]`` are its bytes; more bytes than its width are fine."""

    def __getitem__(self, tile: Tile, /) -> bytes: ...


class Places:
    """A :class:`TileReader` over bytes by (level, index), whatever width they have meanwhile."""

    def __init__(self, stored: Mapping[Place, bytes]) -> None:
        self._stored = stored

    def __getitem__(self, tile: Tile, /) -> bytes:
        return self._stored[tile.place]


def encode_bundle(leaves: Iterable[bytes]) -> bytes:
    """Entries one after the other, each after its length as two big-endian bytes.

    Raises:
        InvalidInput: an entry is over 65,535 bytes.
    """
    parts: list[bytes] = []
    for leaf in leaves:
        if len(leaf) > _MAX_ENTRY:
            raise InvalidInput(f"an entry of {len(leaf)} bytes does not fit into a bundle")
        parts += (len(leaf).to_bytes(2, "big"), leaf)
    return b"".join(parts)


def parse_bundle(data: bytes, width: int) -> list[bytes]:
    """
    Raises:
        InvalidInput: it does not hold exactly ``width`` entries.
    """
    leaves: list[bytes] = []
    at, end = 0, len(data)
    while at + 2 <= end and len(leaves) < width:
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        leaves.append(data[start:at])
    if at != end or len(leaves) != width:
        raise InvalidInput(f"a bundle does not hold exactly {width} entries")
    return leaves


def edge_of(size: int) -> list[Place]:
    """The tiles of a log of ``size`` entries that are not full yet: all that growing it needs."""
    places = []
    for level in range(8):
        count = size >> 8 * level
        if count % FULL:
            places.append((level, count // FULL))
    return places


def grow(size: int, edge: Mapping[Place, bytes], leaf_hashes: Sequence[bytes]) -> dict[Place, bytes]:
    """Append to a log.

    Args:
        size: entries so far.
        edge: the tiles of :func:`edge_of`; others are not looked at.
        leaf_hashes: of the entries to append.

    Returns:
        The tiles that are new or longer now, with all their bytes.
    """
    changed: dict[Place, bytes] = {}
    fresh, level = list(leaf_hashes), 0
    while fresh:
        count = size >> 8 * level
        index, width = divmod(count, FULL)
        row = b"".join((edge[level, index][: width * HASH_BYTES] if width else b"", *fresh))
        fresh = []
        for start in range(0, len(row), FULL_BYTES):
            tile = row[start : start + FULL_BYTES]
            changed[level, index] = tile
            index += 1
            if len(tile) == FULL_BYTES:
                fresh.append(root_of_full(_split(tile)))
        level += 1
    return changed


def _split(data: bytes) -> list[bytes]:
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


# A node is (height, index): the full subtree over the leaves index << height … (index + 1) << height.
_Node = tuple[int, int]


def _full_subtrees(low: int, high: int) -> Iterator[_Node]:
    """The full subtrees, from left to right, of the subtree over leaves ``low`` to ``high``."""
    while low < high:
        height = (high - low).bit_length() - 1
        yield height, low >> height
        low += 1 << height


def _tile_of(node: _Node, size: int) -> Tile:
    """The tile, as it is in a log of ``size`` entries, that holds the hashes under ``node``."""
    height, index = node
    level = height // 8
    at = (index << height % 8) // FULL
    return Tile(level, at, min(FULL, (size >> 8 * level) - at * FULL))


def _hash_of(tiles: TileReader, node: _Node, size: int) -> bytes:
    tile = _tile_of(node, size)
    data = tiles[tile]
    count = 1 << node[0] % 8
    start = (node[1] * count - tile.index * FULL) * HASH_BYTES
    hashes = _split(data[start : start + count * HASH_BYTES])
    if len(hashes) != count or len(hashes[-1]) != HASH_BYTES:
        raise InvalidInput(f"tile {tile.path} is cut short: it has {len(data)} bytes")
    return root_of_full(hashes)


def _ranges_of_inclusion(index: int, size: int) -> list[tuple[int, int]]:
    """The subtrees (as ranges of leaves) that an inclusion proof consists of, from the leaf up."""
    if not 0 <= index < size <= MAX_SIZE:
        raise InvalidInput(f"a log of {size} entries has no entry {index}")
    ranges, low, high = [], 0, size
    while high - low > 1:
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        if index < middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    return ranges[::-1]


def _ranges_of_prefix(old: int, new: int) -> list[tuple[int, int]]:
    """The same for a consistency proof with its first hash (RFC 6962, 2.1.2), for 0 < old < new."""
    if not 0 < old < new <= MAX_SIZE:
        raise InvalidInput(f"a log of {old} entries cannot grow to {new}")
    ranges, low, high = [], 0, new
    while high != old:
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        if old <= middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    ranges.append((low, high))
    return ranges[::-1]


def _ranges_of_consistency(old: int, new: int) -> list[tuple[int, int]]:
    if old in (0, new) and 0 <= new <= MAX_SIZE:
        return []
    ranges = _ranges_of_prefix(old, new)
    return ranges if ranges[0][0] else ranges[1:]


def _tiles_of(ranges: Iterable[tuple[int, int]], size: int) -> list[Tile]:
    nodes = (node for low, high in ranges for node in _full_subtrees(low, high))
    return list(dict.fromkeys(_tile_of(node, size) for node in nodes))


def _proof(tiles: TileReader, ranges: Iterable[tuple[int, int]], size: int) -> list[bytes]:
    return [join([_hash_of(tiles, node, size) for node in _full_subtrees(*r)]) for r in ranges]


def tiles_of_root(size: int) -> list[Tile]:
    """The tiles that :func:`root_of_tiles` reads: those at the right edge."""
    return _tiles_of([(0, size)], size)


def root_of_tiles(tiles: TileReader, size: int) -> bytes:
    """The root of the log's first ``size`` entries."""
    return _proof(tiles, [(0, size)], size)[0] if size else EMPTY_ROOT


def tiles_of_inclusion(index: int, size: int) -> list[Tile]:
    """The tiles that :func:`inclusion_proof` reads."""
    return _tiles_of(_ranges_of_inclusion(index, size), size)


def inclusion_proof(tiles: TileReader, index: int, size: int) -> list[bytes]:
    """The proof that entry ``index`` is in the log of ``size`` entries, leaf's sibling first.

    Raises:
        InvalidInput: there is no such entry, or a tile is cut short.
    """
    return _proof(tiles, _ranges_of_inclusion(index, size), size)


def tiles_of_consistency(old: int, new: int) -> list[Tile]:
    """The tiles that :func:`consistency_proof` reads."""
    return _tiles_of(_ranges_of_consistency(old, new), new)


def consistency_proof(tiles: TileReader, old: int, new: int) -> list[bytes]:
    """The proof that the log of ``new`` entries begins with that of ``old``.

    Raises:
        InvalidInput: the sizes are in the wrong order, or a tile is cut short.
    """
    return _proof(tiles, _ranges_of_consistency(old, new), new)


def tiles_of_prefix(old: int, new: int) -> list[Tile]:
    """The tiles that :func:`prefix_path` reads."""
    return _tiles_of(_ranges_of_prefix(old, new), new)


def prefix_path(tiles: TileReader, old: int, new: int) -> list[bytes]:
    """The consistency proof with its first hash, for :func:`~seedkeep.core.log.tree.roots_of_path`.

    Raises:
        InvalidInput: not 0 < old < new, or a tile is cut short.
    """
    return _proof(tiles, _ranges_of_prefix(old, new), new)
