"""Runs heavy pure functions outside the event loop: small ones in a thread, large ones in a process.

A manifest of a million files takes tens of seconds of Python; in a thread it would hold the interpreter's
lock, so it goes to a worker process, which is started when it is first needed.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import ParamSpec, TypeVar

from seedkeep_registrar.database import Unavailable

P = ParamSpec("P")
T = TypeVar("T")
#: input above this many bytes goes to a process
LARGE_BYTES = 512 * 1024


def _begin() -> None:
    """In a new worker process: leave Ctrl-C to the registrar, and end when the registrar is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Workers:
    """At most ``processes`` large jobs run at once; the others wait."""

    def __init__(self, processes: int = 1) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    async def run(self, size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work``, a module-level function with picklable arguments.

        Args:
            size: bytes of input, which decides where it runs.

        Raises:
            whatever ``work`` raises.
            Unavailable: the worker process died, for want of memory most likely.
        """
        if size <= LARGE_BYTES or kwargs:
            return await asyncio.to_thread(work, *args, **kwargs)
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._processes, mp_context=context, initializer=_begin)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)
        except BrokenProcessPool as error:
            self._pool = None
            raise Unavailable(
                "a worker process of the registrar died", hint="It may lack memory for this dataset."
            ) from error

    async def close(self) -> None:
        """End the worker processes."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
