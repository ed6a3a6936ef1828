"""The contract between the node and whatever moves the bytes.

An :class:`Engine` downloads torrents from peers and web seeds, verifies every piece before it counts
it, and seeds what is complete. It knows torrents by *key*: the content id (64 hex digits, the v2
info-hash) or the v1 info-hash (40 hex digits) of a v1-only companion.

What holds for every engine:

* One event loop owns it. No method blocks that loop; ``status`` and ``statuses`` answer from a
  snapshot that is at most about half a second old and never wait.
* A dataset is at ``save_path/<name>/<path>``, or ``save_path/<name>`` when it is a single file.
* It never deletes, moves or truncates a finished file; the owner of ``save_path`` does, after
  ``remove`` has returned. It may write ``save_path/.<first 40 digits of key>.parts`` while only a part
  of the files is wanted.
* Bytes on disk are never trusted without resume data or ``complete=True``: they are hashed first.
* Errors that are *permanent* for a torrent put it in state ``failed`` and emit :class:`Failed` once:
  no space, an input/output error of the disk, metainfo that differs from the key. It stays in the
  list, so that its status can be read, until ``remove``. Everything of the network (a peer that is
  gone, a tracker that is down, a web seed that answers 403) is temporary and never fails a torrent:
  it waits for better times, and the caller decides how long.
* Events are hints, the snapshot is the truth: a listener that is too slow gets :class:`Resync` in
  place of what it missed and reads ``statuses`` again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

State = Literal["checking", "downloading", "seeding", "paused", "failed"]


@dataclass(frozen=True, slots=True)
class TorrentSpec:
    """Everything needed to download or seed one torrent.

    Attributes:
        metainfo: a whole bencoded ``.torrent``, v2-only or v1-only (BEP 52, BEP 3).
        save_path: the folder that holds ``<name>``.
        key: content id (64 lower hex) or v1 info-hash (40 lower hex); must be that of ``metainfo``.
        trackers: announce URLs, one tier; those inside ``metainfo`` are not used.
        web_seeds: BEP 19 http(s) base URLs ending in "/", used until the torrent is complete. Those
            inside ``metainfo`` are not used.
        peers: (host, port) to try at once.
        resume: opaque bytes from :meth:`Engine.save_resume`. Data of another torrent, or older than
            the files, is ignored and the disk is hashed. Without any, what is on disk is hashed and
            only that is believed: to look for rot, ``remove`` and ``add``.
        complete: the caller vouches that all wanted files are whole on disk: seed them, and nothing else,
            without hashing. A part of the files of a v1-only torrent needs ``resume`` or is hashed.
        wanted: indexes into the manifest's files to download; None = all. Pieces of a v1-only torrent
            reach over file borders, so its neighbours' edges come along (kept in the parts file).
        read_only: the files are somebody else's, such as a sharer's: nothing is ever written below
            ``save_path``, nothing downloaded. The torrent fails when they are not all there and right.
    """

    metainfo: bytes
    save_path: Path
    key: str
    trackers: tuple[str, ...] = ()
    web_seeds: tuple[str, ...] = ()
    peers: tuple[tuple[str, int], ...] = ()
    resume: bytes | None = field(default=None, repr=False)
    complete: bool = False
    wanted: frozenset[int] | None = None
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class TorrentStatus:
    """A snapshot of one torrent; sizes in bytes, rates in bytes per second.

    ``have`` of ``wanted`` bytes are verified and on disk (blocks of unfinished pieces count too).
    ``peers`` counts connections to peers, ``seeds`` those that have everything; web seeds are in
    neither. ``peers_bytes`` and ``web_seed_bytes`` are the payload that arrived since :meth:`Engine.add`,
    exact, including what was thrown away (wrong, or sent by two).
    """

    key: str
    state: State
    have: int
    wanted: int
    down_rate: int
    up_rate: int
    peers: int
    seeds: int
    peers_bytes: int
    web_seed_bytes: int
    uploaded: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Completed:
    """Every wanted byte of ``key`` is verified and on disk; sent once per way to completion."""

    key: str


@dataclass(frozen=True, slots=True)
class Failed:
    """``key`` cannot go on without its owner; ``no_space`` tells a full disk from the rest."""

    key: str
    reason: str
    no_space: bool = False


@dataclass(frozen=True, slots=True)
class WebSeedDropped:
    """``url`` is not used any more for ``key``; ``reason`` is one sentence for a person."""

    key: str
    url: str
    reason: str


@dataclass(frozen=True, slots=True)
class PieceRejected:
    """Piece ``piece`` of ``key`` arrived with wrong bytes and was thrown away; it is fetched again."""

    key: str
    piece: int


@dataclass(frozen=True, slots=True)
class PeerBanned:
    """``peer`` ("address:port") sent wrong bytes for ``key`` and is not talked to again."""

    key: str
    peer: str


@dataclass(frozen=True, slots=True)
class Resync:
    """Events were lost (too many at once): read :meth:`Engine.statuses` again."""


EngineEvent = Completed | Failed | WebSeedDropped | PieceRejected | PeerBanned | Resync


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How an engine behaves on the network; rates in bytes per second, 0 = no limit.

    Attributes:
        listen: "address:port" pairs, comma separated; port 0 lets the system choose.
        utp: also speak uTP (kinder to other traffic, several times slower on a LAN). TCP is always on.
        private_web_seeds: allow web seeds, and redirects of theirs, that lead into private or loopback
            networks. Off, a record cannot make this machine ask its neighbours.
        connections: most peers over all torrents.
        web_seed_connections: requests at a time per torrent, over all its web seeds.
        web_seed_retry: seconds before a web seed that failed is asked again; doubles up to 60 s.
        web_seed_tries: failures in a row, none of them with a piece gained, that are survived; one more
            and it is dropped.
        stall: seconds without a byte after which a request to a web seed counts as failed.
        verify_https: check certificates of trackers and web seeds.
    """

    listen: str = "0.0.0.0:0,[::]:0"
    dht: bool = False
    lsd: bool = False
    utp: bool = False
    upnp: bool = False
    down_limit: int = 0
    up_limit: int = 0
    connections: int = 500
    web_seed_connections: int = 4
    upload_slots: int = 64
    hashing_threads: int = 2
    user_agent: str = "seedkeep/0.1"
    private_web_seeds: bool = False
    verify_https: bool = True
    web_seed_retry: float = 1.0
    web_seed_tries: int = 8
    stall: float = 20.0


