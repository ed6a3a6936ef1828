"""The control socket: for the node's owner, with limits, and with errors that help."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedkeep import control
from seedkeep.control import ControlServer, call, socket_path
from seedkeep.core.errors import Conflict, InvalidInput, NoSpace, Unreachable, UsageError
from tests.support.registrar_simulator import pieces_of
from tests.support.storage import World, held, random_dataset

DATA = random_dataset("d", [50_000, 3])


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ControlServer]:
    async def echo(word: str, blobs: tuple[bytes, ...] = ()) -> dict[str, Any]:
        return {"word": word, "sizes": [len(b) for b in blobs]}

    async def full() -> None:
        raise NoSpace("no room", hint="make some")

    async def broken() -> None:
        raise RuntimeError("secret detail")

    found = ControlServer(socket_path(tmp_path), {"echo": echo, "full": full, "broken": broken})
    await found.start()
    yield found
    await found.close()


async def test_a_command_gets_its_arguments_and_blobs(server: ControlServer, tmp_path: Path) -> None:
    answer = await call(socket_path(tmp_path), "echo", {"word": "å"}, blobs=[b"", bytes(3_000_000)])
    assert answer == {"word": "å", "sizes": [0, 3_000_000]}


async def test_only_the_owner_may_connect(server: ControlServer, tmp_path: Path) -> None:
    assert socket_path(tmp_path).stat().st_mode & 0o777 == 0o600


async def test_errors_arrive_as_what_they_were(server: ControlServer, tmp_path: Path) -> None:
    with pytest.raises(NoSpace, match="no room") as failed:
        await call(socket_path(tmp_path), "full")
    assert failed.value.hint == "make some"


async def test_a_fault_of_the_node_tells_no_details(server: ControlServer, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="fault of its own") as failed:
        await call(socket_path(tmp_path), "broken")
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize(("do", "arguments"), [("dance", {}), ("echo", {}), ("echo", {"word": "a", "b": 1})])
async def test_unknown_commands_and_wrong_arguments_are_refused(
    server: ControlServer, tmp_path: Path, do: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput):
        await call(socket_path(tmp_path), do, arguments)


async def test_nobody_listening_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="no node listens") as failed:
        await call(socket_path(tmp_path), "status")
    assert "seedkeep node up" in failed.value.hint


async def test_a_socket_left_behind_is_replaced_but_a_living_one_is_not(
    server: ControlServer, tmp_path: Path
) -> None:
    with pytest.raises(Conflict):
        await ControlServer(socket_path(tmp_path), {}).start()
    other = tmp_path / "other"
    other.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(socket_path(other)))
    again = ControlServer(socket_path(other), {})
    await again.start()
    await again.close()
    assert not socket_path(other).exists()


async def test_too_long_a_path_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    with pytest.raises(UsageError, match="too long"):
        await ControlServer(socket_path(deep), {}).start()
    # From close by, a relative path is short enough.
    monkeypatch.chdir(deep)
    near = ControlServer(socket_path(deep), {})
    await near.start()
    await near.close()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(line=st.binary(max_size=300) | st.text().map(lambda t: json.dumps({"do": t}).encode()))
async def test_any_bytes_get_one_line_of_json_back(
    server: ControlServer, tmp_path: Path, line: bytes
) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket_path(tmp_path)))
    writer.write(line + b"\n")
    writer.write_eof()
    answer = json.loads(await reader.readline())
    assert answer["ok"] is False
    writer.close()
    await writer.wait_closed()


async def test_a_line_or_blobs_over_the_limit_are_refused(
    server: ControlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((InvalidInput, Unreachable)):
        await call(socket_path(tmp_path), "echo", {"word": "x" * 2_000_000})
    monkeypatch.setattr(control, "MAX_BLOBS", 10)
    with pytest.raises((InvalidInput, Unreachable)):
        await call(socket_path(tmp_path), "echo", {"word": "x"}, blobs=[bytes(11)])


async def test_somebody_who_says_nothing_does_not_hold_the_others_up(
    server: ControlServer, tmp_path: Path
) -> None:
    _, writer = await asyncio.open_unix_connection(str(socket_path(tmp_path)))
    assert await call(socket_path(tmp_path), "echo", {"word": "hi"}) == {"word": "hi", "sizes": []}
    writer.close()
    await writer.wait_closed()


async def test_a_node_is_run_through_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    cid = await world.share(DATA)
    async with world.node("a") as node:
        where = socket_path(node.layout.root)
        server = ControlServer(where, node.commands())
        await server.start()
        try:
            await world.until(lambda: held(node))
            assert (await call(where, "status"))["datasets"]["complete"] == 1
            assert (await call(where, "ls"))["datasets"][0]["content_id"] == cid
            await call(where, "pause")
            assert (await call(where, "status"))["state"] == "paused"
            await call(where, "drain")
            assert (await call(where, "status"))["state"] == "draining"
            await call(where, "resume")
            mine = random_dataset("mine", [70_000, 9])
            home = tmp_path / "home"
            home.mkdir()
            root = mine.write(home)
            told = await call(
                where,
                "seed",
                {"path": os.fspath(root), "trackers": ["http://tracker.test/announce"]},
                blobs=[mine.manifest.encode(), mine.layers, pieces_of(mine)],
            )
            assert told["content_id"] == mine.manifest.content_id()
            assert (await call(where, "status"))["shared"][0]["path"] == str(home)
            assert await call(where, "unseed", told) == {"stopped": True}
            await call(where, "down")
            async with asyncio.timeout(60):
                await node.run()
        finally:
            await server.close()
