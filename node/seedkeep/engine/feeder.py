"""Starts and stops the feeds from web seeds, one for each torrent that is downloading and has some."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from seedkeep.core.errors import Error
from seedkeep.engine.model import EngineSettings, WebSeedDropped
from seedkeep.engine.piece_map import PieceMap
from seedkeep.engine.piece_plan import PiecePlan
from seedkeep.engine.rate_limit import RateLimit
from seedkeep.engine.subscribers import Subscribers
from seedkeep.engine.torrent import Torrent
from seedkeep.engine.web_seed_feed import Hooks, WebSeedFeed
from seedkeep.engine.web_seed_health import WebSeedHealth
from seedkeep.webseeds.ranges import RangeReader

log = logging.getLogger(__name__)

#: requests at a time over all torrents
ALL_REQUESTS = 64
#: libtorrent's priorities: what a piece normally has, and one that peers take only when nothing else is left
NORMAL, LAST = 4, 1


class Feeder:
    """The web-seed side of an engine.

    Args:
        progress: the pieces of a torrent that are there, and the priority of each piece (0 = not wanted);
            called in a thread.
    """

    def __init__(
        self,
        settings: EngineSettings,
        subscribers: Subscribers,
        progress: Callable[[Any], tuple[list[bool], list[int]]],
    ) -> None:
        self._settings = settings
        self._subscribers = subscribers
        self._progress = progress
        self._reader: RangeReader | None = None
        self._fed: set[Torrent] = set()
        self.limit = RateLimit(settings.down_limit)

    def start(self) -> None:
        """Get ready to read (no connection yet)."""
        s = self._settings
        self._reader = RangeReader(
            user_agent=s.user_agent,
            allow_private=s.private_web_seeds,
            verify_https=s.verify_https,
            silence=s.stall,
            requests=ALL_REQUESTS,
        )

    async def close(self) -> None:
        for torrent in list(self._fed):
            await self.stop(torrent)
        if self._reader is not None:
            self._reader.close()

    def add(self, torrent: Torrent, metainfo: bytes, urls: tuple[str, ...]) -> None:
        """Give a torrent web seeds; one that was dropped starts afresh."""
        s = self._settings
        known = {seed.url for seed in torrent.web_seeds if not seed.dropped}
        fresh = [WebSeedHealth(url, s.web_seed_retry, s.web_seed_tries) for url in urls if url not in known]
        if not fresh and torrent.metainfo:
            return
        torrent.web_seeds = [seed for seed in torrent.web_seeds if not seed.dropped] + fresh
        torrent.metainfo = metainfo
        self._halt(torrent)

    def tend(self, torrent: Torrent, *, downloading: bool) -> None:
        """Start or stop the feed of a torrent, whichever is right now. Cheap; call it often."""
        running = torrent.feed_task is not None and not torrent.feed_task.done()
        usable = any(not seed.dropped for seed in torrent.web_seeds)
        if downloading and usable and torrent.metainfo and not running:
            self._fed.add(torrent)
            torrent.feed_task = asyncio.get_running_loop().create_task(self._run(torrent))
        elif not downloading and running:
            self._halt(torrent)

    def complete(self, torrent: Torrent) -> None:
        """Nothing more is needed from web seeds; let go of what they need."""
        self._halt(torrent)
        torrent.web_seeds, torrent.metainfo = [], b""

    async def stop(self, torrent: Torrent) -> None:
        """End the feed and wait until it has ended."""
        task = self._halt(torrent)
        self._fed.discard(torrent)
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def restart(self, torrent: Torrent) -> None:
        """Reports were lost: look anew at what is missing."""
        self._halt(torrent)

    def _halt(self, torrent: Torrent) -> asyncio.Task[None] | None:
        if torrent.feed_task is not None:
            torrent.feed_task.cancel()
        torrent.feed = None
        return torrent.feed_task

    async def _run(self, torrent: Torrent) -> None:
        try:
            feed = await self._prepare(torrent)
            if feed is None:
                return
            torrent.feed = feed
            await feed.run()
        except Error as error:
            log.error("web seeds of %s are not used: %s", torrent.key, error.what)
            torrent.web_seeds = []
        finally:
            # A successor that was started meanwhile is not ours to end.
            if torrent.feed_task is asyncio.current_task():
                torrent.feed, torrent.feed_task = None, None

    async def _prepare(self, torrent: Torrent) -> WebSeedFeed | None:
        assert self._reader is not None
        torrent.done_pieces.clear()
        pieces = await asyncio.to_thread(PieceMap.of, torrent.metainfo)
        there, priorities = await asyncio.to_thread(self._progress, torrent.handle)
        if len(priorities) != pieces.count:
            return None
        missing = (
            piece
            for piece, priority in enumerate(priorities)
            if priority and not (there and there[piece]) and piece not in torrent.done_pieces
        )
        return WebSeedFeed(
            pieces,
            PiecePlan(pieces.count, missing),
            torrent.web_seeds,
            self._reader,
            self.limit,
            self._hooks(torrent),
            workers=self._settings.web_seed_connections,
        )

    def _hooks(self, torrent: Torrent) -> Hooks:
        def deliver(piece: int, data: bytes) -> None:
            torrent.handle.add_piece(piece, data, 0)

        def claim(first: int, last: int, mine: bool) -> None:
            if torrent.counters.peers:
                priority = LAST if mine else NORMAL
                torrent.handle.prioritize_pieces([(piece, priority) for piece in range(first, last + 1)])

        def received(count: int) -> None:
            torrent.web_seed_bytes += count

        def dropped(url: str, reason: str) -> None:
            self._subscribers.publish(WebSeedDropped(torrent.key, url, reason))

        return Hooks(deliver, claim, received, dropped)
