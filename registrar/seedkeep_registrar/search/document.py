"""What of a record is searched: its texts by weight, and its facets; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice

from seedkeep.core.metadata import Metadata
from seedkeep_registrar.search.words import words_of
from seedkeep_registrar.store.records import Record

#: stands after each text, so that no phrase runs into the next one; a word to FTS5, and never one of a query
GAP = "\ue000"
#: file paths of a dataset that are searched
MOST_FILES = 500
_MOST_WORDS = {"title": 500, "people": 4000, "text": 4000, "files": 3000}
_LONGEST_VALUE = 500


class Facet(IntEnum):
    """What results can be narrowed by; the numbers are in the database. ``ORCID`` is not shown."""

    SUBJECT = 1
    CREATOR = 2
    YEAR = 3
    LICENSE = 4
    SIZE = 5
    ORCID = 6


#: size classes: name, and the number of bytes from which on a dataset is in it
SIZES = (
    ("under-1MB", 0),
    ("1MB-100MB", 10**6),
    ("100MB-10GB", 10**8),
    ("10GB-1TB", 10**10),
    ("over-1TB", 10**12),
)
_YEAR_OF = ("Issued", "Available", "Created")


@dataclass(frozen=True, slots=True)
class Document:
    """The words of a record, most important first, and its facet values."""

    title: tuple[str, ...]
    people: tuple[str, ...]
    text: tuple[str, ...]
    files: tuple[str, ...]
    values: tuple[tuple[Facet, str], ...]


def size_class(size: int) -> str:
    """The class of a dataset of ``size`` bytes."""
    return next(name for name, least in reversed(SIZES) if size >= least)


def year_of(metadata: Metadata, created: str) -> str:
    """The year a dataset was published: as its metadata says, or else that of its record."""
    for kind in _YEAR_OF:
        for date in metadata.dates:
            if date.kind == kind:
                return date.value[:4]
    return created[:4]


def document_of(record: Record, metadata: Metadata, paths: Sequence[str]) -> Document:
    """What is indexed of a record.

    Args:
        paths: of its first files, :data:`MOST_FILES` at most.
    """
    people = [text for c in metadata.creators for text in (c.name, c.orcid)]
    names = [f"ark:/{record.ark}", f"urn:btmh:1220{record.content_id}", record.content_id]
    names += [form + doi for doi in metadata.dois for form in ("doi:", "https://doi.org/")]
    text = [metadata.publisher, *(f.funder for f in metadata.funding), metadata.description]
    return Document(
        title=_words("title", (metadata.title, record.name)),
        people=_words("people", (*metadata.keywords, *names, *people)),
        text=_words("text", text),
        files=_words("files", paths),
        values=tuple(dict.fromkeys(_values(record, metadata))),
    )


def _words(field: str, texts: Iterable[str]) -> tuple[str, ...]:
    every = (word for text in texts for word in (*islice(words_of(text), _MOST_WORDS[field]), GAP))
    return tuple(islice(every, _MOST_WORDS[field]))


def _values(record: Record, metadata: Metadata) -> Iterator[tuple[Facet, str]]:
    for subject in metadata.keywords:
        yield Facet.SUBJECT, subject[:_LONGEST_VALUE]
    for creator in metadata.creators:
        yield Facet.CREATOR, creator.name[:_LONGEST_VALUE]
        if creator.orcid:
            yield Facet.ORCID, creator.orcid
    yield Facet.YEAR, year_of(metadata, record.created)
    yield Facet.LICENSE, record.license
    yield Facet.SIZE, size_class(record.bytes)
