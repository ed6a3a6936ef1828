"""Who may taint and lift at this moment, and how many of them have to agree.

Curators are the keys that the settings name as curators or operators, and the keys of accounts of these
roles. All keys of one account are one person: nobody agrees with themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import accounts
from seedkeep_registrar.store.accounts import Role


@dataclass(frozen=True, slots=True)
class Curators:
    """
    Args:
        people: who has a key: the same text for all keys of one person.
        needed: how many people have to agree before a taint stands.
    """

    people: Mapping[str, str]
    needed: int

    def count(self, keys: Iterable[str]) -> int:
        """How many people have these keys who are curators now: whoever was one counts no more."""
        return len({self.people[key] for key in keys if key in self.people})

    def is_among(self, key: str, keys: Iterable[str]) -> bool:
        """Whether the person with this key has one of ``keys``, too."""
        return self.people.get(key, key) in {self.people.get(other, other) for other in keys}


def read(connection: Connection, settings: Settings) -> Curators:
    """The curators as they are now."""
    named = {*settings.curators, *settings.operators}
    bound = accounts.people_of_keys(connection, Role.CURATOR, named)
    people = {
        key: f"account {account}"
        for key, (account, role, disabled) in bound.items()
        if key in named or (role >= Role.CURATOR and not disabled)
    }
    people |= {key: key for key in named if key not in people}
    needed = settings.approvals_needed or min(2, max(1, len(set(people.values()))))
    return Curators(people, needed)
