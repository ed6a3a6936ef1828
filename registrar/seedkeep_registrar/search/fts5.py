"""The index in SQLite: an FTS5 table with one column for each weight, and one of facet codes.

FTS5 streams matches in falling order of rowid, so a common word costs no more than a rare one. Scores are not
``bm25``, which changes with every other document and would make pages of results overlap.
Source: https://www.sqlite.org/fts5.html.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from seedkeep_registrar.search.document import Document
from seedkeep_registrar.search.terms import Newest, Terms
from seedkeep_registrar.search.words import Phrase

_EVERYTHING = "everything"
_TEXTS = "{title people text files}"
#: what a word is worth more for standing in the title, or among people, subjects and names
_WORTH = (("{title}", 4.0), ("{people}", 2.0))
_PUT = text(
    "INSERT INTO search_words (rowid, title, people, text, files, facets) "
    "VALUES (:position, :title, :people, :text, :files, :facets)"
)
_REMOVE = text("DELETE FROM search_words WHERE rowid = :position")
_NEWEST = (
    "SELECT rowid FROM search_words WHERE search_words MATCH :match AND rowid < :before{} "
    "ORDER BY rowid DESC LIMIT :limit"
)
_AMONG = "SELECT rowid FROM search_words WHERE search_words MATCH :match AND rowid BETWEEN :first AND :last"
_COPIES = (
    " AND EXISTS (SELECT 1 FROM search_documents d "
    "WHERE d.position = search_words.rowid AND min(d.complete, 3) IN ({}))"
)


def _phrase(phrase: Phrase, columns: str = _TEXTS) -> str:
    # words have letters and digits only
    return f'({columns} : "{" ".join(phrase.words)}"{" *" if phrase.prefix else ""})'


def _match(terms: Terms) -> str:
    parts = [_phrase(phrase) for phrase in terms.query.wanted]
    parts += [f"(facets : ({' OR '.join(f'f{code}' for code in group)}))" for group in terms.facets]
    found = f"({' AND '.join(parts or [f'facets : {_EVERYTHING}'])})"
    for phrase in terms.query.unwanted:
        found = f"({found} NOT {_phrase(phrase)})"
    return found


class Fts5:
    """See :class:`seedkeep_registrar.search.terms.Engine`."""

    def put(self, connection: Connection, position: int, document: Document, codes: Sequence[int]) -> None:
        values = {
            "position": position,
            "title": " ".join(document.title),
            "people": " ".join(document.people),
            "text": " ".join(document.text),
            "files": " ".join(document.files),
            "facets": " ".join((_EVERYTHING, *(f"f{code}" for code in codes))),
        }
        connection.execute(_PUT, values)

    def remove(self, connection: Connection, position: int) -> None:
        connection.execute(_REMOVE, {"position": position})

    def clear(self, connection: Connection) -> None:
        connection.execute(text("DELETE FROM search_words"))

    def newest(self, connection: Connection, terms: Terms, *, before: int, limit: int) -> Newest:
        copies = _COPIES.format(", ".join(map(str, terms.copies))) if terms.copies else ""
        values = {"match": _match(terms), "before": before, "limit": limit}
        return Newest(connection.execute(text(_NEWEST.format(copies)), values).scalars().all())

    def scores(self, connection: Connection, terms: Terms, positions: Sequence[int]) -> dict[int, float]:
        found = dict.fromkeys(positions, 0.0)
        if not positions:
            return found
        between = {"first": min(positions), "last": max(positions)}
        for phrase in terms.query.wanted:
            for columns, worth in _WORTH:
                match = f"({_match(terms)} AND {_phrase(phrase, columns)})"
                for position in connection.execute(text(_AMONG), {"match": match, **between}).scalars():
                    if position in found:
                        found[position] += worth
        return found
