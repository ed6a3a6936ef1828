"""``seedkeep registrar denylist``: taints for other software, and what others deny of what is here."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from seedkeep.core.taints.denylist import BITTORRENT_INFO, RAW, cid
from seedkeep_registrar.cli import registrar as command
from tests.support.registrar import RegistrarUnderTest, shareable


async def run(running: RegistrarUnderTest, *arguments: str) -> Any:
    settings = running.context.settings
    told = ["denylist", *arguments, "--json", "--data", str(settings.data)]
    told += ["--database-url", settings.database_url] if settings.database_url else []
    result = await asyncio.to_thread(CliRunner().invoke, command, told)
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.output)


async def test_what_stands_is_exported_and_what_others_deny_is_found(
    any_registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    sharer, place = any_registrar.person(), tmp_path / "taints.deny"
    one = await sharer.register(shareable("one", {"a": b"bad", "b": b"1"}))
    two = await sharer.register(shareable("two", {"c": b"2", "d": b"3"}))
    bad = hashlib.sha256(b"bad").hexdigest()  # of one block: its root is the same
    await any_registrar.curator.taint(f"root:{bad}", "malware")
    await any_registrar.curator.taint(f"content:{two['content_id']}", "copyright", effect="hide")
    await any_registrar.curator.taint(f"content:{one['content_id']}", "other", effect="warn")
    assert (await run(any_registrar, "export", str(place)))["rules"] == 2
    rules = place.read_text().partition("---\n")[2].splitlines()
    denied = [f"/ipfs/{cid(bad, RAW)}/*", f"/ipfs/{cid(two['content_id'], BITTORRENT_INFO)}/*"]
    assert sorted(rule.split(" ")[0] for rule in rules) == sorted(denied)
    assert any("reason:malware" in rule for rule in rules)
    found = await run(any_registrar, "match", str(place))
    assert (found["named"], found["unknown"]) == (2, 0)
    assert {f["subject"]: f["at"] for f in found["here"]} == {
        f"root:{bad}": f"rid:{one['rid']}/a",
        f"content:{two['content_id']}": "two",
    }
