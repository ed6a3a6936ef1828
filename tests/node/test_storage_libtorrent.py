"""The storage manager on libtorrent: what the engine in memory cannot show about a real disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from seedkeep.core.errors import Error
from seedkeep.core.metainfo import torrent_v2
from seedkeep.engine.lt import libtorrent_engine
from seedkeep.engine.model import Engine, EngineSettings, TorrentSpec
from seedkeep.storage.model import Phase
from seedkeep.storage.service import StorageManager
from tests.support.datasets import Dataset
from tests.support.require import require
from tests.support.storage import MB, DiskWatch, World, files_of, held, is_whole, random_dataset, serves

LOOPBACK = EngineSettings(listen="127.0.0.1:0")


class Sharer:
    """Seeds datasets with libtorrent, and calls on nodes that fetch them (there is no tracker here)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.engine = libtorrent_engine(LOOPBACK)

    async def share(self, dataset: Dataset) -> str:
        cid = dataset.manifest.content_id()
        home = self.world.path / "sharer" / cid
        home.mkdir(parents=True)
        dataset.write(home)
        torrent = torrent_v2(dataset.manifest, dataset.layers)
        await self.engine.add(TorrentSpec(torrent, home, cid, complete=True))
        return self.world.registrar.register(dataset)

    async def call_on(self, node: StorageManager) -> None:
        while True:
            for holding in held(node, Phase.DOWNLOADING):
                try:
                    await node.engine.connect(holding.content_id, "127.0.0.1", self.engine.listen_port)
                except Error:
                    continue
            await asyncio.sleep(0.1)


@pytest.fixture
async def sharer(tmp_path: Path) -> AsyncIterator[Sharer]:
    found = Sharer(World(tmp_path))
    await found.engine.start()
    yield found
    await found.engine.close()


@asynccontextmanager
async def node_of(sharer: Sharer, **settings: Any) -> AsyncIterator[StorageManager]:
    engine: Engine = libtorrent_engine(LOOPBACK)
    async with sharer.world.node("a", engine=engine, **settings) as node:
        calling = asyncio.create_task(sharer.call_on(node))
        try:
            yield node
        finally:
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)


BIG = random_dataset("big", [3 * MB, 0, 700_001, 5])


async def test_it_is_fetched_verified_kept_over_a_restart_and_seeded(sharer: Sharer) -> None:
    cid = await sharer.share(BIG)
    world = sharer.world
    async with node_of(sharer) as node:
        await world.until(lambda: world.registrar.holders(cid), seconds=30)
        assert is_whole(node.layout.root, BIG)
        audit = world.registrar.audit(node.key, cid)
        await world.until(lambda: audit.outcome)
        assert audit.outcome == "success"
    async with node_of(sharer) as node:
        await world.until(lambda: node.engine.statuses() and node.engine.status(cid).state == "seeding")
        assert not world.registrar.released
        target = world.path / "target"
        reader = libtorrent_engine(LOOPBACK)
        await reader.start()
        try:
            torrent = torrent_v2(BIG.manifest, BIG.layers)
            peer = ("127.0.0.1", node.engine.listen_port)
            await reader.add(TorrentSpec(torrent, target, cid, peers=(peer,)))
            async with asyncio.timeout(30):
                await reader.wait_complete(cid)
        finally:
            await reader.close()
        for path, data in BIG.content.items():
            assert (target / "big" / path).read_bytes() == data


async def test_a_10_mb_pledge_offered_50_mb_is_never_exceeded_on_the_disk(sharer: Sharer) -> None:
    for i in range(20):
        await sharer.share(random_dataset(f"d{i}", [1 * MB, 900_000, 600_000] + [100] * 5))
    world = sharer.world
    with DiskWatch(world.path / "a") as watch:
        async with node_of(sharer, pledge=10 * MB) as node:
            await world.until(lambda: len(held(node)) >= 2, seconds=60)
            seen = world.beats(node)
            await world.until(lambda: world.beats(node) > seen + 5)
            assert not world.registrar.released
    assert 5 * MB < watch.most <= 10 * MB


