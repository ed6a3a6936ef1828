"""Descriptive metadata of a record, after DataCite 4: nearly all optional, written by people, strictly read.

In JSON a creator or subject of which only the name is known is plain text; empty fields are left out.
Source: DataCite Metadata Schema 4.6, https://datacite-metadata-schema.readthedocs.io/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from seedkeep.core.errors import InvalidInput

MAX_ENTRIES = 1000
RELATIONS = [
    "IsCitedBy",
    "Cites",
    "IsSupplementTo",
    "IsSupplementedBy",
    "IsContinuedBy",
    "Continues",
    "IsDescribedBy",
    "Describes",
    "HasMetadata",
    "IsMetadataFor",
    "HasVersion",
    "IsVersionOf",
    "IsNewVersionOf",
    "IsPreviousVersionOf",
    "IsPartOf",
    "HasPart",
    "IsPublishedIn",
    "IsReferencedBy",
    "References",
    "IsDocumentedBy",
    "Documents",
    "IsCompiledBy",
    "Compiles",
    "IsVariantFormOf",
    "IsOriginalFormOf",
    "IsIdenticalTo",
    "IsReviewedBy",
    "Reviews",
    "IsDerivedFrom",
    "IsSourceOf",
    "IsRequiredBy",
    "Requires",
    "IsObsoletedBy",
    "Obsoletes",
    "IsCollectedBy",
    "Collects",
    "IsTranslationOf",
    "HasTranslation",
]
DATE_KINDS = [
    "Accepted",
    "Available",
    "Copyrighted",
    "Collected",
    "Coverage",
    "Created",
    "Issued",
    "Submitted",
    "Updated",
    "Valid",
    "Withdrawn",
    "Other",
]
#: vocabularies of subjects: the form of an id, and the page of a term
VOCABULARIES = {
    "NCBITaxon": (re.compile(r"[1-9][0-9]{0,8}"), "https://www.ncbi.nlm.nih.gov/datasets/taxonomy/{}/"),
    "EDAM": (re.compile(r"(?:data|format|operation|topic)_[0-9]{4}"), "http://edamontology.org/{}"),
    "MeSH": (re.compile(r"[DC][0-9]{6,9}"), "https://meshb.nlm.nih.gov/record/ui?ui={}"),
}
PERSON, ORGANIZATION = "person", "organization"

_ORCID = re.compile(r"(?:https?://orcid\.org/)?([0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X])", re.IGNORECASE)
_ROR = re.compile(r"(?:https?://ror\.org/)?(0[0-9a-hjkmnp-tv-z]{6}[0-9]{2})", re.IGNORECASE)
_DOI = re.compile(
    r"(?:doi:|https?://(?:dx\.)?doi\.org/)?(10\.[0-9]{4,9}/[^\s\x00-\x1f\"<>]{1,400})", re.IGNORECASE
)
_DATE = re.compile(r"[0-9]{4}(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12][0-9]|3[01]))?)?")
_EMAIL = re.compile(r"[^@\s\x00-\x1f<>\"(),:;\\]{1,64}@[^@\s\x00-\x1f<>\"(),:;\\]{1,253}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


def _want(condition: bool, problem: str) -> None:
    if not condition:
        raise InvalidInput(f"this metadata is malformed: {problem}")


def _text(name: str, value: Any, limit: int, *, empty: bool = True) -> None:
    good = isinstance(value, str) and (empty or value != "") and len(value) <= limit and "\x00" not in value
    _want(good, f"{name} is not text of {'up to' if empty else '1 to'} {limit} characters")


def orcid(text: str) -> str:
    """An ORCID iD as ``0000-0002-1825-0097``, from any way of writing it.

    Raises:
        InvalidInput: it is none, or its check digit (ISO 7064 MOD 11-2) shows a typing error.
    """
    found = _ORCID.fullmatch(text.strip())
    _want(found is not None, f"{text[:60]!r} is not an ORCID iD like 0000-0002-1825-0097")
    assert found
    digits = found[1].upper().replace("-", "")
    total = 0
    for digit in digits[:-1]:
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    _want(digits[-1] == ("X" if check == 10 else str(check)), f"the ORCID iD {found[1]} has a typing error")
    return found[1].upper()


def ror(text: str) -> str:
    """A ROR id as ``04wxnsj81``, from any way of writing it.

    Raises:
        InvalidInput: it is none.
    """
    found = _ROR.fullmatch(text.strip())
    _want(found is not None, f"{text[:60]!r} is not a ROR id like https://ror.org/04wxnsj81")
    assert found
    return found[1].lower()


def doi(text: str) -> str:
    """A DOI as ``10.5281/zenodo.123``, lower case, from any way of writing it.

    Raises:
        InvalidInput: it is none.
    """
    found = _DOI.fullmatch(text.strip())
    _want(found is not None, f"{text[:60]!r} is not a DOI like 10.5281/zenodo.123")
    assert found
    return found[1].lower()


@dataclass(frozen=True, slots=True)
class Affiliation:
    """Where somebody works. ``ror``: like ``04wxnsj81``, or empty."""

    name: str
    ror: str = ""

    def check(self) -> None:
        _text("an affiliation's name", self.name, 500, empty=False)
        _same("ror", self.ror, ror)


@dataclass(frozen=True, slots=True)
class Creator:
    """Who made the data. ``name`` as it is cited (``Family, Given``); ``ror`` for organizations."""

    name: str
    kind: str = PERSON
    given: str = ""
    family: str = ""
    orcid: str = ""
    ror: str = ""
    affiliations: tuple[Affiliation, ...] = ()

    def check(self) -> None:
        _text("a creator's name", self.name, 500, empty=False)
        _want(self.kind in (PERSON, ORGANIZATION), f"a creator's kind is neither {PERSON} nor {ORGANIZATION}")
        _text("a creator's given name", self.given, 500)
        _text("a creator's family name", self.family, 500)
        _same("orcid", self.orcid, orcid)
        _same("ror", self.ror, ror)


@dataclass(frozen=True, slots=True)
class Subject:
    """What the data is about: free text, or a term of one of :data:`VOCABULARIES` by its ``id``."""

    text: str
    scheme: str = ""
    id: str = ""

    def check(self) -> None:
        _text("a subject", self.text, 500, empty=False)
        _want(
            bool(self.scheme) == bool(self.id),
            f"subject {self.text[:60]!r} needs both scheme and id, or none",
        )
        if self.scheme:
            known = ", ".join(VOCABULARIES)
            _want(self.scheme in VOCABULARIES, f"vocabulary {self.scheme[:60]!r} is none of {known}")
            form, _ = VOCABULARIES[self.scheme]
            _want(bool(form.fullmatch(self.id)), f"{self.id[:60]!r} is no id of a term of {self.scheme}")

    @property
    def url(self) -> str:
        """The page of the term, or empty."""
        return VOCABULARIES[self.scheme][1].format(self.id) if self.scheme else ""


@dataclass(frozen=True, slots=True)
class Funding:
    """Who paid: ``award`` is the grant's number, ``title`` its name."""

    funder: str
    ror: str = ""
    award: str = ""
    title: str = ""

    def check(self) -> None:
        _text("a funder", self.funder, 500, empty=False)
        _same("ror", self.ror, ror)
        _text("an award", self.award, 200)
        _text("an award's title", self.title, 1000)


