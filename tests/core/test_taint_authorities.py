"""Whose taints bind whom: homes, own registrars, those that are followed, k of n."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.taints.authorities import Following, Judgement, Mode, Said, judge
from seedkeep.core.taints.body import Effect, Order, Subject, printed
from seedkeep.core.taints.entry import Entry

NOW = 1_800_000_000.0
SUBJECT = Subject.parse("content:" + "a" * 64)
FOLLOWING = Following(
    frozenset({"own"}),
    {
        "strict": Mode.BINDING,
        "a": Mode.ADVISORY,
        "b": Mode.ADVISORY,
        "c": Mode.ADVISORY,
        "queue": Mode.DRAFT,
    },
    quorum=2,
)


def said(origin: str, effect: Effect = Effect.REMOVE, subject: Subject = SUBJECT, **more: Any) -> Said:
    order = Order(subject, "other", "because", effect, expires=more.pop("expires", ""))
    return Said(origin, Entry("0" * 64, order, printed(NOW - 9), ("someone",), **more))


def told(*every: Said, homes: frozenset[str] = frozenset({"home"})) -> Judgement:
    return judge(every, FOLLOWING, homes=homes, now=NOW)


def test_home_own_and_binding_authorities_bind_alone() -> None:
    for origin in ("home", "own", "strict"):
        found = told(said(origin))
        assert (found.effect, len(found.binding)) == (Effect.REMOVE, 1)
    assert told(said("home"), homes=frozenset({"elsewhere"})) == Judgement()


def test_an_advisory_authority_advises_a_draft_waits_and_a_stranger_is_not_heard() -> None:
    found = told(said("a"), said("queue"), said("stranger"))
    assert (found.effect, found.binding) == (None, ())
    assert [s.origin for s in found.advice] == ["a"]
    assert [s.origin for s in found.drafts] == ["queue"]


def test_k_of_n_advisory_authorities_bind_with_what_k_of_them_ask_for() -> None:
    found = told(said("a", Effect.REMOVE), said("b", Effect.HIDE), said("c", Effect.WARN))
    assert (found.effect, len(found.binding)) == (Effect.HIDE, 3)
    assert told(said("a"), said("a", Effect.HIDE)).effect is None  # one authority counts once
    other = Subject.parse("content:" + "b" * 64)
    assert told(said("a"), said("b", subject=other)).effect is None  # about another thing
    assert told(said("a"), said("queue")).effect is None
    never = replace(FOLLOWING, quorum=0)
    assert judge([said("a"), said("b")], never, homes=(), now=NOW).effect is None


def test_a_lift_by_one_authority_lifts_no_others() -> None:
    lifted = said("home", lifted="f" * 64)
    assert told(lifted).effect is None
    assert told(lifted, said("own", Effect.HIDE)).effect is Effect.HIDE
    assert told(said("home"), said("own", lifted="f" * 64)).effect is Effect.REMOVE


def test_what_is_over_says_nothing() -> None:
    assert told(said("home", expires=printed(NOW))).effect is None
    assert told(said("home", expires=printed(NOW + 1))).effect is Effect.REMOVE


SAID = st.builds(
    said,
    st.sampled_from(["home", "own", "strict", "a", "b", "c", "queue", "stranger"]),
    st.sampled_from(Effect),
    lifted=st.sampled_from(["", "", "f" * 64]),
)


@given(st.lists(SAID, max_size=8), SAID)
def test_more_authorities_never_weaken_what_binds(every: list[Said], more: Said) -> None:
    before, after = told(*every), told(*every, more)
    rank = -99 if before.effect is None else before.effect.rank
    assert (-99 if after.effect is None else after.effect.rank) >= rank
    assert {id(s) for s in before.binding} <= {id(s) for s in after.binding}


@given(st.lists(SAID, max_size=8), st.randoms())
def test_the_order_in_which_they_are_heard_does_not_matter(every: list[Said], random: Any) -> None:
    mixed = list(every)
    random.shuffle(mixed)
    assert told(*every).effect is told(*mixed).effect
