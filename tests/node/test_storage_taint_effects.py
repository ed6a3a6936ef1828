"""What each effect of a taint does to a dataset that a node holds, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedkeep.core.statements import Action
from seedkeep.core.taints.body import QUARANTINE_S
from seedkeep.storage.model import Phase
from seedkeep.storage.service import StorageManager
from tests.support.storage import World, files_of, held, is_whole, random_dataset, serves

SMALL = random_dataset("small", [40_000, 0, 70_000])
BIGGER = random_dataset("bigger", [90_000, 20_000])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def actions(world: World) -> list[tuple[str, Action]]:
    return [(r.taint, r.action) for r in world.registrar.receipts]


def is_held_back(node: StorageManager, cid: str) -> bool:
    """Whether nobody can get a byte of it, and all of them are there."""
    return not node.engine.statuses() and is_whole(node.layout.root, SMALL) and bool(held(node))


@pytest.mark.parametrize("effect", ["hide", "quarantine"])
async def test_what_is_hidden_is_not_served_and_kept_and_comes_back_when_it_is_lifted(
    world: World, effect: str
) -> None:
    cid = await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: serves(node, cid))
        await world.until(lambda: world.registrar.holders(cid))
        free = node.pledge.account().free
        taint = world.registrar.taint(f"content:{cid}", effect=effect, reason="it may be wrong")
        await world.until(lambda: actions(world) == [(taint, Action.STOPPED)])
        assert is_held_back(node, cid)
        assert world.registrar.receipts[0].bytes == 0
        assert node.pledge.account().free <= free
        (shown,) = node.ls()
        assert (shown["state"], shown["served"], shown["taints"][0]["effect"]) == ("complete", False, effect)
        audit = world.registrar.audit(node.key, cid)
        await world.until(lambda: audit.outcome)
        assert audit.outcome == "refused: tainted"
        assert await node.companions.want([cid]) == 0
        assert node.scrub.next_due() is None
        await node.manager.look_after()
        assert not node.engine.statuses()
        world.registrar.lift(taint)
        await world.until(lambda: serves(node, cid))
        assert is_whole(node.layout.root, SMALL)
        assert await node.companions.want([cid]) == 1
    assert len(actions(world)) == 1


async def test_a_hold_ends_by_itself_also_over_a_restart_and_without_the_registrar(world: World) -> None:
    cid = await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: serves(node, cid))
        world.registrar.taint(f"record:{world.registrar.rid_of(cid)}", effect="hide", lasts=72 * 3600)
        await world.until(lambda: actions(world))
        world.registrar.down = True
    async with world.node("a") as node:
        assert is_held_back(node, cid)
        world.clock.ahead = 72 * 3600 + 1
        await world.until(lambda: serves(node, cid))


async def test_what_is_quarantined_is_deleted_when_its_time_is_over(world: World) -> None:
    cid = await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: serves(node, cid))
        taint = world.registrar.taint(f"content:{cid}", effect="quarantine")
        await world.until(lambda: actions(world))
    async with world.node("a") as node:
        assert is_held_back(node, cid)
        world.clock.ahead = QUARANTINE_S + 1
        await world.until(lambda: len(actions(world)) == 2)
        assert actions(world) == [(taint, Action.STOPPED), (taint, Action.REMOVED)]
        assert world.registrar.receipts[1].bytes > 110_000
        assert not files_of(node, cid)
        assert not node.state.holdings


async def test_a_warning_changes_nothing_and_is_shown(world: World) -> None:
    cid = await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: serves(node, cid))
        world.registrar.taint(f"content:{cid}", effect="warn", reason="see the erratum")
        await world.until(lambda: node.taints.version(world.registrar.url) == (2, 12))
        (shown,) = node.ls()
        assert shown["served"]
        assert [(t["effect"], t["reason"]) for t in shown["taints"]] == [("warn", "see the erratum")]
        assert serves(node, cid)
    assert not world.registrar.receipts


async def test_a_download_under_way_waits_while_it_is_hidden_and_takes_no_place(world: World) -> None:
    world.swarm.hold()
    cid = await world.share(SMALL)
    async with world.node("a", downloads=1) as node:
        await world.until(lambda: held(node, Phase.DOWNLOADING))
        taint = world.registrar.taint(f"content:{cid}", effect="hide")
        await world.until(lambda: actions(world))
        assert not node.engine.statuses()
        other = await world.share(BIGGER)
        world.swarm.go()
        await world.until(lambda: serves(node, other))
        assert not is_whole(node.layout.root, SMALL)
        world.registrar.lift(taint)
        await world.until(lambda: serves(node, cid))


async def test_the_strongest_of_two_counts_and_each_is_lifted_by_itself(world: World) -> None:
    cid = await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: serves(node, cid))
        first = world.registrar.taint(f"content:{cid}", effect="hide")
        second = world.registrar.taint(f"record:{world.registrar.rid_of(cid)}", effect="quarantine")
        await world.until(lambda: len(actions(world)) == 2)
        world.registrar.lift(second)
        await world.until(lambda: node.taints.version(world.registrar.url) == (4, 14))
        assert is_held_back(node, cid)
        world.registrar.lift(first)
        await world.until(lambda: serves(node, cid))
