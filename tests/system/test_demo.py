"""``seedkeep demo``: all promises on one machine, and nothing left behind however it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SAMPLE_BYTES = 49270


def processes_in(place: Path) -> list[str]:
    """Command lines of the processes that work somewhere below ``place``."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(place):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it ended meanwhile, or is not ours
            continue
    return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where the demonstration works; afterwards everything is gone from it."""
    place = tmp_path / "t"
    place.mkdir()
    yield place
    assert processes_in(place) == []
    assert list(place.iterdir()) == []


async def start(place: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "seedkeep", "demo", "--json", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(place)},
        start_new_session=True,
    )


async def played(place: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON object, and what was said on the way."""
    process = await start(place, *arguments)
    out, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, json.loads(out), said.decode()


async def said(process: asyncio.subprocess.Process, word: str) -> None:
    assert process.stderr
    async for line in process.stderr:
        if word in line.decode():
            return
    pytest.fail(f"the demonstration ended before it said {word!r}")


def step(result: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [s for s in result["steps"] if s["name"] == name]
    return dict(found)


async def test_it_shows_every_promise_on_the_sample(place: Path) -> None:
    code, result, progress = await played(place)
    assert code == 0, progress
    assert result["ark"].startswith("ark:/99999/sk")
    assert (result["files"], result["nodes"]) == (2, 3)
    assert step(result, "copies")["copies"] == 3
    assert step(result, "fetch")["bytes"] >= SAMPLE_BYTES
    assert step(result, "fetch again")["bytes"] >= SAMPLE_BYTES
    assert step(result, "removal")["bytes"] >= 3 * SAMPLE_BYTES
    assert "exit code 4" in step(result, "fetch tainted")["text"]
    assert all(s["state"] == "done" for s in result["steps"])


async def test_one_node_is_enough_and_then_none_is_lost(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "readings.csv"
    file.write_bytes(os.urandom(300_000))
    code, result, progress = await played(place, str(file), "--nodes", "1")
    assert code == 0, progress
    assert (result["files"], result["bytes"]) == (1, 300_000)
    assert step(result, "lose a node")["state"] == "skipped"


@pytest.mark.parametrize(("word", "times"), [("registrar at", 2), ("audited", 1)])
async def test_ctrl_c_leaves_nothing_behind(place: Path, word: str, times: int) -> None:
    process = await start(place)
    await said(process, word)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.2)
    await process.communicate()
    assert process.returncode == 130


async def test_a_closed_terminal_leaves_nothing_behind(place: Path) -> None:
    process = await start(place)
    await said(process, "registrar at")
    process.send_signal(signal.SIGHUP)
    await process.communicate()
    assert process.returncode == 130


async def test_kept_it_goes_on_until_its_one_line_ends_it(place: Path) -> None:
    code, result, progress = await played(place, "--nodes", "1", "--keep")
    assert code == 0, progress
    try:
        with urllib.request.urlopen(result["landing_page"], timeout=10) as page:
            assert b"lambda_virus.fa" in page.read()
        assert len(processes_in(place)) >= 2
    finally:
        subprocess.run(["bash", "-c", result["stop"]], check=True, timeout=60)


async def test_a_failing_process_is_named_with_its_last_words(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "back\\slash").write_bytes(b"x")
    code, result, _ = await played(place, str(folder), "--nodes", "1")
    assert code == 1
    assert "sharer" in result["error"]["message"]
    assert "contains a backslash" in result["error"]["message"]
    assert "last lines of its log" in result["error"]["hint"]


async def test_a_path_that_is_not_there_is_told_at_once(place: Path, tmp_path: Path) -> None:
    code, result, _ = await played(place, str(tmp_path / "missing"))
    assert code != 0
    assert "missing" in result["error"]["message"]
