"""People who have an account here, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """What somebody may do at most; a higher one includes the lower ones."""

    VISITOR = 0
    MEMBER = 1
    CURATOR = 2
    OPERATOR = 3

    @property
    def word(self) -> str:
        """As it is written: ``member``."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Account:
    """One person; times in Unix seconds.

    Args:
        email: case-folded, unique; "" when none is known (sign-in by another service).
        orcid: ``https://orcid.org/…`` or "".
        ror: ``https://ror.org/…`` of the institution, or "".
        disabled: may no longer do anything.
    """

    id: int
    email: str
    name: str
    orcid: str
    institution: str
    ror: str
    role: Role
    created: float
    last_seen: float
    disabled: bool
