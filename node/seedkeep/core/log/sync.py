"""Following another log: a generator without I/O that asks for files and gives back verified entries.

:func:`follow` yields what is to be done; whoever drives it sends the answer and goes on:

* :class:`Fetch`: get these tiles from the log or any mirror of it; the answer is their bytes, in order;
* :class:`Recall`: the same from one's own store of that log;
* :class:`Trust`: persist this note as the trusted one, compare-and-swap; no answer;
* :class:`Store`: store these entries and tiles durably, in one transaction; no answer.

Nothing is yielded to be stored before it has been verified against a signed and consistent checkpoint; all
that is held meanwhile is a few bundles of entries and a tile for each level. It may be dropped at any time
and begun anew from what is stored. A log is cosigned, and served, only as far as it is stored.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from seedkeep.core.errors import Error, VerificationFailed
from seedkeep.core.events import Event
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.entry import WrongHome, read_entry
from seedkeep.core.log.evidence import Evidence, Kind, Misbehaviour
from seedkeep.core.log.tiles import (
    ENTRIES,
    FULL,
    Place,
    Places,
    Tile,
    edge_of,
    grow,
    inclusion_proof,
    parse_bundle,
    root_of_tiles,
    tiles_of_inclusion,
    tiles_of_root,
)
from seedkeep.core.log.tree import HASH_BYTES, leaf_hash, root_of_full, verify_inclusion
from seedkeep.core.log.trusted_log import Relation, TrustedLog

#: bundles asked for at once
BATCH = 8
#: a known log that claims more new entries than this is not believed: whoever steals its key cannot carry its
#: readers off to a size that the log never comes back from
MAX_GROWTH = 2**24


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get these from the log: at most ``tile.max_bytes`` from ``tile.path`` each."""

    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Recall:
    """Get these from one's own store of the log."""

    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Trust:
    """Persist ``note`` where ``before`` was ("" at first), before going on; if it was not, stop."""

    before: str
    note: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A verified entry: what stands in the log, its hash as an event, and the event."""

    leaf: bytes
    hash: str
    event: Event


@dataclass(frozen=True, slots=True)
class Store:
    """Store ``entries`` from index ``start`` on, and ``tiles`` (new or longer ones), in one transaction."""

    start: int
    entries: tuple[Entry, ...]
    tiles: Mapping[Place, bytes]


Step = Fetch | Recall | Trust | Store
Following = Generator[Step, Sequence[bytes] | None, Relation]


def follow(trusted: TrustedLog, note: str | bytes, stored: int, edge: Mapping[Place, bytes]) -> Following:
    """Follow a log up to an offered checkpoint.

    Args:
        trusted: what is trusted of it; changes with every :class:`Trust`.
        note: the offered checkpoint; any signed one, however old.
        stored: entries that are stored; not more than are trusted.
        edge: the stored tiles of :func:`~seedkeep.core.log.tiles.edge_of` (``stored``).

    Returns:
        How the offered checkpoint stood to the trusted one; ``OLDER`` is worth an alarm when it persists.
        Everything up to ``trusted.checkpoint`` is stored then.

    Raises:
        InvalidInput, VerificationFailed: what was offered or served does not hold; it proves nothing.
        Misbehaviour: the log has been caught.
    """
    offer = trusted.offer(note)
    copy = _Copy(trusted, stored, edge)
    if offer.relation is Relation.NEWER:
        size = offer.checkpoint.size
        known = trusted.checkpoint.size
        if known and size > copy.stored + MAX_GROWTH:
            yield from copy.run({})
        if known and size > copy.stored + MAX_GROWTH:
            raise VerificationFailed(
                f"{offer.checkpoint.origin} claims {size} entries, {size - known} more than before"
            )
        edges = yield from _fetch(tiles_of_root(size))
        tiles = edges | (yield from _fetch([t for t in offer.tiles if t not in edges]))
        _check_edge(edges, offer.checkpoint)
        before = trusted.note
        trusted.accept(offer, tiles)
        yield Trust(before, trusted.note)
        yield from copy.run(edges)
    else:
        if offer.relation is Relation.SAME and trusted.rotated:
            before = trusted.note
            trusted.accept(offer, {})
            yield Trust(before, trusted.note)
        yield from copy.run({})
    if offer.relation is Relation.OLDER:
        trusted.judge(offer, (yield from _recall(offer.tiles)))
    return offer.relation


def _check_edge(edges: Mapping[Tile, bytes], checkpoint: Checkpoint) -> None:
    if root_of_tiles(edges, checkpoint.size) != checkpoint.root:
        raise VerificationFailed(
            f"the tiles served for {checkpoint.origin} do not fit its checkpoint of {checkpoint.size}"
        )


def _answers(tiles: Sequence[Tile], answer: Sequence[bytes] | None) -> dict[Tile, bytes]:
    found = dict(zip(tiles, answer or (), strict=True))
    for tile, data in found.items():
        exact = tile.level == ENTRIES or len(data) == tile.max_bytes
        if len(data) > tile.max_bytes or not exact:
            raise VerificationFailed(f"{tile.path} has {len(data)} bytes where it can have {tile.max_bytes}")
    return found


def _fetch(tiles: Sequence[Tile]) -> Generator[Step, Sequence[bytes] | None, dict[Tile, bytes]]:
    return _answers(tiles, (yield Fetch(tuple(tiles)))) if tiles else {}


def _recall(tiles: Sequence[Tile]) -> Generator[Step, Sequence[bytes] | None, dict[Tile, bytes]]:
    return _answers(tiles, (yield Recall(tuple(tiles)))) if tiles else {}


class _Copy:
    """Copies the entries of a trusted checkpoint, each bundle verified by tiles that lead to its root."""

    def __init__(self, trusted: TrustedLog, stored: int, own: Mapping[Place, bytes]) -> None:
        self._trusted = trusted
        self._checkpoint = trusted.checkpoint
        self.stored = stored
        self._own = {place: own[place] for place in edge_of(stored)}
        self._edges: Mapping[Tile, bytes] = {}
        #: for each level the full tile verified last
        self._verified: dict[int, tuple[Tile, bytes]] = {}

    def run(self, edges: Mapping[Tile, bytes]) -> Generator[Step, Sequence[bytes] | None, None]:
        """Copy what is missing; ``edges`` are the verified tiles of the root, empty when not at hand."""
        self._checkpoint = self._trusted.checkpoint
        size = self._checkpoint.size
        if self.stored >= size:
            return
        if not edges:
            edges = yield from _fetch(tiles_of_root(size))
            _check_edge(edges, self._checkpoint)
        self._edges = edges
        last = (size - 1) // FULL
        index = self.stored // FULL
        while index <= last:
            batch = [self._tile(ENTRIES, at) for at in range(index, min(index + BATCH, last + 1))]
            for tile, data in (yield from _fetch(batch)).items():
                yield from self._take(tile, data)
            index += len(batch)

    def _tile(self, level: int, index: int) -> Tile:
        count = self._checkpoint.size >> 8 * max(level, 0)
        return Tile(level, index, min(FULL, count - index * FULL))

    def _take(self, bundle: Tile, data: bytes) -> Generator[Step, Sequence[bytes] | None, None]:
        leaves = parse_bundle(data, bundle.width)
        hashes = [leaf_hash(leaf) for leaf in leaves]
        if bundle.width == FULL:
            good = root_of_full(hashes) == (yield from self._hash_above(bundle))
        else:
            good = b"".join(hashes) == self._edges[Tile(0, bundle.index, bundle.width)]
        if not good:
            raise VerificationFailed(
                f"{bundle.path} of {self._checkpoint.origin} is not what stands in its log"
            )
        new = self.stored - bundle.index * FULL
        entries = yield from self._read(leaves[new:])
        tiles = grow(self.stored, self._own, hashes[new:])
        size = self.stored + len(entries)
        places = self._own | tiles
        self._own = {place: places[place] for place in edge_of(size)}
        if size == self._checkpoint.size and root_of_tiles(Places(self._own), size) != self._checkpoint.root:
            raise VerificationFailed(f"what was stored of the log of {self._checkpoint.origin} is damaged")
        yield Store(self.stored, entries, tiles)
        self.stored = size

    def _hash_above(self, tile: Tile) -> Generator[Step, Sequence[bytes] | None, bytes]:
        """The verified root of a full tile, or of a full bundle."""
        above = self._tile(max(tile.level, 0) + 1, tile.index // FULL)
        if above.width < FULL:
            data = self._edges[above]
        elif self._verified.get(above.level, (None, b""))[0] == above:
            data = self._verified[above.level][1]
        else:
            want = yield from self._hash_above(above)
            data = (yield from _fetch([above]))[above]
            if root_of_full([data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]) != want:
                raise VerificationFailed(f"{above.path} of {self._checkpoint.origin} does not fit its log")
            self._verified[above.level] = above, data
        at = tile.index % FULL * HASH_BYTES
        return data[at : at + HASH_BYTES]

    def _read(self, leaves: Sequence[bytes]) -> Generator[Step, Sequence[bytes] | None, tuple[Entry, ...]]:
        entries = []
        for at, leaf in enumerate(leaves, self.stored):
            try:
                hash_, event = read_entry(leaf, self._checkpoint.origin)
            except Error as error:
                kind = Kind.WRONG_HOME if isinstance(error, WrongHome) else Kind.BROKEN_ENTRY
                raise Misbehaviour((yield from self._evidence(kind, at, leaf))) from error
            entries.append(Entry(leaf, hash_, event))
        return tuple(entries)

    def _evidence(
        self, kind: Kind, index: int, leaf: bytes
    ) -> Generator[Step, Sequence[bytes] | None, Evidence]:
        size = self._checkpoint.size
        tiles = yield from _fetch(tiles_of_inclusion(index, size))
        path = inclusion_proof(tiles, index, size)
        verify_inclusion(leaf_hash(leaf), index, size, path, self._checkpoint.root)
        return Evidence(kind, self._trusted.verifier, (self._trusted.note,), tuple(path), index, leaf)
