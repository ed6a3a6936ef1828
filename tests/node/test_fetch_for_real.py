"""Fetching with libtorrent, in processes of its own: killed, and with its registrar gone half-way."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path

import pytest

from seedkeep.core.metainfo import torrent_v1, torrent_v2
from seedkeep.engine.model import TorrentSpec
from tests.node.test_cli import ended, seedkeep, start
from tests.support.registrar import Shareable, shareable, start_registrar
from tests.support.torrents import engine

#: so slow that a busy machine does not miss the moment to interrupt
SLOW = 300_000


def dataset() -> Shareable:
    rng = random.Random(7)
    return shareable("reads", {"a.fastq": rng.randbytes(5_000_000), "b/c.fastq": rng.randbytes(1_000_000)})


def right(folder: Path, what: Shareable) -> bool:
    return all((folder / "reads" / p).read_bytes() == data for p, data in what.data.content.items())


async def had_some(out: Path, least: int) -> None:
    """Wait until part of the data is on the disk."""
    async with asyncio.timeout(60):
        while (
            sum(p.stat().st_blocks * 512 for p in out.glob(".seedkeep-*/reads/**/*") if p.is_file()) < least
        ):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_stopped_and_without_its_registrar_a_fetch_goes_on_and_ends_right(
    tmp_path: Path, how: signal.Signals
) -> None:
    what = dataset()
    peer, out = tmp_path / "peer", tmp_path / "out"
    peer.mkdir()
    what.data.write(peer)
    d = what.dataset()
    async with engine(up_limit=SLOW) as seed:
        async with start_registrar(tmp_path / "registrar") as registrar:
            record = await registrar.person().register(what)
            spec = TorrentSpec(
                torrent_v2(what.data.manifest, what.data.layers),
                peer,
                d.content_id,
                trackers=tuple(record["trackers"]),
                complete=True,
            )
            await seed.add(spec)
            await seed.wait_complete(spec.key)
            fetch = ("fetch", record["ark"], "-o", str(out), "--registrar", registrar.url, "--json")
            first = await start(tmp_path, *fetch)
            await had_some(out, 500_000)
            first.send_signal(how)
            await asyncio.wait_for(first.wait(), 60)
            assert not (out / "reads").exists()
            second = await start(tmp_path, *fetch)
            await had_some(out, 1_500_000)
        # the registrar, and with it the tracker, is gone while the second run is under way
        assert second.returncode is None
        seed.set_limits(up=0)
        told = await ended(second)
    assert told.code == 0, told
    assert right(out, what)
    assert told.json["peers_bytes"] < what.data.manifest.bytes, "what the first run had was not fetched again"
    assert [p.name for p in out.glob(".seedkeep-*")] == []


async def test_a_magnet_with_a_peer_that_knows_only_v1_works_and_goes_on_without_its_registrar(
    tmp_path: Path,
) -> None:
    what = dataset()
    peer, out = tmp_path / "peer", tmp_path / "out"
    peer.mkdir()
    what.data.write(peer)
    d = what.dataset()
    async with engine() as seed:
        spec = TorrentSpec(torrent_v1(what.data.manifest, what.pieces_v1), peer, d.infohash_v1, complete=True)
        await seed.add(spec)
        await seed.wait_complete(spec.key)
        async with start_registrar(tmp_path / "registrar") as registrar:
            record = await registrar.person().register(what)
            magnet = f"{record['magnet']}&x.pe=127.0.0.1:{seed.listen_port}"
            fetch = ("fetch", magnet, "-o", str(out), "--json", "--registrar", registrar.url)
            part = await seedkeep(tmp_path, *fetch, "--include", "b/*")
            assert part.code == 0, part
            assert (out / "reads/b/c.fastq").read_bytes() == what.data.content["b/c.fastq"]
        rest = await seedkeep(tmp_path, *fetch)
    assert rest.code == 0, rest
    assert right(out, what)
