"""Who fetches which piece next: claims on runs of missing pieces, so that no two workers fetch the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable

_DONE, _MISSING, _CLAIMED = 0, 1, 2


class PiecePlan:
    """The pieces of one torrent that are still to come.

    Runs are handed out from the end backwards: peers begin anywhere, or at the front when a torrent is
    well seeded, so the two rarely fetch the same piece.
    """

    def __init__(self, count: int, missing: Iterable[int]) -> None:
        self._state = bytearray(count)
        for piece in missing:
            self._state[piece] = _MISSING
        self.left = self._state.count(_MISSING)

    def take(self, budget: int, size: Callable[[int], int]) -> tuple[int, int] | None:
        """Claim a run of missing pieces (first, last) of at most ``budget`` bytes, one piece at least."""
        last = self._state.rfind(_MISSING)
        if last < 0:
            return None
        first, total = last, size(last)
        while first > 0 and self._state[first - 1] == _MISSING and total < budget:
            first -= 1
            total += size(first)
        self._state[first : last + 1] = bytes([_CLAIMED]) * (last + 1 - first)
        return first, last

    def give_back(self, first: int, last: int) -> None:
        """End a claim: what of it is not done is missing again."""
        for piece in range(first, last + 1):
            self.lost(piece)

    def lost(self, piece: int) -> None:
        """A claimed piece has to be fetched again."""
        if self._state[piece] == _CLAIMED:
            self._state[piece] = _MISSING

    def done(self, piece: int) -> None:
        """The piece is on disk, whoever brought it."""
        if self._state[piece] != _DONE:
            self._state[piece] = _DONE
            self.left -= 1

    def reopen(self, piece: int) -> None:
        """A piece turned out wrong on disk."""
        if self._state[piece] == _DONE:
            self._state[piece] = _MISSING
            self.left += 1

    def is_done(self, piece: int) -> bool:
        return self._state[piece] == _DONE
