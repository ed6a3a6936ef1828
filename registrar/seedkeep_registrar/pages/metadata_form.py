"""Descriptive metadata as the rows of a form, and back; pure. A row that is left empty is no entry.

A control's name is ``list.row.field``, such as ``creators.0.orcid``. The entries after the first 40 of a list
are lines of one text, ``list.further``: what would be the row's fields, with `` | `` between
them. What a form does not show of an entry (a given name, further affiliations) stays as it was, as long as
its name stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from seedkeep.core.errors import InvalidInput
from seedkeep.core.metadata import (
    DATE_KINDS,
    ORGANIZATION,
    PERSON,
    RELATIONS,
    VOCABULARIES,
    Creator,
    Metadata,
    parse_metadata,
)

#: entries of one list that have a row each; the others have a line each
MOST_ROWS = 40
#: ends the name of the text with those lines
FURTHER = ".further"
#: empty rows that a form offers
SPARE = 2
#: what a line cannot hold as it is
_ESCAPED = {"\\": "\\\\", "|": "\\|", "\n": "\\n", "\r": "\\r"}
_PLAIN = {escaped: plain for plain, escaped in _ESCAPED.items()}
_LETTER = re.compile(r"\\.|.")


@dataclass(frozen=True, slots=True)
class Control:
    """One control of a row: its label, and what may be chosen, if it is a choice."""

    name: str
    label: str
    choices: tuple[tuple[str, str], ...] = ()


def _choices(values: list[str] | tuple[str, ...], empty: str = "") -> tuple[tuple[str, str], ...]:
    return (("", empty), *((value, value) for value in values))


#: the rows of each list; the first control is the one without which a row is empty
LISTS: Mapping[str, tuple[str, tuple[Control, ...]]] = {
    "creators": (
        "Creators",
        (
            Control("name", "Name, as it is cited"),
            Control("kind", "Kind", ((PERSON, "Person"), (ORGANIZATION, "Organization"))),
            Control("orcid", "ORCID iD"),
            Control("affiliation", "Affiliation"),
            Control("ror", "ROR id"),
        ),
    ),
    "subjects": (
        "Subjects",
        (
            Control("text", "Subject"),
            Control("scheme", "Vocabulary", _choices(list(VOCABULARIES), "free text")),
            Control("id", "Id of the term"),
        ),
    ),
    "funding": (
        "Funding",
        (
            Control("funder", "Funder"),
            Control("ror", "ROR id"),
            Control("award", "Number of the award"),
            Control("title", "Title of the award"),
        ),
    ),
    "related": (
        "Related works",
        (
            Control("identifier", "DOI, ARK, URL or URN"),
            Control("relation", "This dataset …", _choices(RELATIONS, "choose")),
        ),
    ),
    "dates": (
        "Dates",
        (
            Control("value", "Date, or from/to"),
            Control("kind", "Of what", _choices(DATE_KINDS, "choose")),
        ),
    ),
    "contacts": ("Contacts", (Control("name", "Name"), Control("email", "E-mail address"))),
}


def rows_of(metadata: Metadata) -> dict[str, list[dict[str, str]]]:
    """The rows of every list as texts by control, with spare ones at the end."""
    rows: dict[str, list[dict[str, str]]] = {}
    for name, (_, controls) in LISTS.items():
        shown = [_row(entry, controls) for entry in getattr(metadata, name)[:MOST_ROWS]]
        rows[name] = [*shown, *({c.name: "" for c in controls} for _ in range(SPARE))][:MOST_ROWS]
    return rows


def further_of(metadata: Metadata) -> dict[str, str]:
    """The texts with the entries that have no row, by name of the control."""
    return {
        name + FURTHER: "\n".join(
            _line(_row(entry, controls)) for entry in getattr(metadata, name)[MOST_ROWS:]
        )
        for name, (_, controls) in LISTS.items()
    }


def columns_of(name: str) -> str:
    """How a line of a list is written, in words."""
    return " | ".join(control.label for control in LISTS[name][1])


def _line(row: Mapping[str, str]) -> str:
    cells = [re.sub(r"[\\|\n\r]", lambda m: _ESCAPED[m[0]], cell) for cell in row.values()]
    while cells and not cells[-1]:
        cells.pop()
    return " | ".join(cells)


def _typed_lines(name: str, text: str) -> list[dict[str, str]]:
    """The rows that somebody has typed as lines.

    Raises:
        InvalidInput: a line has too many fields, or lacks the first.
    """
    label, controls = LISTS[name]
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        cells = _cells(line)
        if len(cells) > len(controls) or not cells[0]:
            problem = f"is not written like {columns_of(name)}"
            raise InvalidInput(
                f"line {number} of the further {label.lower()} {problem}: {line.strip()[:80]!r}"
            )
        cells += [""] * (len(controls) - len(cells))
        rows.append({control.name: cell for control, cell in zip(controls, cells, strict=True)})
    return rows


def _cells(line: str) -> list[str]:
    cells = [""]
    for letter in _LETTER.findall(line):
        if letter == "|":
            cells.append("")
        else:
            cells[-1] += letter
    return [_unescape(cell.strip()) for cell in cells]


def _unescape(cell: str) -> str:
    return re.sub(r"\\(.)", lambda m: _PLAIN.get(m[0], m[1]), cell)


def _row(entry: Any, controls: tuple[Control, ...]) -> dict[str, str]:
    row = {c.name: str(getattr(entry, c.name, "")) for c in controls}
    if "affiliation" in row:
        first = entry.affiliations[0] if entry.affiliations else None
        row["affiliation"] = first.name if first else ""
        row["ror"] = first.ror if first else entry.ror
    return row


def typed_rows(text: Callable[[str], str], more: str = "") -> dict[str, list[dict[str, str]]]:
    """The rows as somebody has typed them.

    Args:
        text: the value of a control by its name; "" when it is missing.
        more: the list that is to have more rows.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    for name, (_, controls) in LISTS.items():
        typed = [{c.name: text(f"{name}.{number}.{c.name}") for c in controls} for number in range(MOST_ROWS)]
        while typed and not typed[-1][controls[0].name]:
            typed.pop()
        spare = SPARE * 3 if name == more else SPARE
        rows[name] = [*typed, *({c.name: "" for c in controls} for _ in range(spare))][:MOST_ROWS]
    return rows


