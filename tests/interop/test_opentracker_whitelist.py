"""A real opentracker with the whitelist that a registrar keeps for it: it serves what the registrar does."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.interop.test_opentracker import NOBODY, until
from tests.support.ports import free_port
from tests.support.processes import accepts
from tests.support.processes import until as until_so
from tests.support.registrar import RegistrarUnderTest, shareable, start_registrar
from tests.support.require import require


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that the tracker's user can read even when the tests run as root."""
    with tempfile.TemporaryDirectory(prefix="seedkeep-opentracker-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@asynccontextmanager
async def opentracker(home: Path, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    program = shutil.which("opentracker")
    require(program is not None, "the Debian package opentracker is not installed")
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    child = await asyncio.create_subprocess_exec(
        *(as_nobody if os.geteuid() == 0 else []),
        *(str(program), "-i", "127.0.0.1", "-p", str(port), "-P", str(port), "-w", str(home / "whitelist")),
        cwd=home,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    (home / "pid").write_text(f"{child.pid}\n")
    try:
        await until_so(lambda: accepts("127.0.0.1", port), "opentracker starts")
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


def keeping(data: Path, home: Path, port: int, **more: Any) -> Any:
    """A registrar that keeps the whitelist."""
    return start_registrar(
        data,
        opentracker_whitelist=str(home / "whitelist"),
        opentracker_pid_file=str(home / "pid"),
        trackers=(f"http://127.0.0.1:{port}/announce",),
        builtin_tracker=False,
        **more,
    )


async def both(tracker: str, document: dict[str, Any], wanted: bool) -> None:
    """Wait until both info-hashes of a record are taken, or refused."""
    await until(tracker, document["infohash_v1"], wanted)
    await until(tracker, document["content_id"][:40], wanted)


async def test_opentracker_serves_what_is_registered_and_drops_what_is_tainted(
    home: Path, tmp_path: Path, database_url: str
) -> None:
    port = free_port()
    tracker, data = f"http://127.0.0.1:{port}", tmp_path / "registrar"
    more = {"database_url": database_url, "listen": f"127.0.0.1:{free_port()}"}
    registrar: RegistrarUnderTest
    async with keeping(data, home, port, **more) as registrar:
        kept = await registrar.person().register(shareable("kept"))
        await until_so(lambda: exists(home / "whitelist"), "the whitelist is there")
        async with opentracker(home, port):
            doomed = await registrar.person().register(shareable("doomed"))
            await both(tracker, kept, True)
            await both(tracker, doomed, True)
            await until(tracker, "ab" * 20, False)
            taint = (await registrar.curator.taint(f"content:{doomed['content_id']}")).json
            await both(tracker, doomed, False)
            await both(tracker, kept, True)
        late = await registrar.person().register(shareable("late"))  # nobody is there to be told
        async with opentracker(home, port) as child:
            await both(tracker, late, True)
            await both(tracker, doomed, False)
    # the registrar comes back with a whitelist that somebody has spoilt
    (home / "whitelist").write_text("")
    async with opentracker(home, port) as child, keeping(data, home, port, **more):
        await both(tracker, kept, True)
        await both(tracker, doomed, False)
        assert child.returncode is None
    assert taint["state"] == "standing"


async def exists(place: Path) -> bool:
    return place.exists()


async def test_a_pid_that_belongs_to_something_else_is_left_alone(home: Path, tmp_path: Path) -> None:
    """SIGHUP ends most programs."""
    bystander = await asyncio.create_subprocess_exec("sleep", "60")
    (home / "pid").write_text(str(bystander.pid))
    async with keeping(tmp_path / "registrar", home, free_port()) as registrar:
        document = await registrar.person().register(shareable())

        async def written() -> bool:
            place = home / "whitelist"
            return place.exists() and document["infohash_v1"] in place.read_text().split()

        await until_so(written, "the whitelist is written")
    assert bystander.returncode is None
    bystander.send_signal(signal.SIGKILL)
    await bystander.wait()
