"""Licences of data: SPDX identifiers and expressions of them, their names and addresses.

Old records may carry anything that :mod:`seedkeep.core.record` lets through; a new one only what SPDX knows.
Source: SPDX specification 3, annex "SPDX license expressions"; the list is that of ``license-expression``.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache

from license_expression import ExpressionError, Licensing, get_license_index, get_spdx_licensing

from seedkeep.core.errors import InvalidInput

#: what data are usually given under: names and addresses as their authors write them
_USUAL = {
    "CC0-1.0": (
        "Creative Commons Zero v1.0 Universal",
        "https://creativecommons.org/publicdomain/zero/1.0/",
    ),
    "CC-PDM-1.0": ("Public Domain Mark 1.0", "https://creativecommons.org/publicdomain/mark/1.0/"),
    "CC-BY-4.0": (
        "Creative Commons Attribution 4.0 International",
        "https://creativecommons.org/licenses/by/4.0/",
    ),
    "CC-BY-SA-4.0": (
        "Creative Commons Attribution Share Alike 4.0 International",
        "https://creativecommons.org/licenses/by-sa/4.0/",
    ),
    "CC-BY-NC-4.0": (
        "Creative Commons Attribution Non Commercial 4.0 International",
        "https://creativecommons.org/licenses/by-nc/4.0/",
    ),
    "CC-BY-ND-4.0": (
        "Creative Commons Attribution No Derivatives 4.0 International",
        "https://creativecommons.org/licenses/by-nd/4.0/",
    ),
    "CC-BY-NC-SA-4.0": (
        "Creative Commons Attribution Non Commercial Share Alike 4.0 International",
        "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    ),
    "CC-BY-NC-ND-4.0": (
        "Creative Commons Attribution Non Commercial No Derivatives 4.0 International",
        "https://creativecommons.org/licenses/by-nc-nd/4.0/",
    ),
    "PDDL-1.0": (
        "Open Data Commons Public Domain Dedication & License 1.0",
        "https://opendatacommons.org/licenses/pddl/1-0/",
    ),
    "ODC-By-1.0": (
        "Open Data Commons Attribution License v1.0",
        "https://opendatacommons.org/licenses/by/1-0/",
    ),
    "ODbL-1.0": (
        "Open Data Commons Open Database License v1.0",
        "https://opendatacommons.org/licenses/odbl/1-0/",
    ),
}
#: what people write for the usual ones, in lower case without anything but letters and digits
_SPOKEN = {
    "cc0": "CC0-1.0",
    "ccby": "CC-BY-4.0",
    "ccbysa": "CC-BY-SA-4.0",
    "ccbync": "CC-BY-NC-4.0",
    "ccbyncsa": "CC-BY-NC-SA-4.0",
    "publicdomain": "CC0-1.0",
    "odbl": "ODbL-1.0",
    "pddl": "PDDL-1.0",
    "odcby": "ODC-By-1.0",
    "apache": "Apache-2.0",
    "gpl": "GPL-3.0-or-later",
}
_IDENTIFIER = re.compile(r"[A-Za-z0-9.+-]+")
_OWN = re.compile(r"(?:DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+")
MAX_LENGTH = 64


@dataclass(frozen=True, slots=True)
class License:
    """A licence as records name it.

    Attributes:
        id: the SPDX identifier or expression.
        name: for people.
        url: of its text; "" for an expression of several, or one that SPDX does not know.
        known: whether it is a single identifier of the SPDX list.
    """

    id: str
    name: str
    url: str
    known: bool


@cache
def _licensing() -> Licensing:
    return get_spdx_licensing()


def _listed(*, exceptions: bool) -> dict[str, str]:
    found = {}
    for entry in get_license_index():
        if entry["is_exception"] == exceptions:
            for key in (*entry.get("other_spdx_license_keys", ()), entry.get("spdx_license_key")):
                if key and not key.startswith("LicenseRef-"):
                    found[key.lower()] = key
    return found


@cache
def _identifiers() -> dict[str, str]:
    """Every licence of the SPDX list, the deprecated too, by its lower-case form."""
    return _listed(exceptions=False)


@cache
def _exceptions() -> dict[str, str]:
    """What may follow WITH, likewise."""
    return _listed(exceptions=True)


def license_of(text: str) -> License:
    """The licence of a record, also of an old one that says something SPDX does not know."""
    if text in _USUAL:
        name, url = _USUAL[text]
        return License(text, name, url, known=True)
    known = _identifiers().get(text.lower()) == text
    return License(text, text, f"https://spdx.org/licenses/{text}.html" if known else "", known)


def check_license(text: str) -> str:
    """A licence as it is printed: an SPDX identifier, an expression of them, or ``LicenseRef-…``.

    Raises:
        InvalidInput: SPDX does not know it; the hint names the nearest.
    """
    text = " ".join(text.split())
    if not 0 < len(text) <= MAX_LENGTH:
        raise InvalidInput(
            f"a licence is 1 to {MAX_LENGTH} characters long", hint="Name it by its SPDX identifier."
        )
    if _OWN.fullmatch(text):
        return text
    if text.lower() in _identifiers():
        return _identifiers()[text.lower()]
    unknown = [word for word in _IDENTIFIER.findall(text) if not _is_known(word)]
    if unknown or " " not in text:
        wrong = unknown[0] if len(unknown) == 1 else text
        raise InvalidInput(f"{wrong!r} is not an SPDX licence identifier", hint=_nearest(text, unknown))
    try:
        parsed = _licensing().parse(text, validate=True, strict=True)
    except (ExpressionError, AttributeError, TypeError, IndexError) as error:  # it fails in several ways
        raise InvalidInput(
            f"{text!r} is not an SPDX licence expression", hint="Write it like CC-BY-4.0 OR ODbL-1.0."
        ) from error
    return str(parsed.render())


def _is_known(word: str) -> bool:
    listed = word.lower() in _identifiers() or word.lower() in _exceptions()
    return listed or word in ("AND", "OR", "WITH") or bool(_OWN.fullmatch(word))


def _nearest(text: str, unknown: list[str]) -> str:
    spoken = _SPOKEN.get(re.sub(r"[^a-z0-9]", "", text.lower()))
    for word in [text.replace(" ", "-"), *unknown]:
        near = difflib.get_close_matches(word.lower(), list(_identifiers()), n=1, cutoff=0.7)
        if spoken is None and near:
            spoken = _identifiers()[near[0]]
    if spoken:
        return f"Did you mean {spoken}?"
    return "See https://spdx.org/licenses/; a licence of your own is LicenseRef-NAME."
