"""A torrent client that reads RSS follows a collection: it finds the torrents by itself and adds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp

from seedkeep.core.metadata import Metadata
from tests.support.registrar import registrar_with, shareable
from tests.support.torrent_clients import qbittorrent, until

_WEB = 9092


async def test_qbittorrent_follows_a_collection(tmp_path: Path, hosts: tuple[str, ...]) -> None:
    async with (
        registrar_with(tmp_path, listen=f"{hosts[0]}:0") as registrar,
        qbittorrent(tmp_path / "home", hosts[1]),
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(local_addr=(hosts[1], 0)), timeout=aiohttp.ClientTimeout(total=20)
        ) as session,
    ):
        curator = registrar.curator
        records = [
            await curator.register(shareable(name), metadata=Metadata(title=f"Phages of {name}"))
            for name in ("one", "two", "other")
        ]
        made = {"slug": "phages", "title": "Phages & more"}
        assert (await curator.post("/api/v1/collections", made)).status == 201
        chosen = {"add": [record["rid"] for record in records[:2]]}
        assert (await curator.post("/api/v1/collections/phages/datasets", chosen)).status == 200
        feed = f"{registrar.url}/feeds/collections/phages.rss?client=v1"

        async def tell(what: str, **fields: str) -> None:
            async with session.post(f"http://{hosts[1]}:{_WEB}/api/v2/{what}", data=fields) as answer:
                assert answer.status == 200, (what, await answer.text())

        async def ask(path: str) -> Any:
            async with session.get(f"http://{hosts[1]}:{_WEB}/api/v2/{path}") as answer:
                return await answer.json(content_type=None)

        settings = {"rss_processing_enabled": True, "rss_auto_downloading_enabled": True}
        await tell("app/setPreferences", json=json.dumps(settings))
        rule = {
            "enabled": True,
            "affectedFeeds": [feed],
            "savePath": str(tmp_path / "out"),
            "addPaused": True,
        }
        await tell("rss/setRule", ruleName="all", ruleDef=json.dumps(rule))
        await tell("rss/addFeed", url=feed, path="phages")

        async def added() -> bool:
            return len(await ask("torrents/info")) == 2

        await until(added, "qBittorrent adds the torrents of the feed")
        torrents = await ask("torrents/info")
        assert {one["hash"] for one in torrents} == {record["infohash_v1"] for record in records[:2]}
        items = await ask("rss/items?withData=true")
        articles = items["phages"]["articles"]
        assert {article["title"] for article in articles} == {"Phages of one", "Phages of two"}
