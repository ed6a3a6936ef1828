"""opentracker, kept by configs/opentracker.sh, serves what a registrar serves and nothing else."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.require import require

SCRIPT = Path(__file__).resolve().parents[2] / "configs" / "opentracker.sh"
NOBODY = 65534


class FakeRegistrar:
    """Lists records one page at a time, as ``GET /api/v1/records`` does."""

    def __init__(self) -> None:
        self.records: list[dict[str, str]] = []
        self.down = False

    def add(self, digit: str) -> dict[str, str]:
        record = {"infohash_v1": digit * 40, "content_id": digit * 38 + "0" * 26}
        self.records.append(record)
        return record

    async def list(self, request: web.Request) -> web.Response:
        if self.down:
            raise web.HTTPServiceUnavailable
        at = int(request.query.get("cursor", "0"))
        more = at + 1 < len(self.records)
        return web.json_response(
            {"records": self.records[at : at + 1], "next": str(at + 1) if more else None}
        )


@pytest.fixture
async def registrar() -> AsyncIterator[tuple[FakeRegistrar, str]]:
    fake = FakeRegistrar()
    app = web.Application()
    app.router.add_get("/api/v1/records", fake.list)
    async with TestServer(app) as server:
        yield fake, str(server.make_url("")).rstrip("/")


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that an ordinary user can work in even when the tests run as root."""
    with tempfile.TemporaryDirectory(prefix="seedkeep-opentracker-") as folder:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield Path(folder)


@pytest.fixture
async def tracker(registrar: tuple[FakeRegistrar, str], home: Path) -> AsyncIterator[str]:
    for program in ("opentracker", "curl", "jq"):
        require(shutil.which(program) is not None, f"the Debian package {program} is not installed")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    process = await asyncio.create_subprocess_exec(
        *(as_nobody if os.geteuid() == 0 else []),
        *("sh", "-s"),  # read from standard input: nobody may not look into root's folders
        stdin=SCRIPT.open("rb"),
        cwd=home,
        env={**os.environ, "REGISTRAR": registrar[1], "PORT": str(port), "SECONDS_BETWEEN": "0.2"},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    assert await process.wait() == 0


async def announced(tracker: str, info_hash: str) -> bool:
    """Whether the tracker takes an announce for these 40 hex digits."""
    query = f"info_hash={quote_from_bytes(bytes.fromhex(info_hash))}&peer_id={'p' * 20}&port=7&left=1"
    async with aiohttp.ClientSession() as session, session.get(f"{tracker}/announce?{query}") as answer:
        return b"interval" in await answer.read()


async def until(tracker: str, info_hash: str, wanted: bool) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                if await announced(tracker, info_hash) is wanted:
                    return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)


async def test_it_serves_both_info_hashes_of_every_record_and_nothing_else(
    registrar: tuple[FakeRegistrar, str], tracker: str
) -> None:
    fake, _ = registrar
    first, second = fake.add("a"), fake.add("b")
    for record in (first, second):
        await until(tracker, record["infohash_v1"], True)
        await until(tracker, record["content_id"][:40], True)
    assert not await announced(tracker, "c" * 40)


async def test_a_record_that_is_withheld_is_dropped_even_when_it_was_the_last(
    registrar: tuple[FakeRegistrar, str], tracker: str
) -> None:
    fake, _ = registrar
    record: dict[str, Any] = fake.add("a")
    await until(tracker, record["infohash_v1"], True)
    fake.records.clear()
    await until(tracker, record["infohash_v1"], False)


async def test_it_goes_on_while_the_registrar_is_down(
    registrar: tuple[FakeRegistrar, str], tracker: str
) -> None:
    fake, _ = registrar
    record = fake.add("a")
    await until(tracker, record["infohash_v1"], True)
    fake.down = True
    await asyncio.sleep(0.5)
    assert await announced(tracker, record["infohash_v1"])
    fake.down = False
    await until(tracker, fake.add("d")["infohash_v1"], True)
