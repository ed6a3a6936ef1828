"""A registrar that is killed at any moment loses nothing that it has acknowledged."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner

from seedkeep.cli.main import cli
from seedkeep.core.events import Event
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.proof import LogProof
from seedkeep.core.log.tree import leaf_hash, root_of_leaves
from seedkeep.core.notes import Verifier
from tests.registrar.test_startup import first_line, process
from tests.support.fleet import free_port
from tests.support.registrar import Answer, Person, new_key, shareable

ROUNDS = 6
WRITERS = 4


async def register_until_cut(person: Person, prefix: str, acknowledged: dict[str, int]) -> None:
    """Register one dataset after another until the connection breaks; remember what was acknowledged."""
    number = 0
    while True:
        number += 1
        what = shareable(f"{prefix}-{number}", {"a": f"{prefix} {number}".encode(), "b": b"b"})
        try:
            document = await person.register(what)
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return
        acknowledged[document["rid"]] = document["index"]


@pytest.mark.parametrize("seed", [1])
async def test_what_was_acknowledged_is_there_after_kill_9(
    tmp_path: Path, database_url: str, seed: int
) -> None:
    rng, address = random.Random(seed), f"127.0.0.1:{free_port()}"
    acknowledged: dict[str, int] = {}
    keys = [new_key() for _ in range(WRITERS)]
    arguments = ["up", "--listen", address, "--data", str(tmp_path / "data"), "--json"]
    if database_url:
        arguments += ["--database-url", database_url]
    logged: list[Event] = []
    async with aiohttp.ClientSession() as session:
        for turn in range(ROUNDS):
            async with process(*arguments) as child:
                ready = json.loads(await first_line(child))
                url, verifier = ready["url"], Verifier.parse(ready["vkey"])
                people = [Person(url, ready["origin"], session, key) for key in keys]
                await check(people[0], verifier, acknowledged, logged)
                if turn == ROUNDS - 1:
                    continue
                before = len(acknowledged)
                work = [
                    asyncio.create_task(register_until_cut(p, f"{turn}-{i}", acknowledged))
                    for i, p in enumerate(people)
                ]
                while len(acknowledged) < before + 3 + rng.randrange(12):
                    await asyncio.sleep(0.005)
                await asyncio.sleep(rng.random() * 0.05)
                child.kill()
                await asyncio.gather(*work)
    assert len(acknowledged) >= 3 * (ROUNDS - 1)
    where = ["--data", str(tmp_path / "data"), *(["--database-url", database_url] if database_url else [])]
    found = CliRunner().invoke(cli, ["registrar", "check", "--json", *where])
    # rows, tiles, every checkpoint that was ever signed, objects
    assert json.loads(found.stdout)["problems"] == []


async def check(
    person: Person,
    verifier: Verifier,
    acknowledged: dict[str, int],
    logged: list[Event],
) -> None:
    """Every acknowledged record is there at its place; the log is gapless and never rewritten."""
    records: list[dict[str, str]] = []
    cursor = ""
    while True:
        page: Answer = await person.get(f"/api/v1/records?limit=1000{cursor}")
        records += page.json["records"]
        if page.json["next"] is None:
            break
        cursor = f"&cursor={page.json['next']}"
    assert set(acknowledged) <= {r["rid"] for r in records}
    for index, short in enumerate(reversed(records)):
        if index < len(logged):
            assert logged[index].record_id == short["rid"]
            continue
        document = (await person.get(f"/api/v1/records/{short['rid']}")).json
        event, proof = Event.parse(document["event"]), LogProof.parse(document["proof"])
        proof.verify(event.leaf(), verifier)
        assert proof.index == document["index"] == index
        assert acknowledged.get(short["rid"], index) == index
        assert (await person.get(f"/torrents/{document['content_id']}.torrent")).status == 200
        logged.append(event)
    head = Checkpoint.open((await person.get("/log/checkpoint")).body, verifier)
    root = root_of_leaves(leaf_hash(event.leaf()) for event in logged)
    assert (head.size, head.root) == (len(logged), root)
