"""Deciding what has to be read: which files, in which runs, and which v1 pieces afterwards."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Collection, Sequence

from seedkeep.ingest.hashing import LARGE
from seedkeep.ingest.jobs import Found, Fragment, Part, Pieces, PiecesJob, RunJob

_MOST_BYTES = 64 << 20
_MOST_FILES = 4096


def plan_runs(
    files: Sequence[Found],
    done: Collection[str],
    parts: dict[str, Part],
    *,
    piece_length: int,
    workers: int,
) -> list[RunJob]:
    """The runs over all files whose paths are not in ``done``, the longest first.

    A run of small files is long against a piece (so that the raw ends that go between processes stay
    small against what is hashed) and short against the whole (so that all workers end together).
    """
    total = sum(file.size for file in files if file.path not in done)
    target = max(16 * piece_length, min(_MOST_BYTES, total // (workers * 16)))
    large = max(LARGE, target)
    runs: list[RunJob] = []
    run: list[Found] = []
    size = 0

    def close() -> None:
        nonlocal size
        if run:
            runs.append(RunJob(tuple(run)))
            run.clear()
            size = 0

    for file in files:
        if file.path in done:
            close()
        elif file.size >= large:
            close()
            runs.append(RunJob((file,), parts.get(file.path)))
        else:
            run.append(file)
            size += file.size
            if size >= target or len(run) >= _MOST_FILES:
                close()
    close()
    runs.sort(key=lambda job: job.files[0].start - job.files[-1].end)
    return runs


class PieceTable:
    """The v1 piece hashes of the whole stream, as they come in from runs in any order."""

    def __init__(self, total: int, piece_length: int) -> None:
        self._total = total
        self._length = piece_length
        self._count = -(-total // piece_length)
        self._hashes = bytearray(20 * self._count)
        self._known = bytearray(self._count)
        self._loose: dict[int, list[Fragment]] = {}

    def add(self, pieces: Pieces) -> None:
        """Enter known hashes."""
        count = len(pieces.hashes) // 20
        self._hashes[20 * pieces.first : 20 * (pieces.first + count)] = pieces.hashes
        self._known[pieces.first : pieces.first + count] = b"\1" * count

    def join(self, fragment: Fragment) -> Pieces | None:
        """Enter raw bytes of one piece; its hash, once all its bytes are there."""
        number = fragment.start // self._length
        if self._known[number]:
            return None
        loose = self._loose.setdefault(number, [])
        loose.append(fragment)
        expected = min(self._length, self._total - number * self._length)
        if sum(len(each.data) for each in loose) < expected:
            return None
        digest = hashlib.sha1(usedforsecurity=False)
        for each in sorted(self._loose.pop(number), key=lambda each: each.start):
            digest.update(each.data)
        found = Pieces(number, digest.digest())
        self.add(found)
        return found

    def missing(self) -> list[tuple[int, int]]:
        """(first, count) of every stretch of unknown pieces."""
        self._loose.clear()
        stretches: list[tuple[int, int]] = []
        at = self._known.find(0)
        while at >= 0:
            end = self._known.find(1, at)
            end = self._count if end < 0 else end
            stretches.append((at, end - at))
            at = self._known.find(0, end)
        return stretches

    def hashes(self) -> bytes:
        """All hashes, 20 bytes each.

        Raises:
            ValueError: some are missing.
        """
        if 0 in self._known:
            raise ValueError("some pieces are missing")
        return bytes(self._hashes)


def plan_pieces(
    files: Sequence[Found], table: PieceTable, *, total: int, piece_length: int
) -> list[PiecesJob]:
    """Jobs for the pieces that no run gave: those beside files whose digests were kept."""
    ends = [file.end for file in files]
    most = max(1, _MOST_BYTES // piece_length)
    jobs: list[PiecesJob] = []
    for first, count in table.missing():
        for number in range(first, first + count, most):
            taken = min(most, first + count - number)
            start, end = number * piece_length, min((number + taken) * piece_length, total)
            low = bisect.bisect_right(ends, start)
            high = bisect.bisect_left(ends, end)
            jobs.append(PiecesJob(number, taken, tuple(files[low : high + 1]), end))
    return jobs
