"""Fetch against its peers: one seed beside Transmission and raw libtorrent, web seeds beside aria2c.

    sudo python -m tests.bench.fetch [--size 1GB] [--runs 3]

Everything runs on one machine in a private network namespace; seed and downloader share the cores. One
``seedkeep share`` process seeds both torrents for every downloader; the web server is nginx. Times are of
whole processes for ``seedkeep fetch`` (start of Python and resolving the name included) and aria2c, from
adding the torrent for Transmission and libtorrent. Set TMPDIR to a tmpfs to leave the disk out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from seedkeep.core.units import parse_size
from tests.bench.report import describe_machine, table
from tests.support.fleet import Fleet, fleet
from tests.support.netns import private_network
from tests.support.nginx import nginx
from tests.support.torrent_clients import transmission

CLIENT = {"SEEDKEEP_CLIENT_ZEROCONF": "false"}

RAW = """
import json, sys, time, libtorrent as lt
torrent, place, host, peer, port = sys.argv[1:]
session = lt.session({"listen_interfaces": host + ":0", "enable_dht": False, "enable_lsd": False,
    "enable_upnp": False, "enable_natpmp": False, "enable_outgoing_utp": False, "enable_incoming_utp": False,
    "send_buffer_watermark": 3 << 20, "max_out_request_queue": 1500, "max_allowed_in_request_queue": 2000,
    "request_queue_time": 3, "aio_threads": 4, "hashing_threads": 2})
params = lt.load_torrent_file(torrent)
params.save_path = place
params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
begun = time.monotonic()
handle = session.add_torrent(params)
handle.connect_peer((peer, int(port)))
while not handle.status().is_seeding:
    time.sleep(0.01)
