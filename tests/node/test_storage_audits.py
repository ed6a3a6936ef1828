"""Audits, scrubs and repair: what a node proves, and what it does when its disk changes under it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.support.storage import MB, World, held, is_whole, random_dataset, serves

#: several pieces, several blocks a piece, an empty file, a file of less than a block
BIG = random_dataset("big", [3 * MB, 0, 700_001, 5])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def rot(path: Path) -> None:
    """Change one byte in the middle, and nothing that a look at the file would tell."""
    times = path.stat()
    middle = times.st_size // 2
    overwrite(path, middle, bytes([path.read_bytes()[middle] ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def overwrite(path: Path, at: int, data: bytes) -> None:
    """Write in place, so that nobody ever sees the file shorter."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def place(world: World, name: str, index: int) -> Path:
    cid = BIG.manifest.content_id()
    return world.path / name / "data" / cid / "big" / f"part-{index}" / f"file-{index}.bin"


async def test_an_audit_is_answered_with_blocks_and_proofs(world: World) -> None:
    cid = await world.share(BIG)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        audits = [world.registrar.audit(node.key, cid) for _ in range(3)]
        await world.until(lambda: all(a.outcome for a in audits))
        assert {a.outcome for a in audits} == {"success"}
        assert node.status()["audits"] == {"success": 3}


async def test_an_audit_of_what_is_tainted_is_refused(world: World) -> None:
    cid = await world.share(BIG)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        world.registrar.taint(f"content:{cid}")
        await world.until(lambda: world.registrar.receipts)
        audit = world.registrar.audit(node.key, cid)
        await world.until(lambda: audit.outcome)
        assert audit.outcome == "refused: tainted"


async def test_an_audit_of_what_is_not_held_is_refused_as_missing(world: World) -> None:
    cid = await world.share(BIG)
    async with world.node("a", pledge=4 * MB) as node:
        audit = world.registrar.audit(node.key, cid)
        await world.until(lambda: audit.outcome)
        assert audit.outcome == "refused: missing"


async def test_a_node_that_finds_its_bytes_wrong_in_an_audit_sends_none_and_repairs(world: World) -> None:
    cid = await world.share(BIG)
    async with world.node("a") as node:
        await world.until(lambda: serves(node, cid))
        for path in place(world, "a", 0), place(world, "a", 2):
            overwrite(path, 0, bytes(path.stat().st_size))
        audit = world.registrar.audit(node.key, cid)
        await world.until(lambda: node.audits.outcomes.get("rotten"))
        assert not audit.outcome
        await world.until(lambda: held(node) and is_whole(node.layout.root, BIG))


async def test_a_scrub_finds_bit_rot_stops_serving_it_and_repairs_it_from_the_swarm(world: World) -> None:
    cid = await world.share(BIG)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        attested = len(world.registrar.attested)
        rot(place(world, "a", 0))
        world.swarm.hold()
        assert not await node.scrub.scrub(cid)
        # Only what was hashed anew and is right may be served now.
        await world.until(lambda: node.engine.statuses() and node.engine.status(cid).state == "downloading")
        assert any("file-0.bin has changed on the disk" in p for p in node.problems.texts())
        world.swarm.go()
        await world.until(lambda: held(node))
        assert is_whole(node.layout.root, BIG)
        assert not node.problems.texts()
        await world.until(lambda: len(world.registrar.attested) > attested)
        assert await node.scrub.scrub(cid)


async def test_scrubbing_goes_round_by_itself_within_its_budget(world: World) -> None:
    await world.share(BIG)
    async with world.node("a", scrub_every=0.2, scrub_rate=50 * MB) as node:
        await world.until(lambda: held(node))
        await world.until(lambda: node.scrub.bytes_read >= 2 * BIG.manifest.bytes)
        rot(place(world, "a", 2))
        await world.until(lambda: node.scrub.found == 1)
        await world.until(lambda: held(node) and is_whole(node.layout.root, BIG))


async def test_a_slow_scrub_ends_at_once_when_the_node_stops(world: World) -> None:
    await world.share(BIG)
    async with world.node("a", scrub_every=0.0, scrub_rate=1000) as node:
        await world.until(lambda: node.scrub.now)
        await asyncio.sleep(0.05)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await node.close()
        assert loop.time() - began < 2.0


async def test_a_link_put_in_a_files_place_is_not_followed(world: World) -> None:
    cid = await world.share(BIG)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        path = place(world, "a", 0)
        outside = world.path / "outside.bin"
        path.rename(outside)
        path.symlink_to(outside)
        assert not await node.scrub.scrub(cid)
        await node.manager.remove(cid, "test")
        await world.until(lambda: not node.state.holdings)
        assert outside.stat().st_size == 3 * MB
