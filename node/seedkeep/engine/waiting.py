"""Waiting that a cancellation may end at any moment without anything being lost track of."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Finish what libtorrent does in any case before a cancellation counts; nothing is lost track of."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise


async def wait_in(waiters: set[asyncio.Future[None]]) -> None:
    """Wait as one of many; forget it however the wait ends."""
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiters.add(waiter)
    try:
        await waiter
    finally:
        waiters.discard(waiter)


async def set_within(event: asyncio.Event, seconds: float) -> None:
    """Return when ``event`` is set, or after ``seconds``."""
    # Not wait_for, which in Python 3.11 may swallow a cancellation that comes together with the event.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
