"""What command line and nodes ask of a registrar is in its OpenAPI document, and so is what they are told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from seedkeep_registrar import server
from seedkeep_registrar.context import Registrar
from tests.node.test_cli import ended, seedkeep, start
from tests.support.described_answers import Described
from tests.support.registrar import registrar_with, shareable

#: what such a session cannot do without; that nothing else was asked for is what the test is about
ASKED = {
    "GET /.well-known/seedkeep",
    "GET /api/v1/objects/{sha256}",
    "GET /api/v1/records/{rid}",
    "GET /api/v1/resolve",
    "GET /api/v1/taints",
    "GET /api/v1/taints/lists/{sha256}",
    "POST /api/v1/attestations",
    "POST /api/v1/claims",
    "POST /api/v1/events",
    "POST /api/v1/heartbeat",
    "POST /api/v1/nodes",
    "POST /api/v1/receipts",
    "POST /api/v1/taints",
    "PUT /api/v1/objects/{sha256}",
}


@dataclass
class Heard:
    """Every request that a registrar was sent, with its answer."""

    requests: list[tuple[str, str, web.StreamResponse]] = field(default_factory=list)

    def listen(self, registrar: Registrar) -> web.Application:
        """The registrar's application, listened to."""

        @web.middleware
        async def hear(request: web.Request, handler: Handler) -> web.StreamResponse:
            answer = await handler(request)
            self.requests.append((request.method, request.path_qs, answer))
            return answer

        app = server_app(registrar)
        app.middlewares.insert(0, hear)
        return app

    def said(self, name: str) -> bool:
        """Whether there was a request whose path ends so."""
        return any(path.partition("?")[0].endswith(name) for _, path, _ in self.requests)


server_app = server.make_app


async def happens(heard: Heard, name: str) -> None:
    async with asyncio.timeout(90):
        while not heard.said(name):
            await asyncio.sleep(0.05)


async def test_command_line_and_nodes_keep_to_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    monkeypatch.setattr(server, "make_app", heard.listen)
    root = shareable().data.write(tmp_path / "mine")
    async with registrar_with(tmp_path) as registrar:
        document = (await registrar.person().get("/api/v1/openapi.json")).json
        heard.requests.clear()
        curator = tmp_path / "curator"
        key = curator / ".config/seedkeep/key.pem"
        key.parent.mkdir(parents=True)
        key.touch(mode=0o600)
        key.write_bytes(registrar.curator.key.to_pem())
        ask = ("--json", "--registrar", registrar.url)
        node = await start(tmp_path, "node", "up", "--pledge", "50MB", "--data", str(tmp_path / "node"), *ask)
        try:
            shared = asyncio.create_task(seedkeep(curator, "share", str(root), "--copies", "1", *ask))
            await happens(heard, "/attestations")
            told = await shared
            assert told.code == 0, told
            ark = told.json["ark"]
            fetched = await seedkeep(curator, "fetch", ark, "-o", str(tmp_path / "out"), *ask)
            assert fetched.code == 0, fetched
            why = ("--category", "retraction", "--reason", "wrong samples")
            tainted = await seedkeep(curator, "taint", "add", ark, *why, *ask)
            assert tainted.code == 0, tainted
            assert (await seedkeep(curator, "taint", "list", *ask)).code == 0
            await happens(heard, "/receipts")
        finally:
            node.terminate()
            await ended(node)
    described, operations = Described(document), set[str]()
    for method, path, answer in heard.requests:
        found = described.operation(method, path)
        if not path.startswith(("/announce", "/scrape")):
            assert found is not None, f"{method} {path}"
            operations.add(f"{method} {found[0]}")
        if isinstance(answer, web.Response) and isinstance(answer.body, bytes | None):
            body = b"" if method == "HEAD" else answer.body or b""
            described.check(method, path, answer.status, answer.headers, body)
    assert operations >= ASKED, ASKED - operations


def test_an_undescribed_request_would_be_noticed() -> None:
    paths = {"/api/v1/a/{b}": {"get": {"responses": {"200": {}}}}}
    document: dict[str, Any] = {"paths": paths, "components": {"schemas": {}}}
    described = Described(document)
    assert described.operation("GET", "/api/v1/a/x?y=1") is not None
    assert described.operation("POST", "/api/v1/a/x") is None
    assert described.operation("GET", "/api/v1/c") is None
    with pytest.raises(AssertionError, match="not described"):
        described.check("GET", "/api/v1/a/x", 404, {}, b"")
