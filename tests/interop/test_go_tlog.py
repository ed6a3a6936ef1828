"""Go's own code for transparency logs reads and verifies a running registrar's log.

``golang.org/x/mod/sumdb`` (Debian: golang-go, golang-golang-x-mod-dev) is what Go checks its modules with.
More events than the suite has time for::

    SEEDKEEP_GO_EVENTS=10000 python -m pytest -n0 tests/interop/test_go_tlog.py
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import Connection

from seedkeep.core.events import Event, sign_event
from seedkeep.core.keys import PrivateKey
from seedkeep_registrar.store import events
from tests.support.registrar import RegistrarUnderTest, shareable
from tests.support.require import require

SOURCE = Path(__file__).parent / "go_tlog" / "main.go"
GO_PATH = Path("/usr/share/gocode")
COUNT = int(os.environ.get("SEEDKEEP_GO_EVENTS", "400"))
BATCH = 97
KEY = PrivateKey(b"g" * 32)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Go's reader, compiled."""
    require(shutil.which("go") is not None, "go is not installed (Debian: golang-go)")
    found = (GO_PATH / "src/golang.org/x/mod/sumdb/tlog").is_dir()
    require(found, "golang.org/x/mod is not installed (Debian: golang-golang-x-mod-dev)")
    folder = tmp_path_factory.mktemp("go")
    made = folder / "go_tlog"
    where = {"GOPATH": str(GO_PATH), "GOCACHE": str(folder / "cache"), "GO111MODULE": "off"}
    command = ["go", "build", "-o", str(made), str(SOURCE)]
    subprocess.run(command, env={**os.environ, **where, "CGO_ENABLED": "0"}, check=True, timeout=600)
    return made


async def ran(*command: str) -> str:
    """What a program prints; it has to succeed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(600):
        out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return out.decode()


async def grow(registrar: RegistrarUnderTest, first: int, end: int) -> None:
    """Append events in batches, without the work that makes records of them."""

    def append(connection: Connection, numbers: range) -> None:
        for number in numbers:
            body = b"%d" % number
            event = sign_event(
                KEY,
                type="record",
                body=body,
                home=registrar.context.origin,
                created="2026-01-31T12:00:00Z",
            )
            events.append(connection, events.lock(connection), event, body, now=1.0)

    for start in range(first, end, BATCH):
        await registrar.context.db.write(append, range(start, min(end, start + BATCH)))


async def test_gos_tlog_verifies_a_running_registrars_log(
    program: Path, any_registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    person = any_registrar.person()
    documents = [await person.register(shareable("first"))]
    await grow(any_registrar, 0, COUNT // 3)
    (tmp_path / "old").write_bytes((await person.get("/log/checkpoint")).body)
    await grow(any_registrar, COUNT // 3, COUNT - 2)
    documents.append(await person.register(shareable("last")))
    for document in documents:
        (tmp_path / f"{document['index']}.tlog-proof").write_text(document["proof"])
        (tmp_path / f"{document['index']}.leaf").write_bytes(Event.parse(document["event"]).leaf())
    place, vkey = f"{any_registrar.url}/log", str(any_registrar.context.vkey)
    told = await ran(str(program), place, vkey, str(tmp_path / "old"), str(tmp_path))
    assert told.split() == [str(COUNT), str(1 + COUNT // 3), "2"]