async def test_an_interrupted_download_goes_on_from_its_resume_data(sharer: Sharer) -> None:
    dataset = random_dataset("long", [8 * MB])
    cid = await sharer.share(dataset)
    world = sharer.world
    sharer.engine.set_limits(up=2 * MB)
    async with node_of(sharer) as node:
        await world.until(
            lambda: node.engine.statuses() and node.engine.status(cid).have > 2 * MB, seconds=30
        )
        assert held(node, Phase.DOWNLOADING)
    assert (world.path / "a" / "data" / f"{cid}.resume").exists()
    sharer.engine.set_limits()
    async with node_of(sharer) as node:
        await world.until(lambda: held(node), seconds=30)
        assert is_whole(node.layout.root, dataset)
        assert not (world.path / "a" / "data" / f"{cid}.resume").exists()


async def test_bit_rot_is_found_and_only_the_bad_piece_is_fetched_again(sharer: Sharer) -> None:
    cid = await sharer.share(BIG)
    world = sharer.world
    async with node_of(sharer) as node:
        await world.until(lambda: held(node), seconds=30)
        path = node.layout.save_path(cid) / "big" / "part-0" / "file-0.bin"
        with path.open("r+b") as file:
            file.seek(1_500_000)
            file.write(b"rot")
        assert not await node.scrub.scrub(cid)
        await world.until(lambda: held(node), seconds=30)
        assert is_whole(node.layout.root, BIG)
        assert node.engine.status(cid).peers_bytes <= 4 * BIG.manifest.piece_length


async def test_a_taint_takes_the_files_away_from_under_the_engine(sharer: Sharer) -> None:
    cid = await sharer.share(BIG)
    world = sharer.world
    async with node_of(sharer) as node:
        await world.until(lambda: held(node), seconds=30)
        world.registrar.companions.add(cid)
        world.registrar.changed()
        await world.until(lambda: len(node.engine.statuses()) == 2)
        world.registrar.taint(f"content:{cid}")
        await world.until(lambda: world.registrar.receipts, seconds=10)
        assert not files_of(node, cid)
        assert not node.engine.statuses()


async def test_a_tainted_file_goes_and_the_rest_is_seeded_until_it_may_come_back(sharer: Sharer) -> None:
    dataset = random_dataset("files", [3 * MB, 200_000, 0, 1 * MB])
    cid = await sharer.share(dataset)
    world, first = sharer.world, dataset.manifest.files[0]
    async with node_of(sharer) as node:
        await world.until(lambda: serves(node, cid), seconds=30)
        place = node.layout.save_path(cid) / dataset.manifest.name / first.path
        taint = world.registrar.taint(f"root:{first.root}")
        await world.until(lambda: world.registrar.receipts and serves(node, cid), seconds=10)
        assert world.registrar.receipts[0].bytes >= 3 * MB
        assert not place.exists()
        assert node.engine.status(cid).wanted == dataset.manifest.bytes - 3 * MB
        # Who has it is asked for nothing, and a repair, which hashes what is there, asks for nothing either.
        await node.manager.repair(cid, "just to see")
        await world.until(lambda: serves(node, cid), seconds=30)
        assert node.engine.status(cid).peers_bytes == 0
        assert not place.exists()
        world.registrar.lift(taint)
        await world.until(lambda: serves(node, cid) and is_whole(node.layout.root, dataset), seconds=30)
        assert 3 * MB <= node.engine.status(cid).peers_bytes < 4 * MB


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB for the node's data."""
    place = tmp_path / "a"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    require(mounted, "mounting a small tmpfs takes root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_disk_that_others_fill_up_ends_the_download_not_the_node(
    sharer: Sharer, small_disk: Path
) -> None:
    kept = await sharer.share(BIG)
    world = sharer.world
    async with node_of(sharer) as node:
        await world.until(lambda: held(node), seconds=30)
        # Room for it is there when it is reserved. Then somebody else takes the disk.
        sharer.engine.set_limits(up=1 * MB)
        cid = await sharer.share(random_dataset("late", [6 * MB]))
        await world.until(lambda: held(node, Phase.DOWNLOADING), seconds=30)
        hog = small_disk / "hog"
        with hog.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        sharer.engine.set_limits()
        await world.until(lambda: cid not in node.state.holdings, seconds=30)
        assert not files_of(node, cid)
        assert node.problems.texts()
        assert [h.content_id for h in held(node)] == [kept]
        assert await node.scrub.scrub(kept)
        await world.until(lambda: world.registrar.released)
