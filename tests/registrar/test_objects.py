"""Objects: uploaded whole or not at all, served when a record names them, dropped when none does."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from seedkeep_registrar.database import Unavailable
from seedkeep_registrar.housekeeping import Housekeeping
from seedkeep_registrar.objects import ObjectStore
from tests.support.registrar import Answer, Person, RegistrarUnderTest, registrar_with, shareable


async def piecewise(data: bytes) -> AsyncIterator[bytes]:
    yield data


def name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 262_144, 262_145, 3_000_000])
async def test_an_object_is_taken_once_and_kept_whole(registrar: RegistrarUnderTest, size: int) -> None:
    person, data = registrar.person(), os.urandom(size)
    path = f"/api/v1/objects/{name_of(data)}"
    assert (await person.get(path, method="HEAD")).status == 404
    assert (await person.send("PUT", path, data)).status == 201
    assert (await person.send("PUT", path, data)).status == 200
    assert (await person.get(path, method="HEAD")).status == 200
    assert registrar.context.objects.read(name_of(data)) == data


async def test_named_objects_are_served_with_ranges_and_others_are_not(registrar: RegistrarUnderTest) -> None:
    person, what = registrar.person(), shareable()
    await person.upload(what)
    path = f"/api/v1/objects/{what.dataset().manifest}"
    assert (await person.get(path)).status == 404
    await person.register(what)
    whole = await person.get(path)
    assert whole.body == what.data.manifest.encode()
    assert "immutable" in whole.headers["Cache-Control"]
    part = await person.get(path, headers={"Range": "bytes=5-14"})
    assert (part.status, part.body) == (206, whole.body[5:15])


async def test_bytes_with_another_digest_are_refused(registrar: RegistrarUnderTest) -> None:
    person = registrar.person()
    path = f"/api/v1/objects/{name_of(b'right')}"
    headers = person.signature("PUT", path, b"right")
    answer = await person.send("PUT", path, b"wrong", headers=headers)
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")
    # signed for the body, but put under another name
    assert (await person.send("PUT", path, b"wrong")).status == 401
    assert (await person.get(path, method="HEAD")).status == 404
    assert (await person.send("PUT", "/api/v1/objects/xyz", b"x")).status == 400


async def test_an_object_over_the_limit_is_refused(tmp_path: Path) -> None:
    async with registrar_with(tmp_path, max_object_bytes=100_000) as registrar:
        person, data = registrar.person(), bytes(100_001)
        path = f"/api/v1/objects/{name_of(data)}"
        answer = await person.send("PUT", path, data)
        assert (answer.status, answer.json["code"]) == (413, "too_large")

        async def chunked() -> AsyncIterator[bytes]:
            for _ in range(11):
                yield bytes(10_000)

        headers = person.signature("PUT", path, data)
        async with person.session.put(registrar.url + path, data=chunked(), headers=headers) as told:
            assert told.status == 413
        fits = bytes(100_000)
        assert (await person.send("PUT", f"/api/v1/objects/{name_of(fits)}", fits)).status == 201


async def test_a_full_disk_is_told(tmp_path: Path) -> None:
    async with registrar_with(tmp_path, min_free_bytes=2**60) as registrar:
        answer = await registrar.person().send("PUT", f"/api/v1/objects/{name_of(b'x')}", b"x")
        assert (answer.status, answer.json["code"]) == (503, "unavailable")
        assert "full" in answer.json["detail"]


async def test_a_sender_who_falls_silent_is_dropped(tmp_path: Path) -> None:
    async with registrar_with(tmp_path, body_timeout_s=0.2) as registrar:
        person, data = registrar.person(), bytes(1000)
        path = f"/api/v1/objects/{name_of(data)}"
        headers = person.signature("PUT", path, data)
        head = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        host, port = registrar.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n{head}\r\nabc".encode())
        await writer.drain()
        async with asyncio.timeout(60):
            assert b" 408 " in await reader.readline()
        writer.close()
        assert (await person.get(path, method="HEAD")).status == 404


async def test_a_sender_who_breaks_off_leaves_nothing(registrar: RegistrarUnderTest) -> None:
    person, data = registrar.person(), os.urandom(1_000_000)
    path = f"/api/v1/objects/{name_of(data)}"

    async def broken() -> AsyncIterator[bytes]:
        yield data[:600_000]
        raise ConnectionResetError

    headers = person.signature("PUT", path, data)
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await person.session.put(registrar.url + path, data=broken(), headers=headers)
    assert (await person.send("PUT", path, data)).status == 201
    incoming = registrar.context.settings.data / "objects" / "incoming"
    async with asyncio.timeout(60):
        while any(incoming.iterdir()):
            await asyncio.sleep(0.01)


async def test_objects_that_no_record_names_are_dropped_after_a_day(
    any_registrar: RegistrarUnderTest,
) -> None:
    person, named, orphan = any_registrar.person(), shareable("named"), shareable("orphan")
    await person.register(named)
    await person.upload(orphan)
    objects, rubbish = any_registrar.context.objects, Housekeeping(any_registrar.context).drop_rubbish

    def there(what_objects: dict[str, bytes]) -> set[bool]:
        return {objects.size(sha256) is not None for sha256 in what_objects}

    any_registrar.clock.offset = 86_000
    await rubbish()
    assert (there(named.objects), there(orphan.objects)) == ({True}, {True})
    any_registrar.clock.offset = 86_500
    await rubbish()
    assert (there(named.objects), there(orphan.objects)) == ({True}, {False})


async def test_nobody_fills_the_disk_with_what_no_record_names(tmp_path: Path, database_url: str) -> None:
    settings = {"unnamed_bytes": 300_000, "max_object_bytes": 200_000, "trusted_proxies": ("127.0.0.1",)}
    async with registrar_with(tmp_path, database_url, **settings) as registrar:
        ann, far = registrar.person(), {"X-Forwarded-For": "192.0.2.7"}

        async def put(person: Person, data: bytes, sent: Any = None, **headers: str) -> Answer:
            path = f"/api/v1/objects/{name_of(data)}"
            signed = {**person.signature("PUT", path, data), **headers}
            url = registrar.url + path
            async with person.session.put(url, data=data if sent is None else sent, headers=signed) as answer:
                return Answer(answer.status, answer.headers, await answer.read())

        await ann.register(shareable("named"))  # costs nothing any more
        assert (await put(ann, os.urandom(200_000))).status == 201
        refused = await put(ann, os.urandom(150_000))
        assert (refused.status, refused.json["code"]) == (429, "too_many_requests")
        assert "no record names 2" in refused.json["detail"]
        assert int(refused.headers["Retry-After"]) > 0
        what = shareable("second")
        for data in what.objects.values():
            assert (await put(ann, data)).status == 201
        # fresh keys come from the same address
        seen = [(await put(registrar.person(), os.urandom(120_000), **far)).status for _ in range(4)]
        assert seen == [201, 201, 429, 429]
        # what was not taken costs nothing, and what came without its length costs what is there
        bob = registrar.person()
        assert (await put(bob, bytes(200_000), os.urandom(200_000))).status == 400
        for data in (os.urandom(100_000), os.urandom(100_000)):
            assert (await put(bob, data, piecewise(data))).status == 201
        registrar.clock.offset = 86_500
        ann.clock = registrar.clock
        await Housekeeping(registrar.context).drop_rubbish()
        assert (await put(ann, os.urandom(150_000))).status == 201


async def test_uploading_again_gives_an_orphan_another_day(registrar: RegistrarUnderTest) -> None:
    person, data = registrar.person(), b"orphan"
    path = f"/api/v1/objects/{name_of(data)}"
    await person.send("PUT", path, data)
    place = registrar.context.objects.path(name_of(data))
    os.utime(place, (0, 0))
    assert (await person.send("PUT", path, data)).status == 200
    await Housekeeping(registrar.context).drop_rubbish()
    assert (await person.get(path, method="HEAD")).status == 200


def test_what_a_crash_left_half_written_is_removed_at_the_start(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path, max_bytes=10, min_free_bytes=0)
    store.prepare()
    (tmp_path / "incoming" / "half").write_bytes(b"half")
    store.drop_unfinished()
    assert list((tmp_path / "incoming").iterdir()) == []


async def test_an_upload_stops_when_others_have_filled_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ObjectStore(tmp_path, max_bytes=10**9, min_free_bytes=1000)
    store.prepare()
    free = [5000]
    monkeypatch.setattr(
        "seedkeep_registrar.objects.shutil.disk_usage", lambda _: SimpleNamespace(free=free[0])
    )
    taken = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            free[0] -= 1000
            yield bytes(300_000)

    with pytest.raises(Unavailable):
        await store.put(name_of(b""), chunks())
    assert taken < 10
    assert list((tmp_path / "incoming").iterdir()) == []
