"""Web seeds, good and bad: the data is right in the end, nothing hangs, and liars are told on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seedkeep.engine.model import Engine, PieceRejected, WebSeedDropped
from tests.support.datasets import dataset_of
from tests.support.torrents import Recorder, Torrents, engine, sample, seeding, torrents_of
from tests.support.web_seed_server import WebSeedServer, web_seed_server


@pytest.fixture(scope="module")
def data() -> Torrents:
    return sample()


@pytest.fixture
async def server(data: Torrents, tmp_path: Path) -> AsyncIterator[WebSeedServer]:
    data.data.write(tmp_path / "www")
    async with web_seed_server(tmp_path / "www") as it:
        yield it


@pytest.fixture
async def leech() -> AsyncIterator[Engine]:
    async with engine() as it:
        yield it


async def download(leech: Engine, data: Torrents, folder: Path, *urls: str, version: int = 2) -> str:
    spec = data.spec(folder, version=version, web_seeds=urls)
    await leech.add(spec)
    await asyncio.wait_for(leech.wait_complete(spec.key), 30)
    assert data.differences(folder) == []
    return spec.key


@pytest.mark.parametrize("version", [2, 1])
async def test_a_good_web_seed_alone_is_enough_and_is_credited(
    server: WebSeedServer, leech: Engine, data: Torrents, tmp_path: Path, version: int
) -> None:
    key = await download(leech, data, tmp_path / "out", server.base, version=version)
    status = leech.status(key)
    assert (status.peers_bytes, status.web_seed_bytes) == (0, data.data.manifest.bytes)
    assert (status.peers, status.seeds) == (0, 0)


async def test_a_slow_disk_slows_the_download_and_no_more(
    leech: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only so many bytes may be on their way to the disk; each confirmation lets more in."""
    monkeypatch.setattr("seedkeep.engine.web_seed_feed.IN_FLIGHT_BYTES", 100_000)
    data = sample(6_000_000)
    data.data.write(tmp_path / "www")
    async with web_seed_server(tmp_path / "www") as server:
        await download(leech, data, tmp_path / "out", server.base)


async def test_a_single_file_is_found_below_the_base_url(leech: Engine, tmp_path: Path) -> None:
    data = torrents_of(dataset_of("lambda phage.fa", {"lambda phage.fa": b"ACGT" * 30_000}))
    data.data.write(tmp_path / "www")
    async with web_seed_server(tmp_path / "www") as server:
        await download(leech, data, tmp_path / "direct", server.base)
        await leech.remove(data.content_id)
        await download(leech, data, tmp_path / "redirected", server.redirector)


async def test_redirects_are_followed(
    server: WebSeedServer, leech: Engine, data: Torrents, tmp_path: Path
) -> None:
    key = await download(leech, data, tmp_path / "out", server.redirector)
    assert leech.status(key).web_seed_bytes == data.data.manifest.bytes


async def test_redirect_targets_are_not_kept_in_resume_data(
    server: WebSeedServer, leech: Engine, data: Torrents, tmp_path: Path
) -> None:
    key = await download(leech, data, tmp_path / "out", server.redirector)
    resume = await leech.save_resume(key)
    assert b"http" not in resume
    assert b"secret" not in resume


@pytest.mark.parametrize("single", [False, True])
async def test_redirects_that_expire_during_the_download_do_not_stall_it(
    tmp_path: Path, single: bool
) -> None:
    big = 20_000_000
    data = torrents_of(dataset_of("one.bin", {"one.bin": bytes(big)})) if single else sample(big)
    data.data.write(tmp_path / "www")
    async with engine(down_limit=8_000_000) as slow, web_seed_server(tmp_path / "www") as server:
        server.valid_for = 0.3
        await download(slow, data, tmp_path / "out", server.redirector)


@pytest.mark.parametrize("status", [403, 404, 429, 500])
@pytest.mark.parametrize("through_redirect", [False, True])
async def test_a_server_that_recovers_is_used_again(
    server: WebSeedServer,
    leech: Engine,
    data: Torrents,
    tmp_path: Path,
    status: int,
    through_redirect: bool,
) -> None:
    server.status = status
    events = leech.events()
    spec = data.spec(tmp_path / "out", web_seeds=(server.redirector if through_redirect else server.base,))
    await leech.add(spec)
    async with asyncio.timeout(60):
        while server.answers(status) < 1:
            await asyncio.sleep(0.02)
    server.status = None
    await asyncio.wait_for(leech.wait_complete(spec.key), 20)
    assert data.differences(tmp_path / "out") == []
    await leech.close()
    assert not [event async for event in events if isinstance(event, WebSeedDropped)]


@pytest.mark.parametrize("status", [403, 404, 429, 500])
@pytest.mark.parametrize("through_redirect", [False, True])
async def test_a_server_that_keeps_refusing_is_dropped_and_a_peer_goes_on(
    server: WebSeedServer, data: Torrents, tmp_path: Path, status: int, through_redirect: bool
) -> None:
    server.status = status
    url = server.redirector if through_redirect else server.base
    async with engine() as leech, seeding(data, tmp_path / "seed") as seed:
        events = Recorder(leech)
        await leech.add(data.spec(tmp_path / "out", web_seeds=(url,)))
        dropped = await events.of(WebSeedDropped)
        assert (dropped.key, dropped.url) == (data.content_id, url)
        assert str(status) in dropped.reason
        assert "secret" not in dropped.reason
        await leech.connect(data.content_id, "127.0.0.1", seed.listen_port)
        await asyncio.wait_for(leech.wait_complete(data.content_id), 20)
        assert leech.status(data.content_id).web_seed_bytes == 0
        assert data.differences(tmp_path / "out") == []


