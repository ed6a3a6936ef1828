"""When to ask a web seed again, and when to give it up. No I/O; times are seconds of any steady clock."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_PAUSE = 60.0


@dataclass(slots=True)
class WebSeedHealth:
    """The standing of one web seed.

    Args:
        url: its base URL.
        retry: seconds of rest after the first failure; doubles with each one that follows, up to 60.
        tries: failures in a row, with no piece gained in between, that are survived.
    """

    url: str
    retry: float
    tries: int
    ready_at: float = 0.0
    dropped: bool = False
    _strikes: int = 0
    _failed_at: float = float("-inf")

    def gained(self) -> None:
        """A piece came from it and was right."""
        self._strikes = 0

    def failed(self, *, started: float, now: float, wait: float = 0.0) -> bool:
        """A request that began at ``started`` failed; True when this was one too many.

        Requests that were under way when another one failed tell nothing new. ``wait``: the server asked for
        that many seconds of peace.
        """
        if self.dropped or started < self._failed_at:
            return False
        self._strikes += 1
        self._failed_at = now
        pause = self.retry * 2.0 ** (min(self._strikes, 10) - 1)
        self.ready_at = now + min(max(pause, wait), LONGEST_PAUSE)
        self.dropped = self._strikes > self.tries
        return self.dropped
