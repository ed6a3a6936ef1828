"""What the engine survives: full disks, liars, kill -9, taken ports, hanging trackers; and what it says."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedkeep.core.errors import Error, InvalidInput, NoSpace
from seedkeep.core.metainfo import read_metainfo
from seedkeep.engine.lt import libtorrent_engine
from seedkeep.engine.model import EngineSettings, Failed, PeerBanned, PieceRejected
from seedkeep.engine.piece_map import PieceMap
from tests.support.hostile_peer import hostile_peer
from tests.support.require import require
from tests.support.torrents import TEST_SETTINGS, Recorder, Torrents, engine, sample, seeding


@pytest.fixture(scope="module")
def data() -> Torrents:
    return sample()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    require(os.geteuid() == 0, "needs root to mount a small tmpfs")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=False)
    require(mounted.returncode == 0, "this machine allows no tmpfs mounts")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


async def test_a_full_disk_fails_the_download_at_once_and_says_so(
    data: Torrents, tmp_path: Path, small_disk: Path
) -> None:
    async with seeding(data, tmp_path / "seed") as seed, engine() as leech:
        events = Recorder(leech)
        await leech.add(data.spec(small_disk, peers=(("127.0.0.1", seed.listen_port),)))
        with pytest.raises(NoSpace, match="sample"):
            await asyncio.wait_for(leech.wait_complete(data.content_id), 20)
        assert (await events.of(Failed)).no_space
        assert leech.status(data.content_id).state == "failed"
        with pytest.raises(NoSpace):
            await leech.wait_complete(data.content_id)
        await leech.remove(data.content_id)
        await leech.add(data.spec(tmp_path / "roomy", peers=(("127.0.0.1", seed.listen_port),)))
        await asyncio.wait_for(leech.wait_complete(data.content_id), 20)


async def test_a_full_disk_stops_web_seeds_too(data: Torrents, tmp_path: Path, small_disk: Path) -> None:
    from tests.support.web_seed_server import web_seed_server

    data.data.write(tmp_path / "www")
    async with web_seed_server(tmp_path / "www") as server, engine() as leech:
        await leech.add(data.spec(small_disk, web_seeds=(server.base,)))
        with pytest.raises(NoSpace):
            await asyncio.wait_for(leech.wait_complete(data.content_id), 20)


@pytest.mark.parametrize("version", [2, 1])
async def test_wrong_bytes_of_a_peer_never_get_into_the_files(
    data: Torrents, tmp_path: Path, version: int
) -> None:
    spec = data.spec(tmp_path / "out", version=version)
    pieces = PieceMap(read_metainfo(spec.metainfo)).count
    async with engine() as leech, hostile_peer(spec.key, pieces) as liar:
        events = Recorder(leech)
        await leech.add(spec)
        await leech.connect(spec.key, "127.0.0.1", liar.port)
        assert (await events.of(PieceRejected)).key == spec.key
        assert (await events.of(PeerBanned)).peer == f"127.0.0.1:{liar.port}"
        assert liar.served > 0
        async with seeding(data, tmp_path / "seed", version) as seed:
            await leech.connect(spec.key, "127.0.0.1", seed.listen_port)
            await asyncio.wait_for(leech.wait_complete(spec.key), 30)
        assert data.differences(tmp_path / "out") == []


async def test_a_liar_and_an_honest_peer_together_still_give_the_right_bytes(
    data: Torrents, tmp_path: Path
) -> None:
    spec = data.spec(tmp_path / "out")
    pieces = PieceMap(read_metainfo(spec.metainfo)).count
    async with (
        seeding(data, tmp_path / "seed", up_limit=2_000_000) as seed,
        engine() as leech,
        hostile_peer(spec.key, pieces) as liar,
    ):
        await leech.add(spec)
        await leech.connect(spec.key, "127.0.0.1", liar.port)
        await leech.connect(spec.key, "127.0.0.1", seed.listen_port)
        await asyncio.wait_for(leech.wait_complete(spec.key), 40)
        assert data.differences(tmp_path / "out") == []


_CHILD = """
import asyncio, os, sys
from pathlib import Path
from tests.support.torrents import engine, sample

async def main(folder, port):
    data = sample(60_000_000)
    async with engine(down_limit=20_000_000) as leech:
        await leech.add(data.spec(folder / "out", peers=(("127.0.0.1", port),)))
        while True:
            await asyncio.sleep(0.2)
            have = leech.status(data.content_id).have
            for key, resume in (await leech.save_changed()).items():
                (folder / "new").write_bytes(resume)
                os.replace(folder / "new", folder / "resume")
            print(have, flush=True)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


