"""Everything that must not be registered, with what the sharer is told."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seedkeep.core import jcs
from seedkeep.core.manifest import Manifest
from tests.support.registrar import (
    Answer,
    Person,
    RegistrarUnderTest,
    Shareable,
    new_key,
    registrar_with,
    shareable,
    utc,
)


@pytest.fixture
def what() -> Shareable:
    return shareable()


async def send(person: Person, fields: dict[str, Any], **event: Any) -> Answer:
    """Sign and send a record body given as JSON."""
    body = jcs.dumps(fields)
    return await person.submit(person.event(body, **event), body)


def told(answer: Answer, status: int, code: str, words: str) -> None:
    assert (answer.status, answer.json["code"]) == (status, code), answer
    assert words in answer.json["detail"], answer


async def nothing_recorded(person: Person) -> None:
    assert (await person.get("/api/v1/records")).json["records"] == []


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "other", "name"),
        ("files", 2, "number of files"),
        ("bytes", 1, "size"),
        ("piece_length", 65536, "piece length"),
        ("content_id", "ab" * 32, "content id"),
        ("infohash_v1", "ab" * 20, "v1 info-hash"),
    ],
)
async def test_a_record_that_contradicts_its_manifest(
    any_registrar: RegistrarUnderTest, what: Shareable, field: str, value: Any, words: str
) -> None:
    sharer = any_registrar.person()
    await sharer.upload(what)
    fields = json.loads(what.body().encode())
    fields["dataset"][field] = value
    told(await send(sharer, fields), 400, "invalid_input", words)
    await nothing_recorded(sharer)


async def test_a_manifest_with_other_roots_than_the_content_id(
    registrar: RegistrarUnderTest, what: Shareable
) -> None:
    sharer, m = registrar.person(), what.data.manifest
    forged = Manifest(
        m.name, m.piece_length, tuple(replace(f, root="ab" * 32) if f.size else f for f in m.files)
    )
    lie = Shareable(replace(what.data, manifest=forged), what.pieces_v1)
    await sharer.upload(lie)
    body = lie.body(dataset=replace(lie.dataset(), content_id=m.content_id())).encode()
    told(await sharer.submit(sharer.event(body), body), 400, "invalid_input", "content id")


@pytest.mark.parametrize("cut", [0, 32, -32])
async def test_layers_that_do_not_give_the_roots(
    registrar: RegistrarUnderTest, what: Shareable, cut: int
) -> None:
    sharer, layers = registrar.person(), what.data.layers
    wrong = (
        layers[:-1] + bytes([layers[-1] ^ 1])
        if cut == 0
        else layers[:cut]
        if cut < 0
        else layers + bytes(cut)
    )
    lie = Shareable(replace(what.data, layers=wrong), what.pieces_v1)
    await sharer.upload(lie)
    body = lie.body().encode()
    told(await sharer.submit(sharer.event(body), body), 400, "invalid_input", "layer")
    await nothing_recorded(sharer)


async def test_pieces_that_do_not_fit_the_files(registrar: RegistrarUnderTest, what: Shareable) -> None:
    sharer = registrar.person()
    lie = Shareable(what.data, what.pieces_v1[:-20])
    body = what.body().encode()
    fields = json.loads(body)
    fields["dataset"]["pieces_v1"] = hashlib.sha256(lie.pieces_v1).hexdigest()
    await sharer.upload(lie)
    assert (await send(sharer, fields)).status == 400
    await nothing_recorded(sharer)


@pytest.mark.parametrize("missing", ["manifest", "piece layers", "v1 pieces"])
async def test_an_object_that_was_not_uploaded(
    any_registrar: RegistrarUnderTest, what: Shareable, missing: str
) -> None:
    sharer, body = any_registrar.person(), what.body().encode()
    d = what.dataset()
    left_out = {"manifest": d.manifest, "piece layers": d.piece_layers, "v1 pieces": d.pieces_v1}[missing]
    for sha256, data in what.objects.items():
        if sha256 != left_out:
            await sharer.send("PUT", f"/api/v1/objects/{sha256}", data)
    event = sharer.event(body)
    told(await sharer.submit(event, body), 409, "conflict", missing)
    await sharer.upload(what)
    assert (await sharer.submit(event, body)).status == 201


async def test_a_manifest_that_is_none(registrar: RegistrarUnderTest, what: Shareable) -> None:
    sharer = registrar.person()
    for junk in (b"", b"{}\n", b"\xff\xfe", what.data.manifest.encode()[:-10], b"x" * 100_000):
        sha256 = hashlib.sha256(junk).hexdigest()
        await sharer.send("PUT", f"/api/v1/objects/{sha256}", junk)
        await sharer.upload(what)
        fields = json.loads(what.body().encode())
        fields["dataset"]["manifest"] = sha256
        answer = await send(sharer, fields)
        assert (answer.status, answer.json["code"]) == (400, "invalid_input")
    await nothing_recorded(sharer)


async def test_an_event_with_a_bad_signature(registrar: RegistrarUnderTest, what: Shareable) -> None:
    sharer = registrar.person()
    await sharer.upload(what)
    body = what.body().encode()
    event = sharer.event(body)
    for forged in (
        replace(event, sig=sharer.event(body, created="2020-01-01T00:00:00Z").sig),
        replace(event, sig="AAAA"),
        replace(event, created=utc(sharer.clock() - 1)),
    ):
        answer = await sharer.submit(forged, body)
        told(answer, 400, "invalid_input", "signature")
    await nothing_recorded(sharer)


async def test_a_body_that_is_not_the_events(registrar: RegistrarUnderTest, what: Shareable) -> None:
    sharer = registrar.person()
    await sharer.upload(what)
    event = sharer.event(what.body().encode())
    told(await sharer.submit(event, what.body(copies=7).encode()), 400, "invalid_input", "digest")


async def test_an_event_of_another_key_than_the_requests(
    registrar: RegistrarUnderTest, what: Shareable
) -> None:
    sharer, thief = registrar.person(), registrar.person()
    await sharer.upload(what)
    body = what.body().encode()
    told(await thief.submit(sharer.event(body), body), 403, "refused", "another key")


async def test_an_event_addressed_to_another_registrar(
    registrar: RegistrarUnderTest, what: Shareable
) -> None:
    sharer = registrar.person()
    await sharer.upload(what)
    body = what.body().encode()
    told(await sharer.submit(sharer.event(body, home="elsewhere.org"), body), 403, "refused", "elsewhere.org")


@pytest.mark.parametrize(("offset", "words"), [(600, "future"), (-8 * 86400, "week")])
async def test_an_event_from_the_future_or_from_long_ago(
    registrar: RegistrarUnderTest, what: Shareable, offset: int, words: str
) -> None:
    sharer = registrar.person()
    await sharer.upload(what)
    body = what.body().encode()
    event = sharer.event(body, created=utc(sharer.clock() + offset))
    told(await sharer.submit(event, body), 403, "refused", words)


@pytest.mark.parametrize(
    "change",
    [
        {"copies": -1},
        {"copies": 1000},
        {"license": "not a licence"},
        {"web_seeds": ["ftp://example.org/"]},
        {"web_seeds": ["https://example.org/?key=secret"]},
        {"web_seeds": ["https://a.org/"] * 17},
        {"metadata": {"title": 7}},
        {"metadata": {"title": "x" * 1001}},
        {"metadata": {"colour": "red"}},
        {"v": 2},
        {"surprise": 1},
    ],
)
async def test_a_malformed_record(
    registrar: RegistrarUnderTest, what: Shareable, change: dict[str, Any]
) -> None:
    sharer = registrar.person()
    await sharer.upload(what)
    fields = {**json.loads(what.body().encode()), **change}
    assert (await send(sharer, fields)).status == 400
    await nothing_recorded(sharer)


async def test_messages_that_are_no_event(registrar: RegistrarUnderTest) -> None:
    sharer = registrar.person()
    for junk in (
        b"",
        b"[]",
        b"{",
        b'{"event":1,"body":2}',
        b'{"event":{},"body":{}}',
        b'{"a":1,"a":2}',
        b"\xff",
    ):
        answer = await sharer.send("POST", "/api/v1/events", junk)
        assert (answer.status, answer.json["code"]) == (400, "invalid_input"), junk
    deep = b"[" * 100_000
    assert (await sharer.send("POST", "/api/v1/events", deep)).status == 400
    assert (await sharer.send("POST", "/api/v1/events", b" " * 600_000)).status == 413


async def test_an_oversized_body(registrar: RegistrarUnderTest, what: Shareable) -> None:
    sharer = registrar.person()
    await sharer.upload(what)
    fields = json.loads(what.body().encode())
    fields["metadata"]["creators"] = ["x" * 400] * 700
    answer = await send(sharer, fields)
    assert (answer.status, answer.json["code"]) == (413, "too_large")


async def test_a_record_begins_a_chain_of_its_own(registrar: RegistrarUnderTest, what: Shareable) -> None:
    sharer = registrar.person()
    await sharer.register(what)
    body = what.body().encode()
    first = sharer.event(body)
    second = sharer.event(body, after=first)
    told(await sharer.submit(second, body), 400, "invalid_input", "chain of its own")


async def test_strangers_cannot_register_where_only_members_may(tmp_path: Path, what: Shareable) -> None:
    member = new_key()
    async with registrar_with(tmp_path, registration="members", members=(str(member.public),)) as registrar:
        assert (await registrar.person().get("/.well-known/seedkeep")).json["registration"] == "members"
        stranger = registrar.person()
        for sha256, data in what.objects.items():
            assert (await stranger.send("PUT", f"/api/v1/objects/{sha256}", data)).status == 403
        await registrar.person(member).upload(what)
        body = what.body().encode()
        told(await stranger.submit(stranger.event(body), body), 403, "refused", "members")
        await registrar.person(member).register(what)
