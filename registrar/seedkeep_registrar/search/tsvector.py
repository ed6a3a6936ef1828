"""The index in PostgreSQL: a tsvector with a GIN index, kept out of line so that the table itself is small.

GIN finds all matches and cannot begin with the newest, so a word that every tenth document has is found by
reading documents backwards from the newest instead; the newest ones tell which of the two a query needs.
Source: https://www.postgresql.org/docs/current/textsearch.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from seedkeep_registrar.search.document import Document
from seedkeep_registrar.search.terms import Terms
from seedkeep_registrar.search.words import Phrase

#: documents looked at to learn how common the matches are
_TRIED = 2000
#: of the matches that the index gives, the newest that are looked at for the order of words and for copies
CHECKED = 3000
#: from this share of matches on, reading backwards is faster than the index
_COMMON = 0.1
# of a tsvector
_LAST_POSITION = 16383
_MOST_PLACES = 255  # of one word
_EVERYTHING = "'='"
_WEIGHTS = "{0.05, 0.2, 0.6, 1.0}"  # D, C, B, A
_PUT = text("INSERT INTO search_words (position, words) VALUES (:position, CAST(:words AS tsvector))")
_REMOVE = text("DELETE FROM search_words WHERE position = :position")
_STEP_BACK = (
    "SELECT position FROM search_words WHERE position < :before ORDER BY position DESC OFFSET :width LIMIT 1"
)
_COPIES = (
    " AND EXISTS (SELECT 1 FROM search_documents d JOIN datasets s ON s.content_id = d.content_id "
    "WHERE d.position = found.position AND least(s.complete, 3) = ANY(:copies))"
)
_BACKWARDS = (
    "SELECT found.position FROM (SELECT position, words FROM search_words WHERE position < :before "
    "AND position >= :least ORDER BY position DESC OFFSET 0) found "
    "WHERE found.words @@ CAST(:query AS tsquery){} ORDER BY found.position DESC LIMIT :limit"
)
_BY_INDEX = (
    "WITH found AS MATERIALIZED (SELECT position FROM search_words WHERE words @@ CAST(:query AS tsquery)) "
    "SELECT found.position FROM found WHERE found.position < :before "
    "ORDER BY found.position DESC LIMIT :limit"
)
_CHECK = (
    "SELECT found.position FROM search_words found WHERE found.position = ANY(:positions) "
    "AND found.words @@ CAST(:query AS tsquery){} ORDER BY found.position DESC LIMIT :limit"
)
_RANK = (
    "SELECT position, ts_rank(CAST(:weights AS real[]), words, CAST(:query AS tsquery)) FROM search_words "
    "WHERE position = ANY(:positions)"
)


def _phrase(phrase: Phrase, between: str = " <-> ") -> str:
    # words have letters and digits only
    words = [f"'{word}'" for word in phrase.words]
    if phrase.prefix:
        words[-1] += ":*"
    return f"({between.join(words)})"


def _phrases(terms: Terms) -> tuple[Phrase, ...]:
    return (*terms.query.wanted, *terms.query.unwanted)


def _tsquery(terms: Terms, *, loosely: bool = False) -> str:
    """The query; ``loosely`` without the order of words, which is not in the index."""
    parts = [_phrase(phrase, " & " if loosely else " <-> ") for phrase in terms.query.wanted]
    parts += ["(" + " | ".join(f"'={code}'" for code in group) + ")" for group in terms.facets]
    unwanted = [f"!{_phrase(p)}" for p in terms.query.unwanted if not loosely or len(p.words) == 1]
    return " & ".join([*(parts or [_EVERYTHING]), *unwanted])


def vector(document: Document, codes: Sequence[int]) -> str:
    """The tsvector as PostgreSQL reads it."""
    places: dict[str, list[str]] = {}
    texts = {"A": document.title, "B": document.people, "C": document.text, "D": document.files}
    at = 0
    for weight, words in texts.items():
        for word in words:
            at += 1
            places.setdefault(word, []).append(f"{min(at, _LAST_POSITION)}{weight}")
    lexemes = [f"'{word}':{','.join(found[:_MOST_PLACES])}" for word, found in places.items()]
    return " ".join([*lexemes, _EVERYTHING, *(f"'={code}'" for code in codes)])


class Tsvector:
    """See :class:`seedkeep_registrar.search.terms.Engine`."""

    def put(self, connection: Connection, position: int, document: Document, codes: Sequence[int]) -> None:
        connection.execute(_PUT, {"position": position, "words": vector(document, codes)})

    def remove(self, connection: Connection, position: int) -> None:
        connection.execute(_REMOVE, {"position": position})

    def clear(self, connection: Connection) -> None:
        connection.execute(text("DELETE FROM search_words"))

    def newest(self, connection: Connection, terms: Terms, *, before: int, limit: int) -> list[int]:
        copies = _COPIES if terms.copies else ""
        values: dict[str, Any] = {"query": _tsquery(terms)}
        if terms.copies:
            values["copies"] = list(terms.copies)
        found: list[int] = []
        width = _TRIED
        while True:
            least = _step_back(connection, before, width)
            more = {**values, "before": before, "least": least, "limit": limit - len(found)}
            some = connection.execute(text(_BACKWARDS.format(copies)), more).scalars().all()
            found += some
            if len(found) >= limit or least == 0:
                return found
            before = least
            if len(some) < _COMMON * width:
                break
            width = max(_TRIED, int(1.2 * width * (limit - len(found)) / len(some)))
        # the planner does not know what it costs to read rows that are out of line
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        left = limit - len(found)
        exact = not copies and all(len(phrase.words) == 1 for phrase in _phrases(terms))
        rest = {"query": _tsquery(terms, loosely=True), "before": before, "limit": left if exact else CHECKED}
        some = connection.execute(text(_BY_INDEX), rest).scalars().all()
        if not exact:
            check = {**values, "positions": some, "limit": left}
            some = connection.execute(text(_CHECK.format(copies)), check).scalars().all()
        connection.execute(text("SET LOCAL enable_seqscan = on"))
        return [*found, *some]

    def scores(self, connection: Connection, terms: Terms, positions: Sequence[int]) -> dict[int, float]:
        query = " & ".join(_phrase(phrase) for phrase in terms.query.wanted)
        values = {"weights": _WEIGHTS, "query": query, "positions": list(positions)}
        return {position: float(score) for position, score in connection.execute(text(_RANK), values)}


def _step_back(connection: Connection, before: int, width: int) -> int:
    """The position ``width`` documents before ``before``; 0 where there are fewer."""
    values = {"before": before, "width": width - 1}
    return int(connection.execute(text(_STEP_BACK), values).scalar_one_or_none() or 0)
