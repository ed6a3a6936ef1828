"""Who may taint and lift at this moment, and how many of them have to agree.

Curators are the keys that the settings name as curators or operators, and the accounts of these roles, by
any of their keys or in a browser. All keys of one account are one person: nobody agrees with themselves. A
key whose account is disabled or deleted counts no more, also one that the settings name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from seedkeep.core.events import Event
from seedkeep.core.record import Editor
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import accounts
from seedkeep_registrar.store.accounts import Role


@dataclass(frozen=True, slots=True)
class Curators:
    """
    Args:
        people: who goes by a name (see :func:`name_of`): the same text for all names of one person.
        needed: how many people have to agree before a taint stands.
    """

    people: Mapping[str, str]
    needed: int

    def count(self, names: Iterable[str]) -> int:
        """How many people have these names who are curators now: whoever was one counts no more."""
        return len({self.people[name] for name in names if name in self.people})

    def is_among(self, name: str, names: Iterable[str]) -> bool:
        """Whether the person with this name has one of ``names``, too."""
        return self.people.get(name, name) in {self.people.get(other, other) for other in names}

    def names_of(self, name: str) -> set[str]:
        """All names of the person who has this one."""
        person = self.people.get(name)
        return {name, *(other for other, known in self.people.items() if known == person)}


def name_of(event: Event, editor: Editor | None) -> str:
    """The name of whoever made an event: their key, or ``account:ID`` where the registrar signed for them."""
    return f"account:{editor.account}" if editor else event.by


def read(connection: Connection, settings: Settings) -> Curators:
    """The curators as they are now."""
    named = {*settings.curators, *settings.operators}
    bound = accounts.people_of_keys(connection, Role.CURATOR, named)
    people = {
        key: f"account {account}"
        for key, (account, role, disabled) in bound.items()
        if not disabled and (key in named or role >= Role.CURATOR)
    }
    people |= {key: key for key in named if key not in bound}
    people |= {f"account:{one}": f"account {one}" for one in accounts.of_role(connection, Role.CURATOR)}
    needed = settings.approvals_needed or min(2, max(1, len(set(people.values()))))
    return Curators(people, needed)
