"""While a registrar is silent, a mirror of it stands in; when it is back, it has the say again."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from seedkeep.cli.node import _standing
from seedkeep.config import NodeSettings
from seedkeep.engine.memory import MemoryEngine, MemorySwarm
from seedkeep.engine.model import TorrentSpec
from seedkeep.known import KnownRegistrars
from seedkeep.registrar_client import RegistrarClient
from seedkeep.storage.service import StorageManager
from tests.support.desk import seeding
from tests.support.federating import befriend, until
from tests.support.registrar import new_key, shareable, start_registrar
from tests.support.registrar_simulator import RegistrarSimulator
from tests.support.storage import MB, QUICK, World, held, random_dataset, serves

AFTER = 0.3


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class Announcing(MemoryEngine):
    """Knows all trackers that it was given."""

    def __init__(self, swarm: MemorySwarm) -> None:
        super().__init__(swarm)
        self.trackers: set[str] = set()

    async def add(self, spec: TorrentSpec) -> None:
        self.trackers.update(spec.trackers)
        await super().add(spec)


def mirrors_of(world: World, count: int) -> list[RegistrarSimulator]:
    found = [RegistrarSimulator(world.clock, name=f"mirror{n}.test") for n in range(count)]
    for one in found:
        one.mirror(world.registrar)
    return found


def standing(node: StorageManager) -> list[str]:
    return [link.status.url for link in node.stand_ins.links]


def claimed(registrar: RegistrarSimulator, node: StorageManager) -> set[str]:
    return {cid for cid, who in registrar.claims if who == str(node.key.public)}


def told(node: StorageManager, url: str) -> dict[str, Any]:
    return next(r for r in node.status()["registrars"] if r["url"] == url)


async def test_a_mirror_stands_in_for_a_silent_registrar_and_lets_go_when_it_is_back(world: World) -> None:
    cid = await world.share(random_dataset("a", [70_000]))
    (mirror,) = mirrors_of(world, 1)
    engine = Announcing(world.swarm)
    async with world.node(mirrors=[mirror], takeover=AFTER, engine=engine) as node:
        await world.until(lambda: serves(node, cid) and world.registrar.holders(cid))
        assert not mirror.nodes
        world.registrar.down = True
        world.registrar.changed()
        await world.until(lambda: mirror.holders(cid))
        assert claimed(mirror, node) == {cid}
        assert told(node, mirror.url)["stands_in_for"] == [world.registrar.url]
        assert told(node, world.registrar.url)["stood_in_for_by"] == [mirror.url]
        # so does its tracker
        trackers = {f"{r.url}/announce" for r in (world.registrar, mirror)}
        await world.until(lambda: trackers <= engine.trackers)
        # audits go on there
        audit = mirror.audit(node.key, cid)
        await mirror.until(lambda: audit.outcome)
        assert audit.outcome == "success"
        world.registrar.down = False
        await world.until(lambda: not standing(node))
        assert not claimed(mirror, node)
        assert claimed(world.registrar, node) == {cid}
        assert serves(node, cid)
        assert [(who, what) for who, what, _ in mirror.released] == [(str(node.key.public), cid)]
        assert mirror.url not in node.state.registrar_urls()


async def test_what_is_taken_in_meanwhile_is_kept_for_the_registrar_when_it_wants_it(world: World) -> None:
    first = await world.share(random_dataset("a", [50_000]))
    second = await world.share(random_dataset("b", [60_000]))
    world.registrar.claims[second, "another node"] = world.clock() + 3600
    world.registrar.copies = 1
    (mirror,) = mirrors_of(world, 1)
    async with world.node(mirrors=[mirror], takeover=AFTER) as node:
        await world.until(lambda: serves(node, first))
        world.registrar.down, mirror.stands_in = True, True
        await world.until(lambda: claimed(mirror, node) == {first, second})
        await world.until(lambda: {h.content_id for h in held(node)} == {first, second})
        world.registrar.copies, world.registrar.down, mirror.stands_in = 2, False, False
        await world.until(lambda: not standing(node))
        assert claimed(world.registrar, node) == {first, second}
        assert {h.content_id for h in held(node)} == {first, second}


async def test_copies_that_exist_are_counted_before_others_are_made(world: World) -> None:
    first = await world.share(random_dataset("a", [50_000]))
    second = await world.share(random_dataset("b", [60_000]))
    world.registrar.claims[second, "another node"] = world.clock() + 3600
    world.registrar.copies = 1
    (mirror,) = mirrors_of(world, 1)
    async with world.node(mirrors=[mirror], takeover=3600.0) as node:
        await world.until(lambda: serves(node, first))
        world.registrar.down = mirror.stands_in = True
        await world.until(lambda: not told(node, world.registrar.url)["reachable"])
        world.clock.ahead += 3601.0
        await world.until(lambda: claimed(mirror, node))
        beats = mirror.beats[str(node.key.public)]
        await mirror.until(lambda: mirror.beats[str(node.key.public)] > beats + 2)
        assert claimed(mirror, node) == {first}
        world.clock.ahead += 3601.0
        await world.until(lambda: claimed(mirror, node) == {first, second})


async def test_what_a_mirror_taints_goes_while_it_stands_in_though_it_has_no_claim(world: World) -> None:
    cid = await world.share(random_dataset("a", [50_000]))
    (mirror,) = mirrors_of(world, 1)
    async with world.node(mirrors=[mirror], takeover=AFTER) as node:
        await world.until(lambda: serves(node, cid))
        mirror.taint(f"content:{cid}")
        world.registrar.down = True
        await world.until(lambda: not node.state.holdings)
    assert not mirror.claims


async def test_what_the_registrar_has_enough_of_goes_again(world: World) -> None:
    cid = await world.share(random_dataset("a", [50_000]))
    world.registrar.claims[cid, "another node"] = world.clock() + 3600
    world.registrar.copies = 1
    (mirror,) = mirrors_of(world, 1)
    async with world.node(mirrors=[mirror], takeover=AFTER) as node:
        await world.until(lambda: world.beats(node))
        world.registrar.down, mirror.stands_in = True, True
        await world.until(lambda: serves(node, cid))
        world.registrar.down, mirror.stands_in = False, False
        await world.until(lambda: not standing(node) and not node.state.holdings)


async def test_all_nodes_meet_at_the_same_mirror_and_go_on_to_the_next_when_it_is_silent_too(
    world: World,
) -> None:
    cid = await world.share(random_dataset("a", [50_000]))
    mirrors = mirrors_of(world, 3)
    # by the clock alone, so that nothing depends on how quick this machine is
    more = {"mirrors": mirrors, "takeover": 3600.0}

    async def silent(url: str) -> None:
        await world.until(lambda: not any(told(n, url)["reachable"] for n in (one, two)))
        world.clock.ahead += 3601.0

    async with world.node("one", **more) as one, world.node("two", **more) as two:
        await world.until(lambda: serves(one, cid) and serves(two, cid))
        world.registrar.down = True
        await silent(world.registrar.url)
        await world.until(lambda: any(len(m.holders(cid)) == 2 for m in mirrors))
        (met,) = [m for m in mirrors if m.nodes]
        met.down = True
        await silent(met.url)
        rest = [m for m in mirrors if m is not met]
        await world.until(lambda: any(len(m.holders(cid)) == 2 for m in rest))
        assert sum(bool(m.nodes) for m in rest) == 1
        met.down = world.registrar.down = False
        await world.until(lambda: not standing(one) and not standing(two))
        assert not any(m.claims for m in mirrors)
        assert serves(one, cid)
        assert serves(two, cid)


async def test_a_restart_goes_on_with_the_mirror_while_the_registrar_is_still_silent(world: World) -> None:
    cid = await world.share(random_dataset("a", [50_000]))
    (mirror,) = mirrors_of(world, 1)
    async with world.node(mirrors=[mirror], takeover=AFTER) as node:
        await world.until(lambda: serves(node, cid))
        world.registrar.down = True
        await world.until(lambda: mirror.holders(cid))
    async with world.node(mirrors=[mirror], takeover=3600.0) as node:
        assert standing(node) == [mirror.url]
        assert not any("serves no more" in problem for problem in node.status()["problems"])
        world.registrar.down = False
        # the time it waits for is over at once
        node.stand_ins._after = 0.0
        await world.until(lambda: not standing(node))
        assert claimed(world.registrar, node) == {cid}


async def test_a_short_silence_moves_nothing(world: World) -> None:
    cid = await world.share(random_dataset("a", [50_000]))
    (mirror,) = mirrors_of(world, 1)
    async with world.node(mirrors=[mirror], takeover=3600.0) as node:
        await world.until(lambda: serves(node, cid))
        world.registrar.down = True
        world.registrar.changed()
        await world.until(lambda: not told(node, world.registrar.url)["reachable"])
        await node.stand_ins.look_after()
        world.registrar.down = False
        await world.until(lambda: told(node, world.registrar.url)["reachable"])
        assert not mirror.nodes
        assert not standing(node)


async def test_a_node_that_is_told_to_knows_no_stand_ins(world: World) -> None:
    (mirror,) = mirrors_of(world, 1)
    async with world.node(mirrors=[mirror], takeover=0.0) as node:
        await world.until(lambda: world.beats(node))
        world.registrar.down = True
        world.clock.ahead = 7 * 86_400.0
        await node.stand_ins.look_after()
        assert not standing(node)


async def test_with_real_registrars_the_copy_counts_at_the_mirror_while_its_home_is_gone(
    tmp_path: Path,
) -> None:
    what, swarm = shareable(), MemorySwarm()
    quick = {"takeover_s": 0.2, "heartbeat_s": 0.5}
    async with start_registrar(tmp_path / "b", **quick) as b, aiohttp.ClientSession() as session:
        async with start_registrar(tmp_path / "a", **quick) as a, seeding(swarm, what, tmp_path / "s"):
            await befriend(a, b)
            made = await a.person().register(what)
            key, known = new_key(), KnownRegistrars(tmp_path / "known_registrars")

            def connect(url: str) -> RegistrarClient:
                return known.client(url, key=key, session=session, now=time.time, attempts=1)

            settings = NodeSettings(
                data=tmp_path / "node", pledge=50 * MB, floor=0, scrub_rate=0, takeover=1.5
            )
            node = StorageManager(
                settings,
                key,
                MemoryEngine(swarm),
                [connect(a.url)],
                session=session,
                now=time.time,
                connect=connect,
                patience=QUICK,
            )
            await node.open()
            await until(_async(lambda: serves(node, made["content_id"])))

            async def mirrored() -> bool:
                return (await b.person().get(f"/api/v1/records/{made['rid']}")).status == 200

            await until(mirrored)
            # the registrar has told the node of its peer
            await until(_async(lambda: node.stand_ins._mirrors(a.url) == [b.url]))
        try:

            async def counted() -> bool:
                told = await b.person().get(f"/api/v1/records/{made['rid']}")
                return bool(told.json["copies"]["complete"] == 1)

            await until(counted)
            assert standing(node) == [b.url]
            assert told(node, a.url)["stood_in_for_by"] == [b.url]
        finally:
            await node.close()


def _async(look: Callable[[], Any]) -> Callable[[], Awaitable[Any]]:
    async def ask() -> Any:
        return look()

    return ask


def test_the_status_says_in_words_who_stands_in_for_whom() -> None:
    plain = {"reachable": True, "error": "", "stands_in_for": [], "stood_in_for_by": []}
    assert _standing(plain) == "reachable"
    assert _standing({**plain, "stands_in_for": ["https://a"]}) == "reachable; stands in for https://a"
    silent = {**plain, "reachable": False, "error": "no answer", "stood_in_for_by": ["https://b"]}
    assert _standing(silent) == "not reachable: no answer; stood in for by https://b"
    back = {**silent, "reachable": True}
    assert _standing(back) == "reachable; it is back, and takes over again from https://b"
