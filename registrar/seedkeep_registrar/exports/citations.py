"""Plain-text citations of a dataset, one function a style.

Sources: DataCite's recommended citation (DataCite Metadata Schema 4.6, 1.3), Publication Manual of the APA
(7th ed., 10.9), Citing Medicine (NLM, chapter 22) for Vancouver, Chicago Manual of Style (17th ed.,
author-date), Cite Them Right (11th ed.) for Harvard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seedkeep_registrar.exports.described import Described, one_line
from seedkeep_registrar.exports.people import Name, name_of

_LONGEST_TITLE = 1000


def _names(record: Described) -> list[Name]:
    return [name_of(c) for c in record.metadata.creators]


def _title(record: Described) -> str:
    return one_line(record.title, _LONGEST_TITLE).rstrip(".")


def _version(record: Described) -> str:
    """``Version 2.1`` from ``2.1``, ``v2.1`` or ``Version 2.1``; "" without one."""
    version = one_line(record.metadata.version)
    if version.lower().startswith("version "):
        version = version[8:]
    elif version[:1] in "vV" and version[1:2].isdigit():
        version = version[1:]
    return f"Version {version}" if version else ""


def _joined(parts: Sequence[str], last: str) -> str:
    """``A, B<last>C``."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + last + parts[-1]


def _sentences(*parts: str) -> str:
    """The parts that are there, each with a full stop."""
    return " ".join(part if part.endswith((".", "?", "!")) else f"{part}." for part in parts if part)


def datacite_style(record: Described) -> str:
    """``Creator (Year): Title. Version. Publisher. Dataset. Identifier``"""
    names = "; ".join(n.inverted for n in _names(record))
    start = f"{names} ({record.year}): {_title(record)}" if names else f"{_title(record)} ({record.year})"
    return f"{_sentences(start, _version(record), record.publisher, 'Dataset')} {record.cited}"


def apa(record: Described) -> str:
    """``Family, G. G., & Other, O. (Year). Title (Version 1) [Data set]. Publisher. Identifier``"""
    names = [f"{n.family}, {n.initials('.', ' ')}" if n.family else n.literal for n in _names(record)]
    if len(names) > 20:
        authors = ", ".join(names[:19]) + ", … " + names[-1]
    elif names:
        authors = _joined(names, ", & ")
    else:
        authors = ""
    version = f" ({_version(record)})" if _version(record) else ""
    title = f"{_title(record)}{version} [Data set]"
    parts = (authors, f"({record.year})", title) if authors else (title, f"({record.year})")
    return f"{_sentences(*parts, record.publisher)} {record.cited}"


def vancouver(record: Described) -> str:
    """``Family GG, Other O. Title [dataset]. Version 1. Publisher; Year. Available from: Identifier``"""
    names = [
        f"{n.family} {n.initials('', '').replace('-', '')}" if n.family else n.literal for n in _names(record)
    ]
    authors = ", ".join(names[:6]) + (", et al" if len(names) > 6 else "")
    made = _sentences(
        authors, f"{_title(record)} [dataset]", _version(record), f"{record.publisher}; {record.year}"
    )
    return f"{made} Available from: {record.cited}"


def chicago(record: Described) -> str:
    """``Family, Given, and Given Other. Year. "Title." Version 1. Publisher. Identifier.``"""
    names = _names(record)
    listed = [names[0].inverted, *(n.plain for n in names[1:])] if names else []
    if len(listed) > 10:
        authors = ", ".join(listed[:7]) + ", et al"
    else:
        authors = _joined(listed, ", and ") if listed else ""
    title = f"“{_title(record)}.”"
    start = f"{_sentences(authors, record.year)} {title}" if authors else f"{title} {record.year}."
    return f"{start} {_sentences(_version(record), record.publisher, record.cited)}"


def harvard(record: Described) -> str:
    """``Family, G. and Other, O. (Year) Title. Version 1 [Dataset]. Publisher. Available at: Identifier.``"""
    names = [f"{n.family}, {n.initials('.', '')}" if n.family else n.literal for n in _names(record)]
    authors = f"{names[0]} et al." if len(names) > 3 else _joined(names, " and ") if names else ""
    title = _sentences(_title(record), _version(record)).rstrip(".") + " [Dataset]"
    start = f"{authors} ({record.year}) {title}" if authors else f"{title} ({record.year})"
    return f"{_sentences(start, record.publisher)} Available at: {record.cited}."


#: name on the wire → name for people, and the function
STYLES: dict[str, tuple[str, Callable[[Described], str]]] = {
    "datacite": ("DataCite", datacite_style),
    "apa": ("APA", apa),
    "vancouver": ("Vancouver", vancouver),
    "chicago": ("Chicago", chicago),
    "harvard": ("Harvard", harvard),
}
DEFAULT_STYLE = "datacite"
