"""While the home of records is silent, this registrar offers their datasets to its nodes; no longer.

Nodes of the home keep what they hold; those of this registrar hold what they took on, whoever speaks again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web
from sqlalchemy import Connection

from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.store import events, homes, peers
from seedkeep_registrar.store.peers import Peer

_LOG = logging.getLogger(__name__)
_LOOK_S = 10.0


class Takeover:
    """Owns the task that looks who is silent; in the leading process."""

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar
        #: silence counts from here on: this registrar was away itself before
        self._since = registrar.clock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the task and wait for it."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        every = max(0.05, min(_LOOK_S, self._registrar.settings.takeover_s / 4))
        while True:
            await asyncio.sleep(every)
            try:
                if self._registrar.signals.leading:
                    await self.look()
            except Exception:
                _LOG.exception("federation: it could not be looked who is silent")

    async def look(self) -> None:
        """Begin to offer the datasets of those that have become silent; end it for those that speak again."""
        registrar = self._registrar
        every, known = await registrar.db.read(_read)
        by_origin = {peer.origin: peer for peer in every}
        for origin, peer in by_origin.items():
            if origin not in known and self._is_silent(peer):
                _LOG.warning(
                    "federation: %s is silent: its datasets are offered to nodes of this one", origin
                )
                await self._change(origin, begins=True)
        for origin in known:
            if origin not in by_origin or not self._is_silent(by_origin[origin]):
                _LOG.warning("federation: %s is heard again", origin)
                await self._change(origin, begins=False)

    def _is_silent(self, peer: Peer) -> bool:
        heard = max(peer.last_ok, peer.added, self._since)
        return self._registrar.clock() - heard > self._registrar.settings.takeover_s

    async def _change(self, origin: str, *, begins: bool) -> None:
        registrar = self._registrar
        await registrar.db.write(_begin if begins else _end, origin, registrar.clock())
        registrar.wakeups.wake_all()


def _read(connection: Connection) -> tuple[list[Peer], dict[str, float]]:
    return peers.every(connection, peers.ACTIVE), homes.silent(connection)


def _begin(connection: Connection, origin: str, now: float) -> None:
    events.lock(connection)
    homes.begin_silence(connection, origin, now)
    homes.offer_anew(connection, origin)


def _end(connection: Connection, origin: str, _: float) -> None:
    events.lock(connection)
    homes.end_silence(connection, origin)
    homes.offer_anew(connection, origin)


def setup(app: web.Application) -> None:
    """Start and stop with the application."""
    takeover = Takeover(app[REGISTRAR])

    async def running(_: web.Application) -> AsyncIterator[None]:
        takeover.start()
        yield
        await takeover.stop()

    app.cleanup_ctx.append(running)
