"""The tracker seen by its peers: who learns of whom, when, and for which torrents."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from seedkeep.core.bencode import decode
from seedkeep_registrar.client_address import client_address, parse_networks
from seedkeep_registrar.store.datasets import Tracked
from seedkeep_registrar.tracker.answers import endpoint
from seedkeep_registrar.tracker.peers import MAX_PER_HOST, PeerStore
from seedkeep_registrar.tracker.service import Pace, Tracker
from tests.registrar.test_tracker_requests import HASH, query

OTHER = bytes(20)
ANA, BEN, CAT = (ipaddress.ip_address(f"192.0.2.{n}") for n in (1, 2, 3))
SIX = ipaddress.ip_address("2001:db8::1")


class World:
    """A tracker, its clock, and what it was told."""

    def __init__(self, **pace: Any) -> None:
        self.now = 1000.0
        self.contents = {HASH: Tracked("c" * 64, companion=False, servable=True)}
        self.wanted: list[str] = []
        self.looked_up = 0
        self.pace = Pace(**pace)
        self.tracker = Tracker(
            self.look_up, self.want, pace=self.pace, clock=lambda: self.now, random=Random(7)
        )

    async def look_up(self, info_hash: bytes) -> Tracked | None:
        self.looked_up += 1
        return self.contents.get(info_hash)

    async def want(self, content_id: str) -> None:
        self.wanted.append(content_id)

    async def announce(self, address: Any, **changes: Any) -> dict[bytes, Any]:
        answer = decode(await self.tracker.announce(query(**changes), address))
        assert isinstance(answer, dict)
        return answer

    async def counts(self) -> dict[bytes, Any]:
        answer = decode(await self.tracker.scrape(query()))
        assert isinstance(answer, dict)
        files = answer[b"files"]
        assert isinstance(files, dict)
        found = files.get(HASH, {})
        assert isinstance(found, dict)
        return found


def peers_of(answer: dict[bytes, Any]) -> set[tuple[str, int]]:
    found = set()
    for key, size in ((b"peers", 6), (b"peers6", 18)):
        joined = answer.get(key, b"")
        assert len(joined) % size == 0
        for at in range(0, len(joined), size):
            one = joined[at : at + size]
            found.add((str(ipaddress.ip_address(one[:-2])), int.from_bytes(one[-2:], "big")))
    return found


async def test_peers_find_each_other() -> None:
    world = World()
    first = await world.announce(ANA, event="started")
    assert peers_of(first) == set()
    assert first[b"complete"] == 1
    second = await world.announce(BEN, left=5, port=7000, event="started")
    assert peers_of(second) == {("192.0.2.1", 6881)}
    assert (second[b"complete"], second[b"incomplete"]) == (1, 1)
    assert peers_of(await world.announce(ANA)) == {("192.0.2.2", 7000)}


async def test_seeds_are_not_sent_to_seeds() -> None:
    world = World()
    await world.announce(ANA)
    assert peers_of(await world.announce(BEN)) == set()


async def test_ipv6_peers_come_under_their_own_key() -> None:
    world = World()
    await world.announce(SIX)
    await world.announce(ANA)
    answer = await world.announce(BEN, left=1)
    assert len(answer[b"peers6"]) == 18
    assert peers_of(answer) == {("2001:db8::1", 6881), ("192.0.2.1", 6881)}


async def test_an_ipv4_peer_that_comes_over_an_ipv6_socket_is_an_ipv4_peer() -> None:
    world = World()
    await world.announce(ipaddress.ip_address("::ffff:192.0.2.1"))
    assert peers_of(await world.announce(BEN, left=1)) == {("192.0.2.1", 6881)}


async def test_a_peer_cannot_register_somebody_elses_address() -> None:
    world = World()
    await world.announce(ANA, ip="198.51.100.9", ipv4="198.51.100.9", ipv6="2001:db8::9")
    assert peers_of(await world.announce(BEN, left=1)) == {("192.0.2.1", 6881)}


async def test_the_long_form_is_a_list_of_dictionaries() -> None:
    world = World()
    await world.announce(ANA)
    answer = await world.announce(BEN, left=1, compact=0)
    assert answer[b"peers"] == [{b"ip": b"192.0.2.1", b"port": 6881, b"peer id": b"-SK0100-abcdefghijkl"}]
    answer = await world.announce(BEN, left=1, compact=0, no_peer_id=1)
    assert answer[b"peers"] == [{b"ip": b"192.0.2.1", b"port": 6881}]


async def test_a_peer_that_stops_is_forgotten_at_once() -> None:
    world = World()
    await world.announce(ANA)
    stopped = await world.announce(ANA, event="stopped")
    assert peers_of(stopped) == set()
    assert peers_of(await world.announce(BEN, left=1)) == set()


async def test_a_peer_that_keeps_silent_is_forgotten_in_time() -> None:
    world = World()
    await world.announce(ANA)
    world.now += world.pace.ttl_s - 1
    assert (await world.counts())[b"complete"] == 1
    world.now += 2
    assert (await world.counts())[b"complete"] == 0
    assert world.tracker.peers == 0


async def test_a_peer_that_does_not_listen_gets_peers_but_is_not_one() -> None:
    world = World()
    await world.announce(ANA)
    assert peers_of(await world.announce(BEN, left=1, port=0)) == {("192.0.2.1", 6881)}
    assert (await world.counts())[b"incomplete"] == 0


async def test_a_finished_download_is_counted_once() -> None:
    world = World()
    await world.announce(ANA, left=10)
    for _ in range(3):
        await world.announce(ANA, left=0, event="completed")
    await world.announce(BEN, left=0, event="completed")  # never seen without it
    assert await world.counts() == {b"complete": 2, b"downloaded": 1, b"incomplete": 0}


async def test_numwant_is_kept() -> None:
    world = World()
    for port in range(1, 101):
        await world.announce(ANA, port=port)
    assert len(peers_of(await world.announce(BEN, left=1, numwant=7))) == 7
    assert len(peers_of(await world.announce(BEN, left=1))) == 50
    assert len(peers_of(await world.announce(BEN, left=1, numwant=0))) == 0


async def test_one_host_cannot_flood_a_swarm() -> None:
    world = World()
    await world.announce(BEN)
    for port in range(1, 3 * MAX_PER_HOST):
        await world.announce(ANA, port=port)
    for suffix in range(1, 3 * MAX_PER_HOST):
        await world.announce(ipaddress.ip_address(f"2001:db8::{suffix:x}"))
    assert (await world.counts())[b"complete"] == 2 * MAX_PER_HOST + 1


async def test_the_store_is_bounded_and_the_oldest_peer_goes() -> None:
    world = World(max_peers=3)
    for address in (ANA, BEN, CAT, SIX):
        await world.announce(address)
    assert world.tracker.peers == 3
    assert ("192.0.2.1", 6881) not in peers_of(await world.announce(ANA, left=1, port=1))


async def test_unregistered_torrents_are_refused_in_words() -> None:
    world = World()
    answer = await world.announce(ANA, info_hash=OTHER)
    assert answer == {b"failure reason": b"this registrar has no record of this torrent"}
    assert world.tracker.peers == 0


async def test_a_taint_is_obeyed_by_the_next_announce() -> None:
    world = World()
    await world.announce(ANA)
    world.contents[HASH] = Tracked("c" * 64, companion=False, servable=False)
    world.tracker.registered.clear()
    assert b"tainted" in (await world.announce(BEN, left=1))[b"failure reason"]
    assert await world.counts() == {}


async def test_a_record_is_served_as_soon_as_it_is_registered() -> None:
    world = World()
    assert b"failure reason" in await world.announce(ANA, info_hash=OTHER)
    world.contents[OTHER] = Tracked("d" * 64, companion=False, servable=True)
    world.tracker.registered.forget(OTHER)
    assert b"peers" in await world.announce(ANA, info_hash=OTHER)


async def test_the_store_is_asked_once_for_many_announces() -> None:
    world = World()
    for port in range(1, 100):
        await world.announce(ANA, port=port)
        await world.announce(ANA, port=port, info_hash=OTHER)
    assert world.looked_up == 2
    world.now += 60
    await world.announce(ANA)
    assert world.looked_up == 3


async def test_a_taint_during_a_look_up_is_not_missed() -> None:
    world = World()
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(info_hash: bytes) -> Tracked | None:
        found = world.contents[info_hash]
        asked.set()
        await go.wait()
        return found

    world.tracker = Tracker(slow, world.want, pace=world.pace, clock=lambda: world.now, random=Random(7))
    announcing = asyncio.create_task(world.announce(ANA))
    await asked.wait()
    world.contents[HASH] = Tracked("c" * 64, companion=False, servable=False)
    world.tracker.registered.clear()
    go.set()
    assert b"tainted" in (await announcing)[b"failure reason"]


def companion_world(**pace: Any) -> World:
    world = World(**pace)
    world.contents[HASH] = Tracked("c" * 64, companion=True, servable=True)
    return world


async def test_a_wanted_companion_wakes_its_holders_and_the_answer_waits_for_the_seed() -> None:
    world = companion_world(hold_s=30)
    announcing = asyncio.create_task(world.announce(BEN, left=9, event="started"))
    while not world.wanted:
        await asyncio.sleep(0)
    assert world.wanted == ["c" * 64]
    assert not announcing.done()
    await world.announce(ANA)
    answer = await asyncio.wait_for(announcing, 20)
    assert peers_of(answer) == {("192.0.2.1", 6881)}
    assert answer[b"interval"] == world.pace.interval_s


async def test_a_companion_that_nobody_brings_is_asked_for_again_soon() -> None:
    world = companion_world(hold_s=0.01)
    answer = await world.announce(BEN, left=9)
    assert peers_of(answer) == set()
    assert answer[b"interval"] == world.pace.lonely_interval_s


async def test_only_so_many_announces_are_held() -> None:
    world = companion_world(hold_s=30, max_held=3)
    held = [asyncio.create_task(world.announce(BEN, left=9, port=p)) for p in (1, 2, 3)]
    for _ in range(50):
        await asyncio.sleep(0)  # all three have run until they wait
    assert world.wanted == ["c" * 64]  # the nodes are told once
    answer = await asyncio.wait_for(world.announce(CAT, left=9), 20)
    assert answer[b"interval"] == world.pace.lonely_interval_s
    await world.announce(ANA)
    for one in held:
        assert ("192.0.2.1", 6881) in peers_of(await asyncio.wait_for(one, 20))


async def test_a_client_that_hangs_up_frees_its_place() -> None:
    world = companion_world(hold_s=30, max_held=1)
    held = asyncio.create_task(world.announce(BEN, left=9))
    while not world.wanted:
        await asyncio.sleep(0)
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held
    assert len(world.wanted) == 1
    again = asyncio.create_task(world.announce(CAT, left=9))
    while len(world.wanted) < 2:
        await asyncio.sleep(0)
    await world.announce(ANA)
    assert ("192.0.2.1", 6881) in peers_of(await again)


async def test_a_taint_while_an_announce_is_held_refuses_it() -> None:
    world = companion_world(hold_s=0.05)
    announcing = asyncio.create_task(world.announce(BEN, left=9))
    while not world.wanted:
        await asyncio.sleep(0)
    world.contents[HASH] = Tracked("c" * 64, companion=True, servable=False)
    world.tracker.registered.clear()
    assert b"tainted" in (await announcing)[b"failure reason"]


@pytest.mark.parametrize(
    ("companion", "changes"),
    [
        (False, {"left": 9}),
        (True, {"left": 0}),
        (True, {"left": 9, "event": "stopped"}),
        (True, {"left": 9, "numwant": 0}),
    ],
)
async def test_others_are_answered_at_once(companion: bool, changes: dict[str, Any]) -> None:
    world = World(hold_s=30)
    world.contents[HASH] = Tracked("c" * 64, companion=companion, servable=True)
    await asyncio.wait_for(world.announce(ANA, **changes), 20)
    assert world.wanted == []


PROXIES = parse_networks(("127.0.0.1", "10.0.0.0/8", "fd00::/8"))


@pytest.mark.parametrize(
    ("remote", "forwarded", "found"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.5"], "192.0.2.1"),  # not a proxy of ours: not believed
        ("127.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("127.0.0.1", ["198.51.100.1, 203.0.113.5"], "203.0.113.5"),  # what the client wrote itself
        ("127.0.0.1", ["198.51.100.1, 203.0.113.5, 10.1.1.1"], "203.0.113.5"),
        ("127.0.0.1", ["198.51.100.1", "203.0.113.5"], "203.0.113.5"),
        ("127.0.0.1", ["203.0.113.5, nonsense"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["[2001:db8::5]:4711"], "2001:db8::5"),
        ("127.0.0.1", ["203.0.113.5:4711"], "203.0.113.5"),
        ("::ffff:127.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("fd00::1", ["203.0.113.5"], "203.0.113.5"),
        (None, [], "0.0.0.0"),
    ],
)
def test_only_trusted_proxies_are_believed(remote: str | None, forwarded: list[str], found: str) -> None:
    assert str(client_address(remote, forwarded, PROXIES)) == found


def test_without_trusted_proxies_the_header_means_nothing() -> None:
    assert str(client_address("127.0.0.1", ["203.0.113.5"], ())) == "127.0.0.1"


def test_picks_are_random_and_reach_everybody() -> None:
    store = PeerStore(max_peers=10_000, ttl_s=10, random=Random(3))
    for port in range(1, 101):
        store.put(HASH, endpoint(ANA, port), b"", seed=port % 2 == 0, now=0)
    seen: Counter[bytes] = Counter()
    for _ in range(300):
        picked = store.pick(HASH, 20, besides=endpoint(ANA, 1), seeds=True)
        assert len({p.endpoint for p in picked}) == 20
        seen.update(p.endpoint for p in picked)
    assert len(seen) == 99
    assert max(seen.values()) < 4 * min(seen.values())


class StoreMachine(RuleBasedStateMachine):
    """The store against the plainest model there is."""

    limit, ttl = 12, 50.0

    def __init__(self) -> None:
        super().__init__()
        self.store = PeerStore(max_peers=self.limit, ttl_s=self.ttl, random=Random(5))
        self.model: dict[tuple[bytes, bytes], tuple[bool, float]] = {}
        self.now = 0.0

    torrents = st.sampled_from([b"a" * 20, b"b" * 20])
    endpoints = st.integers(1, 9).map(lambda n: endpoint(ipaddress.ip_address(f"192.0.2.{n}"), 1000 + n))

    @rule(torrent=torrents, where=endpoints, seed=st.booleans())
    def put(self, torrent: bytes, where: bytes, seed: bool) -> None:
        self.store.put(torrent, where, b"", seed=seed, now=self.now)
        self.model.pop((torrent, where), None)
        self.model[torrent, where] = (seed, self.now + self.ttl)
        if len(self.model) > self.limit:
            del self.model[next(iter(self.model))]

    @rule(torrent=torrents, where=endpoints)
    def drop(self, torrent: bytes, where: bytes) -> None:
        self.store.drop(torrent, where)
        self.model.pop((torrent, where), None)

    @rule(seconds=st.floats(0, 40))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.store.expire(self.now)
        self.model = {k: v for k, v in self.model.items() if v[1] > self.now}

    @invariant()
    def same(self) -> None:
        assert len(self.store) == len(self.model)
        for torrent in (b"a" * 20, b"b" * 20):
            expected = {w: seed for (t, w), (seed, _) in self.model.items() if t == torrent}
            found = self.store.pick(torrent, 100, besides=b"", seeds=True)
            assert {p.endpoint: p.seed for p in found} == expected
            assert len(found) == len(expected)
            counts = self.store.counts(torrent)
            assert (counts.seeds, counts.leechers) == (
                sum(expected.values()),
                len(expected) - sum(expected.values()),
            )


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