def metadata_of(text: Callable[[str], str], before: Metadata) -> Metadata:
    """The metadata that a form says.

    Args:
        text: the value of a control by its name; "" when it is missing.
        before: what the form was made of.

    Raises:
        InvalidInput: something in it makes no sense; says what.
    """
    given: dict[str, Any] = {name: text(name) for name in ("title", "description", "publisher", "version")}
    given["language"] = text("language")
    given["dois"] = text("dois").split()
    creators = list(before.creators)
    for name, rows in typed_rows(text).items():
        first = LISTS[name][1][0].name
        typed = [*(row for row in rows if row[first]), *_typed_lines(name, text(name + FURTHER))]
        given[name] = [_entry(name, row, creators) for row in typed]
    return parse_metadata(given)


def _entry(name: str, row: Mapping[str, str], creators: list[Creator]) -> dict[str, Any]:
    """One entry; a creator takes what a row does not show from the one of that name, who leaves the list."""
    entry: dict[str, Any] = {field: value for field, value in row.items() if value}
    if name != "creators":
        return entry
    known = next((c for c in creators if c.name == row["name"]), None)
    if known is not None:
        creators.remove(known)
    affiliation, ror = entry.pop("affiliation", ""), entry.pop("ror", "")
    if affiliation:
        further = known.affiliations[1:] if known else ()
        entry["affiliations"] = [
            {"name": affiliation, "ror": ror},
            *({"name": a.name, "ror": a.ror} for a in further),
        ]
        entry["ror"] = known.ror if known else ""
    elif ror:
        entry["ror"] = ror
    if known is not None:
        entry |= {"given": known.given, "family": known.family}
    return entry
