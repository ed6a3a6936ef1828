"""A limit on bytes per second that many readers share."""

from __future__ import annotations

import asyncio


class RateLimit:
    """A token bucket of one second. Rate 0 = no limit."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._tokens = float(rate)
        self._time = 0.0

    def set(self, rate: int) -> None:
        self._rate = rate
        self._tokens = min(self._tokens, float(rate))

    def charge(self, count: int) -> None:
        """Somebody outside spent ``count`` bytes of the same allowance."""
        self._tokens = max(self._tokens - count, -float(self._rate))

    async def spend(self, count: int) -> None:
        """Account for ``count`` bytes that came, and wait as long as they are over the limit."""
        if not self._rate:
            return
        self._refill()
        self._tokens -= count
        while self._rate and self._tokens < 0:
            await asyncio.sleep(min(1.0, -self._tokens / self._rate))
            self._refill()

    def _refill(self) -> None:
        now = asyncio.get_running_loop().time()
        self._tokens = min(float(self._rate), self._tokens + (now - self._time) * self._rate)
        self._time = now
