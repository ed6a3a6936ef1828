"""All nodes are gone: the data still come, from private Swift and private S3, also beside a slow peer."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from tests.support.fleet import Fleet, fleet
from tests.support.s3 import S3
from tests.support.swift import Swift

SIZE = 3_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "reads und läufe"
    (place / "deep #1").mkdir(parents=True)
    (place / "a 100%.bin").write_bytes(os.urandom(SIZE))
    (place / "deep #1" / "b+c?.txt").write_bytes(b"small\n" * 99)
    (place / "empty").touch()
    return place


async def share_then_fetch(ships: Fleet, folder: Path, target: str, **credentials: str) -> None:
    """Upload while sharing, keep one copy on a node that is stopped, fetch alone, then beside a slow peer."""
    node = {"SEEDKEEP_NODE_UP_LIMIT": "400kB"}
    ships.node("node", **node)
    shared = await ships.run(
        "sharer", "share", str(folder), "--registrar", ships.url, "--copies", "1", "--upload", target,
        SEEDKEEP_CLIENT_PRIVATE_WEB_SEEDS="true", **credentials,
    )  # fmt: skip
    await ships.stop("node")

    client = {"SEEDKEEP_CLIENT_PRIVATE_WEB_SEEDS": "true", "SEEDKEEP_CLIENT_ZEROCONF": "false"}
    fetch = ("fetch", shared["ark"], "--registrar", ships.url, "-o")
    alone = await ships.run("reader", *fetch, str(ships.path / "alone"), **client)
    assert alone["peers_bytes"] == 0
    assert alone["web_seed_bytes"] >= shared["bytes"]
    await ships.run("reader", "verify", alone["path"], shared["ark"], "--registrar", ships.url)

    ships.node("node", **node)
    await ships.copies(shared["rid"], 1)
    both = await ships.run("reader", *fetch, str(ships.path / "both"), **client)
    assert both["web_seed_bytes"] > 0
    assert both["peers_bytes"] + both["web_seed_bytes"] >= shared["bytes"]
    peers = await ships.run("reader", *fetch, str(ships.path / "peers"), "--no-web-seeds", **client)
    assert peers["web_seed_bytes"] == 0
    assert peers["peers_bytes"] >= shared["bytes"]
    for place in (alone, both, peers):
        for path in folder.rglob("*"):
            if path.is_file():
                assert (Path(place["path"]) / path.relative_to(folder)).read_bytes() == path.read_bytes()


@pytest.mark.timeout(120)
async def test_fetch_completes_from_private_s3_when_all_nodes_are_stopped(
    tmp_path: Path, folder: Path, s3: S3, bucket: str
) -> None:
    config = tmp_path / "registrar.toml"
    config.write_text(
        f'[[storage]]\nname = "lab"\nkind = "s3"\nbucket = "{bucket}"\nendpoint = "{s3.endpoint}"\n'
        'stewards = ["anyone"]\n'
        f'region = "{s3.region}"\naccess_key = "{s3.access_key}"\nsecret_key = "{s3.secret_key}"\n'
    )
    async with fleet(tmp_path) as ships:
        await ships.registrar("--config", str(config))
        await share_then_fetch(ships, folder, f"s3://{bucket}/data", **s3.environment())


@pytest.mark.timeout(120)
async def test_fetch_completes_from_private_swift_when_all_nodes_are_stopped(
    tmp_path: Path, folder: Path, swift: Swift
) -> None:
    container = f"c{secrets.token_hex(6)}"
    swift.make_container(container)
    swift.set_temp_url_key("a temp url key")
    config = tmp_path / "registrar.toml"
    config.write_text(
        f'[[storage]]\nname = "lab"\nkind = "swift"\nbucket = "{container}"\nauth_url = "{swift.auth_url}"\n'
        'stewards = ["anyone"]\n'
        f'access_key = "{swift.user}"\nsecret_key = "{swift.key}"\ntemp_url_key = "a temp url key"\n'
    )
    async with fleet(tmp_path) as ships:
        await ships.registrar("--config", str(config))
        await share_then_fetch(
            ships,
            folder,
            f"swift://{container}/data",
            ST_AUTH=swift.auth_url,
            ST_USER=swift.user,
            ST_KEY=swift.key,
        )