@dataclass(frozen=True, slots=True)
class Related:
    """Another work: ``relation`` is one of :data:`RELATIONS`, ``identifier`` a DOI, ARK, URL or URN."""

    relation: str
    identifier: str

    def check(self) -> None:
        _want(self.relation in RELATIONS, f"relation {self.relation[:60]!r} is none of DataCite's")
        _text("a related identifier", self.identifier, 2000, empty=False)
        good = self.identifier.isprintable() and " " not in self.identifier and ":" in self.identifier
        _want(good, f"{self.identifier[:60]!r} is no DOI (doi:…), ARK, URL or URN")
        scheme = self.identifier.partition(":")[0].lower()
        _want(
            scheme
            in ("http", "https", "doi", "ark", "urn", "hash", "pmid", "arxiv", "isbn", "igsn", "minid"),
            f"a related identifier cannot begin with {scheme[:20]}:",
        )


@dataclass(frozen=True, slots=True)
class Date:
    """When: ``kind`` is one of :data:`DATE_KINDS`; ``value`` a year, month, day, or ``from/to``."""

    kind: str
    value: str

    def check(self) -> None:
        _want(self.kind in DATE_KINDS, f"date type {self.kind[:60]!r} is none of DataCite's")
        _text("a date", self.value, 21, empty=False)
        parts = self.value.split("/")
        good = len(parts) <= 2 and all(_DATE.fullmatch(part) for part in parts)
        _want(good, f"{self.value!r} is not a date like 2024, 2024-05, 2024-05-31 or 2023/2024")


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to ask."""

    name: str
    email: str = ""

    def check(self) -> None:
        _text("a contact's name", self.name, 500, empty=False)
        _want(
            not self.email or bool(_EMAIL.fullmatch(self.email)), f"{self.email[:60]!r} is no e-mail address"
        )


@dataclass(frozen=True, slots=True)
class Metadata:
    """Everything that may be said of a dataset and changed later; every field may be empty.

    Attributes:
        version: the author's own label of the version, such as ``v2.1``.
        language: BCP 47, such as ``en``.
        dois: DOIs that others gave to the same data, like ``10.5281/zenodo.123``; each also names the record.
    """

    title: str = ""
    creators: tuple[Creator, ...] = ()
    subjects: tuple[Subject, ...] = ()
    description: str = ""
    funding: tuple[Funding, ...] = ()
    related: tuple[Related, ...] = ()
    dates: tuple[Date, ...] = ()
    contacts: tuple[Contact, ...] = ()
    publisher: str = ""
    version: str = ""
    language: str = ""
    dois: tuple[str, ...] = ()

    def check(self) -> None:
        """
        Raises:
            InvalidInput: a field has the wrong type, is too long, or contradicts its vocabulary.
        """
        _text("title", self.title, 1000)
        _text("description", self.description, 100_000)
        _text("publisher", self.publisher, 500)
        _text("version", self.version, 100)
        _text("language", self.language, 100)
        _want(
            not self.language or bool(_LANGUAGE.fullmatch(self.language)), "language is no BCP 47 tag like en"
        )
        for name in _LISTS:
            entries = getattr(self, name)
            _want(len(entries) <= MAX_ENTRIES, f"{name} has more than {MAX_ENTRIES} entries")
            for entry in entries:
                entry.check()
        for text in self.dois:
            _same("dois", text, doi)

    def encode(self) -> dict[str, Any]:
        """The JSON form, without what is empty."""
        shown = {name: value for name, value in _shown(asdict(self)).items() if value}
        for name, short in (("creators", "name"), ("subjects", "text")):
            if name in shown:
                shown[name] = [entry[short] if set(entry) == {short} else entry for entry in shown[name]]
        return shown

    @property
    def keywords(self) -> tuple[str, ...]:
        """What one may name as subject: the texts, and terms as ``NCBITaxon:10710``."""
        words = [
            word for s in self.subjects for word in (s.text, f"{s.scheme}:{s.id}" if s.scheme else "") if word
        ]
        return tuple(dict.fromkeys(words))


def _shown(value: Any) -> Any:
    """Without empty fields; ``kind`` of a creator only where it is no person."""
    if isinstance(value, dict):
        return {
            k: _shown(v) for k, v in value.items() if v not in ("", (), []) and (k, v) != ("kind", PERSON)
        }
    return [_shown(v) for v in value] if isinstance(value, list | tuple) else value


def _same(name: str, value: Any, printed: Callable[[str], str]) -> None:
    """``value`` is empty or already in the one form that is printed."""
    _want(isinstance(value, str), f"{name} is not text")
    _want(
        not value or printed(value) == value,
        f"{name} {value[:60]!r} is not written like {value and printed(value)}",
    )


_LISTS: dict[str, type[Any]] = {
    "creators": Creator,
    "subjects": Subject,
    "funding": Funding,
    "related": Related,
    "dates": Date,
    "contacts": Contact,
}
#: lists whose entries may be plain text, and the field that it fills
_PLAIN = {"creators": "name", "subjects": "text", "affiliations": "name"}
T = TypeVar("T")


def _entries(name: str, values: Any, kind: type[T]) -> tuple[T, ...]:
    _want(isinstance(values, Sequence) and not isinstance(values, str | bytes), f"{name} is not a list")
    return tuple(_entry(name, value, kind) for value in values)


def _entry(name: str, value: Any, kind: type[T]) -> T:
    if isinstance(value, str) and name in _PLAIN:
        value = {_PLAIN[name]: value}
    _want(isinstance(value, Mapping), f"an entry of {name} is not an object")
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(value) - set(known))
    _want(not unknown, f"an entry of {name} has unknown fields: {', '.join(map(str, unknown[:5]))}")
    _want(known[0] in value, f"an entry of {name} has no {known[0]}")
    given = dict(value)
    if "affiliations" in given:
        given["affiliations"] = _entries("affiliations", given["affiliations"], Affiliation)
        for affiliation in given["affiliations"]:
            affiliation.check()
    for field_name, text in given.items():
        _want(field_name == "affiliations" or isinstance(text, str), f"{field_name} in {name} is not text")
    for field_name, printed in (("orcid", orcid), ("ror", ror)):
        if given.get(field_name):
            given[field_name] = printed(given[field_name])
    try:
        return kind(**given)
    except TypeError as error:
        raise InvalidInput(f"this metadata is malformed: an entry of {name} is incomplete") from error


def parse_metadata(given: Any) -> Metadata:
    """Read descriptive metadata; absent fields are empty. Identifiers may be written in any usual way.

    Raises:
        InvalidInput: an unknown field, a wrong type, too long a text, or a typing error in an identifier.
    """
    _want(isinstance(given, Mapping), "it is not an object")
    unknown = set(given) - {f.name for f in fields(Metadata)}
    _want(not unknown, f"it has unknown fields: {', '.join(sorted(map(str, unknown))[:5])}")
    values = dict(given)
    for name, kind in _LISTS.items():
        values[name] = _entries(name, values.get(name, ()), kind)
    dois = values.get("dois", ())
    good = (
        isinstance(dois, Sequence)
        and not isinstance(dois, str | bytes)
        and all(isinstance(d, str) for d in dois)
    )
    _want(good and len(dois) <= 20, "dois is not a list of up to 20 texts")
    values["dois"] = tuple(dict.fromkeys(doi(text) for text in dois))
    metadata = Metadata(**values)
    metadata.check()
    return metadata
