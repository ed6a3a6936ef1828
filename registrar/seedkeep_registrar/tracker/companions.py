"""Holds back announces for a companion that nobody has loaded, until a seed of it announces itself."""

from __future__ import annotations

import asyncio


class SeedWaiters:
    """
    Args:
        limit: most announces held back at once; the next ones are answered at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._waiting: dict[bytes, set[asyncio.Future[None]]] = {}

    def awaited(self, info_hash: bytes) -> bool:
        """Whether somebody waits for a seed of this swarm."""
        return info_hash in self._waiting

    async def wait(self, info_hash: bytes, seconds: float) -> bool:
        """Wait for a seed of this swarm.

        Returns:
            True when one has come; False after ``seconds``, or at once when too many wait already.
        """
        if self._held >= self._limit:
            return False
        arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(info_hash, set())
        waiting.add(arrival)
        self._held += 1
        try:
            async with asyncio.timeout(seconds):
                await arrival
        except TimeoutError:
            return False
        else:
            return True
        finally:
            self._held -= 1
            waiting.discard(arrival)
            if not waiting and self._waiting.get(info_hash) is waiting:
                del self._waiting[info_hash]

    def seed_came(self, info_hash: bytes) -> None:
        """A seed has announced itself: let all go who wait for it."""
        for arrival in self._waiting.pop(info_hash, ()):
            if not arrival.done():
                arrival.set_result(None)
