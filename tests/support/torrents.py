"""Both torrents of a small dataset, and engines to move them on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from seedkeep.core.metainfo import info_v1, infohash_v1_of, torrent_v1, torrent_v2
from seedkeep.engine.lt import libtorrent_engine
from seedkeep.engine.model import Engine, EngineEvent, EngineSettings, TorrentSpec
from tests.support.datasets import Dataset, dataset_of

Event = TypeVar("Event")

#: quick to give up and to retry, open to loopback
TEST_SETTINGS = EngineSettings(
    listen="127.0.0.1:0", private_web_seeds=True, web_seed_retry=0.05, web_seed_tries=2, stall=2.0
)


@dataclass(frozen=True)
class Torrents:
    """A dataset with its v2-only torrent and its v1-only companion."""

    data: Dataset
    v2: bytes
    v1: bytes
    content_id: str
    infohash_v1: str

    def spec(self, save_path: Path, *, version: int = 2, **more: Any) -> TorrentSpec:
        metainfo, key = (self.v2, self.content_id) if version == 2 else (self.v1, self.infohash_v1)
        return TorrentSpec(metainfo, save_path, key, **more)

    def differences(self, folder: Path) -> list[str]:
        """Paths below ``folder`` that are missing or have other bytes than the dataset."""
        root = folder / self.data.manifest.name
        single = self.data.manifest.is_single_file
        wrong = []
        for path, content in self.data.content.items():
            place = root if single else root / path
            if not place.is_file() or place.read_bytes() != content:
                wrong.append(path)
        return wrong


def torrents_of(data: Dataset) -> Torrents:
    """The torrents of these bytes, the v1 pieces hashed by the plain rule of BEP 3."""
    manifest = data.manifest
    everything = b"".join(data.content[file.path] for file in manifest.files)
    length = manifest.piece_length
    pieces = b"".join(
        hashlib.sha1(everything[at : at + length]).digest() for at in range(0, len(everything), length)
    )
    return Torrents(
        data,
        torrent_v2(manifest, data.layers),
        torrent_v1(manifest, pieces),
        manifest.content_id(),
        infohash_v1_of(info_v1(manifest, pieces)),
    )


def sample(size: int = 3_000_001, *, name: str = "sample", seed: int = 1) -> Torrents:
    """One big file of ``size`` bytes, some small ones, an empty one, an awkward name."""
    rng = random.Random(seed)
    content = {
        "big.bin": rng.randbytes(size),
        "reads/a b ü#1.fastq": rng.randbytes(40_000),
        "reads/tiny.txt": b"ACGT\n",
        "reads/empty": b"",
        "z.bin": rng.randbytes(16384),
    }
    return torrents_of(dataset_of(name, content))


@asynccontextmanager
async def engine(settings: EngineSettings = TEST_SETTINGS, **changes: Any) -> AsyncIterator[Engine]:
    """A libtorrent engine, started and closed."""
    it = libtorrent_engine(replace(settings, **changes))
    await it.start()
    try:
        yield it
    finally:
        await it.close()


@asynccontextmanager
async def seeding(torrents: Torrents, folder: Path, *versions: int, **changes: Any) -> AsyncIterator[Engine]:
    """An engine that seeds the dataset, written to ``folder``, in these torrent versions."""
    torrents.data.write(folder)
    async with engine(**changes) as it:
        for version in versions or (2,):
            spec = torrents.spec(folder, version=version, complete=True)
            await it.add(spec)
            await it.wait_complete(spec.key)
        yield it


class Recorder:
    """Keeps every event of an engine; ``of`` waits until there is one of a kind."""

    def __init__(self, source: Engine) -> None:
        self._events = source.events()
        self.seen: list[EngineEvent] = []

    async def of(self, kind: type[Event], seconds: float = 20) -> Event:
        for event in self.seen:
            if isinstance(event, kind):
                return event
        async with asyncio.timeout(seconds):
            async for event in self._events:
                self.seen.append(event)
                if isinstance(event, kind):
                    return event
        raise AssertionError("the engine was closed")
