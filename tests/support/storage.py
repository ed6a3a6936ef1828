"""Storage managers on an engine in memory and a simulated registrar, for tests."""

from __future__ import annotations

import asyncio
import hashlib
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from seedkeep.config import NodeSettings
from seedkeep.core.keys import PrivateKey
from seedkeep.core.manifest import Manifest
from seedkeep.core.metainfo import torrent_v2
from seedkeep.engine.memory import MemoryEngine, MemorySwarm
from seedkeep.engine.model import Engine, TorrentSpec
from seedkeep.storage.layout import allocated
from seedkeep.storage.model import Holding, Phase
from seedkeep.storage.rooms import Patience
from seedkeep.storage.service import StorageManager
from tests.support.datasets import Dataset, dataset_of
from tests.support.registrar_simulator import RegistrarSimulator

MB = 10**6
QUICK = Patience(
    retry=0.02,
    retry_most=0.2,
    tick=0.05,
    save=0.05,
    idle=0.2,
    lost=0.2,
    shrink=0.0,
    clock=0.05,
    settle=0.1,
)


def random_dataset(name: str, sizes: Sequence[int]) -> Dataset:
    """A dataset of files with bytes that depend on its name alone."""
    content = {
        f"part-{i}/file-{i}.bin": random.Random(f"{name}{i}").randbytes(n) for i, n in enumerate(sizes)
    }
    return dataset_of(name, content)


@dataclass
class Clock:
    """Real time, and as much more as a test adds."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Verdict:
    """What a simulated probe says."""

    ok: bool = True
    reason: str = ""


@dataclass
class World:
    """Registrars, a swarm with a sharer in it, and nodes."""

    path: Path
    clock: Clock = field(default_factory=Clock)
    swarm: MemorySwarm = field(default_factory=MemorySwarm)
    lying_web_seeds: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.registrar = RegistrarSimulator(self.clock)
        self._sharer = MemoryEngine(self.swarm)
        self._sharing = False

    async def share(self, dataset: Dataset, **wishes: Any) -> str:
        """Register a dataset and seed it from the sharer's machine."""
        if not self._sharing:
            self._sharing = True
            await self._sharer.start()
        home = self.path / "sharer" / dataset.manifest.content_id()
        home.mkdir(parents=True)
        dataset.write(home)
        cid = dataset.manifest.content_id()
        await self._sharer.add(
            TorrentSpec(torrent_v2(dataset.manifest, dataset.layers), home, cid, complete=True)
        )
        return self.registrar.register(dataset, **wishes)

    async def stop_sharing(self) -> None:
        """The sharer switches off."""
        await self._sharer.close()

    async def probe(self, url: str, manifest: Manifest, layers: bytes) -> Verdict:
        """Web seeds lie when the test says so."""
        lies = url in self.lying_web_seeds
        return Verdict(not lies, "it sent other bytes than the record says" if lies else "")

    def key(self, name: str) -> PrivateKey:
        """A node's key, by its name."""
        return PrivateKey(hashlib.sha256(name.encode()).digest())

    def build(
        self,
        name: str,
        session: aiohttp.ClientSession,
        *,
        registrars: Sequence[RegistrarSimulator] = (),
        mirrors: Sequence[RegistrarSimulator] = (),
        patience: Patience = QUICK,
        capacity: int | None = None,
        engine: Engine | None = None,
        **settings: Any,
    ) -> StorageManager:
        """A node that is not open yet."""
        key = self.key(name)
        values = {"data": self.path / name, "pledge": 50 * MB, "floor": 0, "downloads": 4, "scrub_rate": 0}
        return StorageManager(
            NodeSettings(**{**values, **settings}),
            key,
            engine or MemoryEngine(self.swarm, capacity=capacity),
            [r.client(key) for r in registrars or [self.registrar]],
            session=session,
            now=self.clock,
            connect=lambda url: next(m for m in mirrors if m.url == url).client(key),
            patience=patience,
            probe_web_seed=self.probe,
        )

    @asynccontextmanager
    async def node(self, name: str = "node", **arguments: Any) -> AsyncIterator[StorageManager]:
        """A node that runs."""
        async with aiohttp.ClientSession() as session:
            node = self.build(name, session, **arguments)
            try:
                await node.open()
                yield node
            finally:
                await node.close()

    def beats(self, node: StorageManager) -> int:
        """Heartbeats of a node so far."""
        return self.registrar.beats.get(str(node.key.public), 0)

    def reported(self, node: StorageManager) -> str:
        """The state in a node's last heartbeat."""
        report = self.registrar.reports.get(str(node.key.public))
        return report.state if report else ""

    async def until(self, condition: Callable[[], Any], *, seconds: float = 60.0) -> None:
        """Wait for something to become true."""
        await self.registrar.until(condition, seconds=seconds)


def held(node: StorageManager, phase: Phase = Phase.COMPLETE) -> list[Holding]:
    """A node's datasets in one phase."""
    return [h for h in node.state.holdings.values() if h.phase is phase]


def serves(node: StorageManager, content_id: str) -> bool:
    """Whether a node's copy is complete and seeded: from then on only scrubs and audits look at it."""
    seeding = any(s.key == content_id and s.state == "seeding" for s in node.engine.statuses())
    return seeding and bool(held(node))


def files_of(node: StorageManager, content_id: str) -> list[Path]:
    """Everything on a node's disk that belongs to a dataset."""
    return [p for p in (node.layout.root / "data").rglob("*") if content_id in str(p)]


def is_whole(root: Path, dataset: Dataset) -> bool:
    """Whether a node's copy has exactly the dataset's bytes."""
    folder = root / "data" / dataset.manifest.content_id() / dataset.manifest.name
    found = {path: folder / path for path in dataset.content}
    return all(p.exists() and p.read_bytes() == dataset.content[path] for path, p in found.items())


class DiskWatch:
    """Looks at a directory's allocated blocks all the time, from a thread of its own."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.most = 0
        self.looks = 0

    def _look(self) -> None:
        while not self._stop.is_set():
            self.most = max(self.most, allocated(self._root))
            self.looks += 1
            self._stop.wait(0.002)

    def __enter__(self) -> DiskWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


async def settle() -> None:
    """Let everything that is ready run once."""
    for _ in range(5):
        await asyncio.sleep(0)
