"""Taints, client side: every rule of the state machine, broken on purpose."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from seedkeep.core.errors import Error, InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier
from seedkeep.core.taint import (
    HEAD_LIFETIME_S,
    STOP_CLAIMS_AFTER_S,
    STOP_SERVING_AFTER_S,
    Entry,
    Freshness,
    Head,
    LiftBody,
    Subject,
    TaintBody,
    TrustedTaints,
    encode_list,
    parse_list,
)

KEY, MALLORY = PrivateKey(b"r" * 32), PrivateKey(b"m" * 32)
ORIGIN = "registrar.example"
VERIFIER = Verifier(ORIGIN, KEY.public)
NOW = 1_800_000_000.0


def entry(number: int, subject: str = "", lifted: str = "") -> Entry:
    return Entry(
        id=f"{number:064x}",
        subject=Subject.parse(subject or f"content:{number:064x}"),
        category="retraction",
        reason="withdrawn by its authors",
        created="2026-01-31T12:00:00Z",
        approvers=(str(KEY.public),),
        lifted=lifted,
    )


def publish(
    version: int,
    entries: Iterable[Entry],
    *,
    now: float = NOW,
    size: int | None = None,
    key: PrivateKey = KEY,
) -> tuple[str, bytes]:
    data = encode_list(entries)
    head = Head(
        ORIGIN,
        version,
        version * 10 if size is None else size,
        hashlib.sha256(data).hexdigest(),
        int(now) + HEAD_LIFETIME_S,
    )
    return head.sign(key), data


def trusted(version: int, *entries: Entry) -> TrustedTaints:
    taints = TrustedTaints(VERIFIER)
    note, data = publish(version, entries)
    assert taints.load_head(note, now=NOW)
    taints.load_list(data)
    return taints


def test_a_taint_on_a_record_its_content_or_a_file_is_found() -> None:
    a, b, c = "a" * 64, "b" * 64, "c" * 64
    taints = trusted(1, entry(1, f"content:{a}"), entry(2, f"record:{b}"), entry(3, f"root:{c}"))
    assert [e.id[-1] for e in taints.standing(content_id=a)] == ["1"]
    assert [e.id[-1] for e in taints.standing(content_id=c, rids=[b], roots=[c, ""])] == ["2", "3"]
    assert taints.standing(content_id=b, rids=[c], roots=[a]) == []


def test_rollback_to_an_older_version_is_refused() -> None:
    taints = trusted(2, entry(1))
    with pytest.raises(VerificationFailed, match="went back"):
        taints.load_head(publish(1, [])[0], now=NOW)
    with pytest.raises(VerificationFailed, match="went back"):
        taints.load_head(publish(3, [], size=19)[0], now=NOW)
    assert taints.standing(content_id=f"{1:064x}")


def test_an_expired_head_is_refused_as_a_freeze() -> None:
    taints = TrustedTaints(VERIFIER)
    with pytest.raises(VerificationFailed, match="expired"):
        taints.load_head(publish(1, [])[0], now=NOW + HEAD_LIFETIME_S)


def test_a_head_valid_for_a_year_is_refused() -> None:
    with pytest.raises(VerificationFailed, match="too long"):
        TrustedTaints(VERIFIER).load_head(publish(1, [], now=NOW + 365 * 86400)[0], now=NOW)


def test_two_lists_under_one_version_are_noticed() -> None:
    taints = trusted(2, entry(1))
    with pytest.raises(VerificationFailed, match="two different"):
        taints.load_head(publish(2, [entry(2)])[0], now=NOW)


def test_a_forged_head_is_refused() -> None:
    with pytest.raises(VerificationFailed):
        TrustedTaints(VERIFIER).load_head(publish(1, [], key=MALLORY)[0], now=NOW)


def test_a_head_of_another_registrar_with_the_same_key_is_refused() -> None:
    note = Head("other.example", 1, 1, "0" * 64, int(NOW) + 60).sign(KEY)
    with pytest.raises(VerificationFailed):
        TrustedTaints(VERIFIER).load_head(note, now=NOW)


def test_a_list_other_than_the_heads_is_refused_and_the_old_one_stays() -> None:
    taints = trusted(1, entry(1))
    assert taints.load_head(publish(2, [entry(1), entry(2)])[0], now=NOW)
    with pytest.raises(VerificationFailed, match="not the one"):
        taints.load_list(encode_list([entry(1)]))
    assert taints.head is not None
    assert taints.head.version == 1


def test_an_entry_cannot_be_dropped_silently_nor_rewritten() -> None:
    for entries in ([entry(2)], [replace(entry(1), reason="never mind"), entry(2)]):
        taints = trusted(1, entry(1))
        note, data = publish(2, entries)
        assert taints.load_head(note, now=NOW)
        with pytest.raises(VerificationFailed):
            taints.load_list(data)
        assert taints.standing(content_id=f"{1:064x}")


def test_a_lift_ends_a_taint_and_stays() -> None:
    taints = trusted(1, entry(1))
    note, data = publish(2, [entry(1, lifted="f" * 64)])
    assert taints.load_head(note, now=NOW)
    taints.load_list(data)
    assert taints.standing(content_id=f"{1:064x}") == []
    note, data = publish(3, [entry(1)])
    assert taints.load_head(note, now=NOW)
    with pytest.raises(VerificationFailed, match="rewrote"):
        taints.load_list(data)


def test_a_reissued_head_only_renews_the_time() -> None:
    taints = trusted(1, entry(1))
    later = NOW + HEAD_LIFETIME_S - 10
    assert taints.load_head(publish(1, [entry(1)], now=later)[0], now=later) is False
    assert taints.freshness(now=later + 100) is Freshness.FRESH


def test_silence_raises_an_alarm_then_stops_claims_then_stops_serving() -> None:
    taints = trusted(1)
    end = NOW + HEAD_LIFETIME_S
    assert TrustedTaints(VERIFIER).freshness(now=NOW) is Freshness.NO_CLAIMS
    assert taints.freshness(now=end - 1) is Freshness.FRESH
    assert taints.freshness(now=end + 1) is Freshness.ALARM
    assert taints.freshness(now=end + STOP_CLAIMS_AFTER_S) is Freshness.NO_CLAIMS
    assert taints.freshness(now=end + STOP_SERVING_AFTER_S) is Freshness.NO_SERVING


def test_what_was_trusted_survives_a_restart_even_when_expired() -> None:
    taints = TrustedTaints.restore(VERIFIER, *trusted(5, entry(1)).dump())
    assert taints.freshness(now=NOW + 10 * HEAD_LIFETIME_S) is Freshness.NO_SERVING
    with pytest.raises(VerificationFailed, match="went back"):
        taints.load_head(publish(4, [entry(1)])[0], now=NOW)


@pytest.mark.parametrize(
    "data", [b"x", b"{}\n", entry(1).encode(), encode_list([entry(1)]) * 2, b" " + encode_list([entry(1)])]
)
def test_a_malformed_list_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_list(data)


def test_bodies_come_back_and_bad_ones_are_refused() -> None:
    body = TaintBody(Subject.parse("root:" + "a" * 64), "malware", "a trojan in index/run.sh")
    assert TaintBody.parse(body.encode()) == body
    assert LiftBody.parse(LiftBody("resolved").encode()) == LiftBody("resolved")
    good = {"v": 1, "subject": "root:" + "a" * 64, "category": "malware", "reason": "x"}
    for change in (
        {"category": "dislike"},
        {"reason": " "},
        {"reason": 3},
        {"subject": "root:xyz"},
        {"v": 2},
        {"more": 1},
    ):
        with pytest.raises(InvalidInput):
            TaintBody.parse({**good, **change})
    with pytest.raises(InvalidInput):
        LiftBody.parse({"v": 1})


class AnyPublisher(RuleBasedStateMachine):
    """Whatever is published, the client's trust only ever moves forward."""

    def __init__(self) -> None:
        super().__init__()
        self.taints = TrustedTaints(VERIFIER)
        self.best = (-1, -1)
        self.seen: dict[str, bool] = {}

    @rule(
        version=st.integers(0, 6),
        size=st.integers(0, 6),
        numbers=st.dictionaries(st.integers(0, 4), st.booleans()),
        forged=st.sampled_from([False, False, False, True]),
        age=st.sampled_from([0, 0, 0, 2 * HEAD_LIFETIME_S]),
    )
    def publish_anything(
        self, version: int, size: int, numbers: dict[int, bool], forged: bool, age: int
    ) -> None:
        entries = [entry(n, lifted="f" * 64 if lifted else "") for n, lifted in numbers.items()]
        note, data = publish(version, entries, size=size, now=NOW - age, key=MALLORY if forged else KEY)
        try:
            if self.taints.load_head(note, now=NOW):
                self.taints.load_list(data)
        except Error:
            return
        assert not forged
        assert not age

    @invariant()
    def never_goes_back(self) -> None:
        head = self.taints.head
        if head is None:
            return
        assert head.version >= self.best[0]
        assert head.log_size >= self.best[1]
        self.best = (head.version, head.log_size)
        now = {e.id: bool(e.lifted) for e in self.taints.entries}
        assert set(self.seen) <= set(now)
        assert all(now[i] for i, lifted in self.seen.items() if lifted)
        self.seen = now


