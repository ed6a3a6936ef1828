"""ARKs one typing error away from a wrong one; pure. Their check character leaves only few."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seedkeep.core.identifiers import BETANUMERIC, SHOULDER, check_character

_LONGEST = 32
#: what is taken for what in print and in handwriting; ARKs have no vowels and no l
_LOOKALIKES = str.maketrans({"o": "0", "l": "1", "i": "1", "e": "3", "a": "4", "u": "v", "y": "v"})
_TYPED = re.compile(r"ark:/*([0-9a-z]{1,12})/([0-9a-z-]{1,40})(?:[@/?#].*)?", re.IGNORECASE)


def typed_ark(text: str) -> str:
    """``NAAN/name`` of what looks like an ARK, right or wrong, anywhere at the end of ``text``; else ""."""
    at = text.lower().find("ark:")
    found = _TYPED.fullmatch(text[at:].strip()) if at >= 0 and len(text) <= 8192 else None
    return f"{found[1]}/{found[2]}".lower().replace("-", "") if found else ""


def _slips(name: str) -> Iterator[str]:
    for i in range(len(name)):
        yield from (name[:i] + c + name[i + 1 :] for c in BETANUMERIC if c != name[i])
        yield name[:i] + name[i + 1 :]
        yield name[:i] + name[i + 1 : i + 2] + name[i : i + 1] + name[i + 2 :]
    for i in range(len(name) + 1):
        yield from (name[:i] + c + name[i:] for c in BETANUMERIC)


def near_arks(value: str) -> list[str]:
    """Valid ARKs that lookalikes, or one wrong, missing, added or swapped character, turn into ``value``.

    Args:
        value: ``NAAN/sk…`` as typed.
    """
    naan, slash, name = value.lower().partition("/")
    name = name.replace("-", "")
    if not slash or not 3 <= len(name) <= _LONGEST:
        return []
    read = name.translate(_LOOKALIKES)
    found: dict[str, None] = {}
    for slipped in (read, *_slips(name), *(_slips(read) if read != name else ())):
        ark = f"{naan}/{slipped}"
        valid = slipped.startswith(SHOULDER) and all(c in BETANUMERIC for c in slipped)
        if valid and ark != value and check_character(ark[:-1]) == ark[-1]:
            found[ark] = None
    return list(found)
