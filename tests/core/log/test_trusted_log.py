"""What is trusted of a log: every rule of the module's text, kept and broken; evidence for strangers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from seedkeep.core.errors import Error, InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.evidence import Evidence, Kind, Misbehaviour
from seedkeep.core.log.tiles import Tile, inclusion_proof, prefix_path
from seedkeep.core.log.tree import roots_of_path
from seedkeep.core.log.trusted_log import Relation, TrustedLog
from seedkeep.core.notes import Signature
from tests.core.log.reference import SmallLog

SIZE = 600


def _log(*, fork_at: int = SIZE) -> SmallLog:
    log = SmallLog()
    log.append(*(f"entry {n}{'' if n < fork_at else ' too'}".encode() for n in range(SIZE)))
    return log


TRUE = _log()
FORKS = {at: _log(fork_at=at) for at in (0, 1, 3, 4, 255, 256, 300, 512, 599)}


def trusting(size: int, log: SmallLog = TRUE) -> TrustedLog:
    return TrustedLog.restore(log.verifier, log.note(size)) if size else TrustedLog(log.verifier)


def show(log: SmallLog, tiles: tuple[Tile, ...]) -> dict[Tile, bytes]:
    return {tile: log.get(tile.path) for tile in tiles}


@settings(max_examples=40)
@given(st.integers(0, SIZE), st.integers(0, SIZE))
def test_a_log_that_only_grows_is_trusted_at_its_largest(first: int, second: int) -> None:
    trusted = trusting(first)
    offer = trusted.offer(TRUE.note(second))
    if second > first:
        assert offer.relation is Relation.NEWER
        trusted.accept(offer, show(TRUE, offer.tiles))
    elif second < first:
        assert offer.relation is Relation.OLDER
        trusted.judge(offer, show(TRUE, offer.tiles))
    else:
        assert offer.relation is Relation.SAME
    assert trusted.checkpoint.size == max(first, second)
    if trusted.checkpoint.size:
        assert TrustedLog.restore(TRUE.verifier, trusted.note).checkpoint == trusted.checkpoint


@settings(max_examples=80)
@given(st.sampled_from(sorted(FORKS)), st.integers(1, SIZE), st.integers(1, SIZE))
def test_a_fork_is_caught_by_whoever_saw_the_other_half(at: int, ours: int, theirs: int) -> None:
    trusted, fork = trusting(ours), FORKS[at]
    before = trusted.checkpoint
    try:
        offer = trusted.offer(fork.note(theirs))
        if offer.relation is Relation.NEWER:
            trusted.accept(offer, show(fork, offer.tiles))
        else:
            trusted.judge(offer, show(TRUE, offer.tiles))
    except Misbehaviour as caught:
        assert min(ours, theirs) > at
        assert trusted.checkpoint == before
        evidence = Evidence.parse(caught.evidence.encode())
        assert evidence == caught.evidence
        assert evidence.kind is Kind.FORK
        assert "log.example" in evidence.check()
    else:
        assert min(ours, theirs) <= at


def test_lines_that_anybody_can_add_are_in_no_evidence() -> None:
    lines = "".join(str(Signature(f"j{n}", b"abcd", b"x" * 30)) for n in range(90))
    padded = []
    for junk in ("", lines):
        with pytest.raises(Misbehaviour) as caught:
            trusting(5).offer(FORKS[0].note(5) + junk)
        padded.append(caught.value.evidence.encode())
    assert padded[0] == padded[1]


@settings(max_examples=40)
@given(st.integers(1, SIZE - 1), st.data())
def test_tiles_that_do_not_fit_prove_nothing_and_change_nothing(old: int, data: st.DataObject) -> None:
    new = data.draw(st.integers(old + 1, SIZE))
    trusted = trusting(old)
    offer = trusted.offer(TRUE.note(new))
    tiles = show(TRUE, offer.tiles)
    spoilt = data.draw(st.sampled_from(sorted(tiles, key=str)))
    how = data.draw(st.sampled_from(["zero", "short", "other"]))
    whole = tiles[spoilt]
    tiles[spoilt] = {"zero": bytes(len(whole)), "short": b"", "other": whole[::-1]}[how]
    with pytest.raises((VerificationFailed, InvalidInput)) as caught:
        trusted.accept(offer, tiles)
    assert not isinstance(caught.value, Misbehaviour)
    assert trusted.checkpoint.size == old


def test_a_checkpoint_of_another_key_or_log_is_not_even_looked_at() -> None:
    trusted = trusting(5)
    for note in (
        TRUE.checkpoint(9).sign(PrivateKey(b"x" * 32)),
        Checkpoint("other.example", 9, bytes(32)).sign(TRUE.key),
        "garbage",
        b"\xff",
    ):
        with pytest.raises((VerificationFailed, InvalidInput)) as caught:
            trusted.offer(note)
        assert not isinstance(caught.value, Misbehaviour)


def test_a_signed_empty_log_with_a_wrong_root_is_evidence() -> None:
    bad = Checkpoint("log.example", 0, bytes(32)).sign(TRUE.key)
    for size in (0, 7):
        trusted = TrustedLog.restore(TRUE.verifier, TRUE.note(size))
        with pytest.raises(Misbehaviour):
            trusted.offer(bad)
    with pytest.raises(VerificationFailed):
        TrustedLog(TRUE.verifier).offer(bad)


def test_an_offer_that_time_has_passed_by_is_taken_no_more() -> None:
    trusted = trusting(5)
    late, newest = trusted.offer(TRUE.note(7)), trusted.offer(TRUE.note(9))
    trusted.accept(newest, show(TRUE, newest.tiles))
    with pytest.raises(VerificationFailed):
        trusted.accept(late, show(TRUE, late.tiles))
    assert trusted.checkpoint.size == 9


def test_a_stored_note_that_was_tampered_with_is_refused() -> None:
    with pytest.raises(Error):
        TrustedLog.restore(TRUE.verifier, TRUE.note(9).replace("\n9\n", "\n8\n"))


class AnyServer(RuleBasedStateMachine):
    """Whatever is offered in whatever order: never back, never another history."""

    notes = Bundle("notes")

    def __init__(self) -> None:
        super().__init__()
        self.trusted = TrustedLog(TRUE.verifier)
        self.history: list[Checkpoint] = []

    @rule(target=notes, at=st.sampled_from([3, 256, 512, SIZE]), size=st.integers(0, SIZE))
    def signed(self, at: int, size: int) -> tuple[SmallLog, str]:
        log = FORKS.get(at, TRUE)
        return log, log.note(size)

    @rule(note=notes, source=st.sampled_from([TRUE, FORKS[3], FORKS[512]]))
    def offered(self, note: tuple[SmallLog, str], source: SmallLog) -> None:
        before = self.trusted.checkpoint
        try:
            offer = self.trusted.offer(note[1])
            self.trusted.accept(offer, show(source, offer.tiles))
        except Error:
            assert self.trusted.checkpoint == before
        self.trusted = TrustedLog.restore(TRUE.verifier, self.trusted.note)
        self.history.append(self.trusted.checkpoint)

    @invariant()
    def history_is_of_one_log(self) -> None:
        sizes = [c.size for c in self.history]
        assert sizes == sorted(sizes)
        if self.history:
            last = self.history[-1]
            logs = [log for log in (TRUE, *FORKS.values()) if log.checkpoint(last.size) == last]
            assert any(all(log.checkpoint(c.size) == c for c in self.history) for log in logs)


TestAnyServer = AnyServer.TestCase
TestAnyServer.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)


# --- evidence ---


def _fork_evidence(old: int = 300, new: int = 500) -> Evidence:
    log = FORKS[256]
    path = tuple(prefix_path(log.tiles, old, new))
    return Evidence(Kind.FORK, TRUE.verifier, (TRUE.note(old), log.note(new)), path)


FORK = _fork_evidence()


def test_the_evidence_of_a_fork_is_one_json_document() -> None:
    fields = json.loads(FORK.encode())
    assert fields["log"] == str(TRUE.verifier)
    assert FORK.check() == (
        "log.example signed a log of 500 entries that does not begin with "
        "the 300 entries it had signed before."
    )


@pytest.mark.parametrize("old", [1, 2, 3, 4, 7, 8, 255, 256, 257, 512])
def test_a_path_leads_to_both_roots_whatever_the_size(old: int) -> None:
    path = prefix_path(TRUE.tiles, old, SIZE)
    assert roots_of_path(old, SIZE, path) == (TRUE.checkpoint(old).root, TRUE.checkpoint().root)


def test_nobody_is_accused_with_two_checkpoints_that_agree() -> None:
    path = tuple(prefix_path(TRUE.tiles, 300, 500))
    for notes in (
        (TRUE.note(300), TRUE.note(500)),
        (TRUE.note(300), TRUE.note(300)),
        (TRUE.note(0), TRUE.note(5)),
    ):
        with pytest.raises(VerificationFailed):
            Evidence(Kind.FORK, TRUE.verifier, notes, path).check()


@settings(max_examples=40)
@given(st.data())
def test_evidence_with_a_changed_hash_or_note_proves_nothing(data: st.DataObject) -> None:
    good = FORK
    path = list(good.path)
    at = data.draw(st.integers(0, len(path) - 1))
    path[at] = data.draw(st.binary(min_size=32, max_size=32).filter(lambda h: h != path[at]))
    with pytest.raises(VerificationFailed):
        Evidence(Kind.FORK, good.log, good.notes, tuple(path)).check()
    with pytest.raises((VerificationFailed, InvalidInput)):
        Evidence(Kind.FORK, good.log, good.notes[::-1], good.path).check()
    stranger = Checkpoint("log.example", 500, bytes(32)).sign(PrivateKey(b"x" * 32))
    with pytest.raises(VerificationFailed):
        Evidence(Kind.FORK, good.log, (good.notes[0], stranger), good.path).check()


def test_notes_that_a_stranger_signed_are_evidence_against_nobody() -> None:
    forged = Checkpoint("log.example", 300, bytes(32))
    own = (TRUE.note(300), forged.sign(TRUE.key))
    assert "two different logs of 300" in Evidence(Kind.FORK, TRUE.verifier, own).check()
    for notes in (
        (own[0], forged.sign(PrivateKey(b"x" * 32))),
        (own[0], own[1].replace("\n300\n", "\n400\n")),
    ):
        with pytest.raises(VerificationFailed):
            Evidence(Kind.FORK, TRUE.verifier, notes).check()
    for more in (
        Evidence(Kind.FORK, TRUE.verifier, own, (), 1),
        Evidence(Kind.FORK, TRUE.verifier, own, (), 0, b"x"),
    ):
        with pytest.raises(InvalidInput):
            more.check()


def test_a_damaged_store_accuses_nobody() -> None:
    trusted = trusting(500)
    offer = trusted.offer(TRUE.note(300))
    tiles = show(TRUE, offer.tiles)
    with pytest.raises(VerificationFailed, match="kept tiles"):
        trusted.judge(offer, {tile: bytes(len(data)) for tile, data in tiles.items()})


def test_an_entry_that_is_no_event_is_evidence_and_only_of_that() -> None:
    path = tuple(inclusion_proof(TRUE.tiles, 7, 20))
    notes = (TRUE.note(20),)
    assert "entry 7" in Evidence(Kind.BROKEN_ENTRY, TRUE.verifier, notes, path, 7, b"entry 7").check()
    for kind, index, entry in (
        (Kind.WRONG_HOME, 7, b"entry 7"),
        (Kind.BROKEN_ENTRY, 8, b"entry 7"),
        (Kind.BROKEN_ENTRY, 7, b"entry 8"),
    ):
        with pytest.raises(VerificationFailed):
            Evidence(kind, TRUE.verifier, notes, path, index, entry).check()
    with pytest.raises(InvalidInput):
        Evidence(Kind.BROKEN_ENTRY, TRUE.verifier, notes * 2, path, 7, b"entry 7").check()


VALID = json.loads(FORK.encode())


@given(
    st.sampled_from(sorted(VALID)),
    st.none() | st.integers() | st.text(max_size=20) | st.lists(st.text(max_size=9)),
)
def test_a_malformed_document_is_no_evidence(name: str, value: object) -> None:
    if value != VALID[name]:
        with pytest.raises(Error):
            Evidence.parse({**VALID, name: value}).check()


@given(st.binary(max_size=100) | st.text(max_size=100))
def test_garbage_is_no_evidence(data: bytes | str) -> None:
    with pytest.raises(InvalidInput):
        Evidence.parse(data)
