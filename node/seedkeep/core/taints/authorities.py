"""Whose taints bind whom (decision 8), as a pure rule over what several registrars say.

1. The home of a record binds everybody who holds it, or serves it.
2. A registrar binds its own nodes; a registrar binds itself. So do authorities that are followed as binding.
3. What another authority says is advice, and shown as such. It binds when at least ``quorum`` of those that
   count (``advisory``) say so of the same subject; the effect is then the strongest one that as many of them
   ask for, counting for each the strongest of its own.
4. Entries of authorities that are followed as ``draft`` neither bind nor advise: they wait for a curator.
   Nobody else is heard at all.
5. Each authority's entries stand and end by themselves: a lift by one lifts no other's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from seedkeep.core.taints.body import Effect, Subject
from seedkeep.core.taints.entry import Entry


class Mode(Enum):
    """How an authority is followed."""

    BINDING = "binding"
    ADVISORY = "advisory"
    DRAFT = "draft"


@dataclass(frozen=True, slots=True)
class Following:
    """Whom somebody follows.

    Args:
        own: origins of the registrars whose node it is; of a registrar, its own.
        modes: how others are followed, by origin.
        quorum: how many advisory authorities bind together; 0: none ever do.
    """

    own: frozenset[str]
    modes: Mapping[str, Mode]
    quorum: int = 0

    def binds_alone(self, origin: str, homes: Collection[str]) -> bool:
        """Whether this authority's word suffices about records of these homes (rules 1 and 2)."""
        return origin in homes or origin in self.own or self.modes.get(origin) is Mode.BINDING


@dataclass(frozen=True, slots=True)
class Said:
    """An entry, and the authority whose it is."""

    origin: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Judgement:
    """What follows from all that is said of one thing.

    Args:
        effect: the strongest that binds, or None.
        binding: the entries that bind, oldest first.
        advice: those that are shown and change nothing.
        drafts: those that wait for a curator.
    """

    effect: Effect | None = None
    binding: tuple[Said, ...] = ()
    advice: tuple[Said, ...] = ()
    drafts: tuple[Said, ...] = ()


def judge(said: Iterable[Said], following: Following, *, homes: Collection[str], now: float) -> Judgement:
    """What binds somebody who holds or serves one thing.

    Args:
        said: entries about it, its record, its content or its files, of any authority.
        homes: origins of the homes of the records by which it is held.
        now: Unix seconds; what is lifted or over by then says nothing.
    """
    standing = sorted(
        (one for one in said if one.entry.stands(now)),
        key=lambda one: (one.entry.created, one.origin, one.entry.id),
    )
    alone = [one for one in standing if following.binds_alone(one.origin, homes)]
    rest = [one for one in standing if one not in alone]
    advice = [one for one in rest if following.modes.get(one.origin) is Mode.ADVISORY]
    drafts = [one for one in rest if following.modes.get(one.origin) is Mode.DRAFT]
    agreed = _agreed(advice, following.quorum)
    together = [one for one in advice if one.entry.subject in agreed]
    effects = [one.entry.effect for one in alone] + list(agreed.values())
    return Judgement(
        max(effects, key=lambda effect: effect.rank, default=None),
        tuple(sorted((*alone, *together), key=standing.index)),
        tuple(one for one in advice if one not in together),
        tuple(drafts),
    )


def _agreed(advice: Iterable[Said], quorum: int) -> dict[Subject, Effect]:
    """The subjects on which enough authorities agree, and the effect that as many ask for (rule 3)."""
    strongest: dict[Subject, dict[str, Effect]] = defaultdict(dict)
    for one in advice:
        of_subject, effect = strongest[one.entry.subject], one.entry.effect
        known = of_subject.get(one.origin)
        of_subject[one.origin] = effect if known is None or effect.rank > known.rank else known
    return {
        subject: sorted(asked.values(), key=lambda effect: -effect.rank)[quorum - 1]
        for subject, asked in strongest.items()
        if 0 < quorum <= len(asked)
    }
