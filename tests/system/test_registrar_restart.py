"""A registrar that was killed forgets its tracker's peers; who has the bytes comes back by itself."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tests.support.fleet import fleet

CLIENT = {"SEEDKEEP_CLIENT_ZEROCONF": "false"}


async def test_sharer_and_nodes_are_found_again_after_the_registrar_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "reads"
    folder.mkdir()
    (folder / "a.bin").write_bytes(os.urandom(300_000))
    (folder / "b.txt").write_bytes(b"b" * 999)
    async with fleet(tmp_path) as ships:
        await ships.registrar()
        share = ships.start(
            "sharer", "share", str(folder), "--registrar", ships.url, "--copies", "1", "--json", **CLIENT
        )
        while not (records := (await ships.get("/api/v1/records?limit=1"))["records"]):
            await asyncio.sleep(0.1)
        await ships.kill("registrar")
        await ships.registrar()
        ships.node("node")
        assert await asyncio.wait_for(share.wait(), 60) == 0

        await ships.kill("registrar")
        await ships.registrar()
        fetch = ("fetch", records[0]["ark"], "--registrar", ships.url, "-o", str(tmp_path / "out"))
        fetched = await asyncio.wait_for(ships.run("reader", *fetch, **CLIENT), 40)
        assert fetched["bytes"] == 300_999
