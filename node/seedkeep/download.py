"""Moving the bytes of one fetch through an engine, by whichever road brings them.

There are up to two roads to the same files: the v2 torrent and the v1 companion. One is in the engine at a
time (both would write the same files); when it has brought nothing for a while, the other one is tried.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seedkeep.core.errors import Error, NotFound, Unreachable
from seedkeep.engine.model import Engine, TorrentSpec, TorrentStatus
from seedkeep.placing import Layout

#: seconds without a byte before the other road is tried: with nobody to ask, and with somebody
_ALONE_S = 8.0
_IN_COMPANY_S = 30.0
_LOOK_S = 0.25
_FLUSH_S = 5.0


@dataclass(frozen=True, slots=True)
class Road:
    """One torrent over the dataset's files."""

    version: Literal[1, 2]
    key: str
    metainfo: bytes


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """How far a fetch is; rates in bytes per second.

    ``phase``: ``checking`` (what is on disk), ``fetching``, ``verifying``, ``placing``.
    """

    phase: str
    bytes_done: int
    bytes_total: int
    rate: int = 0
    peers: int = 0
    web_seeds: int = 0


@dataclass(frozen=True, slots=True)
class Brought:
    """Which road got through, and what came from where."""

    version: Literal[1, 2]
    peers_bytes: int
    web_seed_bytes: int


class Download:
    """One fetch in an engine.

    Args:
        engine: started; the caller closes it.
        roads: at least one, the preferred one first.
        work: holds ``<name>`` and resume data.
        wanted: indexes of the files to get.
        trackers, peers: where to look for peers.
        stall: seconds without a byte after which it gives up; 0 = never.
        report: is told of progress several times a second.
    """

    def __init__(
        self,
        engine: Engine,
        roads: Sequence[Road],
        layout: Layout,
        work: Path,
        wanted: frozenset[int],
        *,
        trackers: tuple[str, ...],
        peers: tuple[tuple[str, int], ...],
        stall: float,
        report: Callable[[FetchProgress], None],
    ) -> None:
        self._engine = engine
        self._roads = roads
        self._layout = layout
        self._work = work
        self._wanted = wanted
        self._trackers = trackers
        self._peers = list(peers)
        self._web_seeds: list[str] = []
        self._stall = stall
        self._report = report
        self._road: Road | None = None
        self._earlier = (0, 0)
        self._idle = 0.0

    async def use_web_seed(self, url: str) -> None:
        """Take bytes from a web seed as well, from now on."""
        if url not in self._web_seeds:
            self._web_seeds.append(url)
            if self._road is not None:
                await self._engine.add(self._spec(self._road, None))

    async def use_peer(self, host: str, port: int) -> None:
        """Take bytes from a peer as well, from now on."""
        self._peers.append((host, port))
        if self._road is not None:
            with suppress(NotFound):
                await self._engine.connect(self._road.key, host, port)

    async def run(self) -> Brought:
        """Return when all wanted bytes are there and verified by their torrent.

        Raises:
            Unreachable: nobody has given a byte for ``stall`` seconds.
            NoSpace, HostileMetainfo, Error: see :class:`seedkeep.engine.model.Engine`.
        """
        turn = 0
        while True:
            road = self._roads[turn % len(self._roads)]
            resume = await asyncio.to_thread(_take, self._resume_path(road.key))
            await self._engine.add(self._spec(road, resume))
            self._road = road
            if await self._watch(road):
                brought = Brought(road.version, *self._sum(self._engine.status(road.key)))
                # With it in there, closing the engine would write resume data: seconds for very many files.
                self._road = None
                await self._engine.remove(road.key)
                return brought
            self._earlier = self._sum(self._engine.status(road.key))
            self._road = None
            await self._engine.remove(road.key)
            turn += 1

    async def _watch(self, road: Road) -> bool:
        """True when complete, False when the other road should be tried."""
        waiter = asyncio.ensure_future(self._engine.wait_complete(road.key))
        looked = flushed = time.monotonic()
        came, idle_here = 0, 0.0
        try:
            while True:
                await asyncio.wait({waiter}, timeout=_LOOK_S)
                if waiter.done():
                    await waiter
                    return True
                now = time.monotonic()
                status = self._engine.status(road.key)
                self._tell(status)
                if status.peers_bytes + status.web_seed_bytes > came:
                    came = status.peers_bytes + status.web_seed_bytes
                    idle_here = self._idle = 0.0
                elif status.state != "checking":
                    idle_here += now - looked
                    self._idle += now - looked
                looked = now
                if now - flushed > _FLUSH_S:
                    flushed = now
                    await self._flush(road)
                if self._stall and self._idle > self._stall:
                    raise Unreachable(
                        f"nobody has given a byte of {self._layout.name!r} for {self._stall:.0f} s",
                        hint="What came so far is kept; run the same command again later.",
                    )
                company = status.peers > 0 or bool(self._web_seeds)
                if len(self._roads) > 1 and idle_here > (_IN_COMPANY_S if company else _ALONE_S):
                    return False
        finally:
            waiter.cancel()
            await asyncio.gather(waiter, return_exceptions=True)

    def _spec(self, road: Road, resume: bytes | None) -> TorrentSpec:
        return TorrentSpec(
            road.metainfo,
            self._work,
            road.key,
            trackers=self._trackers,
            web_seeds=tuple(self._web_seeds),
            peers=tuple(self._peers),
            resume=resume,
            wanted=self._wanted if len(self._wanted) < len(self._layout.files) else None,
        )

    def _sum(self, status: TorrentStatus) -> tuple[int, int]:
        return self._earlier[0] + status.peers_bytes, self._earlier[1] + status.web_seed_bytes

    def _tell(self, status: TorrentStatus) -> None:
        phase = "checking" if status.state == "checking" else "fetching"
        self._report(
            FetchProgress(
                phase, status.have, status.wanted, status.down_rate, status.peers, len(self._web_seeds)
            )
        )

    async def _flush(self, road: Road) -> None:
        """Have what came written to the disk, so that a sudden end costs seconds only.

        The resume data itself is not kept: it lags behind the disk, and after a sudden end the next run
        hashes what is there, which finds more and costs less than fetching it again.
        """
        with suppress(Error):
            await self._engine.flush(road.key)

    def keep_resume(self, resumes: dict[str, bytes]) -> None:
        """Write down the resume data of an orderly end; a full disk is no error: it only saves hashing."""
        if resumes:
            os.sync()  # a loss of power must not leave resume data that speak of bytes it took
        for key, data in resumes.items():
            draft = self._resume_path(key).with_suffix(".new")
            with suppress(OSError):
                draft.write_bytes(data)
                draft.replace(self._resume_path(key))

    def _resume_path(self, key: str) -> Path:
        return self._work / f"{key[:40]}.resume"


def _take(path: Path) -> bytes | None:
    """The resume data of an orderly end, used up: a run that ends suddenly must not leave it behind."""
    try:
        data = path.read_bytes()
        path.unlink()
    except OSError:
        return None
    return data
