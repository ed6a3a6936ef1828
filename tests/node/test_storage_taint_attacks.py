"""Who would undo, hide or fake a taint, tried on a node: each is refused, told, and changes nothing.

What the state machine refuses by itself is tried in tests/core/test_taints.py; here it has to hold in a node
that runs, restarts, and hears several authorities.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from seedkeep.core.taints.body import Effect, Order, Subject
from seedkeep.core.taints.entry import MAX_LIST_BYTES, Entry, encode_list
from seedkeep.core.taints.head import Head
from seedkeep.message_fields import utc
from seedkeep.registrar_messages import Peer
from seedkeep.storage.service import StorageManager
from tests.support.registrar_simulator import RegistrarSimulator
from tests.support.storage import World, files_of, held, random_dataset, serves

SMALL = random_dataset("small", [40_000, 70_000])
CID = SMALL.manifest.content_id()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def other(world: World) -> RegistrarSimulator:
    """A registrar that no node serves."""
    return RegistrarSimulator(world.clock, name="other.test")


def heard_of(world: World, *others: RegistrarSimulator) -> None:
    """The node's registrar names these as its peers, and passes on what they say."""
    world.registrar.peers = tuple(Peer(o.url, o.verifier) for o in others)
    world.registrar.taint_heads = [o.head_note() for o in others]
    for one in others:
        data = encode_list(one.entries.values())
        world.registrar.lists[hashlib.sha256(data).hexdigest()] = data
    world.registrar.changed()


def version_of(node: StorageManager, origin: str) -> int:
    known = node.state.authorities.get(origin)
    return int(known.taint_head.split("\n")[2]) if known and known.taint_head else 0


async def told(world: World, node: StorageManager, text: str) -> None:
    await world.until(lambda: any(text in p for p in node.problems.texts()))


async def test_rollback_to_before_the_taint(world: World) -> None:
    await world.share(SMALL)
    before = world.registrar.head_note()
    async with world.node("a") as node:
        await world.until(lambda: serves(node, CID))
        taint = world.registrar.taint(f"content:{CID}", effect="hide")
        await world.until(lambda: world.registrar.receipts)
        world.registrar.head = before
        await told(world, node, "went back")
        assert not node.engine.statuses()
        # The same list as before under a new version drops the entry.
        del world.registrar.entries[taint]
        world.registrar.head = None
        world.registrar.taint_version += 1
        await told(world, node, "without lifting it")
        assert not node.engine.statuses()


async def test_freeze_is_noticed_for_this_registrar_alone(world: World, other: RegistrarSimulator) -> None:
    await world.share(SMALL)
    heard_of(world, other)
    async with world.node("a") as node:
        await world.until(lambda: version_of(node, "other.test"))
        world.registrar.head = world.registrar.head_note()
        world.clock.ahead = 25 * 3600
        await told(world, node, "may be withheld")
        # Another's old head is what a mirror of a dead registrar has: no alarm.
        assert not any("other.test" in p for p in node.problems.texts())


async def test_fast_forward_to_a_version_after_which_there_is_none(world: World) -> None:
    async with world.node("a") as node:
        await world.until(lambda: node.taints.version(world.registrar.url) == (1, 11))
        digest = hashlib.sha256(b"").hexdigest()
        until = int(world.clock() + 3600)
        world.registrar.head = Head(
            world.registrar.verifier.name, 10**14, 20, digest, until
        ).sign(world.registrar.key)  # fmt: skip
        world.registrar.changed()
        await told(world, node, "after 20 events")
        assert node.taints.version(world.registrar.url) == (1, 11)
        world.registrar.head = None
        world.registrar.taint("content:" + "0" * 64)
        await world.until(lambda: node.taints.version(world.registrar.url) == (2, 12))


async def test_forged_lift_by_another_key_or_another_authority(
    world: World, other: RegistrarSimulator
) -> None:
    await world.share(SMALL)
    other.entries = world.registrar.entries  # it repeats the taint, lifted
    async with world.node("a") as node:
        await world.until(lambda: serves(node, CID))
        taint = world.registrar.taint(f"content:{CID}", effect="hide")
        await world.until(lambda: world.registrar.receipts)
        other.entries = {taint: replace(world.registrar.entries[taint], lifted="1" * 64)}
        other.taint_version = 2
        heard_of(world, other)
        # Pinned keys are learnt when the node introduces itself.
        await node.taints.pin([other.verifier])
        await world.until(lambda: version_of(node, "other.test") == 2)
        assert not node.engine.statuses()
        world.registrar.head = world.registrar.taint_head(version=3).sign(other.key)
        world.registrar.changed()
        await told(world, node, "A taint head was not taken")
        assert not node.engine.statuses()


async def test_taint_flood_from_a_registrar_that_is_not_served(
    world: World, other: RegistrarSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.share(SMALL)
    order = Order(Subject.parse(f"content:{CID}"), "other", "x" * 2000, Effect.REMOVE)
    for number in range(60):
        taint = f"{number:064x}"
        other.entries[taint] = Entry(taint, order, utc(world.clock()), ("ed25519:x",))
    monkeypatch.setattr("seedkeep.core.taints.trusted.MAX_LIST_BYTES", 100_000)
    assert MAX_LIST_BYTES > 100_000
    heard_of(world, other)
    async with world.node("a") as node:
        await told(world, node, "of other.test is over")
        await world.until(lambda: serves(node, CID))
        # However often it says so: it is one, and no other agrees.
        monkeypatch.undo()
        await world.until(lambda: version_of(node, "other.test"))
        assert serves(node, CID)
        assert len(node.ls()[0]["taints"]) == 60
        assert not any(t["binding"] for t in node.ls()[0]["taints"])


async def test_replayed_head_of_another_registrar(world: World, other: RegistrarSimulator) -> None:
    await world.share(SMALL)
    other.taint(f"content:{CID}")
    async with world.node("a") as node:
        await world.until(lambda: serves(node, CID))
        # Nobody has pinned its key: it is not heard, nor taken for the registrar's own.
        world.registrar.taint_heads = [other.head_note()]
        world.registrar.head = other.head_note()
        world.registrar.changed()
        await told(world, node, "A taint head was not taken")
        assert serves(node, CID)
        assert not node.state.authorities


async def test_advice_binds_when_enough_agree(world: World, other: RegistrarSimulator) -> None:
    third = RegistrarSimulator(world.clock, name="third.test")
    await world.share(SMALL)
    for one in (other, third):
        one.taint(f"content:{CID}", effect="hide")
    heard_of(world, other)
    async with world.node("a") as node:
        await world.until(lambda: serves(node, CID) and version_of(node, "other.test"))
        await node.taints.pin([third.verifier])
        heard_of(world, other, third)
        await world.until(lambda: not node.engine.statuses())
        assert held(node)
        # The registrar it is held for is told.
        await world.until(lambda: len(world.registrar.receipts) == 2)
    async with world.node("a") as node:
        assert not node.engine.statuses()
        assert files_of(node, CID)
