"""What standing taints oblige a storage manager to do with one dataset: a pure function of who says what.

Which entries bind a node:

1. Those of a registrar that it serves, be it that this one stands in for another.
2. Those of the dataset's home: the registrar to which one of its records belongs binds everyone.
3. Any other registrar's are advice, until as many authorities as the node wants to agree withhold the same
   subject at least as strongly.

Each entry stands or falls by itself: a lift by one authority never lifts another's. What is to be done is the
strongest of what binds: one that deletes now deletes, one that only hides keeps the bytes for as long as it
stands. An entry on a file (its pieces root) is about that file alone; when all files that have bytes are
withheld, so is the dataset.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from seedkeep.core.statements import Action
from seedkeep.core.taints.body import SubjectKind, seconds
from seedkeep.core.taints.entry import Entry


@dataclass(frozen=True, slots=True)
class Told:
    """An entry, and the origin of the registrar whose list has it."""

    origin: str
    entry: Entry

    @property
    def on_file(self) -> bool:
        """Whether it is about one file."""
        return self.entry.subject.kind is SubjectKind.ROOT

    def action(self, now: float) -> Action:
        """What it demands by now."""
        at = self.entry.wipes_at()
        return Action.REMOVED if at is not None and at <= now else Action.STOPPED


@dataclass(frozen=True, slots=True)
class Duty:
    """What is to be done with one dataset.

    Args:
        stop: no byte of it is passed on.
        wipe: all of it is deleted.
        hidden, wiped: pieces roots of files that are not passed on, and of those that are deleted.
        binding: what demands it, oldest first.
        advice: what else is said of it: warnings, and what does not bind.
        until: Unix seconds from which on it may be another duty, or None.
    """

    stop: bool = False
    wipe: bool = False
    hidden: frozenset[str] = frozenset()
    wiped: frozenset[str] = frozenset()
    binding: tuple[Told, ...] = ()
    advice: tuple[Told, ...] = ()
    until: float | None = None

    @property
    def withheld(self) -> frozenset[str]:
        """Pieces roots of all files that are not passed on."""
        return self.hidden | self.wiped


NONE = Duty()


def binds(one: Told, told: Collection[Told], served: Collection[str], homes: Collection[str], k: int) -> bool:
    """Whether an entry binds a node (rules 1 to 3).

    Args:
        told: all standing entries on the dataset's subjects.
        served: origins of the registrars that the node serves.
        homes: origins of the registrars to which the dataset's records belong.
        k: authorities that have to agree where none of these speaks.
    """
    if one.origin in served or one.origin in homes:
        return True
    agreeing = {
        t.origin
        for t in told
        if t.entry.subject == one.entry.subject and t.entry.effect.rank >= one.entry.effect.rank
    }
    return len(agreeing) >= k


def duty(
    told: Iterable[Told],
    *,
    now: float,
    served: Collection[str],
    homes: Collection[str],
    agreement: int,
    roots: int = 0,
) -> Duty:
    """What a node has to do.

    Args:
        told: entries on the dataset's subjects, of any authority, standing or not.
        now: Unix seconds.
        served, homes, agreement: as for :func:`binds`.
        roots: how many different pieces roots the dataset's files have; 0 while that is not known.
    """
    standing = [t for t in told if t.entry.stands(now)]
    if not standing:
        return NONE
    standing.sort(key=lambda t: (t.entry.created, t.entry.id, t.origin))
    binding = [
        t for t in standing if t.entry.effect.withholds and binds(t, standing, served, homes, agreement)
    ]
    whole = [t for t in binding if not t.on_file]
    wiped = {t.entry.subject.value for t in binding if t.on_file and t.action(now) is Action.REMOVED}
    withheld = {t.entry.subject.value for t in binding if t.on_file}
    wipe = any(t.action(now) is Action.REMOVED for t in whole) or 0 < roots <= len(wiped)
    return Duty(
        stop=wipe or bool(whole) or 0 < roots <= len(withheld),
        wipe=wipe,
        hidden=frozenset(withheld - wiped),
        wiped=frozenset(wiped),
        binding=tuple(binding),
        advice=tuple(t for t in standing if t not in binding),
        until=_until(standing, now),
    )


def _until(standing: list[Told], now: float) -> float | None:
    moments = [seconds(t.entry.order.expires) for t in standing if t.entry.order.expires]
    moments += [at for t in standing if (at := t.entry.wipes_at()) is not None]
    return min((m for m in moments if m > now), default=None)
