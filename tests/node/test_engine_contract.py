"""What every engine promises, tried on libtorrent over loopback and on the fake in memory."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from seedkeep.core.errors import Error, HostileMetainfo, NotFound
from seedkeep.engine.lt import libtorrent_engine
from seedkeep.engine.memory import MemoryEngine, MemorySwarm
from seedkeep.engine.model import Completed, Engine
from tests.support.torrents import TEST_SETTINGS, Recorder, Torrents, sample

Starter = Callable[[], Awaitable[Engine]]


@pytest.fixture(params=["libtorrent", "memory"])
async def start(request: pytest.FixtureRequest) -> AsyncIterator[Starter]:
    """Starts engines of one kind that can meet; closes them all."""
    swarm = MemorySwarm()
    async with AsyncExitStack() as stack:

        async def make() -> Engine:
            it: Engine = (
                libtorrent_engine(TEST_SETTINGS) if request.param == "libtorrent" else MemoryEngine(swarm)
            )
            await it.start()
            stack.push_async_callback(it.close)
            return it

        yield make


@pytest.fixture(scope="module")
def data() -> Torrents:
    return sample()


async def seeder(start: Starter, data: Torrents, folder: Path, version: int = 2) -> Engine:
    data.data.write(folder)
    engine = await start()
    spec = data.spec(folder, version=version, complete=True)
    await engine.add(spec)
    await asyncio.wait_for(engine.wait_complete(spec.key), 10)
    return engine


def at(engine: Engine) -> tuple[tuple[str, int], ...]:
    return (("127.0.0.1", engine.listen_port),)


@pytest.mark.parametrize("version", [2, 1])
async def test_a_peer_gets_exactly_the_bytes_and_knows_where_they_came_from(
    start: Starter, data: Torrents, tmp_path: Path, version: int
) -> None:
    seed = await seeder(start, data, tmp_path / "seed", version)
    leech = await start()
    events = Recorder(leech)
    spec = data.spec(tmp_path / "leech", version=version, peers=at(seed))
    await leech.add(spec)
    await asyncio.wait_for(leech.wait_complete(spec.key), 20)
    assert data.differences(tmp_path / "leech") == []
    assert await events.of(Completed) == Completed(spec.key)
    status = leech.status(spec.key)
    assert (status.state, status.have, status.wanted) == (
        "seeding",
        data.data.manifest.bytes,
        data.data.manifest.bytes,
    )
    assert (status.peers_bytes, status.web_seed_bytes) == (data.data.manifest.bytes, 0)


async def test_a_file_that_stands_alone_is_saved_under_the_name_itself(
    start: Starter, tmp_path: Path
) -> None:
    from tests.support.datasets import dataset_of
    from tests.support.torrents import torrents_of

    data = torrents_of(dataset_of("genome.fa", {"genome.fa": b"ACGT" * 50_000}))
    seed = await seeder(start, data, tmp_path / "seed")
    leech = await start()
    await leech.add(data.spec(tmp_path / "leech", peers=at(seed)))
    await asyncio.wait_for(leech.wait_complete(data.content_id), 20)
    assert (tmp_path / "leech" / "genome.fa").is_file()
    assert data.differences(tmp_path / "leech") == []


async def test_only_the_wanted_files_are_downloaded(start: Starter, data: Torrents, tmp_path: Path) -> None:
    seed = await seeder(start, data, tmp_path / "seed")
    leech = await start()
    paths = [file.path for file in data.data.manifest.files]
    wanted = frozenset({paths.index("reads/tiny.txt"), paths.index("z.bin")})
    await leech.add(data.spec(tmp_path / "leech", peers=at(seed), wanted=wanted))
    await asyncio.wait_for(leech.wait_complete(data.content_id), 20)
    root = tmp_path / "leech" / "sample"
    assert (root / "z.bin").read_bytes() == data.data.content["z.bin"]
    assert (root / "reads/tiny.txt").read_bytes() == b"ACGT\n"
    assert not (root / "big.bin").exists()
    assert leech.status(data.content_id).wanted == 16384 + 5


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_part_that_is_vouched_for_is_seeded_and_nothing_else_on_the_disk(
    start: Starter, data: Torrents, tmp_path: Path, read_only: bool
) -> None:
    data.data.write(tmp_path / "seed")
    files = data.data.manifest.files
    part = frozenset(i for i, file in enumerate(files) if file.path != "big.bin")
    seed, leech = await start(), await start()
    mine = data.spec(tmp_path / "seed", complete=True, wanted=part)
    await seed.add(replace(mine, read_only=read_only))
    await asyncio.wait_for(seed.wait_complete(mine.key), 10)
    await leech.add(data.spec(tmp_path / "leech", peers=at(seed)))
    whole = sum(files[i].size for i in part)
    async with asyncio.timeout(20):
        while (status := leech.status(mine.key)).have < whole:
            await asyncio.sleep(0.05)
    assert (status.seeds, status.have, status.state) == (0, whole, "downloading")
    assert (seed.status(mine.key).state, seed.status(mine.key).wanted) == ("seeding", whole)


async def test_a_wider_choice_downloads_the_rest(start: Starter, data: Torrents, tmp_path: Path) -> None:
    seed = await seeder(start, data, tmp_path / "seed")
    leech = await start()
    spec = data.spec(tmp_path / "leech", peers=at(seed), wanted=frozenset({4}))
    await leech.add(spec)
    await asyncio.wait_for(leech.wait_complete(spec.key), 20)
    await leech.add(replace(spec, wanted=None))
    await asyncio.wait_for(leech.wait_complete(spec.key), 20)
    assert data.differences(tmp_path / "leech") == []


async def test_what_is_on_disk_is_hashed_and_only_the_rest_downloaded(
    start: Starter, data: Torrents, tmp_path: Path
) -> None:
    seed = await seeder(start, data, tmp_path / "seed")
    data.data.write(tmp_path / "leech")
    victim = tmp_path / "leech" / "sample" / "reads" / "a b ü#1.fastq"
    victim.write_bytes(b"rot" + victim.read_bytes()[3:])
    leech = await start()
    await leech.add(data.spec(tmp_path / "leech", peers=at(seed)))
    await asyncio.wait_for(leech.wait_complete(data.content_id), 20)
    assert data.differences(tmp_path / "leech") == []
    assert 0 < leech.status(data.content_id).peers_bytes < 100_000


async def test_resume_data_is_believed(start: Starter, data: Torrents, tmp_path: Path) -> None:
    seed = await seeder(start, data, tmp_path / "seed")
    first = await start()
    await first.add(data.spec(tmp_path / "leech", peers=at(seed)))
    await asyncio.wait_for(first.wait_complete(data.content_id), 20)
    resume = await first.save_resume(data.content_id)
    await first.close()
    rotten = tmp_path / "leech" / "sample" / "z.bin"
    rotten.write_bytes(bytes(16384))
    again = await start()
    await again.add(data.spec(tmp_path / "leech", resume=resume))
    await asyncio.wait_for(again.wait_complete(data.content_id), 10)
    assert again.status(data.content_id).peers_bytes == 0


async def test_resume_data_of_files_that_are_gone_is_not_believed(
    start: Starter, data: Torrents, tmp_path: Path
) -> None:
    seed = await seeder(start, data, tmp_path / "seed")
    first = await start()
    await first.add(data.spec(tmp_path / "leech", peers=at(seed)))
    await asyncio.wait_for(first.wait_complete(data.content_id), 20)
    resume = await first.save_resume(data.content_id)
    await first.close()
    shutil.rmtree(tmp_path / "leech")
    again = await start()
    await again.add(data.spec(tmp_path / "leech", resume=resume, peers=at(seed)))
    await asyncio.wait_for(again.wait_complete(data.content_id), 20)
    assert data.differences(tmp_path / "leech") == []


async def test_closing_hands_over_the_resume_data_of_what_changed(
    start: Starter, data: Torrents, tmp_path: Path
) -> None:
    seed = await seeder(start, data, tmp_path / "seed")
    leech = await start()
    await leech.add(data.spec(tmp_path / "leech", peers=at(seed)))
    await asyncio.wait_for(leech.wait_complete(data.content_id), 20)
    saved = await leech.close()
    assert set(saved) == {data.content_id}
    assert await leech.close() == {}
    again = await start()
    await again.add(data.spec(tmp_path / "leech", resume=saved[data.content_id]))
    await asyncio.wait_for(again.wait_complete(data.content_id), 10)
    assert await again.save_changed() == {} or again.status(data.content_id).state == "seeding"


@pytest.mark.parametrize("rotten", ["z.bin", "big.bin", "reads/tiny.txt"])
async def test_rot_is_found_by_adding_anew_and_repaired(
    start: Starter, data: Torrents, tmp_path: Path, rotten: str
) -> None:
    seed = await seeder(start, data, tmp_path / "seed")
    leech = await seeder(start, data, tmp_path / "leech")
    await leech.remove(data.content_id)
    place = tmp_path / "leech" / "sample" / rotten
    place.write_bytes(bytes(place.stat().st_size))
    await leech.add(data.spec(tmp_path / "leech", peers=at(seed)))
    await asyncio.wait_for(leech.wait_complete(data.content_id), 20)
    assert data.differences(tmp_path / "leech") == []


async def test_adding_twice_is_adding_once(start: Starter, data: Torrents, tmp_path: Path) -> None:
    seed = await seeder(start, data, tmp_path / "seed")
    leech = await start()
    spec = data.spec(tmp_path / "leech", peers=at(seed))
    await asyncio.gather(leech.add(spec), leech.add(spec), leech.add(spec))
    await asyncio.wait_for(leech.wait_complete(spec.key), 20)
    assert [status.key for status in leech.statuses()] == [spec.key]


async def test_a_torrent_that_is_not_the_one_named_is_refused(
    start: Starter, data: Torrents, tmp_path: Path
) -> None:
    engine = await start()
    with pytest.raises(HostileMetainfo):
        await engine.add(replace(data.spec(tmp_path), key="0" * 64))
    with pytest.raises(HostileMetainfo):
        await engine.add(replace(data.spec(tmp_path), metainfo=b"d4:infod4:name1:aee"))
    assert engine.statuses() == []


async def test_removing_keeps_the_files_and_wakes_who_waits(
    start: Starter, data: Torrents, tmp_path: Path
) -> None:
    engine = await start()
    await engine.add(data.spec(tmp_path))
    waiting = asyncio.create_task(engine.wait_complete(data.content_id))
    await asyncio.sleep(0)
    await engine.remove(data.content_id)
    with pytest.raises(NotFound):
        await waiting
    await engine.remove(data.content_id)
    with pytest.raises(NotFound):
        engine.status(data.content_id)
    seed = await seeder(start, data, tmp_path / "seed")
    leech = await start()
    await leech.add(data.spec(tmp_path / "leech", peers=at(seed)))
    await asyncio.wait_for(leech.wait_complete(data.content_id), 20)
    for engine in (seed, leech):
        await engine.remove(data.content_id)
    open_files = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not [path for path in open_files if path.is_relative_to(tmp_path)]
    assert data.differences(tmp_path / "seed") == []


async def test_a_removed_torrent_can_come_back(start: Starter, data: Torrents, tmp_path: Path) -> None:
    seed = await seeder(start, data, tmp_path / "seed")
    leech = await start()
    await leech.add(data.spec(tmp_path / "leech", peers=at(seed)))
    await leech.remove(data.content_id)
    await leech.add(data.spec(tmp_path / "leech", peers=at(seed)))
    await asyncio.wait_for(leech.wait_complete(data.content_id), 20)
    assert data.differences(tmp_path / "leech") == []


async def test_paused_means_no_bytes_until_resumed(start: Starter, data: Torrents, tmp_path: Path) -> None:
    seed = await seeder(start, data, tmp_path / "seed")
    leech = await start()
    await leech.pause_all()
    await leech.add(data.spec(tmp_path / "leech"))
    assert leech.status(data.content_id).state == "paused"
    await leech.pause(data.content_id)
    await leech.resume_all()
    await leech.connect(data.content_id, "127.0.0.1", seed.listen_port)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(leech.wait_complete(data.content_id), 0.7)
    assert leech.status(data.content_id).state == "paused"
    assert leech.status(data.content_id).have == 0
    await leech.resume(data.content_id)
    await leech.connect(data.content_id, "127.0.0.1", seed.listen_port)
    await asyncio.wait_for(leech.wait_complete(data.content_id), 20)


async def test_closing_ends_every_wait(start: Starter, data: Torrents, tmp_path: Path) -> None:
    engine = await start()
    await engine.add(data.spec(tmp_path))
    events = engine.events()
    waits = [asyncio.create_task(engine.wait_complete(data.content_id)) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.wait_for(engine.close(), 20)
    for wait in waits:
        with pytest.raises(Error):
            await wait
    assert [event async for event in events] == []
    with pytest.raises(Error):
        await engine.add(data.spec(tmp_path))


@pytest.mark.parametrize("version", [2, 1])
@pytest.mark.parametrize("path", ["big.bin", "reads/tiny.txt", "reads/empty"])
@pytest.mark.parametrize("harm", ["edited", "gone"])
async def test_somebody_elses_files_are_never_written_to(
    start: Starter, data: Torrents, tmp_path: Path, version: int, path: str, harm: str
) -> None:
    """The sharer edits or removes a file; what others have of it must not be put there again."""
    seed = await seeder(start, data, tmp_path / "seed", version)
    data.data.write(tmp_path / "mine")
    place = tmp_path / "mine" / "sample" / path
    place.unlink()
    if harm == "edited":
        place.write_bytes(b"my new version of it")
    sharer = await start()
    spec = data.spec(tmp_path / "mine", version=version, complete=True, read_only=True, peers=at(seed))
    with contextlib.suppress(Error):
        await sharer.add(spec)
        await asyncio.wait_for(sharer.wait_complete(spec.key), 10)
        # a file that has grown is not noticed by libtorrent, and not touched either
        assert (harm, path) in {("edited", "reads/tiny.txt"), ("edited", "reads/empty")}
    assert (place.read_bytes() == b"my new version of it") if harm == "edited" else not place.exists()
    assert set(data.differences(tmp_path / "mine")) == {path}


async def test_a_cancelled_removal_or_addition_leaves_no_torrent_behind(
    start: Starter, data: Torrents, tmp_path: Path
) -> None:
    """Whoever cancels and then removes may delete the files: nobody may be left who writes them again."""
    seed = await seeder(start, data, tmp_path / "seed")
    leech = await start()
    spec = data.spec(tmp_path / "leech", peers=at(seed))
    for number in range(12):
        adding = asyncio.create_task(leech.add(spec))
        for _ in range(number):
            await asyncio.sleep(0)
        adding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await adding
        removing = asyncio.create_task(leech.remove(spec.key))
        for _ in range(number):
            await asyncio.sleep(0)
        removing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await removing
        await leech.remove(spec.key)
        assert leech.statuses() == []
    shutil.rmtree(tmp_path / "leech", ignore_errors=True)
    await asyncio.sleep(0.5)
    assert not (tmp_path / "leech").exists()
    await leech.add(spec)
    await asyncio.wait_for(leech.wait_complete(spec.key), 90)
