"""The command line as a person or a pipeline meets it: names, exit codes, JSON, no tracebacks."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from seedkeep.cli import running
from seedkeep.cli.main import cli
from seedkeep.cli.output import Output, Step, describe, plain
from seedkeep.core.decision import DECISION, DecisionBody
from tests.support.registrar import RegistrarUnderTest, registrar_with, shareable
from tests.support.web_seed_server import web_seed_server

SHARE_KEYS = [
    "ark",
    "rid",
    "content_id",
    "infohash_v1",
    "magnet",
    "magnet_v2",
    "landing_page",
    "files",
    "bytes",
    "copies",
    "state",
    "supersedes",
]
FETCH_KEYS = ["path", "files", "bytes", "seconds", "peers_bytes", "web_seed_bytes", "countersigned"]


def environment(home: Path) -> dict[str, str]:
    """A person of their own, on loopback alone."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SEEDKEEP_", "XDG_"))}
    return {
        **kept,
        "HOME": str(home),
        "SEEDKEEP_CLIENT_ZEROCONF": "false",
        "SEEDKEEP_NODE_ZEROCONF": "false",
        "SEEDKEEP_CLIENT_LISTEN": "127.0.0.1",
        "SEEDKEEP_NODE_LISTEN": "127.0.0.1",
    }


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def start(home: Path, *arguments: str, **variables: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "seedkeep",
        *arguments,
        env={**environment(home), **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process: asyncio.subprocess.Process) -> Ended:
    try:
        out, err = await asyncio.wait_for(process.communicate(), 90)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    assert b"Traceback" not in err, err.decode()
    return Ended(process.returncode, out.decode(), err.decode())


async def seedkeep(home: Path, *arguments: str, **variables: str) -> Ended:
    return await ended(await start(home, *arguments, **variables))


def inside(home: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Result:
    """A command that needs no process of its own; commands with an event loop do."""
    return CliRunner(env={**environment(home), **(env or {})}).invoke(cli, list(arguments))


# --- wrong usage ---


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["fetch"],
        ["fetch", "x", "--no-such-option"],
        ["fetch", "my favourite dataset"],
        ["fetch", "md5:00", "--registrar", "http://127.0.0.1:9"],
        ["fetch", "md5:" + "0" * 32, "--no-peers", "--no-web-seeds"],
        ["fetch", "md5:" + "0" * 32],
        ["fetch", "md5:" + "0" * 32, "--registrar", "ftp://x"],
        ["share"],
        ["share", "/no/such/place", "--dry-run"],
        ["share", "/etc/hostname", "--copies", "-1"],
        ["whatis", "neither a path nor a name"],
        ["verify"],
        ["node", "up", "--pledge", "lots"],
        ["node", "up", "--pledge", "0"],
        ["node", "up", "--config", "/no/such/file"],
        ["taint", "add", "x"],
        ["taint", "add", "x", "--category", "boredom", "--reason", "x"],
        ["demo", "--nodes", "0"],
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_wrong_usage_is_2_and_says_what_is_right(tmp_path: Path, arguments: list[str], as_json: bool) -> None:
    result = inside(tmp_path, *arguments, *(["--json"] if as_json else []))
    assert result.exit_code == 2, (result.output, result.exception)
    assert "Traceback" not in result.output
    if as_json:
        error = json.loads(result.stdout)["error"]
        assert set(error) == {"code", "message", "hint"}
        assert error["code"] == "usage"
    else:
        assert result.stdout == ""
        assert result.stderr.startswith("error: ")


def test_a_misspelt_setting_names_the_nearest(tmp_path: Path) -> None:
    result = inside(tmp_path, "fetch", "md5:" + "0" * 32, env={"SEEDKEEP_CLIENT_REGISTRAR": "x"})
    assert result.exit_code == 2
    assert "registrars" in result.stderr


@pytest.mark.parametrize(
    "group",
    [
        [],
        ["node"],
        ["curate"],
        ["taint"],
        ["key"],
        ["registrar"],
        ["share"],
        ["fetch"],
        ["info"],
        ["whatis"],
        ["verify"],
        ["demo"],
    ],
)
def test_every_command_explains_itself(tmp_path: Path, group: list[str]) -> None:
    result = inside(tmp_path, *group, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_the_names_of_the_commands_are_the_promised_ones(tmp_path: Path) -> None:
    top = inside(tmp_path, "--help").stdout
    names = (
        "curate",
        "demo",
        "fetch",
        "info",
        "key",
        "log",
        "node",
        "proof",
        "registrar",
        "share",
        "taint",
        "verify",
        "whatis",
    )
    for name in names:
        assert f"\n  {name} " in top
    node = inside(tmp_path, "node", "--help").stdout
    for name in ("up", "status", "pause", "resume", "drain", "down", "ls"):
        assert f"\n  {name} " in node
    assert inside(tmp_path, "--version").stdout.startswith("seedkeep, version ")


# --- keys ---


def test_a_key_is_made_once_and_shown(tmp_path: Path) -> None:
    assert inside(tmp_path, "key", "show").exit_code == 1
    made = json.loads(inside(tmp_path, "key", "new", "--json").stdout)
    shown = json.loads(inside(tmp_path, "key", "show", "--json").stdout)
    assert made == shown
    assert made["key"].startswith("ed25519:")
    assert Path(made["path"]).stat().st_mode & 0o777 == 0o600
    again = inside(tmp_path, "key", "new", "--json")
    assert again.exit_code == 1
    assert "already" in json.loads(again.stdout)["error"]["message"]


# --- share, info, fetch, verify, against a real registrar and with the real engine ---


async def test_a_dry_run_shows_what_would_be_recorded_and_sends_nothing(tmp_path: Path) -> None:
    what = shareable()
    root = what.data.write(tmp_path)
    told = (await seedkeep(tmp_path, "share", str(root), "--dry-run", "--json")).json
    assert [k for k in told if k != "record"] == SHARE_KEYS
    assert told["content_id"] == what.dataset().content_id
    assert told["ark"] == told["rid"] == ""
    assert told["record"]["license"] == "CC0-1.0"
    assert not (tmp_path / ".config/seedkeep/key.pem").exists()


async def test_what_waits_for_a_curator_is_queued_and_goes_on_later(tmp_path: Path) -> None:
    what = shareable()
    root = what.data.write(tmp_path)
    await asyncio.sleep(0.1)  # a file that changed just now is read again
    async with registrar_with(tmp_path, registration="curated") as registrar:
        command = ("share", str(root), "--copies", "0", "--registrar", registrar.url)
        queued = await seedkeep(tmp_path, *command, "--json")
        assert queued.code == 0, queued
        assert list(queued.json) == SHARE_KEYS
        assert queued.json["state"] == "queued"
        rid = queued.json["rid"]
        assert queued.json["landing_page"] == f"{registrar.url}/curation/{rid}"
        again = await seedkeep(tmp_path, *command)
        assert "a curator" in again.out
        assert "Run the same command again later" in again.out

        async def decide(decision: str, reason: str) -> None:
            body = DecisionBody(rid, decision, reason).encode()
            event = registrar.curator.event(body, DECISION)
            answer = await registrar.curator.submit(event, body, f"/api/v1/submissions/{rid}/{decision}")
            assert answer.status == 200, answer

        await decide("return", "Name the authors.")
        returned = await seedkeep(tmp_path, *command)
        assert returned.code == 1
        assert "Name the authors." in returned.err
        await decide("approve", "")
        recorded = await seedkeep(tmp_path, *command, "--json")
        assert recorded.code == 0, recorded
        assert (recorded.json["state"], recorded.json["rid"]) == ("recorded", rid)


async def test_from_share_to_fetch_to_verify(registrar: RegistrarUnderTest, tmp_path: Path) -> None:
    what = shareable()
    root = what.data.write(tmp_path / "mine")
    ask = ("--registrar", registrar.url)
    shared = await start(tmp_path, "share", str(root), "--copies", "1", "--json", *ask)
    reader = tmp_path / "reader"
    reader.mkdir()
    try:
        async with asyncio.timeout(60):
            while not (found := (await registrar.person().get("/api/v1/records")).json["records"]):
                await asyncio.sleep(0.1)
        ark = found[0]["ark"]
        told = await seedkeep(reader, "fetch", ark, "-o", str(reader / "out"), "--json", *ask)
        assert told.code == 0, told
        assert list(told.json) == FETCH_KEYS
        assert told.json["path"] == str(reader / "out" / "sample")
        assert told.json["files"] == 3
        assert told.json["bytes"] == told.json["peers_bytes"] == what.data.manifest.bytes
        for path, data in what.data.content.items():
            assert (reader / "out/sample" / path).read_bytes() == data
    finally:
        shared.send_signal(signal.SIGINT)
        stopped = await ended(shared)
    assert stopped.code == 130
    assert stopped.json["error"]["code"] == "interrupted"
    assert "same command again" in stopped.json["error"]["hint"]

    good = await seedkeep(reader, "verify", str(reader / "out/sample"), "--json")
    assert good.code == 0, good
    assert good.json["ok"]
    assert good.json["ark"] == ark
    (reader / "out/sample/sub/small.txt").write_text("mine")
    (reader / "out/sample/extra").write_text("mine")
    bad = await seedkeep(reader, "verify", str(reader / "out/sample"), ark, "--json", *ask)
    assert bad.code == 5
    assert [w["path"] for w in bad.json["wrong"]] == ["sub/small.txt"]
    assert bad.json["extra"] == ["extra"]
    assert bad.json["error"]["code"] == "verification_failed"
    plain_bad = await seedkeep(reader, "verify", str(reader / "out/sample"))
    assert plain_bad.code == 5
    assert "wrong: " in plain_bad.out
    refused = await seedkeep(reader, "fetch", ark, "-o", str(reader / "out"), "--json", *ask)
    assert (refused.code, refused.json["error"]["code"]) == (1, "refused")
    assert (reader / "out/sample/sub/small.txt").read_text() == "mine"


async def test_a_folder_without_a_note_is_looked_up_by_its_content(
    registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    what = shareable()
    record = await registrar.person().register(what)
    root = what.data.write(tmp_path / "copy")
    told = await seedkeep(tmp_path, "verify", str(root), "--json", "--registrar", registrar.url)
    assert told.code == 0, told
    assert told.json["ark"] == record["ark"]
    (root / "big.bin").write_bytes(b"other")
    unknown = await seedkeep(tmp_path, "verify", str(root), "--json", "--registrar", registrar.url)
    assert unknown.code == 3
    nothing = await seedkeep(tmp_path, "verify", str(tmp_path / "none"), "--json")
    assert nothing.code == 3


async def test_an_old_version_is_fetched_with_a_note_and_latest_gives_the_newest(
    registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    async with web_seed_server(tmp_path / "served") as server:
        sharer, seed = registrar.person(), (server.base,)
        old, new = (shareable(text.decode(), {"a.txt": text, "b.txt": b"same"}) for text in (b"old", b"new"))
        for what in (old, new):
            what.data.write(tmp_path / "served")
        first = await sharer.register(old, web_seeds=seed)
        await sharer.register(new, web_seeds=seed, supersedes=first["rid"])
        common = ("--no-peers", "--registrar", registrar.url, "--json")
        for name, told, bytes_of in ((first["ark"], True, b"old"), (f"{first['ark']}@latest", False, b"new")):
            out = tmp_path / f"out {told}"
            fetched = await seedkeep(tmp_path, "fetch", name, "--output", str(out), *common)
            assert fetched.code == 0, fetched.err
            assert (Path(fetched.json["path"]) / "a.txt").read_bytes() == bytes_of
            assert (f"there is a newer version of this dataset: {first['ark']}@latest" in fetched.err) == told


async def test_info_shows_the_record_and_its_files(registrar: RegistrarUnderTest, tmp_path: Path) -> None:
    record = await registrar.person().register(shareable())
    ask = ("--registrar", registrar.url)
    told = (await seedkeep(tmp_path, "info", record["ark"], "--json", "--files", *ask)).json
    assert told["rid"] == record["rid"]
    assert [f["path"] for f in told["manifest"]] == ["big.bin", "sub/empty", "sub/small.txt"]
    text = (await seedkeep(tmp_path, "info", record["content_id"], *ask)).out
    for word in (record["ark"], "A test", "sub/small.txt", "0 audited"):
        assert word in text


async def test_not_found_is_3_and_tainted_is_4_with_the_reason(
    registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    ask = ("--registrar", registrar.url)
    record = await registrar.person().register(shareable())
    missing = await seedkeep(tmp_path, "fetch", "md5:" + "0" * 32, "--json", *ask)
    assert (missing.code, missing.json["error"]["code"]) == (3, "not_found")
    ark: str = record["ark"]
    typo = ark[:-2] + ("b" if ark[-2] != "b" else "c") + ark[-1]
    mistyped = await seedkeep(tmp_path, "fetch", typo, "--json", *ask)
    assert mistyped.code == 3
    assert record["ark"] in mistyped.json["error"]["hint"]
    await registrar.curator.taint(f"content:{record['content_id']}")
    tainted = await seedkeep(tmp_path, "fetch", ark, "--json", *ask)
    assert (tainted.code, tainted.json["error"]["code"]) == (4, "tainted")
    assert "a court said so" in tainted.json["error"]["message"]
    spoken = await seedkeep(tmp_path, "fetch", ark, *ask)
    assert spoken.out == ""
    assert "a court said so" in spoken.err


async def test_a_curator_taints_lists_and_lifts(registrar: RegistrarUnderTest, tmp_path: Path) -> None:
    ask = ("--json", "--registrar", registrar.url)
    record = await registrar.person().register(shareable())
    curator = tmp_path / "curator"
    key = curator / ".config/seedkeep/key.pem"
    key.parent.mkdir(parents=True)
    key.touch(mode=0o600)
    key.write_bytes(registrar.curator.key.to_pem())
    why = ("--category", "retraction", "--reason", "wrong samples")
    stranger = await seedkeep(tmp_path, "taint", "add", record["ark"], *why, *ask)
    assert (stranger.code, stranger.json["error"]["code"]) == (1, "refused")
    added = await seedkeep(curator, "taint", "add", record["ark"], *why, *ask)
    assert added.code == 0, added
    assert added.json["state"] == "standing"
    listed = (await seedkeep(curator, "taint", "list", *ask)).json["taints"]
    assert [t["id"] for t in listed] == [added.json["id"]]
    assert (await seedkeep(curator, "info", record["ark"], *ask)).code == 4
    unknown = await seedkeep(curator, "taint", "lift", "ffff", "--reason", "x", *ask)
    assert unknown.code == 3
    lifted = await seedkeep(curator, "taint", "lift", added.json["id"][:8], "--reason", "cleared", *ask)
    assert lifted.code == 0, lifted
    assert (await seedkeep(curator, "info", record["ark"], *ask)).code == 0


async def test_detached_it_seeds_in_the_background(registrar: RegistrarUnderTest, tmp_path: Path) -> None:
    what = shareable()
    root = what.data.write(tmp_path / "mine")
    ask = ("--json", "--registrar", registrar.url)
    shared = await seedkeep(tmp_path, "share", str(root), "--detach", *ask)
    assert shared.code == 0, shared
    background = re.search(r"as process (\d+)", shared.err)
    assert background
    try:
        told = await seedkeep(tmp_path, "fetch", shared.json["ark"], "-o", str(tmp_path / "out"), *ask)
    finally:
        os.kill(int(background[1]), signal.SIGTERM)
    assert told.code == 0, told
    assert told.json["peers_bytes"] == what.data.manifest.bytes


async def test_a_node_serves_shares_and_goes_down(registrar: RegistrarUnderTest, tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "n"))
    node = await start(
        tmp_path, "node", "up", "--pledge", "50MB", "--registrar", registrar.url, "--json", *data
    )
    assert node.stdout is not None
    lines = b""
    async with asyncio.timeout(60):
        while True:
            lines += await node.stdout.readline()
            if lines.rstrip().endswith(b"}"):
                break
    up = json.loads(lines)
    assert up["pledge"] == 50_000_000
    assert up["registrars"] == [registrar.url]
    again = await seedkeep(tmp_path, "node", "up", "--registrar", registrar.url, "--json", *data)
    assert (again.code, again.json["error"]["code"]) == (1, "conflict")
    status = await seedkeep(tmp_path, "node", "status", "--json", *data)
    assert status.json["node"] == up["node"]
    assert status.json["port"] == up["port"]
    for do, state in (("pause", "paused"), ("resume", "active"), ("drain", "draining"), ("resume", "active")):
        assert (await seedkeep(tmp_path, "node", do, "--json", *data)).json == {"state": state}
        assert (await seedkeep(tmp_path, "node", "status", "--json", *data)).json["state"] == state
    assert (await seedkeep(tmp_path, "node", "ls", "--json", *data)).json == {"datasets": []}

    root = shareable().data.write(tmp_path / "mine")
    shared = await seedkeep(
        tmp_path, "share", str(root), "--detach", "--copies", "2", "--json", "--registrar", registrar.url,
        SEEDKEEP_NODE_DATA=str(tmp_path / "n"),
    )  # fmt: skip
    assert shared.code == 0, shared
    assert list(shared.json) == SHARE_KEYS
    status = await seedkeep(tmp_path, "node", "status", "--json", *data)
    held = (await seedkeep(tmp_path, "node", "ls", "--json", *data)).json["datasets"]
    seeded = [s["content_id"] for s in status.json["shared"]]
    # in place, or, when it has taken it on as well by now, from its own store
    assert shared.json["content_id"] in [*seeded, *(d["content_id"] for d in held)], shared.err

    assert (await seedkeep(tmp_path, "node", "down", "--json", *data)).json == {"state": "down"}
    assert await asyncio.wait_for(node.wait(), 30) == 0
    gone = await seedkeep(tmp_path, "node", "status", "--json", *data)
    assert gone.code == 1
    assert "node up" in gone.json["error"]["hint"]


async def test_a_node_ends_well_on_sigterm_and_without_a_registrar_says_so(
    registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    nobody = await seedkeep(tmp_path, "node", "up", "--data", str(tmp_path / "n"), "--json")
    assert (nobody.code, nobody.json["error"]["code"]) == (2, "usage")
    node = await start(tmp_path, "node", "up", "--data", str(tmp_path / "n"), "--registrar", registrar.url)
    assert node.stdout is not None
    assert b"keeps up to" in await asyncio.wait_for(node.stdout.readline(), 60)
    node.send_signal(signal.SIGTERM)
    assert (await ended(node)).code == 0


# --- how it speaks ---


def test_an_unexpected_fault_is_one_line_and_a_traceback_only_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("seedkeep.keystore.load", broken)
    result = inside(tmp_path, "key", "show", "--json")
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert "RuntimeError: boom" in error["message"]
    assert "SEEDKEEP_DEBUG=1" in error["hint"]
    assert "Traceback" not in result.stderr
    shown = inside(tmp_path, "key", "show", "--json", env={"SEEDKEEP_DEBUG": "1"})
    assert "Traceback" in shown.stderr
    assert json.loads(shown.stdout)


def test_a_full_disk_has_its_own_code() -> None:
    error = running._unexpected(OSError(28, "No space left on device", "/x"))
    assert error.code == "no_space"


def test_text_from_outside_cannot_drive_the_terminal() -> None:
    assert "\x1b" not in plain("a\x1b[2Jb\x07\u202ec\nd")
    assert plain("ünï\ncode") == "ünï\ncode"


def test_progress_is_lines_without_a_terminal_and_nothing_when_quiet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for quiet in (False, True):
        with Output(as_json=True, quiet=quiet).progress() as bar:
            for done in range(0, 1000, 10):
                bar.show(Step("fetching", done, 1000, 100.0))
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.count("\n") == (0 if quiet else 1)
    assert describe(Step("fetching", 500_000, 1_000_000), 100_000) == (
        "fetching 500 kB of 1 MB (50 %), 100 kB/s, 5 s left"
    )
