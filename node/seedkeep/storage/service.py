"""A storage manager: everything a node does, put together, from ``open`` to ``close``.

What it promises:

* the data directory never allocates more than the pledge, and belongs to one node at a time (a lock file);
* it keeps serving while registrars are down, and goes on after any crash from what it has stored;
* taints are obeyed within a heartbeat; what is to be told to a registrar is told, if late;
* ``pause``, ``resume``, ``drain`` and ``down`` are remembered, but for the last one.

Example::

    node = StorageManager(settings, key, engine, clients, session=session, now=time.time)
    await node.open()
    try:
        await node.run()            # until down() is called
    finally:
        await node.close()
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import ChainMap
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import aiohttp

from seedkeep import __version__
from seedkeep.config import NodeSettings
from seedkeep.core.errors import Error
from seedkeep.core.keys import PrivateKey
from seedkeep.core.manifest import Manifest
from seedkeep.engine.model import Engine, WebSeedDropped
from seedkeep.registrar_messages import ClaimReport, NodeProfile, Report
from seedkeep.storage.audits import Audits, Subject
from seedkeep.storage.companions import Companions, Source
from seedkeep.storage.documents import Documents
from seedkeep.storage.duties import Duties
from seedkeep.storage.layout import Layout
from seedkeep.storage.link import Link
from seedkeep.storage.lock import take_lock
from seedkeep.storage.manager import Manager
from seedkeep.storage.model import Phase, Registrar
from seedkeep.storage.pledge import Pledge
from seedkeep.storage.problems import Problems
from seedkeep.storage.rooms import Patience, Probe, Rooms
from seedkeep.storage.scrub import Scrub
from seedkeep.storage.shared import SharedFolders
from seedkeep.storage.standing_in import StandIns
from seedkeep.storage.state import State
from seedkeep.storage.status import describe, list_datasets
from seedkeep.storage.taints import Taints
from seedkeep.webseeds.probe import Verdict, probe

log = logging.getLogger(__name__)

Mode = Literal["active", "paused", "draining"]
_MODES: dict[str, Mode] = {"active": "active", "paused": "paused", "draining": "draining"}
_UNFINISHED = frozenset({Phase.CLAIMED, Phase.DOWNLOADING, Phase.VERIFYING})


class StorageManager:
    """One node.

    Args:
        settings: what it goes by.
        key: its identity.
        engine: not started yet; the node starts and closes it.
        clients: one for each registrar it serves, signing with ``key``.
        connect: makes a client for a mirror that stands in for one of them; None for no stand-ins.
        session: for asking web seeds for samples; the caller closes it.
        now: Unix seconds.
        patience: how long things may take.
        probe_web_seed: replaces the probe, for tests.
    """

    def __init__(
        self,
        settings: NodeSettings,
        key: PrivateKey,
        engine: Engine,
        clients: Sequence[Registrar],
        *,
        session: aiohttp.ClientSession,
        now: Callable[[], float],
        connect: Callable[[str], Registrar] | None = None,
        patience: Patience | None = None,
        probe_web_seed: Probe | None = None,
    ) -> None:
        self.settings = settings
        self.key = key
        self.engine = engine
        self.problems = Problems()
        self._clients = {c.url: c for c in clients}
        self._stand_in_clients: dict[str, Registrar] = {}
        self._connect = connect
        self._session = session
        self._now = now
        self._patience = patience or Patience()
        self._probe = probe_web_seed or self._probe_web_seed
        self._lock = -1
        self._tasks: list[asyncio.Task[None]] = []
        self._down = asyncio.Event()
        self._mode: Mode = "active"
        self._rooms: Rooms | None = None
        self.links: list[Link] = []

    async def _probe_web_seed(self, url: str, manifest: Manifest, layers: bytes) -> Verdict:
        private = self.settings.private_web_seeds
        return await probe(self._session, url, manifest, layers, allow_private=private)

    # --- life ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Take the data directory, start the engine, go on where the last run ended.

        Raises:
            Conflict: another node runs in this data directory.
            UsageError: the pledge is too small.
            Error: the data directory, state or port cannot be used.
        """
        self.layout = await asyncio.to_thread(Layout, self.settings.data)
        self._lock = await asyncio.to_thread(take_lock, self.layout.lock)
        try:
            await self._assemble()
        except BaseException:
            await self.close()
            raise

    async def _assemble(self) -> None:
        self.state = State(self.layout.database, on_letter=self._post, make_room=self.layout.drop_ballast)
        await self.state.open()
        self._mode = _MODES.get(self.state.fact("mode"), "active")
        self.pledge = Pledge(
            self.layout,
            limit=self.settings.pledge,
            floor=self.settings.floor,
            holdings=lambda: dict(self.state.holdings),
        )
        await asyncio.to_thread(self.pledge.measure)
        self.pledge.check_size()
        self.taints = Taints(
            self.state,
            self.layout,
            self.pledge,
            self.problems,
            self._now,
            served=ChainMap(self._clients, self._stand_in_clients).keys(),
            agreement=self.settings.taint_agreement,
        )
        await self.taints.restore()
        documents = Documents(self.layout)
        self.duties = Duties(self.state, documents, self.taints)
        self._rooms = rooms = Rooms(
            settings=self.settings,
            state=self.state,
            layout=self.layout,
            pledge=self.pledge,
            documents=documents,
            taints=self.taints,
            duties=self.duties,
            engine=self.engine,
            problems=self.problems,
            clients=ChainMap(self._clients, self._stand_in_clients),
            probe=self._probe,
            now=self._now,
            patience=self._patience,
        )
        self.companions = Companions(
            self.engine, rooms.documents, self._companion_source, idle=self._patience.idle
        )
        self.manager = Manager(rooms, on_change=self._wake, before_removal=self.companions.drop)
        self.scrub = Scrub(rooms, self.manager.repair)
        self.audits = Audits(self._audited, self.manager.repair, self.problems)
        self.shared = SharedFolders(rooms, self.companions)
        self.links = [self._link(client) for client in self._clients.values()]
        self.stand_ins = StandIns(
            rooms,
            self.manager,
            self.links,
            clients=self._stand_in_clients,
            connect=self._connect,
            link_to=self._link,
            keep_up=lambda link: asyncio.create_task(self._keep(f"the link to {link.status.url}", link.run)),
            after=self.settings.takeover,
        )
        await self.engine.start()
        if self._mode == "paused":
            await self.engine.pause_all()
        self._start("listening to the engine", self._engine_events)
        await self.manager.start()
        await self.shared.restore()
        await self._measure()
        await self._look()
        await self.stand_ins.restore()
        self._tell_of_orphans()
        for link in self.links:
            self._start(f"the link to {link.status.url}", link.run)
        self._start("the clock of taints", self.manager.obedience.run)
        self._start("standing in", self.stand_ins.run)
        self._start("looking for homes", self._look_at_homes)
        self._start("the scrub", self.scrub.run)
        self._start("upkeep", self._look_after)

    def _link(self, client: Registrar, ready: Callable[[], bool] = lambda: True) -> Link:
        """A link to a registrar, which takes offers while it is ``ready``."""
        assert self._rooms is not None
        return Link(
            client,
            self._rooms,
            self.manager,
            self.audits,
            self.companions,
            profile=self._profile,
            report=self._report,
            may_take=lambda: self._mode == "active" and ready(),
            on_taints=self._obey,
        )

    def _start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(self._keep(name, work)))

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do work without end. A fault in it is told, and it begins anew; the rest of the node goes on."""
        while True:
            try:
                await work()
            except Exception as error:
                log.exception("%s met a fault", name)
                self.problems.tell(name, f"{name} met a fault and begins anew: {error!r}")
            await asyncio.sleep(self._patience.retry_most)
            self.problems.clear(name)

    async def run(self) -> None:
        """Return once :meth:`down` was called."""
        await self._down.wait()

    async def close(self) -> None:
        """Stop everything, keep what is needed to go on, give the data directory free. Idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._rooms is not None:
            with contextlib.suppress(AttributeError):
                await self.stand_ins.close()
                await self.audits.close()
                await self.manager.close()
            resume = await self.engine.close()
            for key, data in resume.items():
                with contextlib.suppress(Error):
                    await self.manager.way.keep_resume(key, data)
        if hasattr(self, "state"):
            await self.state.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # --- what the operator asks for ----------------------------------------------------------------------

    async def pause(self) -> None:
        """Stop all traffic and take nothing, until :meth:`resume`; leases are kept."""
        await self._set_mode("paused")
        await self.engine.pause_all()

    async def resume(self) -> None:
        """End :meth:`pause` or :meth:`drain`."""
        await self._set_mode("active")
        await self.engine.resume_all()

    async def drain(self) -> None:
        """Take nothing any more; registrars make other copies, then tell this node to let go."""
        await self._set_mode("draining")
        await self.engine.resume_all()

    def down(self) -> None:
        """Let :meth:`run` return."""
        self._down.set()

    async def _set_mode(self, mode: Mode) -> None:
        await self.state.put_fact("mode", mode)
        self._mode = mode
        self._wake()

    def status(self) -> dict[str, Any]:
        """How the node is; see :func:`seedkeep.storage.status.describe`."""
        return {
            "node": str(self.key.public),
            "version": __version__,
            "state": self._mode,
            "drained": self._mode == "draining" and not self.state.holdings,
            "port": self.engine.listen_port,
            **describe(self),
        }

    def ls(self) -> list[dict[str, Any]]:
        """The datasets; see :func:`seedkeep.storage.status.list_datasets`."""
        return list_datasets(self.state, self.engine, self.duties)

    # --- what registrars are told --------------------------------------------------------------------------

    def _profile(self) -> NodeProfile:
        s = self.settings
        return NodeProfile(
            pledge=s.pledge,
            port=self.engine.listen_port,
            operator=s.operator,
            institution=s.institution,
            country=s.country,
            subjects=s.subjects,
            software=f"seedkeep/{__version__}",
        )

    def _report(self, registrar: str) -> Report:
        account = self.pledge.account()
        have = {s.key: s.have for s in self.engine.statuses()}
        claims = []
        for claim in self.state.claims_by(registrar):
            held = self.state.holdings.get(claim.content_id)
            if held is None or not claim.expires:
                continue
            if held.phase is Phase.COMPLETE:
                claims.append(ClaimReport(held.content_id, "complete", held.bytes))
            elif held.phase in _UNFINISHED:
                claims.append(ClaimReport(held.content_id, "downloading", have.get(held.content_id, 0)))
        companions = set(self.companions.loaded())
        return Report(
            state=self._mode,
            pledge=self.settings.pledge,
            used=account.used,
            reserved=min(account.reserved, max(self.settings.pledge - account.used, 0)),
            port=self.engine.listen_port,
            claims=tuple(claims),
            taints=self.taints.version(registrar),
            problems=self.problems.texts()[:20],
            companions=tuple(c.content_id for c in claims if c.content_id in companions),
        )

    def _wake(self) -> None:
        for link in self._every_link():
            link.wake()

    def _post(self) -> None:
        for link in self._every_link():
            link.post()

    def _every_link(self) -> list[Link]:
        return [*self.links, *(self.stand_ins.links if self.links else ())]

    # --- what goes on inside -----------------------------------------------------------------------------

    async def _obey(self) -> None:
        await self.manager.obedience.obey()
        await self.shared.look_after()

    def _companion_source(self, cid: str) -> Source | None:
        held = self.state.holdings.get(cid)
        if held is None or held.phase is not Phase.COMPLETE:
            return self.shared.source(cid)
        if held.withheld or self.manager.obedience.forbids(cid):  # its pieces run across the borders of files
            return None
        return Source(
            held.infohash_v1, self.layout.save_path(cid), self.manager.way.trackers(cid), shared=False
        )

    async def _audited(self, cid: str) -> Subject:
        held = self.state.holdings.get(cid)
        if (held is not None and held.receipts) or self.duties.of(cid).stop:
            return Subject("tainted")
        if held is not None and held.phase in (Phase.DOWNLOADING, Phase.VERIFYING) and held.obeyed:
            return Subject("busy")  # files that are not withheld any more are on their way back
        if held is None or held.phase is not Phase.COMPLETE or self._rooms is None:
            return Subject("missing")
        papers = await self._rooms.documents.load(cid)
        return Subject("", self.layout.save_path(cid), papers, frozenset(held.withheld))

    async def _engine_events(self) -> None:
        async for event in self.engine.events():
            if isinstance(event, WebSeedDropped) and event.key in self.state.holdings:
                await self.manager.way.report_web_seed(event.key, event.url, event.reason)
        # The stream ends when the engine closes, which only close() does.
        await asyncio.Event().wait()

    async def _look(self) -> None:
        for work in (self.manager.look_after, self.shared.look_after, self.companions.unload_idle):
            await self._guard(work)

    async def _look_at_homes(self) -> None:
        while True:
            await asyncio.sleep(self._patience.tick)
            await self.manager.obedience.homes.look_after()

    async def _measure(self) -> None:
        await asyncio.to_thread(self.pledge.measure)
        await asyncio.to_thread(self.layout.put_ballast)
        if self.pledge.strangers:
            self.problems.tell(
                "strangers",
                f"{len(self.pledge.strangers)} entries of {self.layout.root / 'data'} belong to no dataset"
                f" (like {self.pledge.strangers[0]!r}); they count against the pledge. Remove them by hand.",
            )
        else:
            self.problems.clear("strangers")

    def _tell_of_orphans(self) -> None:
        served = {*self._clients, *self._stand_in_clients}
        left = [u for u in self.state.registrar_urls() if u not in served and self.state.claims_by(u)]
        if left:
            self.problems.tell(
                "orphans",
                f"Datasets are held for {', '.join(left)}, which this node serves no more. Serve it again, or"
                " give the datasets back by `seedkeep node drain` while it is served.",
            )

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Error as error:
            self.problems.tell("upkeep", str(error))
        else:
            self.problems.clear("upkeep")

    async def _look_after(self) -> None:
        left = self._patience.save
        while True:
            await asyncio.sleep(self._patience.tick)
            await self._look()
            left -= self._patience.tick
            if left <= 0:
                left = self._patience.save
                await self._guard(self.manager.way.save_resume)
                await self._guard(self._measure)

    def commands(self) -> dict[str, Callable[..., Awaitable[Any]]]:
        """What :class:`seedkeep.control.ControlServer` lets others ask for."""

        async def status() -> dict[str, Any]:
            return self.status()

        async def ls() -> dict[str, Any]:
            return {"datasets": self.ls()}

        async def down() -> None:
            self.down()

        async def seed(
            path: str,
            blobs: Sequence[bytes],
            rid: str = "",
            trackers: Sequence[str] = (),
            web_seeds: Sequence[str] = (),
        ) -> dict[str, str]:
            manifest, layers, pieces = blobs
            work = partial(self.shared.seed, manifest=manifest, layers=layers, pieces=pieces)
            cid = await work(Path(path), rid=rid, trackers=trackers, web_seeds=web_seeds)
            return {"content_id": cid}

        async def unseed(content_id: str) -> dict[str, bool]:
            return {"stopped": await self.shared.unseed(content_id)}

        return {
            "status": status,
            "ls": ls,
            "pause": self.pause,
            "resume": self.resume,
            "drain": self.drain,
            "down": down,
            "seed": seed,
            "unseed": unseed,
        }
