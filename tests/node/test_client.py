"""The registrar's client: it believes nothing it has not verified, and every fault has a name."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from seedkeep import registrar_http
from seedkeep.core.errors import (
    Conflict,
    Error,
    InvalidInput,
    NotFound,
    Refused,
    Unreachable,
    UsageError,
    VerificationFailed,
)
from seedkeep.core.events import sign_event
from seedkeep.core.httpsig import Unauthenticated
from seedkeep.core.notes import Verifier
from seedkeep.known import KnownRegistrars
from seedkeep.message_fields import utc
from seedkeep.record_document import Copies, Record
from seedkeep.registrar_client import RegistrarClient
from seedkeep.registrar_http import TaintedRecord, normal_url
from seedkeep.registrar_messages import Challenge, ClaimReport, Heartbeat, NodeProfile, RegistrarInfo, Report
from tests.support.registrar import RegistrarUnderTest, new_key, shareable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as one:
        yield one


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registrar_http, "_LONGEST_WAIT_S", 0.02)


def client_of(url: str, session: aiohttp.ClientSession, **more: Any) -> RegistrarClient:
    given: dict[str, Any] = {"key": new_key(), "session": session, "now": time.time, "pinned": None}
    return RegistrarClient(url, **{**given, **more})


@asynccontextmanager
async def impostor(handler: Handler) -> AsyncIterator[str]:
    """A server that answers everything with ``handler``."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def between(registrar: RegistrarUnderTest, bend: Callable[[str, Any], Any]) -> AsyncIterator[str]:
    """Somebody in between: passes everything on, and bends what comes back as JSON (a path, an object)."""

    async def pass_on(request: web.Request) -> web.StreamResponse:
        url = registrar.url + request.path_qs
        async with registrar.session.request(
            request.method, url, data=await request.read(), headers=dict(request.headers)
        ) as answer:
            body = await answer.read()
            if answer.content_type == "application/json":
                body = json.dumps(bend(request.path, json.loads(body))).encode()
            else:
                body = bend(request.path, body)
            return web.Response(status=answer.status, body=body, content_type=answer.content_type)

    async with impostor(pass_on) as url:
        yield url


async def test_a_share_registers_and_the_record_reads_back_verified(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession
) -> None:
    key, what = new_key(), shareable()
    client = client_of(registrar.url, session, key=key)
    for sha256, data in what.objects.items():
        assert await client.put_object(sha256, data)
        assert not await client.put_object(sha256, data), "what is there is not sent again"
    body = what.body().encode()
    home = (await client.info()).origin
    event = sign_event(key, type="record", body=body, home=home, created=utc(time.time()))
    made = await client.submit(event, body)
    again = await client.submit(event, body)
    assert again.rid == made.rid == event.hash()
    for name in (made.rid, made.content_id):
        found = await client.record(name)
        assert found.event == event
        assert found.body == what.body()
    manifest = await client.manifest(found)
    assert manifest == what.data.manifest
    assert await client.layers(found, manifest) == what.data.layers
    assert await client.pieces_v1(found) == what.pieces_v1
    assert found.copies.audited == 0
    assert [m.rid for m in await client.resolve(made.ark)] == [made.rid]
    assert await client.resolve("md5:" + "0" * 32) == []
    documents, _ = await client.records(limit=5)
    assert [d["rid"] for d in documents] == [made.rid]