TestAnyPublisher = AnyPublisher.TestCase
TestAnyPublisher.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("character", ["x", "é", "\N{GRINNING FACE}", "\x01", '"'])
def test_every_reason_that_is_taken_fits_into_the_list_that_nodes_read(character: str) -> None:
    body = {"v": 1, "subject": "content:" + "a" * 64, "category": "malware"}
    longest = ""
    for length in range(1, 2002, 50):
        try:
            longest = TaintBody.parse({**body, "reason": character * length}).reason
        except InvalidInput:
            break
    approvers = tuple(str(PrivateKey(bytes([n]) * 32).public) for n in range(60))
    listed = replace(entry(1, lifted="f" * 64), reason=longest, approvers=approvers)
    assert len(longest) > 600
    assert list(parse_list(encode_list([listed])).values()) == [listed]


@pytest.mark.parametrize("reason", ["\N{GRINNING FACE}" * 2000, "x" * 2001, "a\x00b"])
def test_a_reason_that_some_reader_could_not_take_is_refused(reason: str) -> None:
    with pytest.raises(InvalidInput):
        TaintBody.parse({"v": 1, "subject": "content:" + "a" * 64, "category": "malware", "reason": reason})
    with pytest.raises(InvalidInput):
        LiftBody.parse({"v": 1, "reason": reason})
