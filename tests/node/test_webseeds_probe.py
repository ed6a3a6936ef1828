"""Probing web seeds: a good one, and servers that misbehave in every way we know of."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.metainfo import check_layers
from seedkeep.webseeds import guard
from seedkeep.webseeds.guard import is_public
from seedkeep.webseeds.probe import Verdict, answers_ranges, probe
from tests.support.datasets import Dataset, dataset_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_random = random.Random(7)
DATA = dataset_of(
    "data set",
    {
        "big.bin": _random.randbytes(200_001),
        "small, 100% odd #?+ü.txt": _random.randbytes(300),
        "sub/exact.bin": _random.randbytes(16384),
        "sub/empty": b"",
    },
)
EVERY_PIECE = 100


@asynccontextmanager
async def serving(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def content_of(request: web.Request, data: Dataset = DATA) -> bytes:
    name, _, path = request.path.lstrip("/").partition("/")
    if data.manifest.is_single_file and not path:
        path = name
    assert name == data.manifest.name
    return data.content[path]


def span(request: web.Request) -> tuple[int, int]:
    first, last = request.headers["Range"].removeprefix("bytes=").split("-")
    return int(first), int(last) + 1


def partial(request: web.Request, data: bytes, **headers: str) -> web.Response:
    start, stop = span(request)
    size = len(content_of(request))
    sent = {"Content-Range": f"bytes {start}-{stop - 1}/{size}", **headers}
    return web.Response(status=206, body=data, headers=sent)


async def good(request: web.Request) -> web.StreamResponse:
    start, stop = span(request)
    return partial(request, content_of(request)[start:stop])


async def probing(base: str, data: Dataset = DATA, **options: Any) -> Verdict:
    options = {"allow_private": True, "samples": EVERY_PIECE, "rng": random.Random(1), **options}
    async with aiohttp.ClientSession() as session:
        return await probe(session, base, data.manifest, data.layers, **options)


async def verdict_on(handler: Handler, **options: Any) -> Verdict:
    async with serving(handler) as base:
        return await probing(base, **options)


async def test_a_good_web_seed_passes_with_every_piece_checked() -> None:
    check_layers(DATA.manifest, DATA.layers)
    asked: list[str] = []

    async def watch(request: web.Request) -> web.StreamResponse:
        asked.append(request.path + request.headers["Range"])
        return await good(request)

    verdict = await verdict_on(watch)
    assert verdict.ok, verdict.reason
    assert verdict.bytes_per_s > 0
    pieces = sum(-(-f.size // DATA.manifest.piece_length) for f in DATA.manifest.files)
    assert len(set(asked)) == len(asked) == pieces


async def test_two_pieces_are_sampled_by_default() -> None:
    asked: list[str] = []

    async def watch(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return await good(request)

    async with serving(watch) as base, aiohttp.ClientSession() as session:
        assert (await probe(session, base, DATA.manifest, DATA.layers, allow_private=True)).ok
    assert len(asked) == 2


async def test_a_single_file_is_at_its_name() -> None:
    data = dataset_of("one file.bin", {"one file.bin": b"x" * 50_000})

    async def serve(request: web.Request) -> web.StreamResponse:
        start, stop = span(request)
        body = content_of(request, data)[start:stop]
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/50000"}
        return web.Response(status=206, body=body, headers=headers)

    async with serving(serve) as base:
        assert (await probing(base, data)).ok


async def test_up_to_five_redirects_are_followed() -> None:
    async def hop(request: web.Request) -> web.StreamResponse:
        hops = int(request.query.get("hops", 0))
        if hops == 5:
            return await good(request)
        raise web.HTTPFound(request.url.with_query(hops=hops + 1))

    async def too_far(request: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(request.url.with_query(hops=int(request.query.get("hops", 0)) + 1))

    assert (await verdict_on(hop)).ok
    verdict = await verdict_on(too_far)
    assert (verdict.ok, verdict.reason) == (False, "it redirects more than 5 times")


async def ignores_range(request: web.Request) -> web.StreamResponse:
    return web.Response(body=content_of(request))


async def truncates(request: web.Request) -> web.StreamResponse:
    start, stop = span(request)
    return partial(request, content_of(request)[start:stop][:-1])


async def breaks_off(request: web.Request) -> web.StreamResponse:
    start, stop = span(request)
    size = len(content_of(request))
    answer = web.StreamResponse(status=206, headers={"Content-Range": f"bytes {start}-{stop - 1}/{size}"})
    answer.content_length = stop - start
    await answer.prepare(request)
    await answer.write(b"x")
    assert request.transport is not None
    request.transport.close()
    return answer


async def floods(request: web.Request) -> web.StreamResponse:
    start, stop = span(request)
    size = len(content_of(request))
    answer = web.StreamResponse(status=206, headers={"Content-Range": f"bytes {start}-{stop - 1}/{size}"})
    await answer.prepare(request)
    for _ in range(10_000):
        await answer.write(bytes(1 << 16))
    return answer


async def corrupts(request: web.Request) -> web.StreamResponse:
    start, stop = span(request)
    data = bytearray(content_of(request)[start:stop])
    data[-1] ^= 1
    return partial(request, bytes(data))


async def shorter_file(request: web.Request) -> web.StreamResponse:
    start, stop = span(request)
    headers = {"Content-Range": f"bytes {start}-{stop - 1}/{stop}00"}
    return partial(request, content_of(request)[start:stop], **headers)


async def other_range(request: web.Request) -> web.StreamResponse:
    start, stop = span(request)
    size = len(content_of(request))
    headers = {"Content-Range": f"bytes {start + 1}-{stop}/{size}"}
    return partial(request, content_of(request)[start:stop], **headers)


async def no_content_range(request: web.Request) -> web.StreamResponse:
    start, stop = span(request)
    return web.Response(status=206, body=content_of(request)[start:stop])


async def compresses(request: web.Request) -> web.StreamResponse:
    start, stop = span(request)
    return partial(request, content_of(request)[start:stop], **{"Content-Encoding": "gzip"})


async def circle(request: web.Request) -> web.StreamResponse:
    raise web.HTTPMovedPermanently(request.url)


async def to_a_file(_: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "file:///etc/passwd"})


async def nowhere(_: web.Request) -> web.StreamResponse:
    return web.Response(status=302)


async def to_a_password(request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": f"http://u:p@{request.host}/"})


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (ignores_range, "ignores Range"),
        (truncates, "truncates"),
        (breaks_off, "truncates"),
        (floods, "sends more of"),
        (corrupts, "wrong bytes in .*, piece [0-9]+"),
        (shorter_file, "bytes, not"),
        (other_range, "another range"),
        (no_content_range, "another range"),
        (compresses, "compresses"),
        (circle, "in a circle"),
        (to_a_file, "no http"),
        (nowhere, "no http"),
        (to_a_password, "with a password"),
    ],
)
async def test_a_misbehaving_server_is_turned_down_with_the_reason(handler: Handler, reason: str) -> None:
    verdict = await verdict_on(handler)
    assert not verdict.ok
    assert verdict == Verdict(False, verdict.reason, 0.0, lies=handler is corrupts)
    assert re.search(reason, verdict.reason), verdict.reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "401 (Unauthorized)"),
        (403, "403 (Forbidden)"),
        (404, "404 (Not Found)"),
        (416, "truncates"),
        (429, "429 (Too Many Requests)"),
        (500, "500 (Internal Server Error)"),
        (503, "503 (Service Unavailable)"),
        (299, "299 (unknown)"),
    ],
)
async def test_a_status_is_told_as_it_is(status: int, reason: str) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    verdict = await verdict_on(refuse)
    assert not verdict.ok
    assert reason in verdict.reason


async def test_one_wrong_piece_of_a_big_file_is_named() -> None:
    async def one_bad(request: web.Request) -> web.StreamResponse:
        start, stop = span(request)
        data = bytearray(content_of(request)[start:stop])
        if request.path.endswith("big.bin") and start == 3 * DATA.manifest.piece_length:
            data[0] ^= 1
        return partial(request, bytes(data))

    assert (await verdict_on(one_bad)).reason == "it has wrong bytes in big.bin, piece 3"


async def test_a_wrong_small_file_is_named() -> None:
    async def one_bad(request: web.Request) -> web.StreamResponse:
        start, stop = span(request)
        wrong = request.path.endswith("exact.bin")
        return partial(request, bytes(stop - start) if wrong else content_of(request)[start:stop])

    verdict = await verdict_on(one_bad)
    assert verdict.lies
    assert "sub/exact.bin" in verdict.reason


async def test_a_silent_server_does_not_hold_us_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seedkeep.webseeds.probe.SILENCE_S", 0.2)
    over = asyncio.Event()

    async def silent(_: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    async with serving(silent) as base:
        verdict = await probing(base)
        over.set()
    assert not verdict.ok
    assert "too slow" in verdict.reason


async def test_nobody_there_is_told() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        verdict = await probing(f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert not verdict.ok
    assert "does not answer" in verdict.reason


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "http://example.org/x",
        "http://u:p@example.org/",
        "http://example.org/?x=/",
        "",
        "http://",
    ],
)
async def test_what_is_no_web_seed_is_not_asked(url: str) -> None:
    verdict = await probing(url)
    assert not verdict.ok
    assert "not a web seed" in verdict.reason


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "[fe80::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "2130706433",
        "0x7f.1",
        "[64:ff9b::7f00:1]",
    ],
)
async def test_private_addresses_are_refused_before_a_byte_is_sent(host: str) -> None:
    asked: list[str] = []

    async def watch(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return await good(request)

    async with serving(watch) as base:
        port = base.rpartition(":")[2]
        verdict = await probing(f"http://{host}:{port}", allow_private=False)
    assert not verdict.ok
    assert "private address" in verdict.reason or "cannot be resolved" in verdict.reason, verdict.reason
    assert asked == []


@pytest.fixture
def one_public_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """``seed.test`` resolves to 127.0.0.1, which counts as public; 127.0.0.2 and others do not."""
    resolve = socket.getaddrinfo
    monkeypatch.setattr(guard, "is_public", lambda address: address == "127.0.0.1")

    def fake(host: str, *args: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host == "seed.test" else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", fake)


@pytest.mark.usefixtures("one_public_name")
async def test_a_public_name_is_probed_under_its_name() -> None:
    hosts: set[str] = set()

    async def watch(request: web.Request) -> web.StreamResponse:
        hosts.add(request.headers["Host"])
        return await good(request)

    async with serving(watch) as base:
        there = base.replace("127.0.0.1", "seed.test")
        assert (await probing(there, allow_private=False)).ok
    assert hosts == {there.removeprefix("http://").rstrip("/")}


@pytest.mark.usefixtures("one_public_name")
async def test_a_redirect_to_a_private_address_is_refused() -> None:
    async def sly(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(f"http://127.0.0.2:{request.url.port}/secret")

    async with serving(sly) as base:
        verdict = await probing(base.replace("127.0.0.1", "seed.test"), allow_private=False)
    assert not verdict.ok
    assert verdict.reason == "the private address 127.0.0.2 of 127.0.0.2 is refused"


async def test_a_name_that_changes_after_the_check_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer is an allowed address where nobody listens, every later one is a private one."""
    resolve = socket.getaddrinfo
    answers = iter(["127.0.0.3"])
    monkeypatch.setattr(guard, "is_public", lambda address: address == "127.0.0.3")
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *a, **k: resolve(next(answers, "127.0.0.1") if host == "seed.test" else host, *a, **k),
    )
    asked: list[str] = []

    async def watch(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return await good(request)

    async with serving(watch) as base:
        verdict = await probing(base.replace("127.0.0.1", "seed.test"), allow_private=False, samples=1)
    assert not verdict.ok
    assert asked == []


def certificate_for(name: str) -> bytes:
    """A self-signed certificate and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem) + secret


@pytest.mark.usefixtures("one_public_name")
async def test_tls_is_verified_against_the_name(tmp_path: Path) -> None:
    pem = tmp_path / "cert.pem"
    pem.write_bytes(certificate_for("seed.test"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pem)
    trusting = ssl.create_default_context(cafile=str(pem))
    async with serving(good, tls=tls) as base:
        named = base.replace("127.0.0.1", "seed.test")
        for url, ok in ((named, True), (base, False)):
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session:
                verdict = await probe(session, url, DATA.manifest, DATA.layers)
            assert verdict.ok is ok, verdict.reason


async def test_an_open_web_seed_answers_for_its_largest_file() -> None:
    async with serving(good) as base, aiohttp.ClientSession() as session:
        assert (await answers_ranges(session, base, DATA.manifest, allow_private=True)).ok
        assert not (await answers_ranges(session, base, DATA.manifest)).ok
    async with serving(ignores_range) as base, aiohttp.ClientSession() as session:
        verdict = await answers_ranges(session, base, DATA.manifest, allow_private=True)
        assert verdict == Verdict(False, "it ignores Range", 0.0)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_no_more_public_inside_an_ipv6_one(address: Any) -> None:
    for inside in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert not is_public(inside) or is_public(str(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_ordinary_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address", ["100.64.0.1", "224.0.0.1", "240.0.0.1", "fc00::1", "::", "fe80::1%eth0", "2002:7f00:1::"]
)
def test_special_addresses_are_not(address: str) -> None:
    assert not is_public(address)
