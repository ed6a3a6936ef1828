"""Taints: obeyed within a heartbeat, proved by a receipt, never undone by a lie, a crash or a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedkeep.core.statements import Action
from seedkeep.core.taints.trusted import STOP_CLAIMS_AFTER_S, STOP_SERVING_AFTER_S
from seedkeep.storage.model import Phase
from seedkeep.storage.service import StorageManager
from tests.support.datasets import dataset_of
from tests.support.storage import World, files_of, held, random_dataset

SMALL = random_dataset("small", [40_000, 0, 70_000])
DAY = 24 * 3600


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def stores(node: StorageManager, version: int) -> bool:
    """Whether a head of this version would be there after a crash."""
    return any(f"\n{version}\n" in r.taint_head for r in node.state.registrars.values())


@pytest.mark.parametrize("kind", ["content", "record"])
async def test_what_is_tainted_is_removed_at_once_and_a_signed_receipt_is_sent(
    world: World, kind: str
) -> None:
    cid = await world.share(SMALL)
    # Heartbeats are far apart: the long poll must bring the taint.
    world.registrar.heartbeat_s = 30.0
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        free = node.pledge.account().free
        value = {"content": cid, "record": world.registrar.rid_of(cid)}
        taint = world.registrar.taint(f"{kind}:{value[kind]}")
        await world.until(lambda: world.registrar.receipts, seconds=2.0)
        receipt = world.registrar.receipts[0]
        assert (receipt.taint, receipt.content_id, receipt.action) == (taint, cid, Action.REMOVED)
        assert receipt.bytes > 110_000
        assert not files_of(node, cid)
        assert not node.engine.statuses()
        assert node.pledge.account().free > free


async def test_the_same_file_under_another_name_is_caught(world: World) -> None:
    secret = b"secret" * 10_000
    world.registrar.taint("root:" + dataset_of("x", {"x": secret}).manifest.files[0].root)
    cid = await world.share(dataset_of("innocent", {"a.txt": b"nothing", "b.txt": secret}))
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        assert [p.name for p in files_of(node, cid) if p.name.endswith(".txt")] == ["a.txt"]


async def test_a_download_under_way_is_stopped_by_a_taint(world: World) -> None:
    world.swarm.hold()
    cid = await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: held(node, Phase.DOWNLOADING))
        world.registrar.taint(f"content:{cid}")
        await world.until(lambda: world.registrar.receipts)
        assert not files_of(node, cid)


async def test_the_receipt_arrives_although_the_registrar_was_down_and_the_node_restarted(
    world: World,
) -> None:
    cid = await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        await world.until(lambda: world.registrar.holders(cid))
        client = world.registrar.client(node.key)
        world.registrar.taint(f"content:{cid}")
        # The head arrived; then the registrar fell silent before the receipt could be sent.
        await node.taints.take(client, world.registrar.head_note())
        world.registrar.down = True
        await node.manager.obedience.obey()
        await world.until(lambda: not node.state.holdings)
    async with world.node("a") as node:
        assert not files_of(node, cid)
        assert not world.registrar.receipts
        world.registrar.down = False
        await world.until(lambda: world.registrar.receipts)


async def test_a_taint_that_was_known_is_obeyed_after_a_restart_without_the_registrar(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    cid = await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: world.registrar.holders(cid))
        # Killed between storing the head and obeying it.
        monkeypatch.setattr(node.manager.obedience, "obey", _nothing)
        world.registrar.taint(f"content:{cid}")
        await world.until(lambda: stores(node, 2))
        world.registrar.down = True
    assert (world.path / "a" / "data" / cid).exists()
    async with world.node("a") as node:
        await world.until(lambda: not node.state.holdings)
        assert not files_of(node, cid)


async def _nothing() -> None:
    return None


async def test_a_head_that_goes_back_is_refused_even_after_a_restart(world: World) -> None:
    cid = await world.share(SMALL)
    world.registrar.taint("content:" + "0" * 64)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        await world.until(lambda: stores(node, 2))
        world.registrar.head = world.registrar.head_note(version=1)
        await world.until(lambda: any("went back" in p for p in node.problems.texts()))
    async with world.node("a") as node:
        await world.until(lambda: any("went back" in p for p in node.problems.texts()))
        assert node.taints.version(world.registrar.url) == (2, 12)
        assert [h.content_id for h in held(node)] == [cid]
        world.registrar.head = None
        await world.until(lambda: not node.problems.texts())


async def test_a_damaged_list_on_disk_does_not_open_the_way_for_a_rollback(world: World) -> None:
    world.registrar.taint("content:" + "0" * 64)
    async with world.node("a") as node:
        await world.until(lambda: stores(node, 2))
    for path in (world.path / "a" / "taints").iterdir():
        path.write_bytes(b"rubbish")
    world.registrar.head = world.registrar.head_note(version=1)
    async with world.node("a") as node:
        await world.until(lambda: any("went back" in p for p in node.problems.texts()))
        world.registrar.head = None
        await world.until(lambda: node.taints.version(world.registrar.url) == (2, 12))
        await world.until(lambda: not node.problems.texts())


async def test_a_withheld_head_alarms_then_stops_claims_then_stops_serving(world: World) -> None:
    cid = await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        world.registrar.head = world.registrar.head_note()
        world.clock.ahead = DAY + 60
        await world.until(lambda: any("may be withheld" in p for p in node.problems.texts()))
        world.clock.ahead = DAY + STOP_CLAIMS_AFTER_S + 60
        await world.until(lambda: any("nothing new is taken" in p for p in node.problems.texts()))
        await world.share(random_dataset("later", [1000]))
        before = world.beats(node)
        await world.until(lambda: world.beats(node) > before + 3)
        assert len(node.state.holdings) == 1
        assert node.engine.status(cid).state == "seeding"
        world.clock.ahead = DAY + STOP_SERVING_AFTER_S + 60
        await world.until(lambda: node.engine.status(cid).state == "paused")
        # It speaks again: all is well.
        world.registrar.head = None
        await world.until(lambda: node.engine.status(cid).state == "seeding")
        await world.until(lambda: len(held(node)) == 2)
        assert not any("taint" in p for p in node.problems.texts())


async def test_what_was_lifted_is_taken_again(world: World) -> None:
    cid = await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        taint = world.registrar.taint(f"content:{cid}")
        await world.until(lambda: world.registrar.receipts)
        world.registrar.lift(taint)
        await world.until(lambda: held(node))
