"""Following another log: what arrives is what stands there; servers and logs that lie, one by one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedkeep.core.errors import Error, InvalidInput, VerificationFailed
from seedkeep.core.log import sync
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.entry import read_entry
from seedkeep.core.log.evidence import Evidence, Kind, Misbehaviour
from seedkeep.core.log.tiles import ENTRIES, Tile, encode_bundle, parse_bundle
from seedkeep.core.log.trusted_log import Relation
from tests.core.log.followers import Mirror, event, events, log_of
from tests.core.log.reference import SmallLog

LOG = log_of(1500)


@pytest.fixture(autouse=True, scope="module")
def _each_signature_is_checked_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sync, "read_entry", functools.cache(read_entry))
        yield


def test_a_mirror_has_every_entry_and_tile_of_the_log_after_one_sync() -> None:
    mirror = Mirror(LOG)
    assert mirror.follow(LOG.note(), LOG.get) is Relation.NEWER
    assert mirror.leaves == LOG.leaves
    assert mirror.places == LOG.places
    assert mirror.note == LOG.note()


def test_a_mirror_asks_for_nothing_when_there_is_nothing_new() -> None:
    mirror = Mirror(LOG)
    mirror.follow(LOG.note(), LOG.get)
    mirror.fetched.clear()
    assert mirror.follow(LOG.note(), LOG.get) is Relation.SAME
    assert mirror.fetched == []


def test_one_more_entry_costs_a_tile_for_each_level_and_a_bundle() -> None:
    mirror = Mirror(LOG)
    mirror.follow(LOG.note(1000), LOG.get)
    mirror.fetched.clear()
    mirror.follow(LOG.note(1001), LOG.get)
    assert mirror.fetched == [Tile(1, 0, 3), Tile(0, 3, 233), Tile(ENTRIES, 3, 233)]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 1500), max_size=5), st.data())
def test_a_mirror_that_dies_anywhere_goes_on_from_what_it_stored(
    sizes: list[int], data: st.DataObject
) -> None:
    mirror = Mirror(LOG)
    for size in sizes:
        mirror.follow(LOG.note(size), LOG.get, stop_after=data.draw(st.integers(0, 6)))
        assert mirror.leaves == LOG.leaves[: len(mirror.leaves)]
        assert len(mirror.leaves) <= mirror.trusted().checkpoint.size
    mirror.follow(LOG.note(), LOG.get)
    assert (mirror.leaves, mirror.places) == (LOG.leaves, LOG.places)


def test_deep_trees_are_followed_through_all_their_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    # entries that are no events, so that 70,000 of them are quick: only the tree matters here
    monkeypatch.setattr(sync, "read_entry", lambda leaf, origin: ("", None))
    log = SmallLog()
    log.append(*(b"%d" % n for n in range(70_000)))
    mirror = Mirror(log)
    for size in (3, 65_536, 65_537, 70_000):
        mirror.follow(log.note(size), log.get)
    assert (mirror.leaves, mirror.places) == (log.leaves, log.places)
    assert Tile(1, 0) in mirror.fetched
    # of the 273 full tiles only those that a proof of consistency needs: the entries give the others
    assert {tile.index for tile in mirror.fetched if tile.level == 0 and tile.width == 256} == {0, 256}

    # a server whose full tiles and entries fit each other, but not the root above them
    other, victim = SmallLog(), Mirror(log)
    other.append(b"another", *log.leaves[1:])
    with pytest.raises(VerificationFailed, match="tile/1/000"):
        victim.follow(log.note(), lambda p: (other if p == "tile/1/000" or "entries" in p else log).get(p))
    assert victim.leaves == []


def test_an_older_checkpoint_changes_nothing() -> None:
    mirror = Mirror(LOG)
    mirror.follow(LOG.note(), LOG.get)
    assert mirror.follow(LOG.note(700), LOG.get) is Relation.OLDER
    assert mirror.note == LOG.note()


# --- servers that lie ---


def _changed(where: str, how: Callable[[bytes], bytes]) -> Callable[[str], bytes]:
    return lambda path: how(LOG.get(path)) if where in path else LOG.get(path)


def _swap_entry(data: bytes) -> bytes:
    return encode_bundle([event(77_777), *parse_bundle(data, 256)[1:]])


@pytest.mark.parametrize(
    ("where", "how"),
    [
        ("tile/entries/002", _swap_entry),
        ("tile/entries/002", lambda data: data[:-1]),
        ("tile/entries/002", lambda data: data + b"\0\0"),
        ("tile/entries/002", lambda data: b"\0" * 2_000_000),
        ("tile/entries/005", lambda data: data[::-1]),
        ("tile/0/005", lambda data: bytes(len(data))),
        ("tile/0/005", lambda data: data + bytes(32)),
        ("tile/1/000", lambda data: data[:-32] + bytes(32)),
        ("tile/1/000", lambda data: b""),
    ],
)
def test_wrong_bodies_and_oversized_tiles_are_refused_and_accuse_nobody(
    where: str, how: Callable[[bytes], bytes]
) -> None:
    mirror = Mirror(LOG)
    with pytest.raises((VerificationFailed, InvalidInput)) as caught:
        mirror.follow(LOG.note(), _changed(where, how))
    assert not isinstance(caught.value, Misbehaviour)
    assert mirror.leaves == LOG.leaves[: len(mirror.leaves)]
    mirror.follow(LOG.note(), LOG.get)
    assert mirror.leaves == LOG.leaves


def test_another_log_is_not_stored_under_a_signed_checkpoint() -> None:
    mirror, other = Mirror(LOG), log_of(1500, fork_at=3)
    with pytest.raises(VerificationFailed, match="do not fit its checkpoint"):
        mirror.follow(LOG.note(), other.get)
    assert (mirror.note, mirror.leaves) == ("", [])


def test_what_is_too_long_is_not_even_read() -> None:
    for path in ("tile/0/005.p/220", "tile/entries/000"):
        with pytest.raises(VerificationFailed, match="where it can have"):
            Mirror(LOG).follow(LOG.note(), _changed(path, lambda data: data + bytes(2_000_000)))


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_no_single_wrong_answer_gets_a_wrong_entry_stored(data: st.DataObject) -> None:
    mirror = Mirror(LOG)
    mirror.follow(LOG.note(data.draw(st.integers(0, 1499))), LOG.get)
    lie, asked = data.draw(st.integers(0, 9)), 0

    def get(path: str) -> bytes:
        nonlocal asked
        asked += 1
        true = LOG.get(path)
        if asked - 1 != lie:
            return true
        at = data.draw(st.integers(0, len(true) - 1))
        return true[:at] + bytes([true[at] ^ 1 << data.draw(st.integers(0, 7))]) + true[at + 1 :]

    try:
        mirror.follow(LOG.note(), get)
    except Error as error:
        assert not isinstance(error, Misbehaviour)
    assert mirror.leaves == LOG.leaves[: len(mirror.leaves)]


# --- logs that lie ---


def _caught(mirror: Mirror, log: SmallLog, note: str) -> Evidence:
    with pytest.raises(Misbehaviour) as caught:
        mirror.follow(note, log.get)
    evidence = Evidence.parse(caught.value.evidence.encode())
    assert evidence.check()
    return evidence


@pytest.mark.parametrize("size", [800, 900, 1499])
def test_rollback_a_log_that_goes_back_and_on_another_way_is_caught(size: int) -> None:
    mirror, fork = Mirror(LOG), log_of(1500, fork_at=700)
    mirror.follow(LOG.note(), LOG.get)
    assert mirror.follow(LOG.note(700), LOG.get) is Relation.OLDER
    assert _caught(mirror, fork, fork.note(size)).kind is Kind.FORK
    assert mirror.note == LOG.note()


def test_a_fork_to_two_halves_is_caught_when_the_halves_speak() -> None:
    fork = log_of(1500, fork_at=700)
    left, right = Mirror(LOG), Mirror(fork)
    left.follow(LOG.note(1000), LOG.get)
    right.follow(fork.note(1200), fork.get)
    # each hears the other's checkpoint; the larger one's tiles come from whoever has them
    assert _caught(right, LOG, LOG.note(1000)).kind is Kind.FORK
    assert _caught(left, fork, fork.note(1200)).kind is Kind.FORK


def test_a_size_that_is_signed_twice_is_caught_without_asking_anyone() -> None:
    mirror, fork = Mirror(LOG), log_of(1500, fork_at=1499)
    mirror.follow(LOG.note(), LOG.get)
    mirror.fetched.clear()
    assert len(_caught(mirror, fork, fork.note()).notes) == 2
    assert mirror.fetched == []


def test_freeze_a_log_that_shows_one_size_for_ever_is_overtaken_by_what_others_heard() -> None:
    frozen, other = Mirror(LOG), Mirror(LOG)
    other.follow(LOG.note(1200), LOG.get)
    for _ in range(3):
        frozen.follow(LOG.note(1000), LOG.get)
    assert frozen.trusted().checkpoint.size == 1000
    # a peer passes on what it heard, with the tiles and entries from its own store
    copy = SmallLog()
    copy.append(*other.leaves)
    assert frozen.follow(other.note, copy.get) is Relation.NEWER
    assert frozen.leaves == LOG.leaves[:1200]


def test_replayed_checkpoints_are_older_for_ever() -> None:
    mirror = Mirror(LOG)
    notes = [LOG.note(size) for size in (400, 700, 1000)]
    for note in notes:
        mirror.follow(note, LOG.get)
    for note in notes[:2]:
        assert mirror.follow(note, LOG.get) is Relation.OLDER
    assert mirror.note == notes[2]


def test_fast_forward_a_stolen_key_cannot_carry_the_reader_off() -> None:
    mirror = Mirror(LOG)
    mirror.follow(LOG.note(1000), LOG.get)
    with pytest.raises(VerificationFailed):
        mirror.follow(Checkpoint("log.example", 2**62, bytes(32)).sign(LOG.key), LOG.get)
    mirror.follow(LOG.note(), LOG.get)
    assert mirror.leaves == LOG.leaves


def test_a_log_of_any_size_is_followed_from_the_start_and_after_an_interruption(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sync, "MAX_GROWTH", 300)
    mirror = Mirror(LOG)
    mirror.follow(LOG.note(1000), LOG.get, stop_after=3)
    assert len(mirror.leaves) < mirror.trusted().checkpoint.size == 1000
    # first what is trusted already, then what is offered now
    mirror.follow(LOG.note(1200), LOG.get)
    assert mirror.leaves == LOG.leaves[:1200]
    monkeypatch.setattr(sync, "MAX_GROWTH", 299)
    with pytest.raises(VerificationFailed, match="claims 1500"):
        mirror.follow(LOG.note(), LOG.get)


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (b"no event", Kind.BROKEN_ENTRY),
        (event(9).replace(b'"created":"2026', b'"created":"2027'), Kind.BROKEN_ENTRY),
        (event(9, "other.example"), Kind.WRONG_HOME),
    ],
)
def test_a_broken_entry_is_kept_as_evidence(bad: bytes, kind: Kind) -> None:
    log = SmallLog()
    log.append(*events(0, 300), bad, *events(301, 400))
    mirror = Mirror(log)
    evidence = _caught(mirror, log, log.note())
    assert (evidence.kind, evidence.index, evidence.entry) == (kind, 300, bad)
    assert mirror.leaves == log.leaves[:256]


def test_a_damaged_store_is_noticed_before_it_grows() -> None:
    mirror = Mirror(LOG)
    mirror.follow(LOG.note(1000), LOG.get)
    mirror.places[0, 3] = bytes(len(mirror.places[0, 3]))
    with pytest.raises(VerificationFailed, match="damaged"):
        mirror.follow(LOG.note(1010), LOG.get)
