"""Descriptive metadata as the rows of a form, and back; pure. A row that is left empty is no entry.

A control's name is ``list.row.field``, such as ``creators.0.orcid``. What a form does not show of an entry
(a given name, further affiliations) stays as it was, as long as the entry's name stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from seedkeep.core.metadata import (
    DATE_KINDS,
    ORGANIZATION,
    PERSON,
    RELATIONS,
    VOCABULARIES,
    Metadata,
    parse_metadata,
)

#: entries of one list that a form can show; longer ones are for `seedkeep edit`
MOST_ROWS = 40
#: empty rows that a form offers
SPARE = 2


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


def is_too_long(metadata: Metadata) -> str:
    """The list that is too long for a form, or ""."""
    return next((name for name in LISTS if len(getattr(metadata, name)) > MOST_ROWS), "")


def rows_of(metadata: Metadata) -> dict[str, list[dict[str, str]]]:
    """The rows of every list as texts by control, with spare ones at the end."""
    rows: dict[str, list[dict[str, str]]] = {}
    for name, (_, controls) in LISTS.items():
        shown = [_row(entry, controls) for entry in getattr(metadata, name)]
        rows[name] = [*shown, *({c.name: "" for c in controls} for _ in range(SPARE))][:MOST_ROWS]
    return rows


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
    for name, rows in typed_rows(text).items():
        first = LISTS[name][1][0].name
        given[name] = [_entry(name, row, before) for row in rows if row[first]]
    return parse_metadata(given)


def _entry(name: str, row: Mapping[str, str], before: Metadata) -> dict[str, Any]:
    entry: dict[str, Any] = {field: value for field, value in row.items() if value}
    if name != "creators":
        return entry
    known = next((c for c in before.creators if c.name == row["name"]), None)
    affiliation, ror = entry.pop("affiliation", ""), entry.pop("ror", "")
    if affiliation:
        further = known.affiliations[1:] if known else ()
        entry["affiliations"] = [
            {"name": affiliation, "ror": ror},
            *({"name": a.name, "ror": a.ror} for a in further),
        ]
    elif ror:
        entry["ror"] = ror
    if known is not None:
        entry |= {"given": known.given, "family": known.family}
    return entry
