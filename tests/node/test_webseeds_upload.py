"""Uploading datasets to a real Swift and its S3 API, and finding them there again."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from seedkeep.core.errors import (
    Error,
    InvalidInput,
    NotFound,
    Refused,
    Unreachable,
    UsageError,
    VerificationFailed,
)
from seedkeep.core.swift_auth import Credentials
from seedkeep.core.web_seed import ObjectPlace
from seedkeep.webseeds.probe import probe
from seedkeep.webseeds.s3 import S3Store
from seedkeep.webseeds.swift import SwiftStore
from seedkeep.webseeds.upload import Store, UploadProgress, upload, upload_to
from seedkeep_registrar.web_seeds.redirector import Redirector
from seedkeep_registrar.web_seeds.storage import Storage
from tests.support.datasets import Dataset, dataset_of
from tests.support.s3 import S3
from tests.support.swift import Swift

MIB = 1 << 20
_random = random.Random(11)
ODD = dataset_of(
    "odd names",
    {
        path: _random.randbytes(size)
        for path, size in {
            "plain.txt": 100,
            "with space.txt": 1,
            "100%.txt": 20_000,
            "%41.txt": 2,
            "hash#tag.txt": 3,
            "what?.txt": 4,
            "a+b.txt": 5,
            "übung-é-中.txt": 6,
            'it\'s "quoted".txt': 7,
            "semi;colon=&.txt": 8,
            "empty": 0,
            "sub/deeper/~x.bin": 300_000,
        }.items()
    },
)
LARGE = dataset_of("large", {"big.bin": _random.randbytes(12 * MIB + 5), "small.txt": b"small"})
PART = 5 * MIB


class Place:
    """A private place of one kind: makes stores for it, and looks into it as its owner."""

    def __init__(self, kind: str, container: str, swift: Swift, s3: S3) -> None:
        self.kind, self.container, self.swift, self.s3 = kind, container, swift, s3
        self.target = f"{kind}://{container}/some/prefix"
        self.web_seed = f"{self.target}/"

    def store(self, *, url: str = "", key: str = "testing") -> Store:
        place = ObjectPlace.parse(self.target)
        if self.kind == "s3":
            names = {"aws_access_key_id": self.s3.access_key, "aws_secret_access_key": key}
            names["region_name"] = self.s3.region
            return S3Store(place, endpoint=url or self.s3.endpoint, credentials=names, part_bytes=PART)
        auth = f"{url}/auth/v1.0" if url else self.swift.auth_url
        return SwiftStore(place, Credentials(1, auth, self.swift.user, key), segment_bytes=PART)

    async def send(self, data: Dataset, root: Path, **options: Any) -> str:
        store = options.pop("store", None) or self.store()
        return await upload_to(store, ObjectPlace.parse(self.target), root, data.manifest, **options)

    def read(self, path: str) -> bytes:
        key = f"some/prefix/{path}"
        if self.kind == "s3":
            client = self.s3.client()
            body: bytes = client.get_object(Bucket=self.container, Key=key)["Body"].read()
            client.close()
            return body
        status, _, body = self.swift.request("GET", f"{self.container}/{key}")
        assert status == 200, (key, status)
        return body

    def objects(self) -> list[str]:
        return [n for n in self.swift.names(self.container) if ".seedkeep-segments" not in n]

    def pieces(self) -> dict[str, str]:
        """Parts and segments that are stored, with the moment of writing."""
        container = f"{self.container}+segments" if self.kind == "s3" else self.container
        status, _, body = self.swift.request("GET", container, headers={"Accept": "application/json"})
        if status == 404:
            return {}
        rows = json.loads(body or b"[]")
        return {r["name"]: r["last_modified"] for r in rows if self.kind == "s3" or "-segments/" in r["name"]}


@pytest.fixture(params=["s3", "swift"])
def place(request: pytest.FixtureRequest, swift: Swift, s3: S3) -> Place:
    """A fresh private bucket or container."""
    container = f"u{secrets.token_hex(6)}"
    swift.make_container(container)
    return Place(request.param, container, swift, s3)


@pytest.fixture
def swift_place(swift: Swift, s3: S3) -> Place:
    """A fresh private container."""
    container = f"u{secrets.token_hex(6)}"
    swift.make_container(container)
    return Place("swift", container, swift, s3)


async def test_every_file_arrives_byte_for_byte_under_its_name(place: Place, tmp_path: Path) -> None:
    root = ODD.write(tmp_path)
    assert await place.send(ODD, root) == place.web_seed
    for path, data in ODD.content.items():
        assert place.read(f"odd names/{path}") == data, path
    assert len(place.objects()) == len(ODD.content)


async def test_a_single_file_lies_at_its_name(place: Place, tmp_path: Path) -> None:
    data = dataset_of("alone.bin", {"alone.bin": b"alone" * 9999})
    await place.send(data, data.write(tmp_path))
    assert place.objects() == ["some/prefix/alone.bin"]
    assert place.read("alone.bin") == b"alone" * 9999


async def test_a_large_file_is_sent_in_pieces_and_reads_as_one(place: Place, tmp_path: Path) -> None:
    await place.send(LARGE, LARGE.write(tmp_path))
    assert len([n for n in place.pieces() if n.rpartition("/")[2].isdigit()]) >= 3
    assert place.read("large/big.bin") == LARGE.content["big.bin"]


async def test_credentials_come_from_the_environment(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in place.s3.environment().items():
        monkeypatch.setenv(name, value)
    for name, value in zip(
        ("ST_AUTH", "ST_USER", "ST_KEY"), (place.swift.auth_url, "test:tester", "testing"), strict=True
    ):
        monkeypatch.setenv(name, value)
    assert await upload(place.target, ODD.write(tmp_path), ODD.manifest) == place.web_seed
    assert len(place.objects()) == len(ODD.content)


async def test_a_container_is_made_when_it_is_not_there(swift: Swift, s3: S3, tmp_path: Path) -> None:
    place = Place("swift", f"u{secrets.token_hex(6)}", swift, s3)
    await place.send(ODD, ODD.write(tmp_path))
    assert len(place.objects()) == len(ODD.content)


async def test_a_place_that_anyone_can_read_is_recorded_by_its_url(
    swift_place: Place, swift: Swift, tmp_path: Path
) -> None:
    swift.request("POST", swift_place.container, headers={"X-Container-Read": ".r:*"})
    for data in (ODD, LARGE):
        url = await swift_place.send(data, data.write(tmp_path))
        assert url == f"{swift.storage_url}/{swift_place.container}/some/prefix/"
        async with aiohttp.ClientSession() as session:
            options: dict[str, Any] = {"samples": 20, "allow_private": True}
            verdict = await probe(session, url, data.manifest, data.layers, **options)
        assert verdict.ok, verdict.reason


async def test_a_public_url_of_its_own_is_used_when_it_works(place: Place, tmp_path: Path) -> None:
    root = ODD.write(tmp_path)
    public = f"{place.swift.storage_url}/{place.container}/some/prefix/"
    with pytest.raises(Refused, match=r"cannot be read as a web seed: it answers 401"):
        await place.send(ODD, root, public_url=public)
    place.swift.request("POST", place.container, headers={"X-Container-Read": ".r:*"})
    assert await place.send(ODD, root, public_url=public) == public


async def test_what_is_there_is_not_sent_again(place: Place, tmp_path: Path) -> None:
    root = ODD.write(tmp_path)
    await place.send(ODD, root)
    before = [
        place.swift.request("HEAD", f"{place.container}/{n}")[1]["x-timestamp"] for n in place.objects()
    ]
    place.swift.request("PUT", f"{place.container}/some/prefix/odd names/plain.txt", data=b"x" * 100)
    await place.send(ODD, root)
    names = place.objects()
    after = [place.swift.request("HEAD", f"{place.container}/{n}")[1]["x-timestamp"] for n in names]
    changed = [name for name, old, new in zip(names, before, after, strict=True) if old != new]
    assert changed == ["some/prefix/odd names/plain.txt"]
    assert place.read("odd names/plain.txt") == ODD.content["plain.txt"]


async def interrupt(place: Place, root: Path, data: Dataset, after_bytes: int) -> None:
    def stop(progress: UploadProgress) -> None:
        if progress.path == "big.bin" and progress.bytes_done >= after_bytes:
            task.cancel()

    task = asyncio.create_task(place.send(data, root, progress=stop))
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_interrupted_large_file_goes_on_where_it_was(place: Place, tmp_path: Path) -> None:
    root = LARGE.write(tmp_path)
    await interrupt(place, root, LARGE, PART + MIB)
    there = {n: moment for n, moment in place.pieces().items() if n.rpartition("/")[2].isdigit()}
    assert "some/prefix/large/big.bin" not in place.objects()
    assert there
    await place.send(LARGE, root)
    after = place.pieces()
    assert {name: after.get(name) for name in there} == there
    assert len({n.rpartition("/")[0] for n in after if n.rpartition("/")[2].isdigit()}) == 1
    assert len(after) >= 3
    assert place.read("large/big.bin") == LARGE.content["big.bin"]


async def test_other_content_of_the_same_name_is_not_mixed_in(place: Place, tmp_path: Path) -> None:
    """The unfinished upload has a part in common with the new file, but not the rest."""
    root = LARGE.write(tmp_path)
    await interrupt(place, root, LARGE, PART + MIB)
    big = LARGE.content["big.bin"]
    other = dataset_of("large", {"big.bin": big[:PART] + bytes(7 * MIB + 5), "small.txt": b"small"})
    await place.send(other, other.write(tmp_path))
    assert place.read("large/big.bin") == other.content["big.bin"]
    store = place.store()
    async with store:
        await store.prepare()
        assert await store.has("some/prefix/large/big.bin", other.manifest.files[0])


@pytest.mark.parametrize("path", ["big.bin", "small.txt"])
@pytest.mark.parametrize("change", ["a byte", "shorter", "longer", "gone", "a directory"])
async def test_a_file_that_has_changed_is_named_and_not_published(
    place: Place, tmp_path: Path, path: str, change: str
) -> None:
    file = LARGE.write(tmp_path) / path
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    if change in ("gone", "a directory"):
        file.unlink()
    if change == "a directory":
        file.mkdir()
    if change in ("a byte", "shorter", "longer"):
        file.write_bytes({"a byte": data, "shorter": data[:-1], "longer": data + b"x"}[change])
    with pytest.raises(VerificationFailed, match=f"{path} has changed"):
        await place.send(LARGE, tmp_path / "large")
    assert f"some/prefix/large/{path}" not in place.objects()
    if path == "big.bin":
        assert place.pieces() == {}


async def test_a_file_cut_while_it_is_sent_is_named(swift_place: Place, tmp_path: Path) -> None:
    data = dataset_of("cut", {"file.bin": bytes(4 * MIB), "other": b"1"})
    root = data.write(tmp_path)

    def cut(progress: UploadProgress) -> None:
        if progress.path == "file.bin":
            os.truncate(root / "file.bin", 10)

    with pytest.raises(VerificationFailed, match=r"file\.bin has changed"):
        await swift_place.send(data, root, progress=cut)
    assert "some/prefix/cut/file.bin" not in swift_place.objects()


async def test_an_unreadable_file_is_named(place: Place, tmp_path: Path) -> None:
    root = LARGE.write(tmp_path)
    (root / "small.txt").unlink()
    (root / "small.txt").symlink_to("big.bin")
    with pytest.raises(Error, match=r"small\.txt cannot be read"):
        await place.send(LARGE, root)


async def test_what_a_node_has_uploaded_a_registrar_serves(place: Place, tmp_path: Path) -> None:
    """The read crosses from one part or segment into the next."""
    web_seed = await place.send(LARGE, LARGE.write(tmp_path))
    place.swift.set_temp_url_key("key")
    s3 = place.kind == "s3"
    storage = Storage(
        name="lab",
        kind="s3" if s3 else "swift",
        bucket=place.container,
        endpoint=place.s3.endpoint if s3 else place.swift.storage_url,
        region=place.s3.region,
        access_key=place.s3.access_key,
        secret_key=place.s3.secret_key,
        temp_url_key="key",
    )
    redirector = Redirector([storage])
    try:
        url = await redirector.target(web_seed, "large/big.bin")
    finally:
        await redirector.close()
    headers = {"Range": f"bytes={PART - 10}-{PART + 9}"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(URL(url, encoded=True), headers=headers) as answer,
    ):
        assert answer.status == 206
        assert await answer.read() == LARGE.content["big.bin"][PART - 10 : PART + 10]


async def test_public_urls_at_amazon_name_bucket_and_region() -> None:
    names = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": "eu-west-1"}
    async with S3Store(ObjectPlace.parse("s3://some-bucket/pré%fix"), credentials=names) as store:
        url = await store.public_url()
    assert url == "https://some-bucket.s3.eu-west-1.amazonaws.com/pr%C3%A9%25fix/"


async def test_progress_counts_up_to_everything(place: Place, tmp_path: Path) -> None:
    root = LARGE.write(tmp_path)
    for _ in range(2):
        seen: list[UploadProgress] = []
        await place.send(LARGE, root, progress=seen.append)
        assert [p.bytes_done for p in seen] == sorted(p.bytes_done for p in seen)
        last = seen[-1]
        assert (
            (last.bytes_done, last.files_done)
            == (last.bytes_total, last.files_total)
            == (LARGE.manifest.bytes, 2)
        )


async def test_wrong_keys_are_refused_without_showing_them(place: Place, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        await place.send(ODD, ODD.write(tmp_path), store=place.store(key="hunter2"))
    assert "hunter2" not in caught.value.diagnostics()


async def test_a_missing_bucket_is_named(s3: S3, swift: Swift, tmp_path: Path) -> None:
    place = Place("s3", "nosuchbucket", swift, s3)
    with pytest.raises(NotFound, match="nosuchbucket"):
        await place.send(ODD, ODD.write(tmp_path))


async def test_missing_credentials_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "ST_", "OS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    root = ODD.write(tmp_path)
    with pytest.raises(UsageError, match="no credentials for S3"):
        await upload("s3://bucket/prefix", root, ODD.manifest)
    with pytest.raises(UsageError, match="no credentials for Swift"):
        await upload("swift://container/prefix", root, ODD.manifest)
    with pytest.raises(UsageError, match="ST_USER and ST_KEY"):
        await upload(
            "swift://container/prefix", root, ODD.manifest, environ={"ST_AUTH": "http://127.0.0.1:9"}
        )


@pytest.mark.parametrize(
    "target", ["ftp://x/y", "s3://", "s3://b/a b", "swift://c/../d", "s3://b/x?y", "b/x"]
)
async def test_an_impossible_target_is_refused(target: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        await upload(target, ODD.write(tmp_path), ODD.manifest)


async def test_a_name_longer_than_stores_allow_is_refused_before_anything_is_sent(
    place: Place, tmp_path: Path
) -> None:
    data = dataset_of("deep", {"/".join(["x" * 200] * 6): b"1", "a": b"2"})
    with pytest.raises(InvalidInput, match="1024 bytes"):
        await place.send(data, tmp_path)
    assert place.objects() == []


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_store_that_stumbles_is_asked_again(
    swift_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request fails once: the first write by a broken connection, the others by 503."""
    monkeypatch.setattr("seedkeep.webseeds.swift._FIRST_PAUSE_S", 0.01)
    seen: set[str] = set()
    swift = swift_place.swift

    async def stumble(request: web.Request) -> web.Response:
        body = await request.read()
        if (what := request.method + request.path_qs) not in seen:
            broken = request.method == "PUT" and not any(s.startswith("PUT") for s in seen)
            seen.add(what)
            if broken and request.transport is not None:
                request.transport.close()
            return web.Response(status=503)
        headers = {k: v for k, v in request.headers.items() if k not in ("Host", "Content-Length")}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, swift.url + request.path_qs, headers=headers, data=body
            ) as answer,
        ):
            passed = {k: v for k, v in answer.headers.items() if k.startswith(("X-", "Etag"))}
            if "X-Storage-Url" in passed:
                passed["X-Storage-Url"] = passed["X-Storage-Url"].replace(swift.url, f"http://{request.host}")
            return web.Response(status=answer.status, headers=passed, body=await answer.read())

    async with serving(stumble) as url:
        # a login that fails is not a stumble of the store
        seen.add("GET/auth/v1.0")
        await swift_place.send(LARGE, LARGE.write(tmp_path), store=swift_place.store(url=url))
    assert swift_place.read("large/big.bin") == LARGE.content["big.bin"]


