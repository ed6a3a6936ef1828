"""Placement: who is offered what."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.placement import Candidate, Holder, Need, footprint, offers

MB = 1_000_000
NODE = Candidate(node="n1", operator="", pledge=100 * MB, free=100 * MB)


def need(name: str, *holders: Holder, **changes: object) -> Need:
    return replace(
        Need(content_id=name, bytes=MB, files=1, wanted=3, created=0.0), holders=holders, **changes
    )


def names(found: list[Need]) -> list[str]:
    return [n.content_id for n in found]


def test_the_neediest_comes_first() -> None:
    complete = Holder("a", "", complete=True)
    coming = Holder("b", "", complete=False)
    needs = [need("one", complete), need("none"), need("coming", coming)]
    assert names(offers(needs, NODE)) == ["none", "coming", "one"]


def test_what_has_enough_copies_is_not_offered() -> None:
    holders = [Holder(n, "", complete=True) for n in "abc"]
    assert offers([need("full", *holders)], NODE) == []


def test_ten_nodes_of_one_operator_are_one_copy() -> None:
    ten = [Holder(str(i), "someone", complete=True) for i in range(10)]
    assert names(offers([need("d", *ten)], NODE)) == ["d"]
    assert offers([need("d", *ten)], replace(NODE, operator="someone")) == []


def test_what_does_not_fit_the_pledge_is_not_offered() -> None:
    assert offers([need("big", bytes=100 * MB)], NODE) == []
    assert names(offers([need("fits", bytes=90 * MB)], NODE)) == ["fits"]


def test_a_node_takes_only_its_subjects() -> None:
    needs = [need("bio", subjects=("Genomics",)), need("sun", subjects=("astronomy",)), need("bare")]
    assert names(offers(needs, replace(NODE, subjects=("genomics",)))) == ["bio"]


def test_no_publisher_takes_more_than_its_share() -> None:
    needs = [need("theirs", publisher="p"), need("others", publisher="q")]
    node = replace(NODE, held_of={"p": 50 * MB})
    assert names(offers(needs, node, publisher_share=0.5)) == ["others"]


def test_of_equally_needy_ones_the_largest_that_fits_then_the_oldest_comes_first() -> None:
    needs = [need("young", created=9.0), need("old", created=1.0), need("large", bytes=2 * MB, created=5.0)]
    assert names(offers(needs, NODE)) == ["large", "old", "young"]


def test_many_nodes_asking_at_once_spread_out() -> None:
    needs = [need(f"d{i}") for i in range(8)]
    firsts = {names(offers(needs, replace(NODE, node=f"n{i}")))[0] for i in range(32)}
    assert len(firsts) > 4


holders = st.builds(Holder, st.sampled_from("abcdef"), st.sampled_from(["", "x", "y"]), st.booleans())
needs_of = st.builds(
    Need,
    content_id=st.text("0123456789", min_size=1, max_size=3),
    bytes=st.integers(0, 200 * MB),
    files=st.integers(1, 1000),
    wanted=st.integers(0, 4),
    created=st.floats(0, 1e9),
    publisher=st.sampled_from(["", "p", "q"]),
    holders=st.lists(holders, max_size=5).map(tuple),
)


@given(st.lists(needs_of, max_size=20), st.integers(0, 300 * MB), st.floats(0.1, 1))
def test_an_offer_always_fits_and_always_adds_a_domain(needs: list[Need], free: int, share: float) -> None:
    node = replace(NODE, node="a", operator="x", pledge=300 * MB, free=free)
    found = offers(needs, node, limit=5, publisher_share=share)
    assert len(found) <= 5
    for n in found:
        assert footprint(n.bytes, n.files) <= min(free, share * node.pledge)
        domains = {h.domain for h in n.holders}
        assert "x" not in domains
        assert len(domains) < n.wanted
        assert all(h.node != "a" for h in n.holders)
