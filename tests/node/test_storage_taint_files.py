"""A taint on a file: it alone goes, wherever a node has it; the rest of each dataset stays a copy."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from seedkeep.core.statements import Action
from seedkeep.core.taints.body import QUARANTINE_S
from seedkeep.storage.service import StorageManager
from tests.support.datasets import Dataset, dataset_of
from tests.support.storage import MB, World, held, is_whole, serves

SECRET = random.Random(7).randbytes(300_000)
ONE = dataset_of("one", {"a.bin": b"first" * 9000, "deep/s.bin": SECRET, "z": b""})
TWO = dataset_of("two", {"copy.bin": SECRET, "twice/copy.bin": SECRET, "b.bin": b"second" * 9000})
ROOT = next(f.root for f in ONE.manifest.files if f.size == len(SECRET))
IDS = [d.manifest.content_id() for d in (ONE, TWO)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def bytes_of(node: StorageManager) -> int:
    """How often the secret is anywhere in the node's directory."""
    return sum(SECRET in p.read_bytes() for p in node.layout.root.rglob("*") if p.is_file())


def without(dataset: Dataset) -> Dataset:
    return replace(dataset, content={p: d for p, d in dataset.content.items() if d != SECRET})


async def test_its_bytes_go_everywhere_and_the_rest_is_served_audited_and_scrubbed(world: World) -> None:
    for dataset in (ONE, TWO):
        await world.share(dataset)
    async with world.node("a") as node:
        await world.until(lambda: all(serves(node, cid) for cid in IDS))
        await world.until(lambda: all(world.registrar.holders(cid) for cid in IDS))
        assert await node.companions.want([IDS[0]]) == 1
        before = {cid: node.state.holdings[cid].reserved for cid in IDS}
        taint = world.registrar.taint(f"root:{ROOT}")
        await world.until(lambda: len(world.registrar.receipts) == 2)
        receipts = {r.content_id: r for r in world.registrar.receipts}
        assert {r.taint for r in receipts.values()} == {taint}
        assert [receipts[cid].action for cid in IDS] == [Action.REMOVED] * 2
        assert 300_000 <= receipts[IDS[0]].bytes < 330_000
        assert 600_000 <= receipts[IDS[1]].bytes < 660_000
        assert bytes_of(node) == 0
        await world.until(lambda: all(serves(node, cid) for cid in IDS))
        # The pledge is free again, as the disk is.
        for cid, size in zip(IDS, (300_000, 600_000), strict=True):
            assert before[cid] - node.state.holdings[cid].reserved >= size
            assert node.state.holdings[cid].reserved == node.layout.taken_by(cid)
        status = node.engine.status(IDS[1])
        assert status.have == status.wanted == 54_000
        assert not node.companions.loaded()
        assert await node.companions.want(IDS) == 0
        for cid in IDS:
            assert await node.scrub.scrub(cid)
        assert [d["withheld"] for d in node.ls()] == [1, 1]
        # The engine does not fetch it again, though others have it.
        await node.manager.look_after()
        assert bytes_of(node) == 0
        audit = world.registrar.audit(node.key, IDS[0])
        await world.until(lambda: audit.outcome)
        assert audit.outcome == "refused: withheld"
    assert not world.registrar.released


async def test_a_new_copy_leaves_it_out_and_says_so(world: World) -> None:
    world.registrar.taint(f"root:{ROOT}")
    await world.share(TWO)
    async with world.node("a") as node:
        await world.until(lambda: world.registrar.attested)
        assert world.registrar.attested[0].infohash_v1 == ""
        await world.until(lambda: serves(node, IDS[1]))
        assert bytes_of(node) == 0
        assert is_whole(node.layout.root, without(TWO))
        assert await node.companions.want([IDS[1]]) == 0
    async with world.node("a") as node:
        await world.until(lambda: serves(node, IDS[1]))
        assert bytes_of(node) == 0