async def test_after_kill_9_a_download_goes_on_where_its_resume_data_says(tmp_path: Path) -> None:
    data = sample(60_000_000)
    async with seeding(data, tmp_path / "seed") as seed:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            textwrap.dedent(_CHILD),
            str(tmp_path),
            str(seed.listen_port),
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdout is not None
        try:
            async with asyncio.timeout(30):
                while int(await child.stdout.readline() or b"-1") < 45_000_000:
                    assert child.returncode is None
        finally:
            child.send_signal(signal.SIGKILL)
            await child.wait()
        resume = (tmp_path / "resume").read_bytes()
        async with engine() as leech:
            peers = (("127.0.0.1", seed.listen_port),)
            await leech.add(data.spec(tmp_path / "out", resume=resume, peers=peers))
            await asyncio.wait_for(leech.wait_complete(data.content_id), 30)
            assert data.differences(tmp_path / "out") == []
            # Unfinished pieces are begun anew; the queue of requests is 24 MB long.
            assert 0 < leech.status(data.content_id).peers_bytes < 50_000_000


async def test_damaged_resume_data_only_costs_a_check(data: Torrents, tmp_path: Path) -> None:
    async with seeding(data, tmp_path / "seed") as seed:
        resume = await seed.save_resume(data.content_id)
    for damaged in (b"", b"garbage", resume[:-7], b"d4:infoi1ee"):
        async with engine() as again:
            await again.add(data.spec(tmp_path / "seed", resume=damaged))
            await asyncio.wait_for(again.wait_complete(data.content_id), 20)


async def test_files_that_vanish_under_a_seed_are_reported(data: Torrents, tmp_path: Path) -> None:
    async with seeding(data, tmp_path / "seed") as seed, engine() as leech:
        events = Recorder(seed)
        (tmp_path / "seed" / "sample" / "big.bin").unlink()
        await leech.add(data.spec(tmp_path / "out", peers=(("127.0.0.1", seed.listen_port),)))
        assert "big.bin" in (await events.of(Failed)).reason
        assert seed.status(data.content_id).state == "failed"


async def test_a_taken_port_is_an_error_that_names_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        it = libtorrent_engine(EngineSettings(listen=f"127.0.0.1:{port}"))
        with pytest.raises(Error, match=str(port)):
            await it.start()
        assert await it.close() == {}


@pytest.mark.parametrize("listen", ["", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"])
async def test_a_nonsensical_address_to_listen_on_is_refused(listen: str) -> None:
    with pytest.raises(InvalidInput):
        await libtorrent_engine(EngineSettings(listen=listen)).start()


async def test_a_peer_that_is_no_address_is_refused(data: Torrents, tmp_path: Path) -> None:
    async with engine() as it:
        with pytest.raises(InvalidInput, match="not-an-address"):
            await it.add(data.spec(tmp_path, peers=(("not-an-address", 1),)))
        assert it.statuses() == []


async def test_closing_is_quick_and_does_not_freeze_the_loop_when_a_tracker_hangs(
    data: Torrents, tmp_path: Path
) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    asked = asyncio.Event()
    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    tracker = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/announce"
    it = libtorrent_engine(TEST_SETTINGS)
    await it.start()
    await it.add(data.spec(tmp_path, trackers=(tracker,)))
    await asyncio.wait_for(asked.wait(), 20)
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            now = time.monotonic()
            longest, last = max(longest, now - last), now

    watcher = asyncio.create_task(watch())
    began = time.monotonic()
    await it.close()
    took = time.monotonic() - began
    watcher.cancel()
    server.close()
    assert took < 20
    assert longest < 3


async def test_thousands_of_torrents_load_quickly(tmp_path: Path) -> None:
    """2,000 small ones; a node restarts with many more."""
    from tests.support.datasets import dataset_of
    from tests.support.torrents import torrents_of

    many = [torrents_of(dataset_of(f"d{n}", {"a": b"%d" % n, "b": b"x"})) for n in range(2000)]
    async with engine() as it:
        began = time.monotonic()
        await asyncio.gather(*(it.add(one.spec(tmp_path)) for one in many))
        took = time.monotonic() - began
        assert len(it.statuses()) == 2000
        assert took < 40
        longest = 0.0
        for _ in range(20):
            now = time.monotonic()
            await asyncio.sleep(0.05)
            longest = max(longest, time.monotonic() - now)
        assert longest < 3
