"""The tracker over HTTP, in a registrar: what it serves follows what is recorded and tainted."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from sqlalchemy import Connection, insert

from seedkeep.core.bencode import decode
from seedkeep_registrar.store.tables import claims, nodes
from tests.registrar.published import House, house
from tests.support.torrents import Torrents, engine, sample

NODE = "ed25519:" + "N" * 43


@pytest.fixture(scope="module")
def torrents() -> Torrents:
    return sample(70_000)


async def announce(home: House, info_hash: str, port: int, left: int, **headers: str) -> dict[bytes, Any]:
    query = (
        f"info_hash={quote_from_bytes(bytes.fromhex(info_hash), safe='')}&peer_id={'p' * 20}"
        f"&port={port}&uploaded=0&downloaded=0&left={left}&compact=1&event=started"
    )
    status, said, body = await home.get(f"/announce?{query}", **headers)
    assert (status, said["content-type"].partition(";")[0]) == (200, "text/plain")
    answer = decode(body)
    assert isinstance(answer, dict)
    return answer


def endpoints(joined: bytes) -> set[tuple[str, int]]:
    split = [joined[at : at + 6] for at in range(0, len(joined), 6)]
    return {(str(ipaddress.ip_address(e[:4])), int.from_bytes(e[4:], "big")) for e in split}


async def test_both_torrents_of_a_dataset_are_tracked_apart(tmp_path: Path, torrents: Torrents) -> None:
    async with house(tmp_path) as home:
        v2, v1 = torrents.content_id[:40], torrents.infohash_v1
        refused = await announce(home, v2, 7001, 0)
        assert b"no record" in refused[b"failure reason"]
        await home.publish(torrents)
        await announce(home, v2, 7001, 0)  # at once, though it was refused just before
        await announce(home, v1, 7002, 0)
        assert endpoints((await announce(home, v2, 7003, 1))[b"peers"]) == {("127.0.0.1", 7001)}
        assert endpoints((await announce(home, v1, 7003, 1))[b"peers"]) == {("127.0.0.1", 7002)}
        _, _, body = await home.get(f"/scrape?info_hash={quote_from_bytes(bytes.fromhex(v2), safe='')}")
        assert decode(body) == {
            b"files": {bytes.fromhex(v2): {b"complete": 1, b"downloaded": 0, b"incomplete": 1}}
        }


async def test_a_taint_is_obeyed_by_the_very_next_announce(tmp_path: Path, torrents: Torrents) -> None:
    async with house(tmp_path) as home:
        record = await home.publish(torrents)
        for info_hash in (torrents.content_id[:40], torrents.infohash_v1):
            assert b"peers" in await announce(home, info_hash, 7001, 0)
        await home.taint(f"content:{record['content_id']}")
        for info_hash in (torrents.content_id[:40], torrents.infohash_v1):
            assert b"tainted" in (await announce(home, info_hash, 7001, 0))[b"failure reason"]


def _hold(connection: Connection, content_id: str) -> None:
    now = time.time()
    text = dict.fromkeys(("operator", "institution", "country", "software", "address"), "")
    connection.execute(
        insert(nodes).values(
            node=NODE,
            **text,
            subjects=[],
            pledge=1,
            used=1,
            reserved=0,
            port=1,
            state="active",
            taint_version=0,
            problems=[],
            registered=now,
            last_seen=now,
        )
    )
    connection.execute(
        insert(claims).values(
            content_id=content_id,
            node=NODE,
            state="complete",
            bytes=1,
            created=now,
            expires=now + 900,
            silences=0,
        )
    )


async def test_a_companion_that_somebody_asks_for_wakes_its_holder(
    tmp_path: Path, torrents: Torrents
) -> None:
    async with house(tmp_path) as home:
        await home.publish(torrents)
        await home.registrar.db.write(_hold, torrents.content_id)
        with home.registrar.wakeups.waiting(NODE) as woken:
            asked = asyncio.create_task(announce(home, torrents.infohash_v1, 7003, 9))
            async with asyncio.timeout(60):
                await woken.wait()
            assert home.registrar.wakeups.companions() == {torrents.content_id}
            assert not asked.done()
            await announce(home, torrents.infohash_v1, 7001, 0)
            assert endpoints((await asked)[b"peers"]) == {("127.0.0.1", 7001)}


async def test_only_a_trusted_proxy_is_believed_about_its_clients(tmp_path: Path, torrents: Torrents) -> None:
    said = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
    v2 = torrents.content_id[:40]
    for trusted, seen in (((), "127.0.0.1"), (("127.0.0.1",), "203.0.113.9")):
        async with house(tmp_path, trusted_proxies=trusted) as home:
            await home.publish(torrents)
            await announce(home, v2, 7001, 0, **said)
            assert endpoints((await announce(home, v2, 7002, 1))[b"peers"]) == {(seen, 7001)}
        tmp_path = tmp_path / "second"
        tmp_path.mkdir()


async def test_the_tracker_can_be_switched_off(tmp_path: Path, torrents: Torrents) -> None:
    async with house(tmp_path, builtin_tracker=False) as home:
        record = await home.publish(torrents)
        assert record["trackers"] == []
        assert (await home.get("/announce"))[0] == 404


@pytest.mark.parametrize("version", [1, 2])
async def test_libtorrent_peers_meet_through_it(tmp_path: Path, torrents: Torrents, version: int) -> None:
    torrents.data.write(tmp_path / "seed")
    async with house(tmp_path) as home, engine() as seed, engine() as leech:
        await home.publish(torrents)
        trackers = (f"{home.url}/announce",)
        spec = torrents.spec(tmp_path / "seed", version=version, complete=True, trackers=trackers)
        await seed.add(spec)
        await leech.add(torrents.spec(tmp_path / "leech", version=version, trackers=trackers))
        async with asyncio.timeout(60):
            await leech.wait_complete(spec.key)
        assert torrents.differences(tmp_path / "leech") == []
