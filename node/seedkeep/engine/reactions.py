"""What the engine does when libtorrent reports something: the torrents, their waiters, their events.

Knows libtorrent's handles only as things that can be told to go on, pause, or flush.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import Any

from seedkeep.core.errors import Error, NoSpace
from seedkeep.engine import alerts as al
from seedkeep.engine.feeder import Feeder
from seedkeep.engine.model import Completed, Failed, PeerBanned, PieceRejected, Resync
from seedkeep.engine.subscribers import Subscribers
from seedkeep.engine.torrent import Torrent, counters_of, disk_failure


class Reactions:
    """The torrents of one session."""

    def __init__(self, subscribers: Subscribers, feeder: Feeder) -> None:
        self._subscribers = subscribers
        self._feeder = feeder
        self.all_held = False
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
        self._subscribers.end()
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
            case al.Chosen():
                torrent.choosing = False
            case al.Flushed():
                torrent.flushes = max(0, torrent.flushes - 1)
                if torrent.flushing and not torrent.flushes:
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
            case al.PieceDone(piece=piece):
                if torrent.feed is not None:
                    torrent.feed.piece_done(piece)
                elif torrent.feed_task is not None:
                    torrent.done_pieces.add(piece)
            case al.HashFailed(piece=piece):
                self._subscribers.publish(PieceRejected(torrent.key, piece))
                if torrent.feed is not None:
                    torrent.feed.piece_failed(piece)
            case al.Banned(address=address, port=port):
                self._subscribers.publish(PeerBanned(torrent.key, f"{address}:{port}"))

    def _take(self, torrent: Torrent, status: Any, now: float) -> None:
        if torrent.choosing:
            return
        before = torrent.peers_bytes
        torrent.take(counters_of(status))
        c = torrent.counters
        self._feeder.limit.charge(c.peers_payload - before)
        if not c.checking and not torrent.ready:
            self._settle(torrent)
        if not torrent.ready:
            return
        self._moving.add(torrent)
        if not c.finished and torrent.read_only:
            changed = f"Files of {torrent.name!r} are missing or were changed since they were shared."
            self._fail(torrent, Error(changed, hint="Share the folder again: changed data is a new dataset."))
        if not c.finished:
            torrent.complete = torrent.flushing = False
            self._tend(torrent)
        elif not torrent.complete and not torrent.flushing:
            torrent.flushing = True
            torrent.flushes += 1
            # libtorrent counts what is in its cache; readers of the files must not see holes.
            torrent.handle.flush_cache()

    def _settle(self, torrent: Torrent) -> None:
        """The check is done: go on unless the owner paused it."""
        torrent.ready = True
        if not torrent.held and torrent.failure is None:
            torrent.handle.resume()

    def _completed(self, torrent: Torrent) -> None:
        torrent.flushing, torrent.complete, torrent.unsaved = False, True, True
        self._feeder.complete(torrent)
        torrent.release(None)
        self._subscribers.publish(Completed(torrent.key))

    def _fail(self, torrent: Torrent, error: Error) -> None:
        if torrent.failure is not None:
            return
        torrent.failure = error
        # libtorrent would keep its connections and discard what they bring.
        torrent.handle.pause()
        self._tend(torrent)
        torrent.release(error)
        self._subscribers.publish(Failed(torrent.key, error.what, isinstance(error, NoSpace)))

    def _resync(self) -> None:
        self._subscribers.publish(Resync())
        for torrent in self._by_key.values():
            torrent.flushing, torrent.flushes = False, 0
            self._feeder.restart(torrent)
            torrent.handle.post_status()

    def _tend(self, torrent: Torrent) -> None:
        self._feeder.tend(torrent, downloading=torrent.state(all_held=self.all_held) == "downloading")

    def tick(self, now: float) -> None:
        """Let rates fall, and keep the feeds from web seeds in step with the torrents."""
        for torrent in list(self._moving):
            torrent.measure(now)
            if not torrent.rate:
                self._moving.discard(torrent)
        for torrent in self._by_key.values():
            if torrent.web_seeds:
                self._tend(torrent)
