"""Fan-out of engine events: every listener sees everything from its subscription on, or a Resync."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator

from seedkeep.engine.model import EngineEvent, Resync

QUEUE_LIMIT = 10_000


class Subscription(AsyncIterator[EngineEvent]):
    """One listener's queue. Full, it is emptied and holds a single Resync instead."""

    def __init__(self) -> None:
        self._queue: deque[EngineEvent] = deque()
        self._wake = asyncio.Event()
        self._ended = False

    def put(self, event: EngineEvent) -> None:
        if len(self._queue) >= QUEUE_LIMIT:
            self._queue.clear()
            event = Resync()
        self._queue.append(event)
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    async def __anext__(self) -> EngineEvent:
        while not self._queue:
            if self._ended:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._queue.popleft()


class Subscribers:
    """The listeners of one engine. A listener that is dropped is forgotten by itself."""

    def __init__(self) -> None:
        self._all: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self._ended = False

    def subscribe(self) -> Subscription:
        subscription = Subscription()
        if self._ended:
            subscription.end()
        else:
            self._all.add(subscription)
        return subscription

    def publish(self, event: EngineEvent) -> None:
        for subscription in list(self._all):
            subscription.put(event)

    def end(self) -> None:
        self._ended = True
        for subscription in list(self._all):
            subscription.end()
        self._all.clear()
