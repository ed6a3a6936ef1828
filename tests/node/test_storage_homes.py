"""A record has been given another home since a node claimed it: whose orders bind then."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from seedkeep.core.taints.entry import encode_list
from seedkeep.registrar_http import TaintedRecord
from seedkeep.registrar_messages import Peer
from tests.support.registrar_simulator import RegistrarSimulator
from tests.support.storage import World, random_dataset, serves, settle

SMALL = random_dataset("small", [40_000, 70_000])
CID = SMALL.manifest.content_id()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def home(world: World) -> RegistrarSimulator:
    """The new home, which no node serves; their registrar names it."""
    one = RegistrarSimulator(world.clock, name="home.test")
    world.registrar.peers = (Peer(one.url, one.verifier),)
    return one


def move(world: World, to: str) -> None:
    """The node's registrar shows the record as given to another home."""
    rid = world.registrar.rid_of(CID)
    record = world.registrar.records[rid]
    world.registrar.records[rid] = replace(record, states=(replace(record.state, home=to),))


def pass_on(world: World, one: RegistrarSimulator) -> None:
    """The node's registrar passes on what another one taints."""
    world.registrar.taint_heads = [one.head_note()]
    data = encode_list(one.entries.values())
    world.registrar.lists[hashlib.sha256(data).hexdigest()] = data
    world.registrar.changed()


def refuse(world: World, taint: str, authority: str) -> None:
    """The node's registrar answers 451 for the record, naming an entry of another's."""
    reason = {"id": taint, "authority": authority}
    world.registrar.refused[world.registrar.rid_of(CID)] = TaintedRecord("it is tainted", reasons=(reason,))


async def test_the_order_of_a_records_new_home_is_obeyed(world: World, home: RegistrarSimulator) -> None:
    await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: serves(node, CID))
        move(world, "home.test")
        home.taint(f"content:{CID}", effect="hide")
        pass_on(world, home)
        await world.until(lambda: not node.engine.statuses())
        assert [c.home for c in node.state.claims_on(CID)] == ["home.test"]
        await world.until(lambda: len(world.registrar.receipts) == 1)
    world.registrar.down = True
    async with world.node("a") as node:
        assert not node.engine.statuses()


async def test_a_registrar_that_refuses_the_record_for_this_very_entry_proves_as_much(
    world: World, home: RegistrarSimulator
) -> None:
    await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: serves(node, CID))
        taint = home.taint(f"content:{CID}", effect="hide")
        refuse(world, taint, "home.test")
        pass_on(world, home)
        await world.until(lambda: not node.engine.statuses())
    world.registrar.down = True
    async with world.node("a") as node:
        assert not node.engine.statuses()
        world.registrar.down = False
        home.lift(taint)
        pass_on(world, home)
        await world.until(lambda: serves(node, CID))


async def test_an_order_of_a_stranger_stays_advice(world: World, home: RegistrarSimulator) -> None:
    await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: serves(node, CID))
        move(world, "third.test")
        home.taint(f"content:{CID}", effect="hide")
        refuse(world, "0" * 64, "home.test")
        pass_on(world, home)
        await world.until(lambda: "home.test" in node.state.authorities and node.ls()[0]["taints"])
        asked = node.manager.obedience.homes
        await world.until(lambda: asked._asked)
        await settle()
        assert serves(node, CID)
        del world.registrar.refused[world.registrar.rid_of(CID)]
        await world.until(lambda: [c.home for c in node.state.claims_on(CID)] == ["third.test"])
        assert serves(node, CID)
