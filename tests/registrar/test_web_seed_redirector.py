"""Private S3 and Swift web seeds through the redirector, against a real Swift and its S3 API."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from seedkeep.core.errors import InvalidInput, NotFound, Refused, Unreachable, UsageError
from seedkeep.core.web_seed import ObjectPlace
from seedkeep_registrar.web_seeds.redirector import Redirector
from seedkeep_registrar.web_seeds.storage import Storage
from tests.support.s3 import S3
from tests.support.swift import Swift

CONTENT = random.Random(1).randbytes(300_000)
ODD = [
    "plain.txt",
    "with space.txt",
    "100%.txt",
    "%41.txt",
    "hash#tag.txt",
    "what?.txt",
    "a+b.txt",
    "übung-é-中.txt",
    'it\'s "quoted".txt',
    "semi;colon=&.txt",
    "sub/deeper/~x.txt",
]


@asynccontextmanager
async def redirecting(*storages: Storage, clock: float | None = None) -> AsyncIterator[Redirector]:
    redirector = Redirector(storages) if clock is None else Redirector(storages, clock=lambda: clock)
    try:
        yield redirector
    finally:
        await redirector.close()


async def get(url: str, range_header: str | None = None) -> tuple[int, bytes]:
    headers = {"Range": range_header} if range_header else {}
    async with (
        aiohttp.ClientSession() as session,
        session.get(URL(url, encoded=True), headers=headers) as answer,
    ):
        return answer.status, await answer.read()


@pytest.fixture
def s3_storage(s3: S3, bucket: str) -> Storage:
    """A private bucket with one file below ``data/``."""
    client = s3.client()
    client.put_object(Bucket=bucket, Key="data/set/file.bin", Body=CONTENT)
    client.close()
    return Storage(
        name="lab",
        kind="s3",
        bucket=bucket,
        prefix="data",
        endpoint=s3.endpoint,
        region=s3.region,
        access_key=s3.access_key,
        secret_key=s3.secret_key,
    )


@pytest.fixture
def swift_storage(swift: Swift) -> Storage:
    """The same in a private Swift container."""
    container = f"c{secrets.token_hex(6)}"
    swift.make_container(container)
    swift.set_temp_url_key("a temp url key")
    assert swift.request("PUT", f"{container}/data/set/file.bin", data=CONTENT)[0] == 201
    return Storage(
        name="lab",
        kind="swift",
        bucket=container,
        prefix="data",
        endpoint=swift.storage_url,
        auth_url=swift.auth_url,
        access_key=swift.user,
        secret_key=swift.key,
        temp_url_key="a temp url key",
    )


@pytest.fixture(params=["s3", "swift"])
def storage(request: pytest.FixtureRequest) -> Storage:
    """Both kinds in turn."""
    found: Storage = request.getfixturevalue(f"{request.param}_storage")
    return found


def seed(storage: Storage) -> str:
    return f"{storage.kind}://{storage.bucket}/data/"


async def test_a_private_object_is_read_by_range_through_the_redirect(storage: Storage) -> None:
    async with redirecting(storage) as redirector:
        assert redirector.mode(seed(storage)) == "redirect"
        url = await redirector.target(seed(storage), "set/file.bin")
    assert await get(url, "bytes=1000-4999") == (206, CONTENT[1000:5000])
    assert await get(url) == (200, CONTENT)


async def test_without_the_signature_the_object_stays_private(storage: Storage) -> None:
    async with redirecting(storage) as redirector:
        url = await redirector.target(seed(storage), "set/file.bin")
    status, body = await get(url.partition("?")[0])
    assert status in (400, 401, 403)
    assert CONTENT[:100] not in body


async def test_an_expired_s3_url_is_refused_by_the_store(s3_storage: Storage) -> None:
    async with redirecting(replace(s3_storage, expires_s=1)) as redirector:
        url = await redirector.target(seed(s3_storage), "set/file.bin")
    assert (await get(url, "bytes=0-9"))[0] == 206
    signed_at = URL(url, encoded=True).query["X-Amz-Date"]
    while time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - 2)) <= signed_at:
        await asyncio.sleep(0.1)  # the store's clock has to pass the expiry
    assert (await get(url, "bytes=0-9"))[0] == 403


async def test_an_expired_temp_url_is_refused_by_the_store(swift_storage: Storage) -> None:
    long_ago = time.time() - swift_storage.expires_s - 10
    async with redirecting(swift_storage, clock=long_ago) as redirector:
        url = await redirector.target(seed(swift_storage), "set/file.bin")
    assert (await get(url, "bytes=0-9"))[0] == 401


async def test_a_signature_by_the_wrong_key_is_refused_by_the_store(storage: Storage) -> None:
    async with redirecting(replace(storage, secret_key="wrong", temp_url_key="wrong")) as redirector:
        url = await redirector.target(seed(storage), "set/file.bin")
    status, body = await get(url)
    assert status in (401, 403)
    assert CONTENT[:100] not in body


async def test_a_signature_for_one_object_does_not_open_another(storage: Storage, swift: Swift) -> None:
    assert swift.request("PUT", f"{storage.bucket}/data/set/other.bin", data=b"other")[0] == 201
    async with redirecting(storage) as redirector:
        url = await redirector.target(seed(storage), "set/file.bin")
    assert (await get(url.replace("file.bin", "other.bin")))[0] in (401, 403)


async def test_temp_urls_with_sha1_work_where_the_server_allows_them(swift_storage: Storage) -> None:
    async with redirecting(replace(swift_storage, temp_url_digest="sha1")) as redirector:
        url = await redirector.target(seed(swift_storage), "set/file.bin")
    assert len(URL(url, encoded=True).query["temp_url_sig"]) == 40
    assert await get(url, "bytes=0-9") == (206, CONTENT[:10])


@pytest.mark.parametrize("path", ODD)
async def test_odd_names_are_signed_right(storage: Storage, swift: Swift, s3: S3, path: str) -> None:
    body = path.encode()
    if storage.kind == "s3":
        client = s3.client()
        client.put_object(Bucket=storage.bucket, Key=f"data/{path}", Body=body)
        client.close()
    else:
        assert swift.request("PUT", f"{storage.bucket}/data/{path}", data=body)[0] == 201
    async with redirecting(storage) as redirector:
        assert await get(await redirector.target(seed(storage), path)) == (200, body)
        proxied = await redirector.stream(seed(storage), path, None)
        assert b"".join([chunk async for chunk in proxied.body]) == body


async def test_the_proxy_passes_whole_files_and_ranges(storage: Storage) -> None:
    async with redirecting(replace(storage, mode="proxy")) as redirector:
        assert redirector.mode(seed(storage)) == "proxy"
        status, headers, body = await redirector.stream(seed(storage), "set/file.bin", None)
        assert (status, headers["Content-Length"]) == (200, str(len(CONTENT)))
        assert b"".join([chunk async for chunk in body]) == CONTENT
        status, headers, body = await redirector.stream(seed(storage), "set/file.bin", "bytes=10-19")
        assert (status, headers["Content-Range"]) == (206, f"bytes 10-19/{len(CONTENT)}")
        assert b"".join([chunk async for chunk in body]) == CONTENT[10:20]
        status, _, body = await redirector.stream(seed(storage), "set/file.bin", "bytes=-5")
        assert (status, b"".join([chunk async for chunk in body])) == (206, CONTENT[-5:])
        status, _, body = await redirector.stream(seed(storage), "set/file.bin", "bytes=9999999-")
        assert status == 416
        await body.aclose()


async def test_a_swift_store_without_temp_url_key_is_proxied_with_a_token(swift_storage: Storage) -> None:
    only_token = replace(swift_storage, temp_url_key="", endpoint="")
    async with redirecting(only_token) as redirector:
        assert redirector.mode(seed(only_token)) == "proxy"
        with pytest.raises(Refused, match="no TempURL key"):
            await redirector.target(seed(only_token), "set/file.bin")
        status, _, body = await redirector.stream(seed(only_token), "set/file.bin", "bytes=0-99")
        assert (status, b"".join([chunk async for chunk in body])) == (206, CONTENT[:100])


async def test_an_expired_token_is_replaced(swift_storage: Storage, swift: Swift) -> None:
    """The login is asked twice: the first token it gives is worth nothing."""
    tokens = iter(["expired", swift.token()])

    async def login(request: web.Request) -> web.Response:
        assert request.headers["X-Auth-Key"] == swift.key
        return web.Response(headers={"X-Auth-Token": next(tokens), "X-Storage-Url": swift.storage_url})

    async with serving(login) as base:
        storage = replace(swift_storage, mode="proxy", auth_url=f"{base}/auth", endpoint="")
        async with redirecting(storage) as redirector:
            streams = await redirector.stream(seed(storage), "set/file.bin", "bytes=0-9")
            assert b"".join([chunk async for chunk in streams.body]) == CONTENT[:10]


async def test_a_wrong_password_is_told_without_showing_it(swift_storage: Storage) -> None:
    storage = replace(swift_storage, mode="proxy", secret_key="hunter2", endpoint="")
    async with redirecting(storage) as redirector:
        with pytest.raises(Refused, match="refused the login") as caught:
            await redirector.stream(seed(storage), "set/file.bin", None)
    assert "hunter2" not in caught.value.diagnostics() + repr(storage)


async def test_a_file_that_is_not_there_is_not_found(storage: Storage) -> None:
    async with redirecting(storage) as redirector:
        with pytest.raises(NotFound, match="does not have this file"):
            await redirector.stream(seed(storage), "set/none.bin", None)


@asynccontextmanager
async def serving(handler: object) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("status", [302, 429, 500, 503])
async def test_a_failing_store_is_unreachable_and_its_words_are_not_passed_on(
    s3_storage: Storage, status: int
) -> None:
    async def fail(_: web.Request) -> web.Response:
        return web.Response(status=status, text="secret", headers={"Location": "http://127.0.0.1:1/"})

    async with serving(fail) as base, redirecting(replace(s3_storage, endpoint=base)) as redirector:
        with pytest.raises(Unreachable, match=str(status)):
            await redirector.stream(seed(s3_storage), "set/file.bin", None)


async def test_a_store_that_compresses_is_not_passed_on(s3_storage: Storage) -> None:
    async def compress(_: web.Request) -> web.Response:
        return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})

    async with serving(compress) as base, redirecting(replace(s3_storage, endpoint=base)) as redirector:
        with pytest.raises(Unreachable):
            await redirector.stream(seed(s3_storage), "set/file.bin", None)


async def test_a_store_that_breaks_off_is_not_taken_for_a_whole_file(s3_storage: Storage) -> None:
    async def truncate(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        await answer.write(b"x" * 10)
        assert request.transport is not None
        request.transport.close()
        return answer

    async with serving(truncate) as base, redirecting(replace(s3_storage, endpoint=base)) as redirector:
        _, _, body = await redirector.stream(seed(s3_storage), "set/file.bin", None)
        with pytest.raises(Unreachable, match="broke off"):
            [chunk async for chunk in body]
        await body.aclose()


@pytest.mark.parametrize(
    "bad", ["bytes=0-1,5-6", "bytes=", "bytes=a-b", "items=0-1", "bytes=-", "bytes=0-1\r\nX: y"]
)
async def test_strange_ranges_are_refused(s3_storage: Storage, bad: str) -> None:
    async with redirecting(s3_storage) as redirector:
        with pytest.raises(InvalidInput, match="range"):
            await redirector.stream(seed(s3_storage), "set/file.bin", bad)


@pytest.mark.parametrize(
    "path", ["", "/x", "../x", "a/../../x", "a//b", "a/./b", "a\nb", "a\x00b", "a/", "x\x85"]
)
async def test_paths_that_leave_the_place_or_break_lines_are_refused(path: str) -> None:
    async with redirecting(STORAGES[0]) as redirector:
        for web_seed in ("s3://b/data/", "https://example.org/data/"):
            with pytest.raises(InvalidInput):
                await redirector.target(web_seed, path)


async def test_a_key_longer_than_stores_allow_is_refused() -> None:
    async with redirecting(STORAGES[0]) as redirector:
        with pytest.raises(InvalidInput, match="1024 bytes"):
            await redirector.target("s3://b/data/", "/".join(["ü" * 100] * 6))


async def test_plain_web_seeds_give_themselves_quoted() -> None:
    async with redirecting() as redirector:
        url = await redirector.target("https://example.org/d/", "set/a b%20#?ü.txt")
        assert url == "https://example.org/d/set/a%20b%2520%23%3F%C3%BC.txt"
        assert redirector.mode("https://example.org/d/") == "redirect"
        with pytest.raises(InvalidInput):
            await redirector.stream("https://example.org/d/", "set/x", None)


STORAGES: Sequence[Storage] = (
    Storage(name="one", kind="s3", bucket="b", prefix="data", access_key="k", secret_key="s"),
    Storage(name="two", kind="s3", bucket="b", prefix="data/special/", access_key="k", secret_key="s"),
)


@pytest.mark.parametrize(
    ("web_seed", "served"),
    [
        ("s3://b/data/", True),
        ("s3://b/data/sub/", True),
        ("s3://b/database/", False),
        ("s3://b/dat/", False),
        ("s3://b/", False),
        ("s3://bb/data/", False),
        ("swift://b/data/", False),
        ("s3://b/data/../secret/", False),
        ("s3://b/data//x/", False),
        ("ftp://b/data/", False),
        ("s3://", False),
        ("", False),
    ],
)
async def test_only_configured_places_are_served(web_seed: str, served: bool) -> None:
    async with redirecting(*STORAGES) as redirector:
        if served:
            assert redirector.mode(web_seed) == "redirect"
        else:
            with pytest.raises((InvalidInput, NotFound)):
                redirector.mode(web_seed)


@given(st.text(max_size=40))
def test_a_place_is_read_as_it_is_printed_or_refused(text: str) -> None:
    for scheme in ("s3", "swift"):
        try:
            place = ObjectPlace.parse(f"{scheme}://{text}")
        except InvalidInput:
            continue
        assert ObjectPlace.parse(str(place)) == place
        assert str(place).rstrip("/") == f"{scheme}://{text}".rstrip("/")


async def test_the_most_special_storage_wins() -> None:
    special = replace(STORAGES[1], access_key="special")
    async with redirecting(STORAGES[0], special) as redirector:
        assert "special%2F" in await redirector.target("s3://b/data/special/", "x")
        assert "Credential=k%2F" in await redirector.target("s3://b/data/", "x")


async def test_urls_at_amazon_go_to_the_region_of_the_bucket() -> None:
    storage = replace(STORAGES[0], bucket="some-bucket", region="eu-west-1", expires_s=77)
    async with redirecting(storage) as redirector:
        url = URL(await redirector.target("s3://some-bucket/data/", "a b"), encoded=True)
    assert (url.host, url.raw_path) == ("some-bucket.s3.eu-west-1.amazonaws.com", "/data/a%20b")
    assert url.query["X-Amz-Expires"] == "77"
    assert "/eu-west-1/s3/" in url.query["X-Amz-Credential"]


def test_storages_that_cannot_work_are_refused_with_the_setting_named() -> None:
    with pytest.raises(UsageError, match="two storages"):
        Redirector([STORAGES[0], replace(STORAGES[0], name="again")])
    with pytest.raises(UsageError, match="two storages"):
        Redirector([STORAGES[0], replace(STORAGES[0], bucket="other")])
    with pytest.raises(UsageError, match="expires_s"):
        replace(STORAGES[0], expires_s=10**9)
    with pytest.raises(UsageError, match="log in nor sign"):
        Storage(name="x", kind="swift", bucket="c")
    with pytest.raises(UsageError, match="mode"):
        replace(STORAGES[0], mode="sideways")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not a web seed"):
        replace(STORAGES[0], bucket="a/b?c")
    for setting, value in (("expires_s", "60"), ("prefix", 7), ("application_credential", "no")):
        with pytest.raises(UsageError, match=f"{setting} must be"):
            replace(STORAGES[0], **{setting: value})  # type: ignore[arg-type]


def test_secrets_are_not_shown() -> None:
    shown = repr(replace(STORAGES[0], secret_key="hunter2", temp_url_key="hunter3"))
    assert "hunter" not in shown
