"""What the engine does when libtorrent reports something: the torrents, their waiters, their events.

Knows libtorrent's handles only as things that can be told to pause, flush, or swap a web seed.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any
from urllib.parse import urlsplit

from seedkeep.core.errors import Error, NoSpace
from seedkeep.engine import alerts as al
from seedkeep.engine.model import Completed, Failed, PeerBanned, PieceRejected, Resync, WebSeedDropped
from seedkeep.engine.subscribers import Subscribers
from seedkeep.engine.torrent import Torrent, counters_of, disk_failure
from seedkeep.engine.web_seed_watch import Drop, Renew

log = logging.getLogger(__name__)

#: protocol errors that only a web seed can make, by libtorrent's error number
WEB_SEED_ERRORS = {
    84: "it redirects to nowhere",
    85: "it redirects to nowhere",
    87: "it ignores or misreads byte ranges",
    88: "it does not say how long its answers are",
    150: "it does not speak HTTP",
    151: "it redirects to nowhere",
}


class Reactions:
    """The torrents of one session.

    Args:
        own: starts a task that the engine cancels and awaits when it closes.
    """

    def __init__(self, own: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self.subscribers = Subscribers()
        self._own = own
        self._by_key: dict[str, Torrent] = {}
        self._by_handle: dict[Any, Torrent] = {}
        self._moving: set[Torrent] = set()

    def register(self, torrent: Torrent) -> None:
        self._by_key[torrent.key] = torrent
        self._by_handle[torrent.handle] = torrent

    def forget(self, key: str) -> Torrent | None:
        torrent = self._by_key.pop(key, None)
        if torrent is not None:
            self._by_handle.pop(torrent.handle, None)
            self._moving.discard(torrent)
        return torrent

    def get(self, key: str) -> Torrent | None:
        return self._by_key.get(key)

    def torrents(self) -> Iterable[Torrent]:
        return self._by_key.values()

    def end(self, error: Error) -> None:
        """Wake every waiter with ``error``, end every subscription, forget everything."""
        for torrent in self._by_key.values():
            torrent.release(error)
        self.subscribers.end()
        self._by_key.clear()
        self._by_handle.clear()
        self._moving.clear()

    def react(self, alert: al.Alert, now: float) -> None:
        """Take in one alert."""
        if isinstance(alert, al.Statuses):
            for status in alert.changed:
                torrent = self._by_key.get(al.key_of(status.info_hashes))
                if torrent is not None:
                    self._take(torrent, status, now)
            return
        if isinstance(alert, al.Dropped):
            self._resync()
            return
        torrent = self._by_handle.get(getattr(alert, "handle", None))
        if torrent is not None:
            self._react_to(torrent, alert, now)

    def _react_to(self, torrent: Torrent, alert: al.Alert, now: float) -> None:
        match alert:
            case al.Flushed() if torrent.flushing:
                self._completed(torrent)
            case al.Stopped(code=code, reason=reason, path=path):
                if code != errno.ENOMEM:
                    self._fail(torrent, disk_failure(torrent.name, path, code, reason))
            case al.ResumeData(data=data):
                torrent.unsaved = torrent.unsaved and data is None
                waiting, torrent.resume_waiters = torrent.resume_waiters, []
                for waiter in waiting:
                    if not waiter.done():
                        waiter.set_result(data)
            case al.HashFailed(piece=piece):
                self.subscribers.publish(PieceRejected(torrent.key, piece))
            case al.Banned(address=address, port=port):
                self._own(self._banned(torrent, address, port))
            case al.WebSeedError(url=url, reason=reason):
                self._web_seed_failed(torrent, _original(torrent, url), f"it answered {reason}", now)
            case al.PeerError(code=code, address=address, port=port) if code in WEB_SEED_ERRORS:
                self._own(self._misbehaved(torrent, address, port, WEB_SEED_ERRORS[code], now))
            case al.Connections(web_endpoints=endpoints, web_received=received):
                torrent.web_connections, torrent.web_received = len(endpoints), received
                torrent.web_endpoints.update(endpoints)

    def _take(self, torrent: Torrent, status: Any, now: float) -> None:
        torrent.take(counters_of(status))
        c = torrent.counters
        if not c.checking and not torrent.ready:
            self._settle(torrent)
        if not torrent.ready:
            return
        torrent.measure(now)
        if torrent.rate:
            self._moving.add(torrent)
        if not c.finished:
            torrent.complete = torrent.flushing = False
        elif not torrent.complete and not torrent.flushing:
            torrent.flushing = True
            # libtorrent counts what is in its cache; readers of the files must not see holes.
            torrent.handle.flush_cache()

    def _settle(self, torrent: Torrent) -> None:
        """The check is done: count from here, and go on unless the owner paused it."""
        torrent.settle()
        for waiter in torrent.check_waiters:
            if not waiter.done():
                waiter.set_result(None)
        if not torrent.held and torrent.failure is None:
            torrent.handle.resume()

    def _completed(self, torrent: Torrent) -> None:
        torrent.flushing, torrent.complete, torrent.unsaved = False, True, True
        torrent.web_connections = 0
        torrent.release(None, checks=False)
        self.subscribers.publish(Completed(torrent.key))

    def _fail(self, torrent: Torrent, error: Error) -> None:
        if torrent.failure is not None:
            return
        torrent.failure = error
        # libtorrent would keep its connections and discard what they bring.
        torrent.handle.pause()
        torrent.release(error)
        self.subscribers.publish(Failed(torrent.key, error.what, isinstance(error, NoSpace)))

    def _resync(self) -> None:
        self.subscribers.publish(Resync())
        for torrent in self._by_key.values():
            torrent.flushing = False
            torrent.handle.post_status()

    # -- web seeds -------------------------------------------------------------------------------

    def _web_seed_failed(self, torrent: Torrent, url: str | None, reason: str, now: float) -> None:
        if torrent.watch is not None and not torrent.complete:
            torrent.watch.failed(url, reason, now)

    async def _misbehaved(self, torrent: Torrent, address: str, port: int, reason: str, now: float) -> None:
        self._web_seed_failed(torrent, await _served_by(torrent, address, port), reason, now)

    async def _banned(self, torrent: Torrent, address: str, port: int) -> None:
        """A peer, a web seed or a redirect target sent wrong bytes."""
        suspect = await _served_by(torrent, address, port)
        if torrent.watch is not None and (suspect or (address, port) in torrent.web_endpoints):
            self._drop(torrent, torrent.watch.lied(suspect))
        else:
            self.subscribers.publish(PeerBanned(torrent.key, f"{address}:{port}"))

    def tick(self, now: float, *, all_held: bool) -> None:
        """Let rates fall, and take up web seeds again whose time has come."""
        for torrent in list(self._moving):
            torrent.measure(now)
            if not torrent.rate:
                self._moving.discard(torrent)
        for torrent in self._by_key.values():
            watch = torrent.watch
            if watch is None or not watch.urls:
                continue
            if torrent.complete or torrent.state(all_held=all_held) != "downloading":
                watch.rest()
                continue
            torrent.handle.post_peer_info()
            activity = torrent.peers_bytes + torrent.web_seed_bytes + torrent.web_received
            match watch.poll(now, torrent.web_seed_bytes, activity):
                case Renew(urls=urls) if not torrent.renewing:
                    torrent.renewing = True
                    self._own(self._renew(torrent, urls))
                case list() as drops:
                    self._drop(torrent, drops)

    async def _renew(self, torrent: Torrent, urls: tuple[str, ...]) -> None:
        """Forget redirect targets and the URLs themselves, then add the URLs again."""
        try:
            listed = await asyncio.to_thread(_url_seeds, torrent.handle)
            if torrent.watch is None or self._by_key.get(torrent.key) is not torrent:
                return
            for url in listed:
                if url in urls or url not in torrent.watch.urls:
                    torrent.handle.remove_url_seed(url)
            for url in urls:
                if url in torrent.watch.urls:
                    torrent.handle.add_url_seed(url)
        finally:
            torrent.renewing = False

    def _drop(self, torrent: Torrent, drops: list[Drop]) -> None:
        for drop in drops:
            torrent.handle.remove_url_seed(drop.url)
            self.subscribers.publish(WebSeedDropped(torrent.key, drop.url, drop.reason))


def _url_seeds(handle: Any) -> list[str]:
    """All web seeds of a torrent, redirect targets among them (never to be shown); none when it is gone."""
    try:
        return list(handle.url_seeds())
    except RuntimeError:
        return []


def _original(torrent: Torrent, url: str) -> str | None:
    """Which of our web seeds libtorrent means by ``url`` (it appends the name of a single file)."""
    if torrent.watch is None:
        return None
    return next((ours for ours in torrent.watch.urls if url in (ours, ours + torrent.name)), None)


async def _served_by(torrent: Torrent, address: str, port: int) -> str | None:
    """The only one of our web seeds that lives at this endpoint; None if none or several do."""
    if torrent.watch is None:
        return None
    loop = asyncio.get_running_loop()
    found = []
    for url in torrent.watch.urls:
        parts = urlsplit(url)
        default = 443 if parts.scheme == "https" else 80
        if (parts.port or default) != port or not parts.hostname:
            continue
        try:
            async with asyncio.timeout(5):
                places = await loop.getaddrinfo(parts.hostname, port)
        except (OSError, TimeoutError):
            continue
        if any(place[4][0] == address for place in places):
            found.append(url)
    return found[0] if len(found) == 1 else None
