"""Reading ranges from a web server: over TLS, over kept connections, and stopped in the middle."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from seedkeep.core.errors import Error, Refused, Unreachable
from seedkeep.webseeds.ranges import RangeReader
from tests.support.tls import self_signed

DATA = bytes(range(256)) * 20_000


@asynccontextmanager
async def serving(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}/x"
    finally:
        await runner.cleanup()


async def ranged(request: web.Request) -> web.StreamResponse:
    asked = request.http_range
    headers = {"Content-Range": f"bytes {asked.start}-{asked.stop - 1}/{len(DATA)}"}
    return web.Response(status=206, body=DATA[asked], headers=headers)


@asynccontextmanager
async def reading(*, verify_https: bool = True, silence: float = 5.0) -> AsyncIterator[RangeReader]:
    reader = RangeReader(
        user_agent="test", allow_private=True, verify_https=verify_https, silence=silence, requests=4
    )
    try:
        yield reader
    finally:
        reader.close()


async def whole(reader: RangeReader, url: str, start: int, stop: int) -> bytes:
    return b"".join([bytes(chunk) async for chunk in reader.read(url, start, stop, len(DATA))])


@pytest.mark.parametrize("verify", [True, False])
async def test_tls_servers_are_held_to_their_certificate(tmp_path: Path, verify: bool) -> None:
    key, certificate = self_signed(tmp_path, "127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with serving(ranged, tls) as url, reading(verify_https=verify) as reader:
        if verify:
            with pytest.raises(Unreachable, match="SSLCertVerificationError"):
                await whole(reader, url, 5, 4_000_000)
        else:
            assert await whole(reader, url, 5, 4_000_000) == DATA[5:4_000_000]


async def test_one_connection_serves_many_ranges_and_is_made_anew_when_the_server_ends_it() -> None:
    connections: list[object] = []

    async def counted(request: web.Request) -> web.StreamResponse:
        if request.transport not in connections:
            connections.append(request.transport)
        response = await ranged(request)
        if len(connections) == 1 and request.http_range.start == 3:
            asyncio.get_running_loop().call_later(0.01, connections[0].close)  # type: ignore[attr-defined]
        return response

    async with serving(counted) as url, reading() as reader:
        for start in range(4):
            assert await whole(reader, url, start, 200_000) == DATA[start:200_000]
        assert len(connections) == 1
        await asyncio.sleep(0.05)
        assert await whole(reader, url, 7, 9) == DATA[7:9]
        assert len(connections) == 2


async def test_an_unfinished_read_that_is_cancelled_leaves_no_thread_at_work() -> None:
    asked = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        asked.set()
        await asyncio.sleep(30)
        return web.Response()

    async with serving(silent) as url, reading(silence=20) as reader:
        task = asyncio.ensure_future(whole(reader, url, 0, 10))
        await asked.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        reader.close()
        async with asyncio.timeout(30):
            while any(thread.name.startswith("web-seed") for thread in threading.enumerate()):
                await asyncio.sleep(0.01)


async def test_an_answer_without_length_that_goes_on_is_refused() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=206, headers={"Content-Range": f"bytes 0-9/{len(DATA)}"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(DATA[:11])
        return response

    async with serving(endless) as url, reading() as reader:
        with pytest.raises(Refused, match="more than"):
            await whole(reader, url, 0, 10)


async def test_redirects_in_a_circle_end() -> None:
    async def circle(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/x")

    async with serving(circle) as url, reading() as reader:
        with pytest.raises(Error, match="redirects more than"):
            await whole(reader, url, 0, 10)
