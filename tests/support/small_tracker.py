"""The smallest HTTP tracker (BEP 3, compact as in BEP 23) that lets clients find each other in a test."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote_to_bytes

from aiohttp import web

from seedkeep.core.bencode import encode


@asynccontextmanager
async def small_tracker(host: str) -> AsyncIterator[str]:
    """Yields the announce URL; remembers every IPv4 peer of every torrent until the end."""
    swarms: dict[bytes, set[bytes]] = {}

    async def announce(request: web.Request) -> web.Response:
        fields = dict(part.partition("=")[::2] for part in request.query_string.split("&"))
        me = ipaddress.IPv4Address(request.remote or "127.0.0.1").packed + int(fields["port"]).to_bytes(2)
        swarm = swarms.setdefault(unquote_to_bytes(fields["info_hash"]), set())
        answer = encode({b"interval": 2, b"min interval": 1, b"peers": b"".join(swarm - {me})})
        swarm.add(me)
        return web.Response(body=answer, content_type="text/plain")

    app = web.Application()
    app.router.add_get("/announce", announce)
    runner = web.AppRunner(app, shutdown_timeout=0.2, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, 0).start()
        yield f"http://{host}:{runner.addresses[0][1]}/announce"
    finally:
        await runner.cleanup()
