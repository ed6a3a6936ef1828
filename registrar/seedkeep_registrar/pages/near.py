"""ARKs one typing error away from a wrong one; pure. Their check character leaves only few."""

from __future__ import annotations

from collections.abc import Iterator

from seedkeep.core.identifiers import BETANUMERIC, check_character

_MAX = 32


def _slips(name: str) -> Iterator[str]:
    for i in range(len(name)):
        yield from (name[:i] + c + name[i + 1 :] for c in BETANUMERIC if c != name[i])
        yield name[:i] + name[i + 1 :]
        yield name[:i] + name[i + 1 : i + 2] + name[i : i + 1] + name[i + 2 :]
    for i in range(len(name) + 1):
        yield from (name[:i] + c + name[i:] for c in BETANUMERIC)


def near_arks(value: str) -> list[str]:
    """Valid ARKs that one slip (a wrong, missing, added or swapped character) turns into ``value``.

    Args:
        value: ``NAAN/sk…`` as typed.
    """
    naan, slash, name = value.lower().partition("/")
    name = name.replace("-", "")
    if not slash or not 3 <= len(name) <= _MAX:
        return []
    found: dict[str, None] = {}
    for slipped in _slips(name):
        ark = f"{naan}/{slipped}"
        valid = slipped.startswith("sk") and all(c in BETANUMERIC for c in slipped)
        if valid and ark != value and check_character(ark[:-1]) == ark[-1]:
            found[ark] = None
    return list(found)
