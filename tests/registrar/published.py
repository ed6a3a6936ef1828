"""A real registrar on loopback, and what people do with it over HTTP: publish, taint, lift."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from seedkeep.core.bencode import Limits
from seedkeep.core.events import sign_event
from seedkeep.core.httpsig import sign_request
from seedkeep.core.keys import PrivateKey
from seedkeep.core.metadata import Metadata
from seedkeep.core.metainfo import read_metainfo
from seedkeep.core.record import Dataset, RecordBody
from seedkeep.core.taints.body import Effect, Order, Subject, TaintBody
from seedkeep_registrar import times
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.server import running
from seedkeep_registrar.settings import Settings
from tests.support.torrents import Torrents

SHARER = PrivateKey(b"s" * 32)
_ROOMY = Limits(size=10**9, tokens=10**8)  # our own torrent, of many files perhaps
CURATOR = PrivateKey(b"c" * 32)


@dataclass(frozen=True)
class House:
    """A running registrar and a client of it."""

    registrar: Registrar
    http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        """Its public URL."""
        return self.registrar.public_url

    async def send(self, key: PrivateKey, method: str, path: str, body: bytes) -> dict[str, Any]:
        """A signed request that must succeed."""
        url = self.url + path
        headers = sign_request(
            key,
            method,
            url,
            sha256=hashlib.sha256(body).hexdigest(),
            created=int(time.time()),
            nonce=secrets.token_urlsafe(18),
        )
        async with self.http.request(method, url, data=body, headers=headers) as answer:
            text = await answer.text()
            assert answer.status in (200, 201), text
            document: dict[str, Any] = json.loads(text) if text else {}
            return document

    async def publish(
        self, torrents: Torrents, *, metadata: Metadata | None = None, **more: Any
    ) -> dict[str, Any]:
        """Record a dataset; the record document."""
        manifest = torrents.data.manifest
        pieces = read_metainfo(torrents.v1, limits=_ROOMY).pieces
        objects = (manifest.encode(), torrents.data.layers, pieces)
        for data in objects:
            await self.send(SHARER, "PUT", f"/api/v1/objects/{hashlib.sha256(data).hexdigest()}", data)
        names = [hashlib.sha256(data).hexdigest() for data in objects]
        dataset = Dataset(
            manifest.name,
            torrents.content_id,
            torrents.infohash_v1,
            len(manifest.files),
            manifest.bytes,
            manifest.piece_length,
            *names,
        )
        return await self._event(
            SHARER, "record", "/api/v1/events", RecordBody(dataset, metadata or Metadata(), **more).encode()
        )

    async def taint(self, subject: str, reason: str = "A court has ordered it.") -> str:
        """Taint at once; the taint's id."""
        body = TaintBody(Order(Subject.parse(subject), "court-order", reason, Effect.REMOVE)).encode()
        said = await self._event(CURATOR, "taint", "/api/v1/taints", body)
        assert said["state"] == "standing"
        return str(said["id"])

    async def _event(self, key: PrivateKey, kind: str, path: str, body: bytes) -> dict[str, Any]:
        created = times.text(time.time())
        event = sign_event(key, type=kind, body=body, home=self.registrar.origin, created=created)
        message = {"event": json.loads(event.leaf()), "body": json.loads(body)}
        return await self.send(key, "POST", path, json.dumps(message).encode())

    async def get(self, path: str, *, accept: str = "*/*", **more: Any) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; redirects are not followed."""
        url = URL(self.url + path, encoded=True)  # as it stands, dots and all
        async with self.http.get(url, headers={"Accept": accept, **more}, allow_redirects=False) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read()

    async def page(self, path: str) -> tuple[int, str]:
        """Status and HTML, as a browser asks for it."""
        status, headers, body = await self.get(path, accept="text/html,application/xhtml+xml,*/*;q=0.8")
        assert headers["content-type"] == "text/html; charset=utf-8", (status, headers)
        return status, body.decode()


@asynccontextmanager
async def house(folder: Path, **settings: Any) -> AsyncIterator[House]:
    """A registrar with one curator, in ``folder``."""
    chosen = {"zeroconf": False, "listen": "127.0.0.1:0", "curators": (str(CURATOR.public),), **settings}
    async with (
        running(Settings(data=folder / "registrar", **chosen)) as registrar,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        yield House(registrar, http)
