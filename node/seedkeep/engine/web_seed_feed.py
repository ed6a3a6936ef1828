"""Feed one torrent from HTTP web seeds (BEP 19), beside its peers.

Done here and not by libtorrent, because libtorrent 2.1.1 spins for ever on v2 torrents of several files,
stalls after an expired redirect, and retries a server that ignores ``Range`` without end. A few workers claim
runs of missing pieces, read them as byte ranges, and hand each piece over. libtorrent verifies it before it
counts; only when it is wrong is it held against the torrent here, to tell a lying web seed from a lying peer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from seedkeep.core.errors import Error
from seedkeep.core.web_seed import path_below, url_below
from seedkeep.engine.piece_map import PieceMap
from seedkeep.engine.piece_plan import PiecePlan
from seedkeep.engine.rate_limit import RateLimit
from seedkeep.engine.waiting import set_within
from seedkeep.engine.web_seed_health import WebSeedHealth
from seedkeep.webseeds.ranges import RangeReader, RetryLater

#: bytes claimed at a time: long requests, yet little to repeat when one breaks off
RUN_BYTES = 8 * 1024 * 1024
LEAST_RUN_BYTES = 256 * 1024
#: bytes handed over and not yet confirmed to be on disk
IN_FLIGHT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the feed tells its torrent.

    Attributes:
        deliver: a piece, to be verified and written.
        claim: a run (first, last) is being fetched from here (True) or no more (False).
        received: payload bytes arrived, whatever comes of them.
        dropped: a web seed (base URL) is given up, and why.
    """

    deliver: Callable[[int, bytes], None]
    claim: Callable[[int, int, bool], None]
    received: Callable[[int], None]
    dropped: Callable[[str, str], None]


class WebSeedFeed:
    """The web seeds of one torrent while it downloads. ``run`` ends when nothing is left to do here."""

    def __init__(
        self,
        pieces: PieceMap,
        plan: PiecePlan,
        seeds: list[WebSeedHealth],
        reader: RangeReader,
        limit: RateLimit,
        hooks: Hooks,
        *,
        workers: int,
    ) -> None:
        self._pieces, self._plan, self._seeds = pieces, plan, seeds
        self._reader, self._limit, self._hooks = reader, limit, hooks
        self._workers = workers
        self._busy: dict[str, int] = {seed.url: 0 for seed in seeds}
        self._in_flight: dict[int, tuple[WebSeedHealth, bytes]] = {}
        self._in_flight_bytes = 0
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Work until all pieces are done or all web seeds are dropped. Cancel it to stop."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    def piece_done(self, piece: int) -> None:
        """The piece is verified and written, whoever brought it."""
        self._plan.done(piece)
        if delivered := self._landed(piece):
            delivered[0].gained()

    def piece_failed(self, piece: int) -> None:
        """The piece does not verify: its bytes from here are wrong, or a peer's blocks were among it."""
        self._plan.reopen(piece)
        self._plan.lost(piece)
        delivered = self._landed(piece)
        if delivered and not delivered[0].dropped and not self._pieces.matches(piece, delivered[1]):
            self._drop(delivered[0], "it sent wrong bytes")

    def _landed(self, piece: int) -> tuple[WebSeedHealth, bytes] | None:
        delivered = self._in_flight.pop(piece, None)
        if delivered:
            self._in_flight_bytes -= len(delivered[1])
        self._wake()
        return delivered

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._plan.left:
            changed = self._changed
            live = [seed for seed in self._seeds if not seed.dropped]
            if not live:
                return
            ready = [seed for seed in live if seed.ready_at <= loop.time()]
            run = None
            if ready and self._in_flight_bytes < IN_FLIGHT_BYTES:
                run = self._plan.take(self._share(), self._pieces.size)
            if run is None:
                pause = 1.0 if ready else max(0.01, min(seed.ready_at for seed in live) - loop.time())
                await set_within(changed, pause)
                continue
            await self._fetch(min(ready, key=lambda seed: self._busy[seed.url]), *run)

    def _share(self) -> int:
        """Bytes to claim now: smaller towards the end, so that no worker (and no peer) waits for another."""
        left = self._plan.left * self._pieces.meta.piece_length
        return min(RUN_BYTES, max(LEAST_RUN_BYTES, left // (4 * self._workers)))

    async def _fetch(self, seed: WebSeedHealth, first: int, last: int) -> None:
        """One run from one web seed; whatever goes wrong, the claim ends."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        self._busy[seed.url] += 1
        self._hooks.claim(first, last, True)
        try:
            await self._read(seed, first, last)
        except Error as error:
            wait = error.seconds if isinstance(error, RetryLater) else 0.0
            if seed.failed(started=started, now=loop.time(), wait=wait):
                self._hooks.dropped(seed.url, f"{error.what}, {seed.tries + 1} times in a row")
        finally:
            self._busy[seed.url] -= 1
            for piece in range(first, last + 1):
                if piece not in self._in_flight:
                    self._plan.lost(piece)
            self._hooks.claim(first, last, False)
            self._wake()

    async def _read(self, seed: WebSeedHealth, first: int, last: int) -> None:
        piece, held = first, bytearray()
        for part in self._pieces.slices(first, last):
            file = self._pieces.meta.files[part.file]
            below = path_below(self._pieces.meta.name, file.path, files=len(self._pieces.meta.files))
            stop = part.offset + part.length
            url = url_below(seed.url, below)
            async with aclosing(self._reader.read(url, part.offset, stop, file.size)) as chunks:
                async for chunk in chunks:
                    self._hooks.received(len(chunk))
                    at = 0
                    while at < len(chunk):
                        size = self._pieces.size(piece)
                        if held or len(chunk) - at < size:
                            fresh = chunk[at : at + size - len(held)]
                            held += fresh
                            at += len(fresh)
                            if len(held) < size:
                                break
                            data = bytes(held)
                            held.clear()
                        else:
                            data = bytes(chunk[at : at + size])
                            at += size
                        await self._take(seed, piece, data)
                        piece += 1
                    await self._limit.spend(len(chunk))
                    if seed.dropped or all(self._plan.is_done(rest) for rest in range(piece, last + 1)):
                        return

    async def _take(self, seed: WebSeedHealth, piece: int, data: bytes) -> None:
        """Hand a piece over; waits while too much is on its way to the disk."""
        while self._in_flight_bytes >= IN_FLIGHT_BYTES:
            await set_within(self._changed, 1.0)
        if self._plan.is_done(piece) or seed.dropped:
            return
        self._in_flight[piece] = (seed, data)
        self._in_flight_bytes += len(data)
        self._hooks.deliver(piece, data)

    def _drop(self, seed: WebSeedHealth, reason: str) -> None:
        if not seed.dropped:
            seed.dropped = True
            self._hooks.dropped(seed.url, reason)
