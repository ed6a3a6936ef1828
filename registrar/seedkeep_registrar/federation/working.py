"""The tasks that apply what other logs have brought, one for each log, in the leading process.

They take what is due, some at a time, fetch what that needs, and apply every event in a transaction of its
own: whatever happens in between, nothing is lost, and nothing is done twice. A log of which something is slow
to come holds up no other one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.errors import Error, InvalidInput, VerificationFailed
from seedkeep.core.record import RecordBody
from seedkeep.core.revision import RECORD
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.database import Unavailable
from seedkeep_registrar.entering import objects_of
from seedkeep_registrar.federation import applying
from seedkeep_registrar.federation.applying import CHANGES, Contradicts, Later, Never
from seedkeep_registrar.federation.bodies import Bodies
from seedkeep_registrar.federation.service import FEDERATION
from seedkeep_registrar.processes.signals import Kind
from seedkeep_registrar.registration import prepare
from seedkeep_registrar.store import backlog, events, peers
from seedkeep_registrar.store.backlog import Waiting
from seedkeep_registrar.store.events import FORK, OWN, REFUSED

_LOG = logging.getLogger(__name__)
#: events of a log taken at a time, and records of it prepared at once
_SOME, _AT_ONCE = 256, 8
#: without a signal it is looked for what is due so often, in seconds
_LOOK_S = 5.0


class Working:
    """Owns the tasks; one for the process."""

    def __init__(self, registrar: Registrar, bodies: Bodies) -> None:
        self._registrar = registrar
        self._bodies = bodies
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        #: logs of which more has come while their tasks run
        self._more: set[int] = set()
        for kind in (Kind.MIRRORED, Kind.FEDERATION):
            registrar.signals.on(kind, lambda _: self._news.set())

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the tasks and wait for them."""
        running = [*self._tasks.values(), *([self._task] if self._task is not None else [])]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                if self._registrar.signals.leading:
                    for log in await self._registrar.db.read(_logs):
                        self._begin(log)
            except Exception:
                _LOG.exception("federation: it could not be looked for what is mirrored")
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._news.wait()

    def _begin(self, log: int) -> None:
        self._more.add(log)
        if log not in self._tasks or self._tasks[log].done():
            self._tasks[log] = asyncio.create_task(self._of(log))

    async def _of(self, log: int) -> None:
        """Apply what is due of a log."""
        try:
            while log in self._more:
                self._more.discard(log)
                while self._registrar.signals.leading and await self._round(log):
                    pass
        except Unavailable as error:
            _LOG.warning("federation: nothing can be applied now: %s", error.what)
        except Exception:
            _LOG.exception("federation: what is mirrored could not be applied")

    async def _round(self, log: int) -> bool:
        """Try some of what is due of a log; whether anything was."""
        registrar, room = self._registrar, asyncio.Semaphore(_AT_ONCE)
        some = await registrar.db.read(backlog.due, log, registrar.clock(), _SOME)
        await self._bodies.bodies(log, [w.body_sha256 for w in some if applying.needs_body(w)])
        await self._bodies.objects_ahead(log, await registrar.db.read(_objects_of, some))
        chains = defaultdict[str, list[Waiting]](list)
        for waiting in some:
            chains[waiting.rid].append(waiting)
        await asyncio.gather(*(self._chain(chain, room) for chain in chains.values()))
        return bool(some)

    async def _chain(self, chain: list[Waiting], room: asyncio.Semaphore) -> None:
        """Try the events of one record, in their order."""
        async with room:
            for waiting in chain:
                await self._one(waiting)

    async def _one(self, waiting: Waiting) -> None:
        db, now = self._registrar.db, self._registrar.clock()
        try:
            await self._apply(waiting)
        except (Never, Contradicts) as error:
            state = FORK if isinstance(error, Contradicts) else REFUSED
            _LOG.warning(
                "federation: entry %d of log %d is refused: %s", waiting.index, waiting.log, error.what
            )
            await db.write(backlog.ended, waiting, state, error.what)
        except Error as error:
            await db.write(backlog.put_off, waiting, error.what, now)
        except Exception:
            _LOG.exception("federation: entry %d of log %d could not be applied", waiting.index, waiting.log)
            await db.write(backlog.put_off, waiting, "this registrar failed to apply it, see its log", now)

    async def _apply(self, waiting: Waiting) -> None:
        registrar, db = self._registrar, self._registrar.db
        event = applying.read_event(waiting)
        home = await db.read(applying.home_of, registrar, waiting.log)
        data = await db.read(events.body, waiting.body_sha256) if applying.needs_body(waiting) else b""
        if data is None:
            raise Later("no other registrar gives its body")
        if waiting.type == RECORD:
            body = applying.read_record(waiting, event, data, home)
            await self._bodies.objects(waiting.log, [sha256 for _, sha256 in objects_of(body)])
            try:
                ready = await prepare(registrar, body, data)
            except (InvalidInput, VerificationFailed) as error:
                raise Never(error.what) from error
            found = await db.write(applying.enter_record, registrar, waiting, ready, home)
        elif waiting.type in CHANGES:
            found = await db.write(applying.change_record, registrar, waiting, event, data, home)
        else:
            await db.write(applying.keep, registrar, waiting, event, data)
            return
        registrar.changes.registered(found.record)
        registrar.wakeups.wake_all()


def _objects_of(connection: Connection, some: list[Waiting]) -> list[str]:
    """The objects that records among some events name, as far as their bodies are here and good."""
    found: list[str] = []
    for waiting in some:
        data = events.body(connection, waiting.body_sha256) if waiting.type == RECORD else None
        with suppress(Error):
            found += [sha256 for _, sha256 in objects_of(RecordBody.parse(data))] if data else []
    return list(dict.fromkeys(found))


def _logs(connection: Connection) -> list[int]:
    """The logs of which events wait, without those that are not followed at present."""
    followed = {OWN, *(peer.id for peer in peers.every(connection, peers.ACTIVE))}
    return [log for log in backlog.logs(connection) if log in followed]


def setup(app: web.Application) -> None:
    """Start and stop with the application."""
    working = Working(app[REGISTRAR], Bodies(app[REGISTRAR], app[FEDERATION].http))

    async def running(_: web.Application) -> AsyncIterator[None]:
        working.start()
        yield
        await working.stop()

    app.cleanup_ctx.append(running)
