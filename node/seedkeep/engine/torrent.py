"""What the engine remembers of one torrent, and how libtorrent's counters become a TorrentStatus."""

from __future__ import annotations

import asyncio
import errno
import os
from dataclasses import dataclass, field
from typing import Any

from seedkeep.core.errors import Error, NoSpace
from seedkeep.engine.model import State, TorrentStatus
from seedkeep.engine.web_seed_feed import WebSeedFeed
from seedkeep.engine.web_seed_health import WebSeedHealth

#: what a full disk, quota or file-size limit says
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Counters:
    """The numbers of one libtorrent status; bytes. ``checking``: its own view of the disk is not final."""

    wanted_done: int = 0
    wanted: int = 0
    peers_payload: int = 0
    uploaded: int = 0
    up_rate: int = 0
    peers: int = 0
    seeds: int = 0
    checking: bool = True
    finished: bool = False


def counters_of(status: Any) -> Counters:
    """Copy what we use of a ``torrent_status``. What web seeds brought is not in its payload counters."""
    name = status.state.name
    return Counters(
        wanted_done=status.total_wanted_done,
        wanted=status.total_wanted,
        peers_payload=status.total_payload_download,
        uploaded=status.total_payload_upload,
        up_rate=status.upload_payload_rate,
        peers=status.num_peers,
        seeds=status.num_seeds,
        checking=name in ("checking_files", "checking_resume_data", "queued_for_checking"),
        finished=name in ("finished", "seeding"),
    )


@dataclass(slots=True, eq=False)
class Torrent:
    """One torrent of the session.

    ``choosing``: libtorrent has not confirmed another choice of files yet, older statuses do not count.
    ``flushes``: not yet confirmed; they are confirmed in order, so completion waits for the last of them.
    ``ready``: its disk has been checked. ``held``: its owner paused it. ``complete``: all wanted bytes are
    verified and out of libtorrent's cache.
    """

    key: str
    name: str
    handle: Any
    wanted: frozenset[int] | None = None
    read_only: bool = False
    metainfo: bytes = b""
    web_seeds: list[WebSeedHealth] = field(default_factory=list)
    web_seed_bytes: int = 0
    feed: WebSeedFeed | None = None
    feed_task: asyncio.Task[None] | None = None
    done_pieces: set[int] = field(default_factory=set)
    held: bool = False
    ready: bool = False
    choosing: bool = False
    flushing: bool = False
    flushes: int = 0
    complete: bool = False
    failure: Error | None = None
    counters: Counters = field(default_factory=Counters)
    unsaved: bool = True
    done_waiters: set[asyncio.Future[None]] = field(default_factory=set)
    resume_waiters: list[asyncio.Future[bytes | None]] = field(default_factory=list)
    rate: float = 0.0
    _rate_bytes: int = 0
    _rate_time: float = 0.0

    def take(self, counters: Counters) -> None:
        """Believe a fresh set of counters."""
        if counters.wanted_done != self.counters.wanted_done:
            self.unsaved = True
        self.counters = counters

    def choose(self) -> None:
        """Other files are wanted now. Statuses on their way are stale."""
        self.choosing = True
        self.complete = self.flushing = False

    @property
    def peers_bytes(self) -> int:
        return self.counters.peers_payload

    def measure(self, now: float) -> None:
        """Update the download rate (bytes/s, over about two seconds, web seeds included)."""
        received = self.peers_bytes + self.web_seed_bytes
        seconds = now - self._rate_time
        if self._rate_time and seconds > 0:
            fresh = max(0, received - self._rate_bytes) / seconds
            self.rate = 0.7 * self.rate + 0.3 * fresh if self.rate and fresh else fresh
        self._rate_bytes, self._rate_time = received, now

    def state(self, *, all_held: bool) -> State:
        if self.failure is not None:
            return "failed"
        if self.held or all_held:
            return "paused"
        if not self.ready:
            return "checking"
        return "seeding" if self.complete else "downloading"

    def status(self, *, all_held: bool) -> TorrentStatus:
        c = self.counters
        return TorrentStatus(
            key=self.key,
            state=self.state(all_held=all_held),
            have=c.wanted_done,
            wanted=c.wanted,
            down_rate=int(self.rate),
            up_rate=c.up_rate,
            peers=c.peers,
            seeds=c.seeds,
            peers_bytes=self.peers_bytes,
            web_seed_bytes=self.web_seed_bytes,
            uploaded=c.uploaded,
            error=self.failure.what if self.failure else "",
        )

    def release(self, error: Error | None) -> None:
        """Wake whoever waits for completion."""
        for waiter in self.done_waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(_fresh(error))


def _fresh(error: Error) -> Error:
    """A copy for one waiter: raising one exception object in several tasks would mix their tracebacks."""
    return type(error)(error.what, hint=error.hint)


def disk_failure(name: str, path: str, code: int, reason: str) -> Error:
    """The Error for a torrent whose disk failed it."""
    place = path or name
    if code in NO_SPACE:
        return NoSpace(
            f"No room for {name!r}: writing {place} failed ({os.strerror(code)}).",
            hint="Free some space or lower the pledge, then start it again.",
        )
    return Error(
        f"The disk failed {name!r} at {place}: {reason}.", hint="Check the disk and the folder's rights."
    )
