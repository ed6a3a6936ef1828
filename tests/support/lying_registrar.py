"""A registrar of which only the log is there, in this process; it signs and serves whatever a test wants."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

from seedkeep.core.events import sign_event
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.tiles import ENTRIES, Tile, encode_bundle, grow
from seedkeep.core.log.tree import HASH_BYTES, leaf_hash, root_of_leaves
from seedkeep.core.notes import Verifier
from seedkeep.core.taints.head import Head
from tests.support.registrar import new_key, utc


@dataclass
class LyingRegistrar:
    """
    Args:
        leaves: the log that it shows at present; ``note`` is the checkpoint that it shows of it.
        mangle: changes what is served below a path.
        rings: versions of its keys from 1 on.
        logs: mirrors of other logs, as prefix and leaves and note, by name.
    """

    url: str = ""
    key: PrivateKey = field(default_factory=new_key)
    leaves: list[bytes] = field(default_factory=list)
    note: str = ""
    mangle: Callable[[str, bytes], bytes] = lambda path, data: data
    mirrors: dict[str, tuple[Sequence[bytes], str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    rings: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return self.url.partition("//")[2]

    @property
    def vkey(self) -> Verifier:
        return Verifier(self.origin, self.key.public)

    def event(self, text: str, *, home: str | None = None) -> bytes:
        """An entry of its log."""
        body = f'{{"v":1,"text":"{text}"}}'.encode()
        home = self.origin if home is None else home
        return sign_event(self.key, type="record", body=body, home=home, created=utc(0)).leaf()

    def events(self, count: int, salt: str = "") -> list[bytes]:
        """Different ones."""
        return [self.event(f"{salt}{i}") for i in range(count)]

    def sign(self, leaves: Sequence[bytes], *, root: bytes | None = None) -> str:
        """A checkpoint of a log."""
        hashes = [leaf_hash(leaf) for leaf in leaves]
        return Checkpoint(self.origin, len(leaves), root or root_of_leaves(hashes)).sign(self.key)

    def show(self, leaves: Sequence[bytes]) -> str:
        """Show this log from now on."""
        self.leaves, self.note = list(leaves), self.sign(leaves)
        return self.note

    def tile(self, leaves: Sequence[bytes], path: str) -> bytes:
        """A tile of a log."""
        tile = Tile.parse(path)
        if tile.level == ENTRIES:
            return encode_bundle(leaves[tile.index * 256 : tile.index * 256 + tile.width])
        return grow(0, {}, [leaf_hash(leaf) for leaf in leaves])[tile.place][: tile.width * HASH_BYTES]

    def _app(self) -> web.Application:
        app = web.Application()

        async def discovery(_: web.Request) -> web.Response:
            return web.json_response(
                {
                    "origin": self.origin,
                    "public_url": self.url,
                    "vkey": str(self.vkey),
                    "naan": "99999",
                    "key_version": len(self.rings),
                }
            )

        async def ring(request: web.Request) -> web.Response:
            return web.Response(text=self.rings[int(request.match_info["version"]) - 1])

        async def head(_: web.Request) -> web.Response:
            now = int(time.time())
            empty = hashlib.sha256(b"").hexdigest()
            return web.Response(text=Head(self.origin, 0, 0, empty, now + 3600).sign(self.key))

        async def nothing(_: web.Request) -> web.Response:
            return web.Response()

        async def agree(_: web.Request) -> web.Response:
            return web.json_response({"state": "active"})

        async def log(request: web.Request) -> web.Response:
            name, path = request.match_info.get("log", ""), request.match_info["path"]
            leaves, note = self.mirrors.get(name, ((), "")) if name else (self.leaves, self.note)
            self.asked.append(request.path)
            try:
                data = note.encode() if path == "checkpoint" else self.tile(leaves, path)
            except KeyError:
                data = b""
            return web.Response(body=self.mangle(path, data)) if data else web.Response(status=404)

        app.router.add_get("/.well-known/seedkeep", discovery)
        app.router.add_get("/.well-known/seedkeep/keys/{version}", ring)
        app.router.add_get("/api/v1/taints/head", head)
        app.router.add_get("/api/v1/taints/lists/{sha256}", nothing)
        app.router.add_post("/api/v1/peers", agree)
        app.router.add_get("/log/{path:.+}", log)
        app.router.add_get("/mirror/{log}/{path:.+}", log)
        return app


@asynccontextmanager
async def lying_registrar(liar: LyingRegistrar | None = None) -> AsyncIterator[LyingRegistrar]:
    """One that serves until the block is left."""
    liar = liar or LyingRegistrar()
    async with TestServer(liar._app(), host="127.0.0.1") as server:
        liar.url = str(server.make_url("")).rstrip("/")
        liar.show([])
        yield liar
