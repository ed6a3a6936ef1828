"""A person's desk in this process: resolver, fetcher and sharer, with an engine that needs no network."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from seedkeep.config import ClientSettings
from seedkeep.core.keys import PrivateKey
from seedkeep.core.metainfo import torrent_v1, torrent_v2
from seedkeep.download import FetchProgress
from seedkeep.engine.memory import MemoryEngine, MemorySwarm
from seedkeep.engine.model import TorrentSpec
from seedkeep.fetch import Fetcher, FetchRequest, FetchResult
from seedkeep.known import KnownRegistrars
from seedkeep.record_cache import RecordCache
from seedkeep.registrar_client import RegistrarClient
from seedkeep.resolve import Resolver
from seedkeep.share import Sharer
from tests.support.registrar import Shareable, new_key


@dataclass
class Desk:
    """One person's things in ``path``; a second desk on the same path is the same person, later."""

    path: Path
    session: aiohttp.ClientSession
    swarm: MemorySwarm = field(default_factory=MemorySwarm)
    key: PrivateKey = field(default_factory=new_key)
    settings: ClientSettings = field(default_factory=lambda: ClientSettings(zeroconf=False, stall=5.0))
    notes: list[str] = field(default_factory=list)
    progress: list[Any] = field(default_factory=list)
    on_progress: Callable[[Any], None] = lambda at: None

    @property
    def known(self) -> KnownRegistrars:
        return KnownRegistrars(self.path / "known_registrars")

    def client(self, url: str) -> RegistrarClient:
        return self.known.client(url, key=self.key, session=self.session, now=time.time, attempts=1)

    def resolver(self, *registrars: str, **more: Any) -> Resolver:
        return Resolver(self.client, RecordCache(self.path / "cache"), first=registrars, **more)

    def _report(self, at: FetchProgress) -> None:
        self.progress.append(at)
        self.on_progress(at)

    def fetcher(self, resolver: Resolver) -> Fetcher:
        return Fetcher(
            resolver=resolver,
            session=self.session,
            settings=self.settings,
            engine=lambda settings: MemoryEngine(self.swarm),
            report=self._report,
            note=self.notes.append,
        )

    def sharer(
        self, url: str, local_node: Callable[..., Awaitable[None]] | None = None, **more: Any
    ) -> Sharer:
        return Sharer(
            client=self.client(url),
            key=self.key,
            session=self.session,
            settings=self.settings,
            engine=lambda settings: MemoryEngine(self.swarm),
            aside=self.path / "aside",
            report=self._report,
            note=self.notes.append,
            local_node=local_node,
            **more,
        )

    async def fetch(
        self, name: str, *registrars: str, request: FetchRequest | None = None, **more: Any
    ) -> FetchResult:
        """Fetch into ``path/out`` unless the request says otherwise."""
        resolver = self.resolver(*registrars)
        found = await resolver.resolve(name)
        wish = request or FetchRequest(self.path / "out", **more)
        return await self.fetcher(resolver).fetch(found, wish)


@asynccontextmanager
async def seeding(
    swarm: MemorySwarm, what: Shareable, folder: Path, *versions: int
) -> AsyncIterator[MemoryEngine]:
    """Somebody in the swarm who has the whole dataset, as v2, v1 or both (v2 by default)."""
    folder.mkdir(parents=True, exist_ok=True)
    what.data.write(folder)
    engine, d, m = MemoryEngine(swarm), what.dataset(), what.data.manifest
    await engine.start()
    for version in versions or (2,):
        if version == 2:
            spec = TorrentSpec(torrent_v2(m, what.data.layers), folder, d.content_id, complete=True)
        else:
            spec = TorrentSpec(torrent_v1(m, what.pieces_v1), folder, d.infohash_v1, complete=True)
        await engine.add(spec)
        await engine.wait_complete(spec.key)
    try:
        yield engine
    finally:
        await engine.close()


def right(folder: Path, what: Shareable, paths: Sequence[str] | None = None) -> bool:
    """Whether exactly these files (all by default) are below ``folder``, byte for byte."""
    root = folder / what.data.manifest.name
    wanted = {p: what.data.content[p] for p in (paths or what.data.content)}
    if what.data.manifest.is_single_file:
        return root.read_bytes() == next(iter(wanted.values()))
    found = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    return found == wanted
