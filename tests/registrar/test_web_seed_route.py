"""``/ws/…``: private Swift and S3 storage as a web seed, against a real Swift, redirected and proxied."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from seedkeep_registrar.web_seeds.storage import Storage
from tests.registrar.published import CURATOR, SHARER, House, house
from tests.support.s3 import S3
from tests.support.swift import Swift
from tests.support.torrents import Torrents, sample

TEMP_URL_KEY = "a key for the tests"


def stored(swift: Swift, torrents: Torrents, container: str) -> str:
    """Put a dataset into a private container; its web seed."""
    swift.make_container(container)
    name = torrents.data.manifest.name
    for path, data in torrents.data.content.items():
        status, _, said = swift.request("PUT", f"{container}/p/{name}/{path}", data=data)
        assert status == 201, said
    return f"swift://{container}/p/"


def storage(swift: Swift, container: str, **changes: Any) -> Storage:
    return Storage(
        **{
            "name": container,
            "kind": "swift",
            "bucket": container,
            "prefix": "p/",
            "auth_url": swift.auth_url,
            "access_key": swift.user,
            "secret_key": swift.key,
            "temp_url_key": TEMP_URL_KEY,
            "stewards": (str(SHARER.public),),
            **changes,
        }
    )


def address(record: dict[str, Any], path: str) -> str:
    return f"/ws/{record['content_id']}/{quote(record['name'])}/{quote(path)}"


async def follow(home: House, location: str, **headers: str) -> tuple[int, bytes]:
    async with home.http.get(location, headers=headers) as answer:
        return answer.status, await answer.read()


async def test_private_swift_is_reached_by_a_redirect_that_soon_expires(swift: Swift, tmp_path: Path) -> None:
    swift.set_temp_url_key(TEMP_URL_KEY)
    torrents = sample(70_000)
    seed = stored(swift, torrents, "ws-redirect")
    async with house(tmp_path, storage=(storage(swift, "ws-redirect"),)) as home:
        record = await home.publish(torrents, web_seeds=(seed,))
        assert record["web_seeds"] == [f"{home.url}/ws/{record['content_id']}/"]
        for path, data in torrents.data.content.items():
            status, headers, body = await home.get(address(record, path))
            assert status == 302, body
            assert headers["cache-control"] == "no-store"
            assert "temp_url_sig=" in headers["location"]
            assert await follow(home, headers["location"]) == (200, data)
        status, headers, _ = await home.get(address(record, "big.bin"))
        big = torrents.data.content["big.bin"]
        assert await follow(home, headers["location"], Range="bytes=1000-1999") == (206, big[1000:2000])


async def test_private_s3_is_reached_by_a_presigned_redirect(
    swift: Swift, s3: S3, bucket: str, tmp_path: Path
) -> None:
    torrents = sample(70_000)
    client = s3.client()
    for path, data in torrents.data.content.items():
        await asyncio.to_thread(client.put_object, Bucket=bucket, Key=f"sample/{path}", Body=data)
    client.close()
    where = Storage(
        name="s3",
        kind="s3",
        bucket=bucket,
        endpoint=s3.endpoint,
        region=s3.region,
        access_key=s3.access_key,
        secret_key=s3.secret_key,
        stewards=("anyone",),
    )
    async with house(tmp_path, storage=(where,)) as home:
        record = await home.publish(torrents, web_seeds=(f"s3://{bucket}/",))
        for path, data in torrents.data.content.items():
            status, headers, _ = await home.get(address(record, path))
            assert status == 302
            assert await follow(home, headers["location"]) == (200, data)


async def test_proxied_storage_gives_ranges(swift: Swift, tmp_path: Path) -> None:
    torrents = sample(70_000)
    seed = stored(swift, torrents, "ws-proxy")
    big = torrents.data.content["big.bin"]
    async with house(tmp_path, storage=(storage(swift, "ws-proxy", mode="proxy"),)) as home:
        record = await home.publish(torrents, web_seeds=(seed,))
        url = address(record, "big.bin")
        status, headers, body = await home.get(url)
        assert (status, body) == (200, big)
        # the bytes of strangers must not run as a page of the registrar
        assert headers["content-type"] == "application/octet-stream"
        assert headers["content-disposition"] == "attachment"
        assert "sandbox" in headers["content-security-policy"]
        status, headers, body = await home.get(url, Range="bytes=1000-1999")
        assert (status, body) == (206, big[1000:2000])
        assert headers["content-range"] == f"bytes 1000-1999/{len(big)}"
        status, _, body = await home.get(url, Range="bytes=-5")
        assert (status, body) == (206, big[-5:])
        status, _, _ = await home.get(url, Range="bytes=99999999-")
        assert status == 416
        status, _, _ = await home.get(url, Range="bytes=0-1,5-6")
        assert status == 400
        async with home.http.head(home.url + url) as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(big)))
            assert answer.headers["Accept-Ranges"] == "bytes"


async def test_a_proxied_reader_who_leaves_holds_nothing_up(swift: Swift, tmp_path: Path) -> None:
    torrents = sample(6_000_000)
    seed = stored(swift, torrents, "ws-leave")
    async with house(tmp_path, storage=(storage(swift, "ws-leave", mode="proxy"),)) as home:
        record = await home.publish(torrents, web_seeds=(seed,))
        for _ in range(8):
            async with home.http.get(home.url + address(record, "big.bin")) as answer:
                assert await answer.content.readexactly(1000)
                answer.close()
        status, _, body = await home.get(address(record, "big.bin"))
        assert (status, len(body)) == (200, 6_000_000)


@pytest.fixture(scope="module")
def torrents() -> Torrents:
    return sample(70_000)


PUBLIC = "https://example.org/data/"


async def test_only_files_of_the_manifest_are_served(tmp_path: Path, torrents: Torrents) -> None:
    async with house(tmp_path) as home:
        record = await home.publish(torrents, web_seeds=(PUBLIC,))
        cid = record["content_id"]
        status, headers, _ = await home.get(f"/ws/{cid}/sample/reads/tiny.txt")
        assert (status, headers["location"]) == (302, f"{PUBLIC}sample/reads/tiny.txt")
        for path in (
            f"/ws/{cid}/sample/reads/other.txt",
            f"/ws/{cid}/sample/reads",
            f"/ws/{cid}/sample/",
            f"/ws/{cid}/sample",
            f"/ws/{cid}/other/reads/tiny.txt",
            f"/ws/{cid}/reads/tiny.txt",
            f"/ws/{cid}/sample//reads/tiny.txt",
            f"/ws/{cid}/sample/reads/%2e%2e/reads/tiny.txt",
            f"/ws/{cid}/sample/reads%252Ftiny.txt",
            f"/ws/{cid}/%ff%fe/reads/tiny.txt",
            f"/ws/{cid.upper()}/sample/reads/tiny.txt",
            f"/ws/{'0' * 64}/sample/reads/tiny.txt",
            "/ws/nonsense/sample/reads/tiny.txt",
        ):
            status, headers, body = await home.get(path)
            assert status == 404, path
            assert json.loads(body)["code"] == "not_found"


async def test_a_taint_is_obeyed_at_once(tmp_path: Path, torrents: Torrents) -> None:
    async with house(tmp_path) as home:
        record = await home.publish(torrents, web_seeds=(PUBLIC,))
        url = address(record, torrents.data.manifest.files[0].path)
        assert (await home.get(url))[0] == 302
        await home.taint(f"root:{torrents.data.manifest.files[0].root}")
        status, _, body = await home.get(url)
        assert status == 451
        assert json.loads(body)["code"] == "tainted"


async def test_storage_that_is_not_configured_is_not_found(tmp_path: Path, torrents: Torrents) -> None:
    async with house(tmp_path) as home:
        record = await home.publish(torrents, web_seeds=("s3://elsewhere/data/",))
        status, _, body = await home.get(address(record, "reads/tiny.txt"))
        assert status == 404
        assert b"elsewhere" in body


async def test_a_dead_store_is_passed_over_for_the_next(swift: Swift, tmp_path: Path) -> None:
    swift.set_temp_url_key(TEMP_URL_KEY)
    torrents = sample(70_000)
    dead = storage(swift, "ws-dead", auth_url="http://127.0.0.1:9/auth/v1.0", temp_url_key="", mode="proxy")
    async with house(tmp_path, storage=(dead,)) as home:
        record = await home.publish(torrents, web_seeds=("swift://ws-dead/p/", PUBLIC))
        status, headers, _ = await home.get(address(record, "reads/tiny.txt"))
        assert (status, headers["location"]) == (302, f"{PUBLIC}sample/reads/tiny.txt")


async def test_a_record_reads_no_storage_that_is_not_open_to_its_steward(
    swift: Swift, tmp_path: Path
) -> None:
    swift.set_temp_url_key(TEMP_URL_KEY)
    torrents = sample(70_000)
    seed = stored(swift, torrents, "ws-closed")
    for mode in ("redirect", "proxy"):
        closed = storage(swift, "ws-closed", stewards=(str(CURATOR.public),), mode=mode)
        async with house(tmp_path / mode, storage=(closed,)) as home:
            record = await home.publish(torrents, web_seeds=(seed,))
            status, headers, body = await home.get(address(record, "big.bin"))
            assert status == 403
            assert "location" not in headers
            assert torrents.data.content["big.bin"][:100] not in body
