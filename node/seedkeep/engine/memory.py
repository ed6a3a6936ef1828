"""An engine without a network, for tests: it copies files between folders and keeps the contract.

Several :class:`MemoryEngine` share one :class:`MemorySwarm`. They work file by file: a file counts once it
is whole and verified (by its pieces root; in v1 torrents by the pieces that lie inside it). A source of wrong
bytes is banned. ``MemorySwarm.hold`` stops all traffic until ``go``, so that a test can look at a download
half way without racing it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seedkeep.core.errors import Error, HostileMetainfo, NoSpace, NotFound
from seedkeep.core.merkle import BLOCK, leaf_hashes, root_of
from seedkeep.core.metainfo import Metainfo, read_metainfo
from seedkeep.engine.model import (
    Completed,
    EngineEvent,
    Failed,
    PeerBanned,
    PieceRejected,
    State,
    TorrentSpec,
    TorrentStatus,
    WebSeedDropped,
)
from seedkeep.engine.subscribers import Subscribers
from seedkeep.engine.waiting import to_the_end, wait_in


class MemorySwarm:
    """The network: who is there, and which folders web-seed URLs serve.

    Attributes:
        web_seeds: base URL → folder that holds ``<name>``; any other URL answers 404.
    """

    def __init__(self) -> None:
        self.engines: list[MemoryEngine] = []
        self.web_seeds: dict[str, Path] = {}
        self._open = asyncio.Event()
        self._open.set()
        self._changed = asyncio.Event()

    def hold(self) -> None:
        """No file moves until ``go``; the one on its way still arrives."""
        self._open.clear()

    def go(self) -> None:
        self._open.set()

    async def passable(self) -> None:
        await self._open.wait()

    def changed(self) -> None:
        """Somebody came, went, or has more than before."""
        self._changed.set()
        self._changed = asyncio.Event()

    def next_change(self) -> asyncio.Event:
        """Set at the next ``changed``; ask for it before looking at the state."""
        return self._changed


@dataclass(slots=True, eq=False)
class _Torrent:
    spec: TorrentSpec
    meta: Metainfo
    wanted: frozenset[int]
    web_seeds: list[str]
    have: set[int] = field(default_factory=set)
    checked: bool = False
    held: bool = False
    failure: Error | None = None
    announced: bool = False
    unsaved: bool = True
    peers_bytes: int = 0
    web_seed_bytes: int = 0
    banned: set[MemoryEngine] = field(default_factory=set)
    waiters: set[asyncio.Future[None]] = field(default_factory=set)
    work: asyncio.Task[None] | None = None

    @property
    def complete(self) -> bool:
        return self.checked and self.wanted <= self.have

    def path(self, index: int, folder: Path | None = None) -> Path:
        root = (folder or self.spec.save_path) / self.meta.name
        single = len(self.meta.files) == 1 and self.meta.files[0].path == self.meta.name
        return root if single else root / self.meta.files[index].path

    def size(self, indexes: frozenset[int] | set[int]) -> int:
        return sum(self.meta.files[index].size for index in indexes)


class MemoryEngine:
    """See :class:`seedkeep.engine.model.Engine`.

    Args:
        swarm: shared by the engines that are to meet.
        capacity: bytes this engine may write before its disk is full; None = no limit.
    """

    def __init__(self, swarm: MemorySwarm, *, capacity: int | None = None) -> None:
        self._swarm = swarm
        self._capacity = capacity
        self._torrents: dict[str, _Torrent] = {}
        self._subscribers = Subscribers()
        self._port = 0
        self._held = False

    async def start(self) -> None:
        self._swarm.engines.append(self)
        self._port = 50_000 + len(self._swarm.engines)
        self._swarm.changed()

    async def close(self) -> Mapping[str, bytes]:
        if self not in self._swarm.engines:
            return {}
        saved = await self.save_changed()
        self._swarm.engines.remove(self)
        for torrent in self._torrents.values():
            await _stop(torrent)
            _wake(torrent, Error("The engine was closed."))
        self._torrents.clear()
        self._subscribers.end()
        self._swarm.changed()
        return saved

    @property
    def listen_port(self) -> int:
        return self._port

    async def add(self, spec: TorrentSpec) -> None:
        self._running()
        known = self._torrents.get(spec.key)
        if known is not None:
            known.web_seeds += [url for url in spec.web_seeds if url not in known.web_seeds]
            known.wanted = _wanted(spec, known.meta)
            known.announced = known.announced and known.complete
            self._swarm.changed()
            return
        meta = read_metainfo(spec.metainfo)
        if meta.info_hash != spec.key:
            raise HostileMetainfo(f"The torrent given for {spec.key} is that of {meta.info_hash}.")
        torrent = _Torrent(spec, meta, _wanted(spec, meta), list(spec.web_seeds))
        torrent.unsaved = spec.resume is None
        self._torrents[spec.key] = torrent
        torrent.work = asyncio.create_task(self._work(torrent))

    async def remove(self, key: str) -> None:
        torrent = self._torrents.pop(key, None)
        if torrent is not None:
            await to_the_end(_stop(torrent))
            _wake(torrent, NotFound(f"{torrent.meta.name!r} was removed."))
            self._swarm.changed()

    def status(self, key: str) -> TorrentStatus:
        t = self._get(key)
        seeds = sum(1 for other in self._sources(t) if t.wanted <= other._torrents[key].have)
        return TorrentStatus(
            key=key,
            state=self._state(t),
            have=t.size(t.have & t.wanted),
            wanted=t.size(t.wanted),
            down_rate=0,
            up_rate=0,
            peers=len(self._sources(t)),
            seeds=seeds,
            peers_bytes=t.peers_bytes,
            web_seed_bytes=t.web_seed_bytes,
            error=t.failure.what if t.failure else "",
        )

    def _state(self, t: _Torrent) -> State:
        if t.failure:
            return "failed"
        if t.held or self._held:
            return "paused"
        if not t.checked:
            return "checking"
        return "seeding" if t.complete else "downloading"

    def statuses(self) -> list[TorrentStatus]:
        return [self.status(key) for key in self._torrents]

    async def wait_complete(self, key: str) -> None:
        torrent = self._get(key)
        while not torrent.complete:
            if torrent.failure is not None:
                raise torrent.failure
            await wait_in(torrent.waiters)

    async def flush(self, key: str) -> None:
        self._get(key)

    async def save_resume(self, key: str) -> bytes:
        torrent = self._get(key)
        if not torrent.checked:
            raise Error(f"The state of {torrent.meta.name!r} cannot be saved now.")
        torrent.unsaved = False
        return json.dumps({"key": key, "have": sorted(torrent.have)}).encode()

    async def save_changed(self) -> Mapping[str, bytes]:
        changed = [key for key, t in self._torrents.items() if t.unsaved and t.checked]
        return {key: await self.save_resume(key) for key in changed}

    async def pause(self, key: str) -> None:
        self._get(key).held = True
        self._swarm.changed()

    async def resume(self, key: str) -> None:
        self._get(key).held = False
        self._swarm.changed()

    async def pause_all(self) -> None:
        self._held = True
        self._swarm.changed()

    async def resume_all(self) -> None:
        self._held = False
        self._swarm.changed()

    async def connect(self, key: str, host: str, port: int) -> None:
        self._get(key)

    async def announce_all(self) -> None:
        """The swarm of this engine forgets nobody."""
        self._running()

    def events(self) -> AsyncIterator[EngineEvent]:
        return self._subscribers.subscribe()

    def set_limits(self, *, down: int = 0, up: int = 0) -> None:
        """Everything takes no time here, so there is nothing to limit."""

    # -- the work --------------------------------------------------------------------------------

    def _running(self) -> None:
        if self not in self._swarm.engines:
            raise Error("The engine is not running.")

    def _get(self, key: str) -> _Torrent:
        if key not in self._torrents:
            raise NotFound(f"No torrent {key} is loaded.")
        return self._torrents[key]

    def _sources(self, t: _Torrent) -> list[MemoryEngine]:
        key = t.spec.key
        return [
            other
            for other in self._swarm.engines
            if other is not self
            and other not in t.banned
            and not other._held
            and (theirs := other._torrents.get(key)) is not None
            and theirs.have
            and not theirs.held
        ]

    async def _work(self, t: _Torrent) -> None:
        if not t.checked:
            t.have = await asyncio.to_thread(_already_there, t)
            t.checked = True
            if t.spec.read_only and not t.complete:
                t.failure = Error(f"Files of {t.meta.name!r} are missing or were changed.")
                _wake(t, t.failure)
                self._subscribers.publish(Failed(t.spec.key, t.failure.what))
            self._swarm.changed()
        while True:
            change = self._swarm.next_change()
            if not await self._step(t):
                await change.wait()

    async def _step(self, t: _Torrent) -> bool:
        """Move one file, or say that nothing can be moved now."""
        if t.complete and not t.announced:
            t.announced = True
            _wake(t, None)
            self._subscribers.publish(Completed(t.spec.key))
        await self._swarm.passable()
        if t.complete or t.failure or t.held or self._held:
            return False
        for index in sorted(t.wanted - t.have):
            for other in self._sources(t):
                theirs = other._torrents[t.spec.key]
                if index in theirs.have:
                    await self._copy(t, index, theirs.path(index), other)
                    return True
            for url in t.web_seeds:
                folder = self._swarm.web_seeds.get(url)
                if folder is None:
                    self._drop(t, url, "it answered 404 Not Found")
                else:
                    await self._copy(t, index, t.path(index, folder), url)
                return True
        return False

    async def _copy(self, t: _Torrent, index: int, source: Path, giver: MemoryEngine | str) -> None:
        size = t.meta.files[index].size
        if self._capacity is not None and self._capacity < size:
            t.failure = NoSpace(f"No room for {t.meta.name!r}.", hint="Free some space.")
            _wake(t, t.failure)
            self._subscribers.publish(Failed(t.spec.key, t.failure.what, no_space=True))
            return
        target = t.path(index)
        copying = asyncio.ensure_future(asyncio.to_thread(_fetch, t.meta, index, source, target))
        try:
            good = await asyncio.shield(copying)
        except asyncio.CancelledError:
            # a thread cannot be cancelled: who removes the torrent may delete its files next
            await asyncio.wait([copying])
            raise
        if isinstance(giver, str):
            t.web_seed_bytes += size
        else:
            t.peers_bytes += size
        if good:
            if self._capacity is not None:
                self._capacity -= size
            t.have.add(index)
            t.unsaved = True
            self._swarm.changed()
            return
        self._subscribers.publish(PieceRejected(t.spec.key, index))
        if isinstance(giver, str):
            self._drop(t, giver, "it sent wrong bytes")
        else:
            t.banned.add(giver)
            self._subscribers.publish(PeerBanned(t.spec.key, f"127.0.0.1:{giver.listen_port}"))

    def _drop(self, t: _Torrent, url: str, reason: str) -> None:
        t.web_seeds.remove(url)
        self._subscribers.publish(WebSeedDropped(t.spec.key, url, reason))


def _wanted(spec: TorrentSpec, meta: Metainfo) -> frozenset[int]:
    return frozenset(range(len(meta.files))) if spec.wanted is None else spec.wanted


async def _stop(torrent: _Torrent) -> None:
    if torrent.work is not None:
        torrent.work.cancel()
        await asyncio.gather(torrent.work, return_exceptions=True)


def _wake(torrent: _Torrent, error: Error | None) -> None:
    for waiter in torrent.waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)


def _already_there(t: _Torrent) -> set[int]:
    """The files that are whole: believed (``complete``, or resume data of the right sizes) or hashed."""
    resume = t.spec.resume
    if resume is not None or t.spec.complete:
        told = json.loads(resume)["have"] if resume is not None else t.wanted
        if all(_size(t.path(index)) == t.meta.files[index].size for index in told):
            return set(told)
    return _hashed(t)


def _hashed(t: _Torrent) -> set[int]:
    return {index for index in range(len(t.meta.files)) if _is_good(t.meta, index, t.path(index))}


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _fetch(meta: Metainfo, index: int, source: Path, target: Path) -> bool:
    if not _is_good(meta, index, source):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return True


def _is_good(meta: Metainfo, index: int, path: Path) -> bool:
    file = meta.files[index]
    if _size(path) != file.size:
        return False
    if meta.version == 2:
        return file.size == 0 or root_of(_leaves(path), size=file.size).hex() == file.root
    return _v1_pieces_fit(meta, index, path)


def _leaves(path: Path) -> list[bytes]:
    leaves: list[bytes] = []
    with path.open("rb") as stream:
        while chunk := stream.read(64 * BLOCK):
            leaves += leaf_hashes(chunk)
    return leaves


def _v1_pieces_fit(meta: Metainfo, index: int, path: Path) -> bool:
    """Whether the v1 pieces that lie wholly inside the file are right; its edges are taken on trust."""
    start = sum(file.size for file in meta.files[:index])
    end = start + meta.files[index].size
    first, last = -(-start // meta.piece_length), end // meta.piece_length
    with path.open("rb") as stream:
        for piece in range(first, last):
            stream.seek(piece * meta.piece_length - start)
            digest = hashlib.sha1(stream.read(meta.piece_length), usedforsecurity=False).digest()
            if digest != meta.pieces[20 * piece : 20 * piece + 20]:
                return False
    return True