async def test_a_token_that_expires_is_replaced(swift_place: Place, tmp_path: Path) -> None:
    swift = swift_place.swift
    tokens = iter(["expired", swift.token()])

    async def login(_: web.Request) -> web.Response:
        return web.Response(headers={"X-Auth-Token": next(tokens), "X-Storage-Url": swift.storage_url})

    async with serving(login) as url:
        await swift_place.send(ODD, ODD.write(tmp_path), store=swift_place.store(url=url))
    assert len(swift_place.objects()) == len(ODD.content)


async def test_a_store_that_is_down_is_unreachable(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seedkeep.webseeds.swift._FIRST_PAUSE_S", 0.01)
    with pytest.raises(Unreachable, match=place.container):
        await place.send(ODD, ODD.write(tmp_path), store=place.store(url="http://127.0.0.1:1"))


async def test_a_keystone_login_finds_the_object_store(swift_place: Place, tmp_path: Path) -> None:
    """Keystone's answers, with a real token and the real store in its catalog."""
    swift = swift_place.swift
    asked: list[Any] = []

    async def keystone(request: web.Request) -> web.Response:
        assert (request.method, request.path) == ("POST", "/identity/v3/auth/tokens")
        asked.append((await request.json())["auth"])
        elsewhere = {"interface": "public", "region": "other", "url": "http://127.0.0.1:1"}
        inside = {"interface": "internal", "region": "here", "url": "http://127.0.0.1:1"}
        here = {"interface": "public", "region": "here", "url": swift.storage_url}
        catalog = [
            {"type": "compute", "endpoints": [here]},
            {"type": "object-store", "endpoints": [elsewhere, inside, here]},
        ]
        return web.json_response(
            {"token": {"catalog": catalog}}, status=201, headers={"X-Subject-Token": swift.token()}
        )

    root = ODD.write(tmp_path)
    async with serving(keystone) as url:
        common = {"OS_AUTH_URL": f"{url}/identity", "OS_REGION_NAME": "here", "OS_INTERFACE": "publicURL"}
        password = {"OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_PROJECT_NAME": "lab"}
        application = {"OS_APPLICATION_CREDENTIAL_ID": "i", "OS_APPLICATION_CREDENTIAL_SECRET": "s"}
        for more in (password, application):
            web_seed = await upload(swift_place.target, root, ODD.manifest, environ={**common, **more})
            assert web_seed == swift_place.web_seed
        environ = {**common, **password, "OS_REGION_NAME": "moon"}
        with pytest.raises(InvalidInput, match="no public object store in region moon"):
            await upload(swift_place.target, root, ODD.manifest, environ=environ)
    assert asked[0]["scope"]["project"] == {"name": "lab", "domain": {"name": "Default"}}
    assert asked[0]["identity"]["password"]["user"]["password"] == "p"
    assert asked[1]["identity"]["application_credential"] == {"id": "i", "secret": "s"}
    assert len(swift_place.objects()) == len(ODD.content)
