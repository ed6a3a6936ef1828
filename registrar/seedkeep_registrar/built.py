"""Large torrents, once built, kept in memory for those who ask next; bounded in bytes.

A torrent of 100,000 files takes a worker process a second or more, and every node that is to hold it asks.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

LIMIT_BYTES = 64 * 1024 * 1024


class Built:
    """
    Args:
        limit: bytes that are kept at most.
    """

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self._limit = limit
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._bytes = 0
        self._building = asyncio.Lock()

    async def get(self, key: Hashable, build: Callable[[], Awaitable[bytes]]) -> bytes:
        """What was built under this key, or is built now; one at a time, so nothing is built twice at once.

        Args:
            key: all that the result depends on.
        """
        if (found := self._find(key)) is not None:
            return found
        async with self._building:
            if (found := self._find(key)) is not None:
                return found
            made = await build()
            self._keep(key, made)
            return made

    def _find(self, key: Hashable) -> bytes | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def _keep(self, key: Hashable, made: bytes) -> None:
        if len(made) > self._limit:
            return
        self._kept[key] = made
        self._bytes += len(made)
        while self._bytes > self._limit:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped)
