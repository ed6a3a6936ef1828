"""Names of creators, in the orders and short forms that citations want them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from seedkeep.core.metadata import ORGANIZATION, Creator
from seedkeep_registrar.exports.described import one_line


@dataclass(frozen=True, slots=True)
class Name:
    """A creator's name: either ``family`` and ``given``, or ``literal`` for whoever has no such parts."""

    family: str = ""
    given: str = ""
    literal: str = ""

    @property
    def inverted(self) -> str:
        """``Family, Given``."""
        return f"{self.family}, {self.given}" if self.given else self.family or self.literal

    @property
    def plain(self) -> str:
        """``Given Family``."""
        return f"{self.given} {self.family}".strip() or self.literal

    def initials(self, point: str, between: str) -> str:
        """The first letters of the given names: ``J.-P. K.`` with ``point`` "." and ``between`` " "."""
        words = re.split(r"[\s.]+", self.given)
        return between.join(
            "-".join(part[0].upper() + point for part in word.split("-") if part)
            for word in words
            if word.strip("-")
        )


def name_of(creator: Creator) -> Name:
    """A creator's name in its parts; ``Family, Given`` is taken apart where the parts are not given."""
    name = one_line(creator.name)
    if creator.kind == ORGANIZATION:
        return Name(literal=name)
    family, given = one_line(creator.family), one_line(creator.given)
    if not family and name.count(",") == 1:
        family, given = (part.strip() for part in name.split(","))
    if not family or not given:
        return Name(literal=name)
    return Name(family, given)
