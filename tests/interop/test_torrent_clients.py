"""Other people's BitTorrent clients and our engine exchange a dataset, byte for byte."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import libtorrent
import pytest

from seedkeep.core.metainfo import read_metainfo, torrent_v1
from tests.support.small_tracker import small_tracker
from tests.support.torrent_clients import CLIENTS, transmission
from tests.support.torrents import Torrents, engine, sample, seeding

lt: Any = libtorrent


@pytest.fixture(scope="module")
def data() -> Torrents:
    return sample(2_000_001)


def companion(data: Torrents, folder: Path, tracker: str) -> Path:
    """The v1-only ``.torrent`` with a tracker in it, as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = read_metainfo(data.v1).pieces
    place = folder / "companion.torrent"
    place.write_bytes(torrent_v1(data.data.manifest, pieces, trackers=[tracker]))
    return place


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_client_completes_the_v1_companion_from_our_engine(
    name: str, data: Torrents, tmp_path: Path, hosts: tuple[str, ...]
) -> None:
    async with (
        small_tracker(hosts[0]) as tracker,
        seeding(data, tmp_path / "seed", listen=f"{hosts[1]}:0") as seed,
        CLIENTS[name](tmp_path / "home", hosts[2]) as client,
    ):
        spec = data.spec(tmp_path / "seed", version=1, complete=True, trackers=(tracker,))
        await seed.add(spec)
        await client.add(companion(data, tmp_path, tracker), tmp_path / "out")
        await client.complete()
        # rtorrent keeps a torrent's files right in the folder it is told
        name_above = data.data.manifest.name
        if not (tmp_path / "out" / name_above).exists():
            (tmp_path / "out").rename(tmp_path / name_above)
            (tmp_path / "out").mkdir()
            (tmp_path / name_above).rename(tmp_path / "out" / name_above)
        # Transmission 3.00 leaves empty files out
        tolerated = ["reads/empty"] if name == "transmission" else []
        assert [path for path in data.differences(tmp_path / "out") if path not in tolerated] == []


@pytest.mark.parametrize("with_tracker", [False, True])
async def test_our_engine_downloads_from_a_transmission_seed(
    data: Torrents, tmp_path: Path, hosts: tuple[str, ...], with_tracker: bool
) -> None:
    data.data.write(tmp_path / "seed")
    async with (
        small_tracker(hosts[0]) as tracker,
        engine(listen=f"{hosts[1]}:0") as leech,
        transmission(tmp_path / "home", hosts[2]) as client,
    ):
        await client.add(companion(data, tmp_path, tracker), tmp_path / "seed")
        await client.complete()
        spec = data.spec(tmp_path / "out", version=1)
        found = {"trackers": (tracker,)} if with_tracker else {"peers": ((client.host, client.port),)}
        await leech.add(replace(spec, **found))  # type: ignore[arg-type]
        await asyncio.wait_for(leech.wait_complete(spec.key), 60)
        assert data.differences(tmp_path / "out") == []
        assert leech.status(spec.key).peers_bytes >= data.data.manifest.bytes


async def test_a_plain_libtorrent_client_completes_the_v2_torrent(data: Torrents, tmp_path: Path) -> None:
    async with seeding(data, tmp_path / "seed") as seed:
        settings = {"listen_interfaces": "127.0.0.1:0", "enable_dht": False, "enable_lsd": False}
        plain = lt.session({**settings, "enable_upnp": False, "enable_natpmp": False})
        params = lt.load_torrent_buffer(data.v2)
        params.save_path = str(tmp_path / "out")
        handle = plain.add_torrent(params)
        handle.connect_peer(("127.0.0.1", seed.listen_port))
        async with asyncio.timeout(30):
            while not handle.status().is_seeding:
                await asyncio.sleep(0.05)
        handle.flush_cache()
        await asyncio.to_thread(lambda: plain.remove_torrent(handle))
        async with asyncio.timeout(60):
            while data.differences(tmp_path / "out"):
                await asyncio.sleep(0.05)
