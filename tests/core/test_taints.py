"""Taints, client side: every rule of the state machine, broken on purpose; the attacks by name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from seedkeep.core import jcs
from seedkeep.core.errors import Error, InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier
from seedkeep.core.record import Editor
from seedkeep.core.taints import entry as entries_module
from seedkeep.core.taints import trusted as trusted_module
from seedkeep.core.taints.body import (
    CATEGORIES,
    MAX_HOLD_S,
    QUARANTINE_S,
    Effect,
    LiftBody,
    Order,
    Subject,
    TaintBody,
    printed,
    seconds,
    usual_effect,
)
from seedkeep.core.taints.entry import MAX_ENTRY_BYTES, Entry, encode_list, parse_list
from seedkeep.core.taints.head import HEAD_LIFETIME_S, MAX_HEAD_BYTES, Head
from seedkeep.core.taints.trusted import (
    STOP_CLAIMS_AFTER_S,
    STOP_SERVING_AFTER_S,
    Freshness,
    TrustedTaints,
)

KEY, MALLORY = PrivateKey(b"r" * 32), PrivateKey(b"m" * 32)
ORIGIN = "registrar.example"
VERIFIER = Verifier(ORIGIN, KEY.public)
NOW = 1_800_000_000.0


def order(subject: str, **more: Any) -> Order:
    said = {"category": "malware", "reason": "it bites", "effect": Effect.REMOVE}
    return Order(Subject.parse(subject), **{**said, **more})


def entry(number: int, subject: str = "", lifted: str = "", **more: Any) -> Entry:
    said = order(subject or f"content:{number:064x}", **more)
    return Entry(f"{number:064x}", said, printed(NOW - 60), (str(KEY.public),), lifted)


def publish(
    version: int,
    entries: Iterable[Entry],
    *,
    now: float = NOW,
    size: int | None = None,
    key: PrivateKey = KEY,
) -> tuple[str, bytes]:
    data = encode_list(entries)
    size = version * 10 if size is None else size
    head = Head(ORIGIN, version, size, hashlib.sha256(data).hexdigest(), int(now) + HEAD_LIFETIME_S)
    return head.sign(key), data


def load(taints: TrustedTaints, published: tuple[str, bytes], now: float = NOW) -> None:
    assert taints.load_head(published[0], now=now)
    taints.load_list(published[1])


def trusted(version: int, *entries: Entry) -> TrustedTaints:
    taints = TrustedTaints(VERIFIER)
    load(taints, publish(version, entries))
    return taints


def numbers(taints: TrustedTaints, now: float = NOW, **subjects: Any) -> list[int]:
    return [int(e.id, 16) for e in taints.standing(now=now, **subjects)]


# --- what stands -----------------------------------------------------------------------------------------


def test_a_taint_on_a_record_its_content_or_a_file_is_found() -> None:
    a, b, c = "a" * 64, "b" * 64, "c" * 64
    taints = trusted(1, entry(1, f"content:{a}"), entry(2, f"record:{b}"), entry(3, f"root:{c}"))
    assert numbers(taints, content_id=a) == [1]
    assert numbers(taints, content_id=c, rids=[b], roots=[c, ""]) == [2, 3]
    assert numbers(taints, content_id=b, rids=[c], roots=[a]) == []


def test_an_entry_stands_until_the_second_in_which_it_expires() -> None:
    taints = trusted(1, entry(1, effect=Effect.HIDE, expires=printed(NOW + 100)))
    cid = f"{1:064x}"
    assert numbers(taints, NOW + 99.9, content_id=cid) == [1]
    assert numbers(taints, NOW + 100, content_id=cid) == []
    assert len(taints.entries) == 1


@pytest.mark.parametrize(
    ("effect", "withholds", "wiped"),
    [("remove", True, 0), ("quarantine", True, QUARANTINE_S), ("hide", True, None), ("warn", False, None)],
)
def test_what_an_effect_means(effect: str, withholds: bool, wiped: int | None) -> None:
    said = entry(1, effect=Effect(effect))
    assert said.effect.withholds is withholds
    assert said.wipes_at() == (None if wiped is None else seconds(said.created) + wiped)


def test_effects_are_ordered() -> None:
    assert sorted(Effect, key=lambda e: e.rank) == [
        Effect.WARN,
        Effect.HIDE,
        Effect.QUARANTINE,
        Effect.REMOVE,
    ]


def test_a_hold_hides_for_72_hours_at_most() -> None:
    since, cid = printed(NOW), "content:" + "a" * 64
    good = {"effect": Effect.HIDE, "expires": printed(NOW + MAX_HOLD_S)}
    assert order(cid, **good).is_hold(since)
    for change in (
        {"expires": printed(NOW + MAX_HOLD_S + 1)},
        {"expires": ""},
        {"effect": Effect.REMOVE},
        {"effect": Effect.QUARANTINE},
    ):
        assert not order(cid, **{**good, **change}).is_hold(since)


# --- attacks, by name ------------------------------------------------------------------------------------


def test_attack_rollback_to_an_older_version_is_refused() -> None:
    taints = trusted(2, entry(1))
    with pytest.raises(VerificationFailed, match="went back"):
        taints.load_head(publish(1, [])[0], now=NOW)
    with pytest.raises(VerificationFailed, match="went back"):
        taints.load_head(publish(3, [], size=19)[0], now=NOW)
    assert numbers(taints, content_id=f"{1:064x}") == [1]


def test_attack_freeze_by_an_expired_head_is_noticed() -> None:
    taints = TrustedTaints(VERIFIER)
    with pytest.raises(VerificationFailed, match="expired"):
        taints.load_head(publish(1, [])[0], now=NOW + HEAD_LIFETIME_S)
    taints = trusted(1)
    end = NOW + HEAD_LIFETIME_S
    assert TrustedTaints(VERIFIER).freshness(now=NOW) is Freshness.NO_CLAIMS
    assert taints.freshness(now=end - 1) is Freshness.FRESH
    assert taints.freshness(now=end + 1) is Freshness.ALARM
    assert taints.freshness(now=end + STOP_CLAIMS_AFTER_S) is Freshness.NO_CLAIMS
    assert taints.freshness(now=end + STOP_SERVING_AFTER_S) is Freshness.NO_SERVING


def test_attack_freeze_by_a_head_that_is_good_for_a_year_is_refused() -> None:
    with pytest.raises(VerificationFailed, match="too long"):
        TrustedTaints(VERIFIER).load_head(publish(1, [], now=NOW + 365 * 86400)[0], now=NOW)


def test_attack_fast_forward_to_the_last_version_there_is_is_refused() -> None:
    taints = trusted(2, entry(1))
    with pytest.raises(VerificationFailed, match="after 30 events"):
        taints.load_head(publish(10**14, [entry(1)], size=30)[0], now=NOW)
    load(taints, publish(3, [entry(1), entry(2)]))


def test_attack_fast_forward_with_a_stolen_key_ends_with_its_rotation() -> None:
    taints = trusted(2, entry(1))
    load(taints, publish(10**14, [entry(1), entry(66)], size=10**14))
    fresh = PrivateKey(b"f" * 32)
    with pytest.raises(VerificationFailed, match="no trusted key"):
        taints.load_head(publish(3, [entry(1)], key=fresh)[0], now=NOW)
    taints.rotate(Verifier(ORIGIN, fresh.public))
    assert numbers(taints, content_id=f"{66:064x}") == [66]  # until the new key has spoken
    with pytest.raises(VerificationFailed, match="no trusted key"):
        taints.load_head(publish(10**14 + 1, [entry(1)], size=10**14 + 1)[0], now=NOW)
    load(taints, publish(3, [entry(1)], key=fresh))
    assert [int(e.id, 16) for e in taints.entries] == [1]
    with pytest.raises(VerificationFailed, match="went back"):
        taints.load_head(publish(2, [entry(1)], key=fresh)[0], now=NOW)


def test_attack_rotation_to_another_registrar_is_refused() -> None:
    with pytest.raises(InvalidInput):
        trusted(1).rotate(Verifier("other.example", MALLORY.public))


def test_what_an_old_key_signed_is_restored_and_still_awaits_the_new_one() -> None:
    fresh = Verifier(ORIGIN, MALLORY.public)
    stored = trusted(5, entry(1)).dump()
    with pytest.raises(VerificationFailed):
        TrustedTaints.restore(fresh, *stored)
    taints = TrustedTaints.restore(fresh, *stored, former=[VERIFIER])
    assert numbers(taints, content_id=f"{1:064x}") == [1]
    load(taints, publish(1, [entry(2)], key=MALLORY))
    assert [int(e.id, 16) for e in taints.entries] == [2]


def test_attack_replay_of_a_head_changes_nothing_and_one_of_another_registrar_is_refused() -> None:
    old, taints = publish(1, []), trusted(1)
    load(taints, publish(2, [entry(1)]))
    before = taints.dump()
    assert taints.load_head(before[0], now=NOW) is False
    with pytest.raises(VerificationFailed):
        taints.load_head(old[0], now=NOW)
    other = Head("other.example", 3, 30, "0" * 64, int(NOW) + 60).sign(KEY)
    with pytest.raises(VerificationFailed):
        taints.load_head(other, now=NOW)
    assert taints.dump() == before


def test_attack_forged_head_is_refused() -> None:
    with pytest.raises(VerificationFailed):
        TrustedTaints(VERIFIER).load_head(publish(1, [], key=MALLORY)[0], now=NOW)


def test_attack_forged_lift_needs_a_head_that_names_it() -> None:
    taints = trusted(1, entry(1))
    head, _ = publish(2, [entry(1), entry(2)])
    assert taints.load_head(head, now=NOW)
    with pytest.raises(VerificationFailed, match="not the one"):
        taints.load_list(encode_list([entry(1, lifted="f" * 64), entry(2)]))
    assert numbers(taints, content_id=f"{1:064x}") == [1]


def test_attack_two_lists_under_one_version_are_noticed() -> None:
    taints = trusted(2, entry(1))
    with pytest.raises(VerificationFailed, match="two different"):
        taints.load_head(publish(2, [entry(2)])[0], now=NOW)


def test_attack_list_other_than_the_heads_is_refused_and_the_old_one_stays() -> None:
    taints = trusted(1, entry(1))
    assert taints.load_head(publish(2, [entry(1), entry(2)])[0], now=NOW)
    with pytest.raises(VerificationFailed, match="not the one"):
        taints.load_list(encode_list([entry(1)]))
    assert taints.head is not None
    assert taints.head.version == 1


def test_attack_dropped_entry_is_refused() -> None:
    taints = trusted(1, entry(1))
    assert taints.load_head(publish(2, [entry(2)])[0], now=NOW)
    with pytest.raises(VerificationFailed, match="dropped"):
        taints.load_list(encode_list([entry(2)]))
    assert numbers(taints, content_id=f"{1:064x}") == [1]


def test_attack_entry_that_expired_cannot_be_dropped_either() -> None:
    taints = trusted(1, entry(1, expires=printed(NOW + 10)))
    later = NOW + 1000
    note, data = publish(2, [], now=later)
    assert taints.load_head(note, now=later)
    with pytest.raises(VerificationFailed, match="dropped"):
        taints.load_list(data)


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "never mind"},
        {"effect": Effect.WARN},
        {"expires": printed(NOW + 1)},
        {"subject": Subject.parse("content:" + "e" * 64)},
        {"appeal": "nowhere"},
    ],
)
def test_attack_rewritten_entry_is_refused(change: dict[str, Any]) -> None:
    taints, known = trusted(1, entry(1)), entry(1)
    note, data = publish(2, [replace(known, order=replace(known.order, **change))])
    assert taints.load_head(note, now=NOW)
    with pytest.raises(VerificationFailed, match="rewrote"):
        taints.load_list(data)
    assert numbers(taints, content_id=f"{1:064x}") == [1]


@pytest.mark.parametrize("again", ["", "e" * 64])
def test_a_lift_ends_a_taint_and_stays(again: str) -> None:
    taints = trusted(1, entry(1))
    load(taints, publish(2, [entry(1, lifted="f" * 64)]))
    assert numbers(taints, content_id=f"{1:064x}") == []
    note, data = publish(3, [entry(1, lifted=again)])
    assert taints.load_head(note, now=NOW)
    with pytest.raises(VerificationFailed, match="rewrote"):
        taints.load_list(data)


def test_attack_taint_flood_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    taints = trusted(1, entry(1))
    for module in (entries_module, trusted_module):
        monkeypatch.setattr(module, "MAX_LIST_BYTES", 1000)
    note, data = publish(2, [entry(n) for n in range(1, 40)])
    assert taints.load_head(note, now=NOW)
    monkeypatch.setattr(trusted_module, "parse_list", lambda _: pytest.fail("it was read"))
    with pytest.raises(InvalidInput, match="over 1000 bytes"):
        taints.load_list(data)
    with pytest.raises(InvalidInput, match="over the limit"):
        parse_list(data)
    assert numbers(taints, content_id=f"{1:064x}") == [1]


def test_attack_flood_of_one_entry_or_of_a_head_is_refused() -> None:
    many = replace(entry(1), approvers=tuple(str(KEY.public) for _ in range(MAX_ENTRY_BYTES // 40)))
    with pytest.raises(InvalidInput, match="over the limit"):
        parse_list(encode_list([many]))
    note = publish(1, [])[0]
    line = note.split("\n")[-2]
    with pytest.raises(InvalidInput, match="over the limit"):
        Head.open(note + f"{line}\n" * (MAX_HEAD_BYTES // len(line) + 1), VERIFIER)


# --- further rules ---------------------------------------------------------------------------------------


def test_a_reissued_head_only_renews_the_time() -> None:
    taints = trusted(1, entry(1))
    later = NOW + HEAD_LIFETIME_S - 10
    assert taints.load_head(publish(1, [entry(1)], now=later)[0], now=later) is False
    assert taints.freshness(now=later + 100) is Freshness.FRESH


def test_what_was_trusted_survives_a_restart_even_when_expired() -> None:
    taints = TrustedTaints.restore(VERIFIER, *trusted(5, entry(1)).dump())
    assert taints.freshness(now=NOW + 10 * HEAD_LIFETIME_S) is Freshness.NO_SERVING
    with pytest.raises(VerificationFailed, match="went back"):
        taints.load_head(publish(4, [entry(1)])[0], now=NOW)


def test_a_list_without_a_head_is_refused() -> None:
    with pytest.raises(InvalidInput):
        TrustedTaints(VERIFIER).load_list(b"")


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"{}\n",
        entry(1).encode(),
        encode_list([entry(1)]) * 2,
        b" " + encode_list([entry(1)]),
        encode_list([entry(1)]).replace(b'"lifted":""', b'"jurisdiction":"","lifted":""'),
        encode_list([entry(1)]).replace(b'"lifted":""', b'"lifted":"","more":1'),
        encode_list([entry(1)]).replace(b'"effect":"remove",', b""),
        encode_list([entry(1)]).replace(b'"created":"20', b'"created":"2x'),
    ],
)
def test_a_malformed_list_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_list(data)


_LINE = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)
ORDERS = st.builds(
    Order,
    st.builds(
        lambda kind, raw: Subject.parse(f"{kind}:{raw.hex()}"),
        st.sampled_from(["record", "content", "root"]),
        st.binary(min_size=32, max_size=32),
    ),
    st.sampled_from(CATEGORIES),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(
        str.strip
    ),
    st.sampled_from(Effect),
    _LINE,
    _LINE,
    st.sampled_from(["", "e" * 64]),
    _LINE,
    st.one_of(st.just(""), st.integers(0, 4_000_000_000).map(printed)),
)


@given(ORDERS, st.sampled_from([None, Editor("7"), Editor("7", "Ada", "0000-0002-1825-0097")]))
def test_every_body_and_entry_comes_back(said: Order, editor: Editor | None) -> None:
    body = TaintBody(said, editor)
    assert TaintBody.parse(body.encode()) == body
    listed = Entry("a" * 64, said, "2026-01-31T12:00:00Z", ("x",), "")
    assert parse_list(encode_list([listed])) == {listed.id: listed}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4), st.data())
def test_whatever_a_field_holds_it_is_taken_or_refused(value: Any, data: st.DataObject) -> None:
    fields = jcs.loads(TaintBody(order("root:" + "a" * 64)).encode())
    name = data.draw(st.sampled_from([*fields, "basis", "jurisdiction", "evidence", "appeal", "expires"]))
    try:
        TaintBody.parse({**fields, name: value})
    except InvalidInput:
        return
    assert isinstance(value, str | int)


def test_a_body_without_an_effect_has_that_of_its_category() -> None:
    said = {"v": 1, "subject": "root:" + "a" * 64, "reason": "x"}
    effects = {c: TaintBody.parse({**said, "category": c}).order.effect for c in CATEGORIES}
    assert effects == {c: usual_effect(c) for c in CATEGORIES}
    assert {c for c, e in effects.items() if e is Effect.QUARANTINE} == {"retraction", "consent-withdrawn"}


@pytest.mark.parametrize(
    "change",
    [
        {"category": "dislike"},
        {"effect": "burn"},
        {"effect": None},
        {"reason": " "},
        {"reason": 3},
        {"reason": "\N{GRINNING FACE}" * 2000},
        {"reason": "x" * 2001},
        {"reason": "a\x00b"},
        {"subject": "root:xyz"},
        {"v": 2},
        {"more": 1},
        {"basis": "two\nlines"},
        {"basis": "x" * 301},
        {"evidence": "abc"},
        {"expires": "tomorrow"},
        {"expires": "2026-02-30T00:00:00Z"},
        {"expires": "2026-2-3T00:00:00Z"},
        {"editor": {}},
    ],
)
def test_a_bad_body_is_refused(change: dict[str, Any]) -> None:
    good = {"v": 1, "subject": "root:" + "a" * 64, "category": "malware", "reason": "x"}
    TaintBody.parse(good)
    with pytest.raises(InvalidInput):
        TaintBody.parse({**good, **change})


def test_lifts_come_back_and_bad_ones_are_refused() -> None:
    for body in (LiftBody("resolved"), LiftBody("resolved", Editor("7"))):
        assert LiftBody.parse(body.encode()) == body
    for bad in ({"v": 1}, {"v": 1, "reason": ""}, {"v": 2, "reason": "x"}, {"v": 1, "reason": "x", "y": 1}):
        with pytest.raises(InvalidInput):
            LiftBody.parse(bad)


@pytest.mark.parametrize("character", ["x", "é", "\N{GRINNING FACE}", "\x01", '"'])
def test_every_order_that_is_taken_fits_into_the_list_that_nodes_read(character: str) -> None:
    widest = "\N{GRINNING FACE}"
    more = {"basis": widest * 300, "jurisdiction": widest * 60, "appeal": widest * 300}
    body = {"v": 1, "subject": "content:" + "a" * 64, "category": "malware", **more}
    longest = None
    for length in range(1, 2002, 50):
        try:
            longest = TaintBody.parse({**body, "reason": character * length}).order
        except InvalidInput:
            break
    assert longest is not None
    approvers = tuple(str(PrivateKey(bytes([n]) * 32).public) for n in range(60))
    listed = replace(entry(1, lifted="f" * 64), order=longest, approvers=approvers)
    assert len(longest.reason) > 600
    assert list(parse_list(encode_list([listed])).values()) == [listed]


class AnyPublisher(RuleBasedStateMachine):
    """Whatever is published, the client's trust only ever moves forward."""

    def __init__(self) -> None:
        super().__init__()
        self.taints = TrustedTaints(VERIFIER)
        self.best = (-1, -1)
        self.seen: dict[str, Entry] = {}

    @rule(
        version=st.integers(0, 6),
        size=st.integers(0, 9),
        numbers=st.dictionaries(
            st.integers(0, 4), st.tuples(st.sampled_from(["", "", "f" * 64]), st.sampled_from(Effect))
        ),
        forged=st.sampled_from([False, False, False, True]),
        age=st.sampled_from([0, 0, 0, 2 * HEAD_LIFETIME_S]),
    )
    def publish_anything(
        self, version: int, size: int, numbers: dict[int, tuple[str, Effect]], forged: bool, age: int
    ) -> None:
        entries = [entry(n, lifted=lifted, effect=effect) for n, (lifted, effect) in numbers.items()]
        note, data = publish(version, entries, size=size, now=NOW - age, key=MALLORY if forged else KEY)
        before = self.taints.dump()
        try:
            if self.taints.load_head(note, now=NOW):
                assert self.taints.dump() == before  # nothing of it counts before its list
                self.taints.load_list(data)
        except Error:
            assert self.taints.dump() == before
            return
        assert not forged
        assert not age
        assert version <= size

    @rule()
    def restart(self) -> None:
        self.taints = TrustedTaints.restore(VERIFIER, *self.taints.dump())

    @invariant()
    def never_goes_back(self) -> None:
        head = self.taints.head
        if head is None:
            return
        assert head.version >= self.best[0]
        assert head.log_size >= self.best[1]
        self.best = (head.version, head.log_size)
        now = {e.id: e for e in self.taints.entries}
        assert set(self.seen) <= set(now)
        assert all(now[i].order == e.order for i, e in self.seen.items())
        assert all(now[i].lifted for i, e in self.seen.items() if e.lifted)
        self.seen = now


TestAnyPublisher = AnyPublisher.TestCase
TestAnyPublisher.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
