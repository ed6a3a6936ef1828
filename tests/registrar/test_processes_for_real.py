"""Several real processes of one registrar: killed in the middle, stopped politely, supervised."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp

from seedkeep.core.notes import Verifier
from tests.registrar.test_crash import check, register_until_cut
from tests.registrar.test_processes import To
from tests.registrar.test_startup import first_line, process
from tests.support.ports import free_port
from tests.support.processes import until
from tests.support.registrar import Person, new_key, shareable

WRITERS = 3


def up(data: Path, database_url: str, *more: str) -> tuple[str, ...]:
    return ("up", "--data", str(data), "--database-url", database_url, "--json", *more)


async def test_the_log_is_sound_after_one_of_three_is_killed_in_the_middle(
    tmp_path: Path, postgres_url: str
) -> None:
    port, acknowledged = free_port(), dict[str, int]()
    addresses = [f"127.0.0.{n}" for n in (1, 2, 3)]
    async with AsyncExitStack() as stack:
        children, people = [], []
        for address in addresses:
            arguments = ("--listen", f"{address}:{port}", "--public-url", f"http://localhost:{port}")
            children.append(
                await stack.enter_async_context(process(*up(tmp_path / "data", postgres_url, *arguments)))
            )
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=To(address)))
            people.append((address, await stack.enter_async_context(session)))
        said = [json.loads(await first_line(child)) for child in children]
        assert len({one["vkey"] for one in said}) == 1

        def person(session: aiohttp.ClientSession) -> Person:
            return Person(said[0]["url"], said[0]["origin"], session, new_key())

        work = [
            asyncio.create_task(register_until_cut(person(session), f"{address}-{n}", acknowledged))
            for address, session in people
            for n in range(WRITERS)
        ]

        async def enough(count: int) -> bool:
            return len(acknowledged) >= count

        await until(lambda: enough(30), "thirty are registered", seconds=120)
        children[0].kill()
        at_the_kill = len(acknowledged)
        await until(lambda: enough(at_the_kill + 30), "the others go on", seconds=120)
        for child in children[1:]:
            child.kill()
        await asyncio.gather(*work)
        arguments = ("--listen", f"127.0.0.1:{port}", "--public-url", f"http://localhost:{port}")
        await asyncio.gather(*(child.wait() for child in children))
        again = await stack.enter_async_context(process(*up(tmp_path / "data", postgres_url, *arguments)))
        await first_line(again)
        await check(person(people[0][1]), Verifier.parse(said[0]["vkey"]), acknowledged, [])


async def test_a_supervisor_keeps_its_processes_running(tmp_path: Path, postgres_url: str) -> None:
    arguments = ("--listen", "127.0.0.1:0", "--processes", "2")
    async with (
        process(*up(tmp_path / "data", postgres_url, *arguments)) as parent,
        aiohttp.ClientSession() as session,
    ):
        said = json.loads(await first_line(parent))
        person = Person(said["url"], said["origin"], session)

        def children() -> set[int]:
            text = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text()
            named = {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in text.split()}
            return {pid for pid, line in named.items() if "spawn_main" in line}

        async def two() -> bool:
            return len(children()) == 2

        await until(two, "two processes run")
        victim = min(children())
        os.kill(victim, signal.SIGKILL)
        await person.register(shareable("meanwhile"))

        async def replaced() -> bool:
            return len(children() - {victim}) == 2

        await until(replaced, "it is started again")
        left = children()
        parent.kill()

        async def gone() -> bool:
            return not any(Path(f"/proc/{pid}").exists() for pid in left)

        await until(gone, "they end with their supervisor", seconds=60)


async def test_several_processes_on_sqlite_are_refused(tmp_path: Path) -> None:
    async with process("up", "--data", str(tmp_path), "--processes", "3") as child:
        _, errors = await child.communicate()
        assert child.returncode != 0
        assert b"SQLite is for one process" in errors


async def test_a_process_that_cannot_start_ends_the_supervisor(tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "registrar.pem").write_text("rubbish")
    arguments = up(tmp_path, postgres_url, "--listen", "127.0.0.1:0", "--processes", "2")
    async with process(*arguments) as child:
        async with asyncio.timeout(60):
            _, errors = await child.communicate()
        assert child.returncode not in (0, None)
        assert b"key file" in errors


async def test_a_polite_stop_answers_everybody(tmp_path: Path) -> None:
    """Those who wait are answered at once, readyz says no, and connections are not kept."""
    arguments = ("up", "--data", str(tmp_path), "--listen", "127.0.0.1:0", "--json")
    async with (
        process(*arguments, SEEDKEEP_REGISTRAR_DRAIN_S="60s") as child,
        aiohttp.ClientSession() as session,
    ):
        said = json.loads(await first_line(child))
        node = Person(said["url"], said["origin"], session)
        await node.introduce()
        await node.beat()
        assert (await node.get("/readyz")).status == 200
        waiting = asyncio.create_task(node.beat(wait=60))
        await asyncio.sleep(0.5)
        child.terminate()
        async with asyncio.timeout(30):
            answer: dict[str, Any] = await waiting
        assert answer["taint_head"]
        answered = await node.get("/readyz")
        assert (answered.status, answered.json["checks"]["process"]) == (503, "it is shutting down")
        assert answered.headers["Connection"] == "close"
        assert (await node.beat())["taint_head"]