async def test_a_dropped_web_seed_gets_a_fresh_start_when_it_is_added_again(
    server: WebSeedServer, leech: Engine, data: Torrents, tmp_path: Path
) -> None:
    server.status = 404
    events = Recorder(leech)
    spec = data.spec(tmp_path / "out", web_seeds=(server.base,))
    await leech.add(spec)
    await events.of(WebSeedDropped)
    server.status = None
    await leech.add(spec)
    await asyncio.wait_for(leech.wait_complete(spec.key), 20)


async def test_a_server_that_ignores_ranges_is_dropped_and_nothing_hangs(
    server: WebSeedServer, tmp_path: Path
) -> None:
    data = sample(30_000_000, name="large")
    data.data.write(tmp_path / "www")
    server.ignore_range = True
    async with engine() as leech, seeding(data, tmp_path / "seed") as seed:
        events = Recorder(leech)
        await leech.add(data.spec(tmp_path / "out", web_seeds=(server.base,)))
        dropped = await events.of(WebSeedDropped)
        assert "range" in dropped.reason
        await leech.connect(data.content_id, "127.0.0.1", seed.listen_port)
        await asyncio.wait_for(leech.wait_complete(data.content_id), 20)
        assert data.differences(tmp_path / "out") == []


async def test_a_server_that_cuts_answers_short_still_gets_us_there(
    server: WebSeedServer, leech: Engine, data: Torrents, tmp_path: Path
) -> None:
    server.truncate = 700_000
    await download(leech, data, tmp_path / "out", server.base)


@pytest.mark.parametrize("through_redirect", [False, True])
async def test_a_web_seed_that_sends_wrong_bytes_is_dropped_and_reported(
    server: WebSeedServer, data: Torrents, tmp_path: Path, through_redirect: bool
) -> None:
    server.corrupt = lambda path: True
    url = server.redirector if through_redirect else server.base
    async with engine() as leech, seeding(data, tmp_path / "seed") as seed:
        events = Recorder(leech)
        await leech.add(data.spec(tmp_path / "out", web_seeds=(url,)))
        await events.of(PieceRejected)
        dropped = await events.of(WebSeedDropped)
        assert dropped.url == url
        await leech.connect(data.content_id, "127.0.0.1", seed.listen_port)
        await asyncio.wait_for(leech.wait_complete(data.content_id), 20)
        assert data.differences(tmp_path / "out") == []


async def test_one_wrong_file_is_enough_to_distrust_a_web_seed(
    server: WebSeedServer, data: Torrents, tmp_path: Path
) -> None:
    server.corrupt = lambda path: path.endswith("z.bin")
    async with engine() as leech, seeding(data, tmp_path / "seed") as seed:
        events = Recorder(leech)
        await leech.add(data.spec(tmp_path / "out", web_seeds=(server.base,)))
        assert "wrong bytes" in (await events.of(WebSeedDropped)).reason
        await leech.connect(data.content_id, "127.0.0.1", seed.listen_port)
        await asyncio.wait_for(leech.wait_complete(data.content_id), 20)
        assert data.differences(tmp_path / "out") == []


async def test_a_liar_next_to_an_honest_web_seed_does_no_harm(
    server: WebSeedServer, leech: Engine, data: Torrents, tmp_path: Path
) -> None:
    async with web_seed_server(tmp_path / "www") as liar:
        liar.corrupt = lambda path: True
        await download(leech, data, tmp_path / "out", liar.base, server.base)


async def test_a_silent_server_is_given_up_while_a_peer_delivers(
    server: WebSeedServer, data: Torrents, tmp_path: Path
) -> None:
    server.pause, server.chunk = 60.0, 1000
    async with engine() as leech, seeding(data, tmp_path / "seed") as seed:
        events = Recorder(leech)
        await leech.add(data.spec(tmp_path / "out", web_seeds=(server.base,)))
        dropped = await events.of(WebSeedDropped, 30)
        assert "silent" in dropped.reason
        await leech.connect(data.content_id, "127.0.0.1", seed.listen_port)
        await asyncio.wait_for(leech.wait_complete(data.content_id), 20)
        assert data.differences(tmp_path / "out") == []


async def test_peers_and_web_seeds_together_are_told_apart(server: WebSeedServer, tmp_path: Path) -> None:
    data = sample(12_000_000, name="both")
    data.data.write(tmp_path / "www")
    async with engine() as leech, seeding(data, tmp_path / "seed", up_limit=2_000_000) as seed:
        server.pause, server.chunk = 0.06, 65536
        spec = data.spec(tmp_path / "out", web_seeds=(server.base,), peers=(("127.0.0.1", seed.listen_port),))
        await leech.add(spec)
        await asyncio.wait_for(leech.wait_complete(spec.key), 30)
        status = leech.status(spec.key)
        assert status.peers_bytes > 1_000_000
        assert status.web_seed_bytes > 1_000_000
        total = status.peers_bytes + status.web_seed_bytes
        assert data.data.manifest.bytes <= total <= data.data.manifest.bytes * 1.2
        async with asyncio.timeout(60):
            while seed.status(spec.key).uploaded != status.peers_bytes:
                await asyncio.sleep(0.1)


async def test_private_addresses_can_be_forbidden(
    server: WebSeedServer, data: Torrents, tmp_path: Path
) -> None:
    async with engine(private_web_seeds=False) as leech:
        events = Recorder(leech)
        await leech.add(data.spec(tmp_path / "out", web_seeds=(server.redirector,)))
        assert "private" in (await events.of(WebSeedDropped)).reason
        assert server.requests == []
