"""``seedkeep curate``: a curator at a terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from pathlib import Path
from typing import Any

import pytest

from seedkeep.core.decision import APPROVE, REJECT
from seedkeep.core.errors import Conflict, NotFound, UsageError, VerificationFailed
from seedkeep.core.metadata import Metadata
from seedkeep.registrar_client import RegistrarClient
from seedkeep.registrar_queue import RegistrarQueue, Submission
from tests.node.test_cli import environment, seedkeep
from tests.support.registrar import Person, RegistrarUnderTest, registrar_with, shareable


def curator_home(tmp_path: Path, registrar: RegistrarUnderTest) -> Path:
    home = tmp_path / "curator"
    key = home / ".config/seedkeep/key.pem"
    key.parent.mkdir(parents=True)
    key.touch(mode=0o600)
    key.write_bytes(registrar.curator.key.to_pem())
    return home


async def submitted(registrar: RegistrarUnderTest, name: str, **changes: Any) -> dict[str, Any]:
    person, what = registrar.person(), shareable(name)
    await person.upload(what)
    body = what.body(**changes).encode()
    answer = await person.submit(person.event(body), body)
    assert answer.status == 202, answer
    return dict(answer.json)


async def test_a_curator_looks_at_the_queue_and_decides(tmp_path: Path) -> None:
    async with registrar_with(tmp_path, registration="curated") as registrar:
        ask = ("--registrar", registrar.url)
        home = curator_home(tmp_path, registrar)
        bad = Metadata(title="Reads \x1b[31m of rivers")
        first, second, third = [
            (await submitted(registrar, name, metadata=bad))["rid"] for name in ("one", "two", "three")
        ]
        listed = await seedkeep(home, "curate", "list", "--json", *ask)
        assert [s["rid"] for s in listed.json["submissions"]] == [first, second, third]
        shown = await seedkeep(home, "curate", "show", first[:10], "--files", *ask)
        assert shown.code == 0, shown
        for word in (first, "waiting", "sub/small.txt", "of rivers"):
            assert word in shown.out
        assert "\x1b" not in shown.out
        told, done = await asyncio.gather(
            seedkeep(home, "curate", "return", first, "--json", *ask),
            seedkeep(home, "curate", "return", first[:12], "--reason", "Name the authors.", "--json", *ask),
        )
        assert (told.code, told.json["error"]["hint"]) == (2, "Give it with --reason.")
        assert (done.code, done.json["state"]) == (0, "returned")
        assert done.json["decisions"][0]["by"] == str(registrar.curator)  # its own signature
        queue, other = queue_of(registrar, registrar.curator), queue_of(registrar, registrar.person())
        for asked, name in ((other, first), (queue, "ffffff"), (queue, "")):
            with pytest.raises((NotFound, UsageError)):
                await asked.read(name)
        for rid, decision in ((second, REJECT), (third, APPROVE)):
            await queue.decide(await queue.read(rid), decision, "So be it.", registrar.clock())
        assert (await registrar.person().get(f"/api/v1/records/{third}")).status == 200
        with pytest.raises(Conflict):
            await queue.decide(await queue.read(second), APPROVE, "", registrar.clock())
        assert [one["rid"] for one in await queue.every("")] == [first, second, third]


def queue_of(registrar: RegistrarUnderTest, person: Person) -> RegistrarQueue:
    return RegistrarClient(
        registrar.url, key=person.key, session=registrar.session, now=registrar.clock, pinned=None
    ).queue


async def test_a_reason_is_asked_for_at_a_terminal(tmp_path: Path) -> None:
    async with registrar_with(tmp_path, registration="curated") as registrar:
        home = curator_home(tmp_path, registrar)
        rid = (await submitted(registrar, "one"))["rid"]
        terminal, its_end = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "seedkeep", "curate", "reject", rid, "--registrar", registrar.url,
            env=environment(home), stdin=its_end, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        os.close(its_end)
        os.write(terminal, b"Not research.\n")
        try:
            out, err = await asyncio.wait_for(process.communicate(), 90)
        finally:
            if process.returncode is None:
                process.kill()
            os.close(terminal)
        assert process.returncode == 0, err
        assert b"Why is it not recorded?" in err
        assert b"is rejected" in out
        answer = await registrar.curator.get(
            f"/api/v1/submissions/{rid}",
            headers=registrar.curator.signature("GET", f"/api/v1/submissions/{rid}", b""),
        )
        assert answer.json["decisions"][0]["reason"] == "Not research."
        # what is not what its submitter signed is not shown
        body = {**answer.json["body"], "license": "MIT"}
        for document, name in (({**answer.json, "body": body}, rid), (answer.json, "0" * 64)):
            with pytest.raises(VerificationFailed):
                Submission.parse(document, name)
