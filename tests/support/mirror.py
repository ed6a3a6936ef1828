"""A mirror as a client sees it: a registrar of its own that answers with another's records, also when that
one is gone."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier
from seedkeep.core.origin import origin_of
from seedkeep.message_fields import utc
from tests.support.registrar import new_key

WELL_KNOWN = "/.well-known/seedkeep"


@dataclass
class Mirror:
    """Passes on what its home says, and remembers it for the time when the home says nothing any more.

    Args:
        home: the URL of the registrar that it mirrors.
        peers: as its well-known document names them.
        bend: changes what it answers as JSON (path, object).
    """

    home: str
    key: PrivateKey = field(default_factory=new_key)
    peers: Sequence[Any] = ()
    bend: Callable[[str, Any], Any] = lambda path, value: value
    url: str = ""
    stored: dict[str, tuple[int, bytes, str]] = field(default_factory=dict)

    @property
    def verifier(self) -> Verifier:
        return Verifier(origin_of(self.url), self.key.public)

    @property
    def peer(self) -> dict[str, str]:
        """The mirror as its home names it."""
        return {"url": self.url, "origin": self.verifier.name, "vkey": str(self.verifier)}

    def _well_known(self) -> dict[str, Any]:
        return {
            "origin": self.verifier.name,
            "public_url": self.url,
            "vkey": str(self.verifier),
            "naan": "99999",
            "trackers": [f"{self.url}/announce"],
            "heartbeat_s": 1.0,
            "peers": list(self.peers),
            "max_object_bytes": 1 << 30,
            "now": utc(time.time()),
        }

    async def answer(self, request: web.Request) -> web.Response:
        """What it says to a request."""
        if request.path == WELL_KNOWN:
            return web.json_response(self.bend(request.path, self._well_known()))
        path = request.path_qs
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(self.home + path, headers={"Accept": request.headers["Accept"]}) as told,
            ):
                self.stored[path] = told.status, await told.read(), told.content_type
        except aiohttp.ClientError:
            pass
        if path not in self.stored:
            return web.json_response({"code": "not_found", "detail": "not known here"}, status=404)
        status, body, kind = self.stored[path]
        if kind == "application/json":
            body = json.dumps(self.bend(request.path, json.loads(body))).encode()
        return web.Response(status=status, body=body, content_type=kind)


@asynccontextmanager
async def mirror_of(home: str, **more: Any) -> AsyncIterator[Mirror]:
    """A running mirror."""
    mirror = Mirror(home, **more)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", mirror.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        mirror.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield mirror
    finally:
        await runner.cleanup()