class Engine(Protocol):
    """Downloads and seeds torrents. See the module for what holds throughout."""

    async def start(self) -> None:
        """Open the sockets. Once per engine.

        Raises:
            Error: no socket could be opened on ``listen`` (port taken, no such address).
        """

    async def close(self) -> Mapping[str, bytes]:
        """Stop everything, release every file and socket, end every ``events`` iterator and waiter.

        Idempotent, safe before ``start`` and after a failed one; takes at most about 20 s even if the
        disk hangs. Waiters of ``wait_complete`` get an Error.

        Returns:
            key → resume data, for each torrent that changed since its resume data was last
            saved. The caller stores it (the engine keeps no files of its own). Empty when called again.
        """

    @property
    def listen_port(self) -> int:
        """The TCP port peers can connect to; 0 before ``start``."""

    async def add(self, spec: TorrentSpec) -> None:
        """Take on a torrent; returns when it is in the list, not when it is checked or complete.

        Idempotent: a key that is already there keeps its state, and takes up new trackers, web seeds
        and peers of ``spec`` (a web seed dropped earlier starts afresh); ``wanted`` replaces the selection.

        Raises:
            HostileMetainfo: ``metainfo`` does not load, is a hybrid, has another info-hash than ``key``,
                or libtorrent would store its files under other names. Permanent; nothing was added.
            InvalidInput: an address among ``peers`` is no IP address, or an index in ``wanted`` has no file.
        """

    async def remove(self, key: str) -> None:
        """Forget a torrent; on return no file of it is open. Idempotent; never deletes files.

        Whoever waits for it gets NotFound.
        """

    def status(self, key: str) -> TorrentStatus:
        """The latest snapshot of one torrent. Raises NotFound when it is not in the list."""

    def statuses(self) -> list[TorrentStatus]:
        """The latest snapshots of all torrents, in the order they were added."""

    async def wait_complete(self, key: str) -> None:
        """Return once every wanted byte is verified and on disk; at once if so already.

        Any number may wait; cancelling one disturbs nobody. Network faults never end the wait: bound it with
        ``asyncio.timeout`` and watch ``status``.

        Raises:
            NotFound: the torrent is not in the list, or was removed meanwhile.
            NoSpace: the disk or a quota is full. Permanent until the torrent is removed and added again.
            Error: it failed for another lasting reason, or the engine was closed.
        """

    async def flush(self, key: str) -> None:
        """Begin to write what is verified out to the system, so that a sudden end loses little.

        Cheap, unlike ``save_resume`` of a large torrent. Raises NotFound.
        """

    async def save_resume(self, key: str) -> bytes:
        """What lets a later ``add`` skip hashing. Holds no secrets and no redirect targets.

        Raises NotFound; Error when the engine cannot tell its state (checking, failed, closing).
        """

    async def save_changed(self) -> Mapping[str, bytes]:
        """``save_resume`` of every torrent that changed since its last save. Never raises for one torrent."""

    async def pause(self, key: str) -> None:
        """Stop all traffic of one torrent; its connections close. Idempotent. Raises NotFound."""

    async def resume(self, key: str) -> None:
        """Go on after ``pause``. Idempotent; does not cure a failed torrent. Raises NotFound."""

    async def pause_all(self) -> None:
        """Stop all traffic, also of torrents added later, without forgetting who was paused by ``pause``."""

    async def resume_all(self) -> None:
        """End ``pause_all``."""

    async def connect(self, key: str, host: str, port: int) -> None:
        """Try one peer (IP address); says nothing about success. Raises NotFound, InvalidInput."""

    async def announce_all(self) -> None:
        """Tell the trackers of all torrents now, however recently they were told.

        For a tracker that may have forgotten its peers, as one does that was started again. Many torrents
        are told one after the other, some 100 a second.
        """

    def events(self) -> AsyncIterator[EngineEvent]:
        """Everything that happens from this call on (not from the first ``anext``), until ``close``.

        Each caller has its own queue of 10,000; see :class:`Resync`.
        """

    def set_limits(self, *, down: int = 0, up: int = 0) -> None:
        """Limit the sum over all torrents, bytes per second; 0 = none. Takes effect at once."""
