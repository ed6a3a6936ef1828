"""Keeps the whitelist of an opentracker equal to what this registrar's own tracker would serve.

The file has one info-hash a line (40 hex digits): v1, and v2 cut to 20 bytes, of everything registered that
may be shared. It is replaced as a whole, and opentracker is told by SIGHUP to read it again. A taint is
written at once; registrations are gathered, since the file is written anew each time. Of several processes
the leading one does it; whoever takes the lead begins with writing it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from seedkeep_registrar import durable
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.store import datasets

_LOG = logging.getLogger(__name__)
#: an empty list would never be read again, so there is always one line that is no torrent
NO_TORRENT = "0" * 40
#: least time between two writings for registrations, in seconds, and in times of how long one takes
_PAUSE_S = 1.0
_PAUSE_TIMES = 20
#: how often a process looks whether it leads now
_LOOK_S = 2.0
_PROGRAM = "opentracker"
_SLICE = 5000


class Whitelist:
    """
    Args:
        place: the file; its folder must be writable.
        pid_file: where opentracker's process id is; None where somebody else tells it to read again.
    """

    def __init__(self, registrar: Registrar, place: Path, pid_file: Path | None) -> None:
        self._registrar = registrar
        self._place = place
        self._pid_file = pid_file
        self._stale = True
        self._urgent = asyncio.Event()
        self._changed = asyncio.Event()
        registrar.changes.on_registered(lambda made: self._has_changed())
        registrar.changes.on_taints(self._must_change)

    def _has_changed(self) -> None:
        self._stale = True
        self._changed.set()

    def _must_change(self) -> None:
        self._urgent.set()
        self._has_changed()

    async def running(self, _app: web.Application) -> AsyncIterator[None]:
        """A ``cleanup_ctx`` of the application."""
        task = asyncio.create_task(self._follow())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            pause = _PAUSE_S
            if not self._registrar.signals.leading:
                self._stale = True  # another process writes; begin with that when it is this one's turn
            elif self._stale:
                began = loop.time()
                try:
                    await self.write()
                except Exception:
                    self._stale = True
                    _LOG.exception("the whitelist %s could not be written", self._place)
                pause = max(_PAUSE_S, (loop.time() - began) * _PAUSE_TIMES)
            await self._wait(self._urgent, pause)
            if self._registrar.signals.leading and not self._stale:
                await self._wait(self._changed, _LOOK_S)

    @staticmethod
    async def _wait(event: asyncio.Event, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()

    async def write(self) -> None:
        """Bring the file into step, and tell opentracker."""
        self._stale = False
        self._urgent.clear()
        self._changed.clear()
        lines, after = [NO_TORRENT], ""
        while True:
            some, last = await self._registrar.db.read(datasets.shared_infohashes, after, _SLICE)
            lines += some
            if not last:
                break
            after = last
        await asyncio.to_thread(self._replace, lines)
        await asyncio.to_thread(self._tell)

    def _replace(self, lines: Iterable[str]) -> None:
        text = "".join(f"{line}\n" for line in dict.fromkeys(lines))
        durable.replace(self._place, text.encode("ascii"), 0o644)  # opentracker runs as a user of its own

    def _tell(self) -> None:
        if self._pid_file is None:
            return
        try:
            pid = int(self._pid_file.read_text("ascii"))
            name = Path(f"/proc/{pid}/comm")
            if pid <= 1 or (name.exists() and not name.read_text().startswith(_PROGRAM)):
                raise ProcessLookupError(f"process {pid} is not {_PROGRAM}")
            os.kill(pid, signal.SIGHUP)
        except (OSError, ValueError) as error:  # it will read the file when it starts
            _LOG.warning("%s was not told to read its whitelist again: %s", _PROGRAM, error)


def setup(app: web.Application) -> None:
    """Keep a whitelist, if the settings name one."""
    registrar = app[REGISTRAR]
    settings = registrar.settings
    if settings.opentracker_whitelist:
        pid_file = Path(settings.opentracker_pid_file) if settings.opentracker_pid_file else None
        whitelist = Whitelist(registrar, Path(settings.opentracker_whitelist), pid_file)
        app.cleanup_ctx.append(whitelist.running)
