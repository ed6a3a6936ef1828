"""Logs with real events, forks of them, and a mirror that follows a log in memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from seedkeep.core.events import sign_event
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.sync import Fetch, Recall, Store, Trust, follow
from seedkeep.core.log.tiles import Place, Tile, edge_of
from seedkeep.core.log.trusted_log import Relation, TrustedLog
from tests.core.log.reference import SmallLog

AUTHOR = PrivateKey(b"a" * 32)


@functools.cache
def event(number: int, home: str = "log.example") -> bytes:
    """The leaf of an event, a different one for each number."""
    body = str(number).encode()
    return sign_event(AUTHOR, type="record", body=body, home=home, created="2026-01-31T12:00:00Z").leaf()


def events(start: int, stop: int) -> list[bytes]:
    return [event(n) for n in range(start, stop)]


def log_of(size: int, *, fork_at: int | None = None) -> SmallLog:
    """The log of events 0, 1, …; from ``fork_at`` on another history."""
    log = SmallLog()
    split = size if fork_at is None else min(fork_at, size)
    log.append(*events(0, split))
    log.append(*events(10_000 + split, 10_000 + size))
    return log


class Mirror:
    """Follows one log, keeps what it is told to store; everything in it survives a restart."""

    def __init__(self, log: SmallLog) -> None:
        self.verifier = log.verifier
        self.leaves: list[bytes] = []
        self.places: dict[Place, bytes] = {}
        self.note = ""
        self.fetched: list[Tile] = []

    def trusted(self) -> TrustedLog:
        return TrustedLog.restore(self.verifier, self.note)

    def follow(
        self, note: str, get: Callable[[str], bytes], *, stop_after: int | None = None
    ) -> Relation | None:
        """Follow up to ``note``; with ``stop_after`` the process dies after so many steps."""
        stored = len(self.leaves)
        edge = {place: self.places[place] for place in edge_of(stored)}
        following = follow(self.trusted(), note, stored, edge)
        answer: Sequence[bytes] | None = None
        steps = 0
        while True:
            try:
                step = following.send(answer)
            except StopIteration as end:
                relation: Relation = end.value
                return relation
            answer = None
            if steps == stop_after:
                return None
            steps += 1
            match step:
                case Fetch(tiles):
                    self.fetched += tiles
                    answer = [get(tile.path) for tile in tiles]
                case Recall(tiles):
                    answer = [self.places[tile.place][: tile.max_bytes] for tile in tiles]
                case Trust(before, fresh):
                    assert before == self.note
                    self.note = fresh
                case Store(start, entries, changed):
                    assert start == len(self.leaves)
                    self.leaves += [entry.leaf for entry in entries]
                    self.places |= changed
