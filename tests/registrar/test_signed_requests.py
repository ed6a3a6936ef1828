"""Who sent a request: signatures, clocks, digests and nonces, through HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from pathlib import Path

import pytest

from seedkeep_registrar.store import nonces
from tests.support.registrar import RegistrarUnderTest, new_key, registrar_with, shareable

BODY = b'{"content_id":"' + b"0" * 64 + b'"}'
PATH = "/api/v1/claims"


async def test_a_request_is_taken_once(any_registrar: RegistrarUnderTest) -> None:
    person = any_registrar.person()
    headers = person.signature("POST", PATH, BODY)
    first = await person.send("POST", PATH, BODY, headers=headers)
    again = await person.send("POST", PATH, BODY, headers=headers)
    assert first.status == 404
    assert (again.status, again.json["code"]) == (401, "unauthenticated")
    assert "sent before" in again.json["detail"]


async def test_a_request_is_not_taken_again_after_a_restart(tmp_path: Path, database_url: str) -> None:
    key = new_key()
    async with registrar_with(tmp_path, database_url) as registrar:
        person = registrar.person(key)
        port = registrar.url.rpartition(":")[2]
        headers = person.signature("POST", PATH, BODY)
        assert (await person.send("POST", PATH, BODY, headers=headers)).status == 404
    async with registrar_with(tmp_path, database_url, listen=f"127.0.0.1:{port}") as registrar:
        answer = await registrar.person(key).send("POST", PATH, BODY, headers=headers)
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")


async def test_nonces_are_forgotten_only_when_their_requests_have_expired(
    registrar: RegistrarUnderTest,
) -> None:
    person = registrar.person()
    await person.send("POST", PATH, BODY)
    db, now = registrar.context.db, registrar.clock()
    assert await db.write(nonces.purge, now + 599) == 0
    assert await db.write(nonces.purge, now + 602) == 1


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_clock_ten_minutes_off_is_told(registrar: RegistrarUnderTest, minutes: int) -> None:
    person = registrar.person()
    person.clock.offset = minutes * 60
    answer = await person.post(PATH, {"content_id": "0" * 64})
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert "clock" in answer.json["detail"]
    assert "10 min" in answer.json["detail"]
    assert "NTP" in answer.json["hint"]


@pytest.mark.parametrize("minutes", [-4, 4])
async def test_a_clock_a_little_off_is_survived(registrar: RegistrarUnderTest, minutes: int) -> None:
    person = registrar.person()
    person.clock.offset = minutes * 60
    await person.register(shareable())


async def test_an_unsigned_request_is_refused(registrar: RegistrarUnderTest) -> None:
    person = registrar.person()
    for method, path in (
        ("POST", "/api/v1/events"),
        ("POST", "/api/v1/nodes"),
        ("POST", "/api/v1/heartbeat"),
        ("POST", "/api/v1/claims"),
        ("POST", f"/api/v1/claims/{'0' * 64}/release"),
        ("POST", "/api/v1/attestations"),
        ("POST", "/api/v1/audits/x/commit"),
        ("POST", "/api/v1/audits/x/open"),
        ("POST", "/api/v1/receipts"),
        ("POST", "/api/v1/web-seed-reports"),
        ("POST", "/api/v1/taints"),
        ("POST", f"/api/v1/taints/{'0' * 64}/lift"),
        ("PUT", f"/api/v1/objects/{hashlib.sha256(BODY).hexdigest()}"),
    ):
        answer = await person.send(method, path, BODY, headers={})
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated"), path


async def test_a_signature_holds_for_its_method_url_and_body_only(registrar: RegistrarUnderTest) -> None:
    person, other = registrar.person(), b'{"content_id":"' + b"1" * 64 + b'"}'
    digest = hashlib.sha256(BODY).hexdigest()
    for headers in (
        person.signature("PUT", PATH, BODY),
        person.signature("POST", PATH + "?x=1", BODY),
        person.signature("POST", "/api/v1/nodes", BODY),
        person.signature("POST", PATH, other),
        {
            **person.signature("POST", PATH, other),
            "Content-Digest": person.signature("POST", PATH, BODY)["Content-Digest"],
        },
        person.signature("POST", PATH, BODY, nonce="short"),
    ):
        answer = await person.send("POST", PATH, BODY, headers=headers)
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated"), headers
    assert (
        await person.send("POST", PATH, BODY, headers=person.signature("POST", PATH, BODY, sha256=digest))
    ).status == 404


async def test_a_request_for_another_registrar_is_refused(registrar: RegistrarUnderTest) -> None:
    person = registrar.person()
    real, person.url = person.url, "http://elsewhere.org"
    headers = person.signature("POST", PATH, BODY)
    person.url = real
    assert (await person.send("POST", PATH, BODY, headers=headers)).status == 401


async def test_doubled_signature_headers_are_refused(registrar: RegistrarUnderTest) -> None:
    person = registrar.person()
    headers = list(person.signature("POST", PATH, BODY).items())
    twice = [*headers, *((k, v) for k, v in headers if k.lower() == "content-digest")]
    async with person.session.post(registrar.url + PATH, data=BODY, headers=twice) as answer:
        assert answer.status == 401


async def test_a_packed_body_is_refused_and_never_unpacked(registrar: RegistrarUnderTest) -> None:
    person, bomb = registrar.person(), zlib.compress(bytes(200 * 2**20), 9)
    loop, longest = asyncio.get_running_loop(), 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)

    watching = asyncio.create_task(watch())
    for method, path in (("POST", "/api/v1/heartbeat"), ("PUT", f"/api/v1/objects/{'ab' * 32}")):
        for _ in range(3):
            headers = {**person.signature(method, path, bomb), "Content-Encoding": "deflate"}
            answer = await person.send(method, path, bomb, headers=headers)
            assert (answer.status, answer.json["code"]) == (400, "invalid_input")
            assert "content encoding" in answer.json["detail"]
    watching.cancel()
    assert longest < 0.3


async def test_two_people_may_use_the_same_nonce(registrar: RegistrarUnderTest) -> None:
    for person in (registrar.person(), registrar.person()):
        headers = person.signature("POST", PATH, BODY, nonce="n" * 20)
        assert (await person.send("POST", PATH, BODY, headers=headers)).status == 404