print(json.dumps({"seconds": time.monotonic() - begun}))
"""


async def several(runs: int, once: Callable[[Path], Awaitable[float]], place: Path) -> float:
    """Median seconds of ``runs`` runs, each into a fresh folder."""
    seconds = []
    for number in range(runs):
        target = place / f"run-{number}"
        target.mkdir(parents=True)
        seconds.append(await once(target))
        await asyncio.to_thread(shutil.rmtree, target)
    return statistics.median(seconds)


async def measure(size: int, runs: int, place: Path, hosts: tuple[str, ...]) -> list[tuple[str, ...]]:
    data = place / "dataset"
    data.mkdir()
    with (data / "reads.bin").open("wb") as file:
        for _ in range(0, size, 1 << 24):
            file.write(os.urandom(min(1 << 24, size)))
    size = (data / "reads.bin").stat().st_size
    async with (
        nginx(place / "nginx", data, host=hosts[5]) as server,
        fleet(place, host=hosts[0]) as ships,
    ):
        await ships.registrar()
        # one storage manager has read and attested the bytes, and is gone; the sharer waits for a second
        ships.node("node", SEEDKEEP_NODE_LISTEN=hosts[6], pledge=str(3 * size))
        listen = {**CLIENT, "SEEDKEEP_CLIENT_LISTEN": hosts[1], "SEEDKEEP_CLIENT_PORT": "7001"}
        ships.start(
            "sharer", "share", str(data), "--registrar", ships.url, "--copies", "2",
            "--web-seed", server.base,
            SEEDKEEP_CLIENT_PRIVATE_WEB_SEEDS="true", **listen,
        )  # fmt: skip
        shared = await recorded(ships)
        await ships.copies(shared["rid"], 1, seconds=300)
        await ships.stop("node")
        torrents = {v: await torrent(ships, shared["content_id"], v) for v in ("", ".v1")}
        swarm = await from_one_seed(ships, shared, torrents, runs, place, hosts)
        await ships.stop("sharer")
        web = await from_a_web_seed(ships, server.base, shared, runs, place, hosts)
    return [row(size, *figures) for figures in (*swarm, *web)]


def row(size: int, what: str, seconds: float, other: str, reference: float, budget: str) -> tuple[str, ...]:
    rate, beside = size / seconds / 1e6, size / reference / 1e6
    return what, f"{rate:.0f} MB/s", other, f"{beside:.0f} MB/s", f"{rate / beside:.2f}", budget


async def recorded(ships: Fleet) -> dict[str, Any]:
    """The one record, as soon as it is there."""
    async with asyncio.timeout(120):
        while not (found := (await ships.get("/api/v1/records?limit=1"))["records"]):
            await asyncio.sleep(0.2)
    return await ships.record(found[0]["rid"])


async def torrent(ships: Fleet, content_id: str, version: str) -> Path:
    place = ships.path / f"{content_id}{version}.torrent"
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{ships.url}/torrents/{place.name}") as answer,
    ):
        place.write_bytes(await answer.read())
    return place


async def ours(ships: Fleet, shared: dict[str, Any], target: Path, host: str, *flags: str) -> float:
    begun = time.monotonic()
    await ships.run(
        "reader", "fetch", shared["ark"], "--registrar", ships.url, "-o", str(target), *flags,
        SEEDKEEP_CLIENT_LISTEN=host, SEEDKEEP_CLIENT_PRIVATE_WEB_SEEDS="true", **CLIENT,
    )  # fmt: skip
    return time.monotonic() - begun


async def from_one_seed(
    ships: Fleet,
    shared: dict[str, Any],
    torrents: dict[str, Path],
    runs: int,
    place: Path,
    hosts: tuple[str, ...],
) -> list[tuple[str, float, str, float, str]]:
    async def raw(target: Path) -> float:
        command = [sys.executable, "-c", RAW, str(torrents[""]), str(target), hosts[3], hosts[1], "7001"]
        done = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
        return float(json.loads(done.stdout)["seconds"])

    async def by_transmission(target: Path) -> float:
        async with transmission(target / "home", hosts[4]) as client:
            begun = time.monotonic()
            await client.add(torrents[".v1"], target / "out")
            await client.complete(seconds=600)
            return time.monotonic() - begun

    fetch = await several(runs, lambda t: ours(ships, shared, t, hosts[2], "--no-web-seeds"), place / "fetch")
    plain = await several(runs, raw, place / "raw")
    other = await several(runs, by_transmission, place / "transmission")
    return [
        ("fetch from one seed", fetch, "Transmission, same seed", other, "≥ 1.2"),
        ("fetch from one seed", fetch, "raw libtorrent, same seed", plain, "≥ 0.8"),
    ]


async def from_a_web_seed(
    ships: Fleet, base: str, shared: dict[str, Any], runs: int, place: Path, hosts: tuple[str, ...]
) -> list[tuple[str, float, str, float, str]]:
    quick = ["aria2c", "--no-conf", "-q", "-x4", "-s4", "-k1M", "--file-allocation=none"]

    async def by_aria2(target: Path) -> float:
        command = [*quick, "-d", str(target), f"{base}reads.bin"]
        begun = time.monotonic()
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
        return time.monotonic() - begun

    fetch = await several(runs, lambda t: ours(ships, shared, t, hosts[2], "--no-peers"), place / "web")
    other = await several(runs, by_aria2, place / "aria2")
    return [("fetch from a web seed only, verified", fetch, "aria2c -x4, unverified", other, "≥ 0.7")]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=parse_size, default=parse_size("1GB"))
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with (
        private_network() as hosts,
        tempfile.TemporaryDirectory(prefix="seedkeep-bench-") as place,
    ):
        rows = asyncio.run(measure(arguments.size, arguments.runs, Path(place), hosts))
    print(describe_machine())
    print(f"{arguments.size / 1e6:.0f} MB in one file, median of {arguments.runs}\n")
    print(table(("Seedkeep", "rate", "beside", "its rate", "ratio", "budget"), rows))


if __name__ == "__main__":
    main()