async def test_an_object_streams_from_disk(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    what = shareable()
    client = client_of(registrar.url, session)
    for sha256, data in what.objects.items():
        (tmp_path / sha256).write_bytes(data)
        assert await client.put_object(sha256, tmp_path / sha256)
        assert not await client.put_object(sha256, data)


async def test_bytes_that_are_not_what_their_digest_says_are_refused(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession
) -> None:
    with pytest.raises(Error):
        await client_of(registrar.url, session).put_object("0" * 64, b"something else")


async def test_a_node_enrols_beats_claims_attests_and_lets_go(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession
) -> None:
    what = shareable()
    record = await registrar.person().register(what)
    client = client_of(registrar.url, session)
    await client.enrol(NodeProfile(pledge=10**9, port=6881, operator="me", subjects=("tests",)))
    answer = await client.heartbeat(Report("active", 10**9, 0, 0, 6881))
    assert [o.content_id for o in answer.offers] == [record["content_id"]]
    lease = await client.claim(record["content_id"])
    assert lease.expires > time.time()
    d = what.dataset()
    await client.attest(content_id=d.content_id, manifest=d.manifest, infohash_v1=d.infohash_v1)
    assert (await client.record(record["rid"])).copies.complete == 1
    assert len(await client.nodes()) == 1
    await client.release(record["content_id"], "no room")
    assert (await client.record(record["rid"])).copies.complete == 0


async def test_a_tainted_record_says_why(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession
) -> None:
    record = await registrar.person().register(shareable())
    await registrar.curator.taint(f"content:{record['content_id']}")
    client = client_of(registrar.url, session)
    with pytest.raises(TaintedRecord, match="a court said so") as caught:
        await client.record(record["rid"])
    assert caught.value.exit_code == 4
    assert caught.value.content_id == record["content_id"]
    head = await client.taint_head()
    assert head.startswith("seedkeep.taints/v1\n")
    assert [t["subject"] for t in await client.taints()] == [f"content:{record['content_id']}"]


async def test_a_clock_ten_minutes_off_is_named_as_the_cause(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession
) -> None:
    late = client_of(registrar.url, session, now=lambda: time.time() - 600)
    with pytest.raises(Unauthenticated, match=r"10 min behind") as caught:
        await late.enrol(NodeProfile(pledge=1, port=1))
    assert "clock" in caught.value.hint


async def test_reading_needs_no_key_and_writing_says_how_to_get_one(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession
) -> None:
    client = client_of(registrar.url, session, key=None)
    assert await client.nodes() == []
    with pytest.raises(UsageError, match="key"):
        await client.enrol(NodeProfile(pledge=1, port=1))


# --- lies ---


def _set(field: str, value: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda document: {**document, field: value}


def _body(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def bend(document: dict[str, Any]) -> dict[str, Any]:
        copy = json.loads(json.dumps(document))
        change(copy["body"])
        return dict(copy)

    return bend


@pytest.mark.parametrize(
    "bend",
    [
        _set("ark", "ark:/99999/sk00000000000000"),
        _set("rid", "0" * 64),
        _set("content_id", "0" * 64),
        _set("infohash_v1", "0" * 40),
        _set("name", "other"),
        _body(lambda b: b["dataset"].update(content_id="0" * 64)),
        _body(lambda b: b.update(license="MIT")),
        lambda d: {**d, "event": {**d["event"], "created": "2020-01-01T00:00:00Z"}},
        lambda d: {**d, "proof": d["proof"].replace("index 0", "index 7")},
    ],
)
async def test_a_record_that_was_tampered_with_is_not_believed(
    registrar: RegistrarUnderTest,
    session: aiohttp.ClientSession,
    bend: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    record = await registrar.person().register(shareable())
    pinned = (await client_of(registrar.url, session).info()).vkey

    def lie(path: str, value: Any) -> Any:
        return bend(value) if path.startswith("/api/v1/records/") else value

    async with between(registrar, lie) as url:
        with pytest.raises((VerificationFailed, InvalidInput)):
            await client_of(url, session, pinned=pinned).record(record["rid"])


async def test_another_record_than_the_one_asked_for_is_not_believed(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession
) -> None:
    person = registrar.person()
    mine, other = await person.register(shareable("a")), await person.register(shareable("b"))
    true = (await person.get(f"/api/v1/records/{other['rid']}")).json
    async with between(registrar, lambda p, v: true if p.startswith("/api/v1/records/") else v) as url:
        with pytest.raises(VerificationFailed):
            await client_of(url, session).record(mine["rid"])


async def test_objects_with_other_bytes_are_not_believed(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession
) -> None:
    record = await registrar.person().register(shareable())

    def lie(path: str, value: Any) -> Any:
        return value[:-1] + bytes([value[-1] ^ 1]) if path.startswith("/api/v1/objects/") else value

    async with between(registrar, lie) as url:
        client = client_of(url, session)
        found = await client.record(record["rid"])
        for read in (client.manifest, client.layers, client.pieces_v1):
            with pytest.raises(VerificationFailed):
                await read(found)


async def test_a_registrar_with_another_key_than_before_is_refused_until_its_line_is_removed(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    known = KnownRegistrars(tmp_path / "known_registrars")

    def client() -> RegistrarClient:
        return known.client(registrar.url, key=None, session=session, now=time.time)

    vkey = (await client().info()).vkey
    assert known.verifier(registrar.url) == vkey
    await client().info()
    other = Verifier(vkey.name, new_key().public)
    (tmp_path / "known_registrars").write_text(f"# a comment\n{registrar.url} {other}\n")
    with pytest.raises(VerificationFailed, match="set up anew, or somebody stands in between") as caught:
        await client().info()
    assert "known_registrars" in caught.value.hint
    (tmp_path / "known_registrars").write_text(f"{registrar.url} rubbish\n")
    with pytest.raises(InvalidInput, match="line 1"):
        client()


@pytest.mark.parametrize("name", ["its own", "the other's"])
async def test_nobody_gets_requests_signed_for_another_registrar(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession, tmp_path: Path, name: str
) -> None:
    """A registrar that names another one's public URL could pass on there what a node signs for it."""
    known = KnownRegistrars(tmp_path / "known_registrars")
    key, written = new_key(), 0
    await known.client(registrar.url, key=key, session=session, now=time.time).info()

    def bend(path: str, value: Any) -> Any:
        nonlocal written
        written += path != "/.well-known/seedkeep"
        origin = "evil.example" if name == "its own" else value["origin"]
        return {**value, "origin": origin, "vkey": str(Verifier(origin, new_key().public))}

    async with between(registrar, bend) as url:
        client = known.client(url, key=key, session=session, now=time.time)
        for _ in range(2):
            with pytest.raises(VerificationFailed, match=r"do not belong together|another key than"):
                await client.release("0" * 64, "a release that the registrar would take for the node's own")
    assert not written
    assert known.urls() == [registrar.url]


async def test_a_heartbeat_about_a_hundred_thousand_datasets_does_not_hold_up_the_loop(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession
) -> None:
    ids = [f"{number:064x}" for number in range(100_000)]
    now = utc(time.time())
    leases = [{"content_id": cid, "expires": now} for cid in ids]
    beat = json.dumps({"now": now, "taint_head": "", "leases": leases}).encode()
    info = (await registrar.person().get("/.well-known/seedkeep")).json
    key = new_key()

    async def answer(request: web.Request) -> web.Response:
        if request.method == "POST":
            async for _ in request.content.iter_any():
                pass
            return web.Response(body=beat, content_type="application/json")
        own = {"origin": request.host, "public_url": f"http://{request.host}"}
        return web.json_response({**info, **own, "vkey": str(Verifier(request.host, key.public))})

    claims = tuple(ClaimReport(cid, "complete", 1) for cid in ids)
    async with impostor(answer) as url:
        client = client_of(url, session)
        await client.info()
        began = last = time.monotonic()
        longest = 0.0
        working = asyncio.ensure_future(client.heartbeat(Report("active", 1, 1, 1, 1, claims)))
        while not working.done():
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert len((await working).leases) == 100_000
    # on the loop it would be nearly all of the time; a busy machine makes both longer
    assert longest < (last - began) / 2, f"for {longest:.2f} s nothing else was done"


# --- faults of the network ---


async def test_a_registrar_that_is_down_is_said_to_be(session: aiohttp.ClientSession) -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9.*cannot be reached"):
        await client_of("http://127.0.0.1:9", session).info()


async def test_reads_are_tried_again_and_unrepeatable_writes_are_not(
    registrar: RegistrarUnderTest, session: aiohttp.ClientSession
) -> None:
    seen: list[str] = []

    async def flaky(request: web.Request) -> web.StreamResponse:
        seen.append(f"{request.method} {request.path}")
        if request.path.startswith("/.well-known") and len(seen) == 3:
            return web.json_response(json.loads(body))
        return web.json_response(
            {"code": "unavailable", "detail": "restarting", "title": "", "status": 503},
            status=503,
            content_type="application/problem+json",
        )

    async with registrar.session.get(f"{registrar.url}/.well-known/seedkeep") as answer:
        body = await answer.read()
    async with impostor(flaky) as url:
        client = client_of(url, session)
        assert (await client.info()).origin
        assert len(seen) == 3
        with pytest.raises(Unreachable, match="restarting"):
            await client.heartbeat(Report("active", 1, 0, 0, 1))
        assert len(seen) == 4


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_input", InvalidInput),
        (401, "unauthenticated", Unauthenticated),
        (403, "refused", Refused),
        (404, "not_found", NotFound),
        (409, "conflict", Conflict),
        (413, "too_large", InvalidInput),
        (429, "too_many_requests", Unreachable),
        (503, "unavailable", Unreachable),
        (500, "", Error),
        (502, "", Unreachable),
    ],
)
async def test_every_problem_document_becomes_its_error(
    session: aiohttp.ClientSession, status: int, code: str, kind: type[Error]
) -> None:
    async def problem(request: web.Request) -> web.StreamResponse:
        fields = {"detail": "so\x1b[31m it is", "hint": "do this", "status": status, "code": code}
        return web.json_response(fields, status=status, content_type="application/problem+json")

    async with impostor(problem) as url:
        with pytest.raises(kind) as caught:
            await client_of(url, session).nodes()
    assert caught.value.what.startswith("so [31m it is"), "no terminal escapes from outside"
    assert caught.value.hint == "do this"


@pytest.mark.parametrize(
    "body", [b"<html>hello</html>", b"[1]", b'{"a":1,"a":2}', b'{"origin": 3}', b"", b"{" * 5000]
)
async def test_something_else_than_a_registrar_is_recognised(
    session: aiohttp.ClientSession, body: bytes
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    async with impostor(answer) as url:
        with pytest.raises(InvalidInput):
            await client_of(url, session).info()


async def test_an_endless_answer_is_cut_off(session: aiohttp.ClientSession) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 65536)
        except ConnectionError:
            return response

    async with impostor(endless) as url:
        with pytest.raises(InvalidInput, match="longer than"):
            await client_of(url, session).info()


async def test_a_silent_registrar_does_not_hold_anybody_up(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrar_http, "SILENCE_S", 0.1)
    never = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async with impostor(silent) as url:
        with pytest.raises(Unreachable, match="in time"):
            await client_of(url, session).info()
        never.set()


async def test_a_redirect_is_not_followed_but_told(session: aiohttp.ClientSession) -> None:
    async def moved(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMovedPermanently("https://elsewhere.example/")

    async with impostor(moved) as url:
        with pytest.raises(Unreachable, match=r"moved to https://elsewhere\.example/"):
            await client_of(url, session, attempts=1).info()


# --- parsers ---

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**54), 2**54) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
_FIELDS = ["now", "taint_head", "offers", "leases", "release", "challenges", "origin", "vkey", "wanted", "id",
           "nonce", "leaves", "event", "body", "proof", "ark"]  # fmt: skip


@given(value=_JSON | st.dictionaries(st.sampled_from(_FIELDS), _JSON))
def test_no_message_from_outside_breaks_a_parser(value: Any) -> None:
    pinned = Verifier("example.org", new_key().public)
    readers: list[Callable[[Any], Any]] = [
        Heartbeat.parse,
        RegistrarInfo.parse,
        Copies.parse,
        Challenge.parse,
        lambda v: Record.parse(v, pinned),
    ]
    for read in readers:
        with pytest.raises(Error):
            read(value)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://Seeds.Example.org/", "https://seeds.example.org"),
        ("seeds.example.org/keep/", "https://seeds.example.org/keep"),
        ("http://127.0.0.1:8440", "http://127.0.0.1:8440"),
        ("http://[::1]:8440/", "http://[::1]:8440"),
    ],
)
def test_registrar_urls_have_one_form(text: str, url: str) -> None:
    assert normal_url(text) == url


@pytest.mark.parametrize(
    "text", ["", "ftp://x", "https://", "http://u:p@x", "http://x?y", "http://x#y", "http://x:99999"]
)
def test_what_is_no_registrar_url_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        normal_url(text)


def test_a_message_has_all_of_a_nodes_profile() -> None:
    assert set(dataclasses.asdict(NodeProfile(1, 2))) == {
        "pledge", "port", "operator", "institution", "country", "subjects", "software"
    }  # fmt: skip
