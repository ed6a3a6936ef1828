"""A client that a generator made from the OpenAPI document alone works against the registrar."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import io
import json
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from seedkeep.core.httpsig import sign_request
from seedkeep.core.keys import PrivateKey
from seedkeep.core.metadata import Creator, Metadata
from tests.support.registrar import RegistrarUnderTest, Shareable, shareable

_CONFIG = """\
post_hooks: []
content_type_overrides:
  application/jsonl: application/octet-stream
  application/x-bittorrent: application/octet-stream
"""


class Signed(httpx.Auth):
    """Signs each request of an httpx client (RFC 9421)."""

    requires_request_body = True

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        headers = sign_request(
            self._key,
            request.method,
            str(request.url),
            sha256=hashlib.sha256(request.content).hexdigest(),
            created=int(time.time()),
            nonce=os.urandom(16).hex(),
        )
        request.headers.update(headers)
        yield request


async def generated(document: bytes, folder: Path) -> tuple[str, str]:
    """Generate the package ``seedkeep_generated`` in a folder; exit code and what the generator said."""
    (folder / "openapi.json").write_bytes(document)
    (folder / "config.yml").write_text(_CONFIG)
    options = ["--path", "openapi.json", "--config", "config.yml", "--meta", "none"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "openapi_python_client", "generate", *options),
        *("--output-path", "seedkeep_generated"),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return str(process.returncode), said.decode()


class Api:
    """The generated package, and a client that signs."""

    def __init__(self, url: str, key: PrivateKey) -> None:
        package = importlib.import_module("seedkeep_generated")
        self.models: Any = importlib.import_module("seedkeep_generated.models")
        self.types: Any = importlib.import_module("seedkeep_generated.types")
        self.client = package.Client(base_url=url, httpx_args={"auth": Signed(key)})

    async def call(self, name: str, *path: str, **arguments: Any) -> Any:
        """One operation, as ``tag.operationId``; the parsed answer."""
        module: ModuleType = importlib.import_module(f"seedkeep_generated.api.{name}")
        answer = await asyncio.to_thread(module.sync_detailed, *path, client=self.client, **arguments)
        assert answer.parsed is not None or not answer.content, (name, answer.status_code, answer.content)
        return answer.parsed


async def publish(api: Api, registrar: RegistrarUnderTest, what: Shareable, **changes: Any) -> Any:
    for sha256, data in what.objects.items():
        stored = await api.call("objects.put_object", sha256, body=api.types.File(io.BytesIO(data)))
        assert isinstance(stored, api.models.StoredObject)
    body = what.body(**changes).encode()
    event = registrar.curator.event(body)
    signed = {"event": json.loads(event.leaf()), "body": json.loads(body)}
    return await api.call("records.post_event", body=api.models.SignedEvent.from_dict(signed))


async def test_a_generated_client_registers_reads_lists_searches_and_resolves(
    registrar: RegistrarUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = await registrar.curator.get("/api/v1/openapi.json")
    code, said = await generated(document.body, tmp_path)
    assert (code, "WARNING" in said, "rror" in said) == ("0", False, False), said
    monkeypatch.syspath_prepend(str(tmp_path))
    api = Api(registrar.url, registrar.curator.key)
    models = api.models

    said_of = Metadata(title="Wings of moths", creators=(Creator("Merian, Maria Sibylla"),))
    record = await publish(api, registrar, shareable("moths"), metadata=said_of)
    await publish(api, registrar, shareable("butterflies"))

    again = await api.call("records.get_record", record.rid)
    assert isinstance(again, models.Record)
    assert (again.content_id, again.body.metadata.title) == (record.content_id, "Wings of moths")
    assert again.copies.wanted == 3

    page = await api.call("records.list_records", limit=1)
    following = await api.call("records.list_records", limit=1, cursor=page.next_)
    assert [r.name for r in (*page.records, *following.records)] == ["butterflies", "moths"]
    assert following.next_ is None

    found = await api.call("records.search_records", q="moths")
    assert [r.rid for r in found.results] == [record.rid]

    matches = await api.call("records.resolve", id=record.ark)
    assert [m.rid for m in matches.matches] == [record.rid]

    manifest = await api.call("records.get_manifest", record.rid)
    assert hashlib.sha256(manifest.payload.read()).hexdigest() == record.body.dataset.manifest

    missing = await api.call("records.get_record", "0" * 64)
    assert (missing.status, missing.code) == (404, "not_found")
