"""From the order to the last file gone, on 50 nodes: storage managers and a registrar that are real.

    python -m tests.bench.taint [--nodes 50] [--processes 4] [--heartbeat 1] [--rounds 5]

Each node is a whole storage manager (state, pledge, heartbeats over HTTP with signed requests) that holds
every dataset; only the BitTorrent engine is the one in memory, for 50 libtorrent sessions are too much for
one machine. The rounds begin when every copy has stood its first audit. A round taints one dataset, and ends
when no node has a file of it any more, as their disks show. The budget is one heartbeat and one second; the
ratio is that by the time it took.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from seedkeep.config import NodeSettings
from seedkeep.core.keys import PrivateKey
from seedkeep.core.metainfo import torrent_v2
from seedkeep.engine.memory import MemoryEngine, MemorySwarm
from seedkeep.engine.model import TorrentSpec
from seedkeep.registrar_client import RegistrarClient
from seedkeep.storage.service import StorageManager
from tests.bench.report import describe_machine, table
from tests.support.registrar import Shareable, registrar_with, shareable

SLACK_S = 1.0


def dataset(number: int) -> Shareable:
    """Four files, a megabyte together."""
    seed = hashlib.sha256(f"bench {number}".encode()).digest()
    return shareable(
        f"data-{number}", {f"part-{i}/file-{i}.bin": (seed + bytes([i])) * 8000 for i in range(4)}
    )


async def hold(url: str, where: Path, numbers: range, datasets: int) -> None:
    """Nodes of one process, with a sharer of their own, until standard input ends."""
    swarm = MemorySwarm()
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        sharer = MemoryEngine(swarm)
        await sharer.start()
        stack.push_async_callback(sharer.close)
        for number in range(datasets):
            what, home = dataset(number), where / f"sharer-{numbers.start}-{number}"
            home.mkdir()
            what.data.write(home)
            await sharer.add(
                TorrentSpec(
                    torrent_v2(what.data.manifest, what.data.layers),
                    home,
                    what.dataset().content_id,
                    complete=True,
                )
            )
        for number in numbers:
            key = PrivateKey(hashlib.sha256(f"node {number}".encode()).digest())
            settings = NodeSettings(
                data=where / f"node-{number}", pledge=10**9, floor=0, scrub_rate=0, operator=f"op-{number}"
            )
            client = RegistrarClient(url, key=key, session=session, now=time.time, pinned=None)
            node = StorageManager(
                settings, key, MemoryEngine(swarm), [client], session=session, now=time.time
            )
            stack.push_async_callback(node.close)
            await node.open()
        await asyncio.to_thread(sys.stdin.read)


@asynccontextmanager
async def nodes(url: str, where: Path, count: int, processes: int, datasets: int) -> AsyncIterator[None]:
    """``count`` nodes in ``processes`` processes."""
    started = []
    for index in range(processes):
        mine = range(count * index // processes, count * (index + 1) // processes)
        words = ["--hold", url, str(where), str(mine.start), str(mine.stop), str(datasets)]
        started.append(
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.bench.taint", *words, stdin=asyncio.subprocess.PIPE
            )
        )
    try:
        yield
    finally:
        for process in started:
            assert process.stdin is not None
            process.stdin.close()
        await asyncio.gather(*(process.wait() for process in started))


def left(where: Path, cid: str, count: int) -> int:
    """How many nodes have anything of a dataset on their disk."""
    return sum((where / f"node-{n}" / "data" / cid).exists() for n in range(count))


async def run(count: int, processes: int, heartbeat: float, rounds: int) -> list[float]:
    """Seconds from the request of the order to the last file gone, one for each round."""
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        (where / "registrar").mkdir()
        async with registrar_with(where / "registrar", heartbeat_s=heartbeat) as registrar:
            person, took = registrar.person(), []
            for number in range(rounds):
                await person.register(dataset(number), copies=count)
            async with nodes(registrar.url, where, count, processes, rounds):
                for number in range(rounds):
                    what = dataset(number)
                    cid = what.dataset().content_id
                    while await audited(registrar.url, registrar.session, cid) < count:
                        await asyncio.sleep(0.5)
                for number in range(rounds):
                    cid = dataset(number).dataset().content_id
                    assert left(where, cid, count) == count
                    begun = time.monotonic()
                    answer = await registrar.curator.taint(f"content:{cid}", effect="remove")
                    assert answer.status == 201, answer
                    while left(where, cid, count):
                        await asyncio.sleep(0.005)
                    took.append(time.monotonic() - begun)
                    await asyncio.sleep(2 * heartbeat)
            return took


async def audited(url: str, session: aiohttp.ClientSession, cid: str) -> int:
    """Copies that have stood their first audit: from then on the nodes have nothing to do."""
    async with session.get(f"{url}/api/v1/resolve", params={"id": f"urn:btmh:1220{cid}"}) as answer:
        (match,) = (await answer.json())["matches"]
    async with session.get(f"{url}/api/v1/records/{match['rid']}") as answer:
        return int((await answer.json())["copies"]["audited"])


def main() -> None:
    if sys.argv[1:2] == ["--hold"]:
        url, where, first, last, datasets = sys.argv[2:]
        asyncio.run(hold(url, Path(where), range(int(first), int(last)), int(datasets)))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--heartbeat", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    took = asyncio.run(run(given.nodes, given.processes, given.heartbeat, given.rounds))
    print(describe_machine())
    budget = given.heartbeat + SLACK_S
    rows = [(f"{n}", f"{s:.2f} s", f"{budget:.1f} s", f"{budget / s:.2f}") for n, s in enumerate(took, 1)]
    rows.append(("slowest", f"{max(took):.2f} s", f"{budget:.1f} s", f"{budget / max(took):.2f}"))
    print(table(("round", "last file gone after", "budget", "ratio (at least 1)"), rows))


if __name__ == "__main__":
    main()