async def test_it_is_fetched_again_when_the_taint_is_lifted(world: World) -> None:
    await world.share(TWO)
    async with world.node("a") as node:
        await world.until(lambda: world.registrar.attested)
        taint = world.registrar.taint(f"root:{ROOT}")
        await world.until(lambda: world.registrar.receipts)
        used = node.pledge.account().used
        world.registrar.lift(taint)
        await world.until(lambda: len(world.registrar.attested) == 2)
        await world.until(lambda: serves(node, IDS[1]))
        assert is_whole(node.layout.root, TWO)
        assert node.pledge.account().used >= used + 600_000
        assert world.registrar.attested[1].infohash_v1
        assert await node.companions.want([IDS[1]]) == 1


async def test_without_room_for_it_the_rest_goes_on_and_it_waits(world: World) -> None:
    await world.share(TWO)
    async with world.node("a", pledge=3 * MB) as node:
        await world.until(lambda: world.registrar.attested)
        taint = world.registrar.taint(f"root:{ROOT}")
        await world.until(lambda: world.registrar.receipts and serves(node, IDS[1]))
        account = node.pledge.account()
        node.pledge.limit = account.used + account.reserved + 100_000
        world.registrar.lift(taint)
        await world.until(lambda: any("not withheld any more" in p for p in node.problems.texts()))
        assert serves(node, IDS[1])
        node.pledge.limit = 3 * MB
        await world.until(lambda: len(world.registrar.attested) == 2)
        await world.until(lambda: is_whole(node.layout.root, TWO) and serves(node, IDS[1]))
        assert not node.problems.texts()


async def test_hidden_it_is_kept_where_nobody_gets_it_and_deleted_when_its_quarantine_is_over(
    world: World,
) -> None:
    await world.share(ONE)
    async with world.node("a") as node:
        await world.until(lambda: world.registrar.attested)
        hold = world.registrar.taint(f"root:{ROOT}", effect="hide", lasts=3600)
        await world.until(lambda: [r.action for r in world.registrar.receipts] == [Action.STOPPED])
        await world.until(lambda: serves(node, IDS[0]))
        assert bytes_of(node) == 1
        assert not (node.layout.root / "data" / IDS[0] / "one" / "deep" / "s.bin").exists()
        # Not even to a repair that looks at every byte on the disk.
        await node.manager.repair(IDS[0], "just to see")
        await world.until(lambda: serves(node, IDS[0]))
        assert node.engine.status(IDS[0]).have == 45_000
        world.registrar.lift(hold)
        await world.until(lambda: serves(node, IDS[0]) and is_whole(node.layout.root, ONE))
        assert await node.companions.want([IDS[0]]) == 1
        world.registrar.taint(f"root:{ROOT}", effect="quarantine")
        await world.until(lambda: len(world.registrar.receipts) == 2)
    async with world.node("a") as node:
        await world.until(lambda: serves(node, IDS[0]))
        assert bytes_of(node) == 1
        world.clock.ahead = QUARANTINE_S + 1
        await world.until(lambda: world.registrar.receipts[-1].action is Action.REMOVED)
        assert bytes_of(node) == 0
        await world.until(lambda: serves(node, IDS[0]))


async def test_when_every_file_is_tainted_the_dataset_is_removed(world: World) -> None:
    cid = await world.share(ONE)
    async with world.node("a") as node:
        await world.until(lambda: world.registrar.attested)
        world.registrar.taint(f"root:{ROOT}")
        world.registrar.taint(f"root:{ONE.manifest.files[0].root}")
        await world.until(lambda: not held(node) and len({r.taint for r in world.registrar.receipts}) == 2)
        assert bytes_of(node) == 0
        assert not (node.layout.root / "data" / cid).exists()


async def test_a_crash_between_the_announcement_and_the_deed_is_made_good(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.share(ONE)
    async with world.node("a") as node:
        await world.until(lambda: world.registrar.attested)
        monkeypatch.setattr("seedkeep.storage.layout.Layout.withhold", _dies)
        world.registrar.taint(f"root:{ROOT}")
        await world.until(lambda: any("is not obeyed yet" in p for p in node.problems.texts()))
        assert not node.engine.statuses()
        world.registrar.down = True
    monkeypatch.undo()
    async with world.node("a") as node:
        assert bytes_of(node) == 0
        await world.until(lambda: serves(node, IDS[0]))
        world.registrar.down = False
        await world.until(lambda: world.registrar.receipts)


def _dies(*_: object) -> None:
    from seedkeep.core.errors import Error

    raise Error("the disk says no")
