"""``kill -9`` at random moments: nothing acknowledged is lost, no copy is damaged, nothing is stuck.

``SEEDKEEP_KILLS`` sets how many kills (6 in the suite); ``SEEDKEEP_KILL_SEED`` repeats a run.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from pathlib import Path

import pytest

from seedkeep.demo.processes import Child
from tests.support.disk import allocated_bytes
from tests.support.fleet import Fleet, fleet

KILLS = int(os.environ.get("SEEDKEEP_KILLS", "6"))
SEED = int(os.environ.get("SEEDKEEP_KILL_SEED", "0")) or random.randrange(1, 10**6)
NODES = ("node-1", "node-2")
PLEDGE = 2_000_000_000


def make_dataset(place: Path, number: int, chance: random.Random) -> Path:
    """A folder with one larger and some small files, different every time."""
    folder = place / f"dataset-{number}"
    (folder / "small").mkdir(parents=True)
    (folder / "reads.bin").write_bytes(chance.randbytes(chance.randrange(200_000, 3_000_000)))
    for i in range(chance.randrange(1, 30)):
        (folder / "small" / f"{i}.txt").write_bytes(chance.randbytes(chance.randrange(0, 5_000)))
    return folder


class Sharing:
    """A person who starts ``seedkeep share`` again as long as it fails for a registrar that was down."""

    def __init__(self, ships: Fleet, number: int, folder: Path) -> None:
        self.name, self.folder, self._ships = f"share-{number}", folder, ships
        self.attempts: list[Child] = []
        self.rid = ""

    async def run(self) -> None:
        while True:
            child = self._ships.start(
                self.name, "share", str(self.folder), "--registrar", self._ships.url, "--copies", "2",
                "--json",
                SEEDKEEP_CLIENT_ZEROCONF="false",
            )  # fmt: skip
            self.attempts.append(child)
            if await child.wait() == 0:
                self.rid = str(child.output()["rid"])
                return
            said = str(child.failure().diagnostics())
            assert "Traceback" not in said, said
            await asyncio.sleep(0.3)


async def restart(ships: Fleet, victim: str) -> None:
    if victim == "registrar":
        await ships.registrar(SEEDKEEP_REGISTRAR_HEARTBEAT_S="1")
    else:
        ships.node(victim, pledge=str(PLEDGE))


@pytest.mark.timeout(120 + 20 * KILLS)
async def test_kill_9_at_random_moments_loses_nothing_and_leaves_nothing_stuck(tmp_path: Path) -> None:
    print(f"seed {SEED}, {KILLS} kills")
    chance = random.Random(SEED)
    async with fleet(tmp_path) as ships:
        for name in ("registrar", *NODES):
            await restart(ships, name)
        sharing: list[Sharing] = []
        tasks: list[asyncio.Task[None]] = []
        acknowledged: set[str] = set()
        try:
            for number in range(KILLS):
                sharing.append(Sharing(ships, number, make_dataset(tmp_path, number, chance)))
                tasks.append(asyncio.create_task(sharing[-1].run()))
                await asyncio.sleep(chance.uniform(0.1, 2.5))  # the random moment itself
                victim = chance.choice(["registrar", *NODES])
                await ships.kill(victim)
                await restart(ships, victim)
                acknowledged |= {
                    str(a.output()["rid"]) for s in sharing for a in s.attempts if a.output().get("rid")
                }
            async with asyncio.timeout(90 + 10 * KILLS):
                await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        assert acknowledged <= {s.rid for s in sharing}
        for share in sharing:
            document = await ships.copies(share.rid, 2)
            for name in NODES:
                [copy] = ships.node_data(name).glob(f"**/{share.folder.name}")
                await ships.run("reader", "verify", str(copy), document["ark"], "--registrar", ships.url)
        for name in NODES:
            assert allocated_bytes(ships.node_data(name)) <= PLEDGE
        await ships.stop()
        for database in tmp_path.glob("*/*-data/**/*.sqlite*"):
            if database.suffix not in (".sqlite-wal", ".sqlite-shm"):
                with sqlite3.connect(database) as connection:
                    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
