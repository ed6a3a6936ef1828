"""The parts of the engine that need no network: piece maps, plans, web-seed standing, limits, name checks."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.errors import HostileMetainfo
from seedkeep.core.metainfo import read_metainfo
from seedkeep.engine.metainfo_check import named_files, require_safe_pieces, require_same_files
from seedkeep.engine.model import Completed, Resync
from seedkeep.engine.piece_map import PieceMap
from seedkeep.engine.piece_plan import PiecePlan
from seedkeep.engine.rate_limit import RateLimit
from seedkeep.engine.subscribers import QUEUE_LIMIT, Subscribers
from seedkeep.engine.web_seed_health import LONGEST_PAUSE, WebSeedHealth
from tests.support.datasets import dataset_of
from tests.support.torrents import torrents_of

files = st.dictionaries(
    st.from_regex(r"[a-d]/[a-z]{1,3}", fullmatch=True), st.binary(max_size=90_000), min_size=1, max_size=6
).filter(lambda content: any(content.values()))


@given(files, st.sampled_from([1, 2]), st.data())
def test_every_run_of_pieces_is_cut_from_the_right_bytes(
    content: dict[str, bytes], version: int, draw: st.DataObject
) -> None:
    torrents = torrents_of(dataset_of("d", content))
    meta = read_metainfo(torrents.v2 if version == 2 else torrents.v1)
    pieces = PieceMap(meta)
    first = draw.draw(st.integers(0, pieces.count - 1))
    last = draw.draw(st.integers(first, pieces.count - 1))
    run = b"".join(
        content[meta.files[part.file].path][part.offset : part.offset + part.length]
        for part in pieces.slices(first, last)
    )
    for piece in range(first, last + 1):
        data, run = run[: pieces.size(piece)], run[pieces.size(piece) :]
        assert pieces.matches(piece, data)
        assert not pieces.matches(piece, bytes([data[0] ^ 1]) + data[1:])
        assert not pieces.matches(piece, data + b"x")
    assert run == b""


@given(st.sets(st.integers(0, 39)), st.lists(st.tuples(st.integers(1, 9), st.booleans())))
def test_no_piece_is_claimed_twice_and_none_is_forgotten(
    missing: set[int], steps: list[tuple[int, bool]]
) -> None:
    plan = PiecePlan(40, missing)
    open_claims: list[tuple[int, int]] = []
    left = set(missing)
    for budget, finish in steps:
        run = plan.take(budget, lambda piece: 1)
        claimed = {piece for first, last in open_claims for piece in range(first, last + 1)}
        if run is None:
            assert left <= claimed
        else:
            taken = set(range(run[0], run[1] + 1))
            assert taken <= left - claimed
            assert len(taken) <= budget
            open_claims.append(run)
        if finish and open_claims:
            first, last = open_claims.pop(0)
            plan.done(first)
            left.discard(first)
            plan.give_back(first, last)
    assert plan.left == len(left)
    for first, last in open_claims:
        plan.give_back(first, last)
    rest = set()
    while run := plan.take(3, lambda piece: 1):
        rest |= set(range(run[0], run[1] + 1))
    assert rest == left


def test_a_failing_web_seed_rests_longer_each_time_and_is_dropped_in_the_end() -> None:
    seed = WebSeedHealth("http://x/", retry=1.0, tries=3)
    now, pauses = 0.0, []
    while not seed.failed(started=now, now=now):
        pauses.append(seed.ready_at - now)
        now = seed.ready_at
    assert pauses == [1.0, 2.0, 4.0]
    assert seed.dropped


def test_a_gained_piece_forgives_a_web_seed() -> None:
    seed = WebSeedHealth("http://x/", retry=1.0, tries=1)
    for now in range(0, 100, 10):
        assert not seed.failed(started=now, now=now)
        seed.gained()


def test_requests_that_fail_together_count_once() -> None:
    seed = WebSeedHealth("http://x/", retry=1.0, tries=1)
    assert not seed.failed(started=1.0, now=5.0)
    assert not seed.failed(started=1.1, now=5.1)
    assert not seed.failed(started=4.9, now=5.2)


def test_a_web_seed_that_asks_for_peace_gets_it_within_reason() -> None:
    seed = WebSeedHealth("http://x/", retry=1.0, tries=9)
    seed.failed(started=0.0, now=0.0, wait=30.0)
    assert seed.ready_at == 30.0
    seed.failed(started=30.0, now=30.0, wait=86_400.0)
    assert seed.ready_at == 30.0 + LONGEST_PAUSE


async def test_a_rate_limit_holds_over_several_readers() -> None:
    limit = RateLimit(100_000)
    await limit.spend(100_000)  # the first second's worth is free
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(limit.spend(10_000) for _ in range(5)))
    assert 0.4 < asyncio.get_running_loop().time() - began < 15


async def test_no_limit_waits_for_nothing() -> None:
    limit = RateLimit(0)
    await asyncio.wait_for(limit.spend(10**12), 20)


async def test_a_listener_that_is_too_slow_is_told_to_look_again() -> None:
    subscribers = Subscribers()
    slow = subscribers.subscribe()
    for number in range(QUEUE_LIMIT + 5):
        subscribers.publish(Completed(str(number)))
    subscribers.end()
    seen = [event async for event in slow]
    assert seen[0] == Resync()
    assert seen[-1] == Completed(str(QUEUE_LIMIT + 4))
    assert len(seen) == 5
    assert [event async for event in subscribers.subscribe()] == []


def test_names_that_would_be_stored_otherwise_are_refused() -> None:
    info = {b"name": b"d", b"files": [{b"length": 1, b"path": [b"..", b"x"]}]}
    assert named_files(info) == ["d/../x"]
    with pytest.raises(HostileMetainfo, match="x"):
        require_same_files(info, ["d/x"])
    with pytest.raises(HostileMetainfo):
        require_same_files(info, ["d/../x", "d/y"])


@pytest.mark.parametrize("info", [{}, {b"name": 3}, {b"name": b"\xff"}, {b"name": b"d", b"files": [3]}])
def test_metainfo_without_usable_names_is_refused(info: dict[bytes, object]) -> None:
    with pytest.raises(HostileMetainfo):
        named_files(info)


def test_a_v2_torrent_with_pieces_of_one_block_is_refused() -> None:
    with pytest.raises(HostileMetainfo, match="16 KiB"):
        require_safe_pieces({b"file tree": {}, b"piece length": 16384})
    require_safe_pieces({b"file tree": {}, b"piece length": 32768})
    require_safe_pieces({b"pieces": b"", b"piece length": 16384})
