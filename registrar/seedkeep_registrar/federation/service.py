"""The tasks of federation: for each peer one that asks, and one that tells; in the leading process."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web

from seedkeep.core.errors import Error
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.federation.asking import Asking
from seedkeep_registrar.federation.client import PeerClient
from seedkeep_registrar.federation.following import Follower
from seedkeep_registrar.federation.own_log import OwnLog
from seedkeep_registrar.federation.sending import Sending
from seedkeep_registrar.processes.signals import Kind
from seedkeep_registrar.store import peers
from seedkeep_registrar.store.peers import ACTIVE, ASKED

_LOG = logging.getLogger(__name__)
#: how often it is looked whether an operator has changed something from outside, seconds
_LOOK_S = 2.0
#: commits within so many seconds are told together
_GATHER_S = 0.05
_LONGEST_PAUSE_S = 600.0
_FIRST_PAUSE_S = 1.0
_MOST_DOUBLINGS = 10
#: of others, in a torrent
_MOST_TRACKERS = 20


class Federation:
    """Owns the tasks; one for the process."""

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar
        self.http = PeerClient(registrar.key, registrar.clock, registrar.random)
        self.follower = Follower(registrar, self.http)
        self._own = OwnLog(registrar.db, registrar.vkey, self.http, registrar.clock)
        self._changed = asyncio.Event()
        self._grown: dict[int, asyncio.Event] = {}
        self._asked: dict[int, asyncio.Event] = {}
        self._tasks: dict[int, list[asyncio.Task[None]]] = {}
        self._manager: asyncio.Task[None] | None = None
        registrar.signals.on(Kind.FEDERATION, self._on_change)
        registrar.signals.on(Kind.CHECKPOINT, self._on_growth)

    def start(self) -> None:
        """Begin."""
        self._manager = asyncio.create_task(self._manage())

    async def stop(self) -> None:
        """End all tasks and close all connections."""
        if self._manager is not None:
            self._manager.cancel()
            with suppress(asyncio.CancelledError):
                await self._manager
        for id_ in list(self._tasks):
            await self._end(id_)
        await self.http.close()

    def _on_change(self, text: str) -> None:
        self._changed.set()
        if text.isdigit() and (event := self._asked.get(int(text))):
            event.set()

    def _on_growth(self, _: str) -> None:
        for event in self._grown.values():
            event.set()

    async def _manage(self) -> None:
        while True:
            try:
                every = await self._registrar.db.read(peers.every, ASKED, ACTIVE)
                active = [peer for peer in every if peer.state == ACTIVE]
                self._registrar.followed.trackers = tuple(
                    f"{p.url}/announce" for p in active[:_MOST_TRACKERS]
                )
                wanted = {peer.id for peer in every} if self._registrar.signals.leading else set()
                over = {id_ for id_, tasks in self._tasks.items() if any(task.done() for task in tasks)}
                for id_ in set(self._tasks) - wanted | over:
                    await self._end(id_)
                for id_ in wanted - set(self._tasks):
                    self._begin(id_)
            except Exception:
                _LOG.exception("federation: the list of peers could not be looked at")
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._changed.wait()
            self._changed.clear()

    def _begin(self, id_: int) -> None:
        self._grown[id_], self._asked[id_] = asyncio.Event(), asyncio.Event()
        self._tasks[id_] = [asyncio.create_task(self._ask(id_)), asyncio.create_task(self._tell(id_))]

    async def _end(self, id_: int) -> None:
        tasks = self._tasks[id_]
        for task in tasks:
            task.cancel()
        for failure in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(failure, Exception):
                _LOG.error("federation: peer %d was followed no more: %r", id_, failure)
        del self._tasks[id_], self._grown[id_], self._asked[id_]

    async def _ask(self, id_: int) -> None:
        registrar, settings = self._registrar, self._registrar.settings
        asking = Asking(registrar, self.http, self.follower, self._own)
        again, failed = self._asked[id_], 0
        while True:
            again.clear()
            try:
                peer = await registrar.db.read(peers.by_id, id_)
            except Error as error:  # the database is away for a moment
                _LOG.warning("federation: peer %d cannot be asked: %s", id_, error)
                await asyncio.sleep(_LOOK_S)
                continue
            if peer is None:
                return
            try:
                problem = await asking.round(peer)
            except Exception:
                _LOG.exception("federation: %s could not be asked", peer.origin)
                problem = "this registrar failed to ask it, see its log"
            if id_ not in self.follower.heard:
                self.follower.heard.add(id_)
                for asked in self._asked.values():  # there may be something to cosign now
                    asked.set()
            if problem and not failed:
                _LOG.warning("federation: %s: %s", peer.origin, problem)
            failed = failed + 1 if problem else 0
            with suppress(Error):
                await registrar.db.write(peers.polled, id_, now=registrar.clock(), problem=problem)
            pause = settings.peer_poll_s * 2 ** min(max(0, failed - 1), _MOST_DOUBLINGS)
            if peer.state == ASKED:
                pause = min(pause, settings.peer_poll_s)
            longest = max(_LONGEST_PAUSE_S, settings.peer_poll_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(pause, longest) * random.uniform(0.7, 1.3)):  # noqa: S311
                    await again.wait()

    async def _tell(self, id_: int) -> None:
        registrar, grown = self._registrar, self._grown[id_]
        sending, failed = Sending(registrar, self.http), 0
        while True:
            grown.clear()
            try:
                peer = await registrar.db.read(peers.by_id, id_)
                if peer is not None and peer.state == ACTIVE:
                    await sending.send(peer)
                failed = 0
            except Error as error:
                failed += 1
                if failed == 1:
                    _LOG.info("federation: %s", error.what)
            except Exception:
                failed += 1
                _LOG.exception("federation: peer %d could not be told", id_)
            if failed:
                pause = min(_FIRST_PAUSE_S * 2 ** min(failed - 1, _MOST_DOUBLINGS), 60.0)
                await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311
            else:
                await grown.wait()
                await asyncio.sleep(_GATHER_S)


FEDERATION: web.AppKey[Federation] = web.AppKey("federation", Federation)


def setup(app: web.Application) -> None:
    """Start and stop with the application."""
    federation = app[FEDERATION] = Federation(app[REGISTRAR])

    async def running(_: web.Application) -> AsyncIterator[None]:
        federation.start()
        yield
        await federation.stop()

    app.cleanup_ctx.append(running)
