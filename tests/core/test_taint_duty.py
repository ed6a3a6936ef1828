"""What taints of several authorities oblige a node to."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from seedkeep.core.taints.body import Effect, Order, Subject, printed
from seedkeep.core.taints.duty import NONE, Duty, Told, duty
from seedkeep.core.taints.entry import Entry

NOW = 1_800_000_000.0
DAY = 86_400.0
CONTENT, ROOT, OTHER = f"content:{'1' * 64}", f"root:{'2' * 64}", f"root:{'3' * 64}"
_number = itertools.count()


def told(origin: str, subject: str, effect: str = "remove", *, ago: float = 0.0, **more: Any) -> Told:
    order = Order(Subject.parse(subject), "other", "why", Effect(effect), expires=more.pop("expires", ""))
    return Told(origin, Entry(f"{next(_number):064x}", order, printed(NOW - ago), ("ed25519:x",), **more))


def judge(*said: Told, served: str = "", homes: str = "", agreement: int = 2, **more: Any) -> Duty:
    found = {"served": served.split(), "homes": homes.split(), "agreement": agreement, "now": NOW, **more}
    return duty(said, **found)


def test_nothing_said_is_nothing_to_do() -> None:
    assert judge(served="a") == NONE
    assert judge(told("a", CONTENT, lifted="4" * 64), served="a") == NONE
    assert judge(told("a", CONTENT, expires=printed(NOW)), served="a") == NONE


@pytest.mark.parametrize(
    ("effect", "stop", "wipe", "until"),
    [
        ("remove", True, True, None),
        ("quarantine", True, False, NOW - 60 + 14 * DAY),
        ("hide", True, False, None),
        ("warn", False, False, None),
    ],
)
def test_effects(effect: str, stop: bool, wipe: bool, until: float | None) -> None:
    found = judge(told("a", CONTENT, effect, ago=60), served="a")
    assert (found.stop, found.wipe, found.until) == (stop, wipe, until)
    assert (len(found.binding), len(found.advice)) == (stop, not stop)


def test_a_quarantine_ends_with_the_bytes() -> None:
    assert judge(told("a", CONTENT, "quarantine", ago=14 * DAY), served="a").wipe


def test_home_and_served_registrars_bind_and_others_advise_until_enough_agree() -> None:
    assert judge(told("a", CONTENT), served="a").wipe
    assert judge(told("a", CONTENT), homes="a", served="b").wipe
    alone = judge(told("c", CONTENT), homes="a", served="b")
    assert (alone.stop, len(alone.advice)) == (False, 1)
    # Whoever says it twice is one; so is who says it of something else.
    assert not judge(told("c", CONTENT), told("c", CONTENT), told("d", ROOT)).stop
    assert judge(told("c", CONTENT), told("d", CONTENT)).wipe
    assert not judge(told("c", CONTENT), told("d", CONTENT), agreement=3).stop
    # They agree on the weaker of the two.
    mixed = judge(told("c", CONTENT), told("d", CONTENT, "hide"))
    assert (mixed.stop, mixed.wipe) == (True, False)
    assert not judge(told("c", CONTENT), told("d", CONTENT, "warn")).stop


def test_a_lift_by_one_authority_never_lifts_anothers() -> None:
    mine, theirs = told("a", CONTENT), told("b", CONTENT, lifted="4" * 64)
    assert judge(mine, theirs, served="a b").binding == (mine,)


def test_files_are_withheld_one_by_one_and_all_of_them_are_the_dataset() -> None:
    first, second = told("a", ROOT), told("a", OTHER, "hide", expires=printed(NOW + DAY))
    some = judge(first, second, served="a", roots=3)
    assert (some.stop, some.wipe, some.until) == (False, False, NOW + DAY)
    assert (some.wiped, some.hidden) == ({"2" * 64}, {"3" * 64})
    every = judge(first, second, served="a", roots=2)
    assert (every.stop, every.wipe) == (True, False)
    assert judge(first, told("a", OTHER), served="a", roots=2).wipe
    # Both are said of one file: the stronger counts.
    both = judge(told("a", ROOT, "hide"), first, served="a", roots=3)
    assert (both.wiped, both.hidden) == ({"2" * 64}, frozenset())
