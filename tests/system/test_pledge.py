"""A pledge is a hard limit on what the disk has allocated, however much is offered."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.support.disk import Watch
from tests.support.fleet import fleet

PLEDGE = 10_000_000
DATASETS = 17


@pytest.mark.timeout(120)
async def test_a_node_pledged_10_mb_and_offered_50_mb_never_takes_more_on_disk(tmp_path: Path) -> None:
    async with fleet(tmp_path) as ships:
        await ships.registrar(SEEDKEEP_REGISTRAR_HEARTBEAT_S="1")
        for number in range(DATASETS):
            folder = tmp_path / f"dataset-{number}"
            folder.mkdir()
            for i in range(6):
                (folder / f"{i}.bin").write_bytes(os.urandom(520_000))
            ships.start(
                f"sharer-{number % 4}", "share", str(folder), "--registrar", ships.url, "--copies", "1",
                "--json",
                SEEDKEEP_CLIENT_ZEROCONF="false",
            )  # fmt: skip
            await asyncio.sleep(0.3)
        while len((await ships.get("/api/v1/records?limit=100"))["records"]) < DATASETS:
            await asyncio.sleep(0.2)
        ships.node_data("node").mkdir(parents=True)
        with Watch(ships.node_data("node")) as watch:
            node = ships.node("node", pledge=str(PLEDGE))
            held = 0
            for _ in range(120):
                await asyncio.sleep(0.25)
                node.check()
                records = await ships.get("/api/v1/records?limit=100")
                documents = [await ships.record(r["rid"]) for r in records["records"]]
                held = sum(d["copies"]["audited"] for d in documents)
                if held >= 2:
                    break
            await asyncio.sleep(4)  # four more heartbeats with offers that do not fit
        offered = sum(d["bytes"] for d in documents)
        assert offered >= 50_000_000
        assert held >= 2
        assert watch.looks > 100
        assert watch.most <= PLEDGE
