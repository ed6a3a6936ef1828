"""Other people's clients find our nodes through the registrar's tracker, and we find theirs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import libtorrent
import pytest

from tests.support.fleet import Fleet, fleet
from tests.support.torrent_clients import CLIENTS, transmission

lt: Any = libtorrent
SIZE = 2_500_001
CLIENT_SETTINGS = {"SEEDKEEP_CLIENT_ZEROCONF": "false"}


@dataclass(frozen=True)
class Recorded:
    """A dataset that one node holds and whose sharer has gone."""

    ships: Fleet
    shared: dict[str, Any]
    folder: Path
    hosts: tuple[str, ...]

    async def torrent(self, name: str) -> Path:
        """A torrent as downloaded from the registrar's page."""
        place = self.ships.path / name
        async with (
            aiohttp.ClientSession(raise_for_status=True) as session,
            session.get(f"{self.ships.url}/torrents/{name}") as answer,
        ):
            place.write_bytes(await answer.read())
        return place

    def check(self, folder: Path) -> None:
        """Every byte is there; Transmission 3.00 leaves empty files out, rtorrent the outer folder."""
        root = folder / self.folder.name if (folder / self.folder.name).exists() else folder
        for path in self.folder.rglob("*"):
            if path.is_file() and path.stat().st_size:
                assert (root / path.relative_to(self.folder)).read_bytes() == path.read_bytes()


@pytest.fixture
async def recorded(tmp_path: Path, hosts: tuple[str, ...]) -> AsyncIterator[Recorded]:
    folder = tmp_path / "run 1"
    (folder / "sub").mkdir(parents=True)
    (folder / "reads.bin").write_bytes(os.urandom(SIZE))
    (folder / "sub" / "notes.txt").write_bytes(b"observed\n" * 200)
    (folder / "empty").touch()
    async with fleet(tmp_path, host=hosts[0]) as ships:
        await ships.registrar()
        ships.node("node", SEEDKEEP_NODE_LISTEN=hosts[1])
        shared = await ships.run(
            "sharer", "share", str(folder), "--registrar", ships.url, "--copies", "1",
            SEEDKEEP_CLIENT_LISTEN=hosts[2], **CLIENT_SETTINGS,
        )  # fmt: skip
        yield Recorded(ships, shared, folder, hosts)


async def by_client(recorded: Recorded, torrent: Path, name: str, host: str) -> None:
    """One client completes the companion."""
    place = recorded.ships.path / f"by-{name}"
    async with CLIENTS[name](recorded.ships.path / name, host) as client:
        await client.add(torrent, place)
        await client.complete(seconds=120)
        recorded.check(place)


async def by_plain_libtorrent(recorded: Recorded, torrent: Path, host: str) -> None:
    """A session that knows nothing of Seedkeep completes the v2 torrent."""
    place = recorded.ships.path / "by-libtorrent"
    quiet = {"enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False}
    session = lt.session({"listen_interfaces": f"{host}:6881", **quiet})
    params = lt.load_torrent_buffer(torrent.read_bytes())
    params.save_path = str(place)
    handle = session.add_torrent(params)
    async with asyncio.timeout(60):
        while not handle.status().is_seeding:
            await asyncio.sleep(0.1)
    await asyncio.to_thread(session.remove_torrent, handle)
    async with asyncio.timeout(60):
        while sum(p.stat().st_size for p in place.rglob("*.bin")) != SIZE:
            await asyncio.sleep(0.05)
    recorded.check(place)


async def test_every_client_gets_its_torrent_from_our_node_through_the_registrars_tracker(
    recorded: Recorded,
) -> None:
    companion = await recorded.torrent(f"{recorded.shared['content_id']}.v1.torrent")
    torrent = await recorded.torrent(f"{recorded.shared['content_id']}.torrent")
    async with asyncio.TaskGroup() as together:
        for name, host in zip(CLIENTS, recorded.hosts[4:], strict=False):
            together.create_task(by_client(recorded, companion, name, host))
        together.create_task(by_plain_libtorrent(recorded, torrent, recorded.hosts[3]))


async def test_fetch_downloads_from_a_transmission_seed(recorded: Recorded, tmp_path: Path) -> None:
    torrent = await recorded.torrent(f"{recorded.shared['content_id']}.v1.torrent")
    await recorded.ships.stop("node")
    async with transmission(tmp_path / "client", recorded.hosts[3]) as client:
        await client.add(torrent, recorded.folder.parent)
        await client.complete()
        fetched = await recorded.ships.run(
            "reader", "fetch", recorded.shared["ark"], "--registrar", recorded.ships.url,
            "-o", str(tmp_path / "out"), SEEDKEEP_CLIENT_LISTEN=recorded.hosts[4], **CLIENT_SETTINGS,
        )  # fmt: skip
    assert fetched["peers_bytes"] >= recorded.shared["bytes"]
    assert fetched["web_seed_bytes"] == 0
    recorded.check(tmp_path / "out")
