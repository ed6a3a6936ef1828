"""The index in PostgreSQL: the words of documents, and the stretches of the log that they are in.

GIN finds matches in no order. So a search goes backwards through the log, a stretch at a time, each as long
as the matches before it let expect; the index leaps over what is not in the stretch. What the index cannot
tell (the order of words, copies) is looked up for so many documents, and no more, in one answer.
Source: https://www.postgresql.org/docs/current/textsearch.html.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from seedkeep_registrar.search import copies
from seedkeep_registrar.search.document import Document
from seedkeep_registrar.search.terms import Newest, Terms
from seedkeep_registrar.search.words import Phrase

#: matches by the index that are looked at in one answer for the order of words and for copies
CHECKED = 3000
#: the stretches in the index have 2 to the power of these positions
STRETCHES = (12, 15, 18)
#: how many times the last stretch the next one is at most
_LONGER = 16
#: for stretches that happen to have fewer matches than the last one lets expect
_SPARE = 1.3
# of a tsvector
_LAST_POSITION = 16383
_MOST_PLACES = 255  # of one word
_EVERYTHING = "'='"
_WEIGHTS = "{0.05, 0.2, 0.6, 1.0}"  # D, C, B, A
_PUT = text("INSERT INTO search_words (position, words) VALUES (:position, CAST(:words AS tsvector))")
_REMOVE = text("DELETE FROM search_words WHERE position = :position")
# the planner does not know what it costs to read rows that are out of line; beginnings make large bitmaps
_BY_INDEX_ALONE = text(
    "SELECT set_config('enable_seqscan', 'off', true), set_config('work_mem', '32MB', true)"
)
_AS_BEFORE = text("SELECT set_config('enable_seqscan', 'on', true)")
_LAST = text("SELECT max(position) FROM search_words WHERE position < :before")
# the array is as in the index; 3 is how many lengths of stretches there are
_FIND = (
    "WITH found AS MATERIALIZED (SELECT position FROM search_words WHERE words @@ CAST(:query AS tsquery){}) "
    "SELECT position FROM found WHERE position < :before ORDER BY position DESC LIMIT :limit"
)
_WITHIN = text(
    _FIND.format(
        " AND ARRAY[(position >> 12) * 3, (position >> 15) * 3 + 1, (position >> 18) * 3 + 2] "
        "&& CAST(:stretches AS bigint[])"
    )
)
_ANYWHERE = text(_FIND.format(""))
_CHECK = text(
    "SELECT position FROM search_words WHERE position = ANY(:positions) "
    "AND words @@ CAST(:query AS tsquery) ORDER BY position DESC"
)
_RANK = text(
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

    def newest(self, connection: Connection, terms: Terms, *, before: int, limit: int) -> Newest:
        connection.execute(_BY_INDEX_ALONE)
        found = _newest(connection, terms, before, limit)
        connection.execute(_AS_BEFORE)
        return found

    def scores(self, connection: Connection, terms: Terms, positions: Sequence[int]) -> dict[int, float]:
        query = " & ".join(_phrase(phrase) for phrase in terms.query.wanted)
        values = {"weights": _WEIGHTS, "query": query, "positions": list(positions)}
        return {position: float(score) for position, score in connection.execute(_RANK, values)}


def _newest(connection: Connection, terms: Terms, before: int, limit: int) -> Newest:
    few = copies.few(connection, terms.copies, CHECKED) if terms.copies else None
    if few is not None:
        some = sorted((position for position in few if position < before), reverse=True)
        return Newest(_matching(connection, terms, some)[:limit])
    if (last := connection.execute(_LAST, {"before": before}).scalar_one()) is None:
        return Newest([])
    before, length, left = last + 1, 1 << STRETCHES[0], CHECKED
    exact = not terms.copies and not _ordered(terms)
    query, found = _tsquery(terms, loosely=True), list[int]()
    while before > 0:
        least = max(0, before - length) >> STRETCHES[0] << STRETCHES[0]
        most = limit - len(found) if exact else left
        asked: dict[str, object] = {"query": query, "before": before, "limit": most}
        # matches are few here, and leaping to each stretch takes longer than passing over the newer ones
        if least == 0:
            some = list(connection.execute(_ANYWHERE, asked).scalars())
        else:
            asked["stretches"] = stretches(least, before)
            some = list(connection.execute(_WITHIN, asked).scalars())
        matched = 0
        each = max(1, 2 * (limit - len(found)))
        for at in range(0, len(some), each):
            matching = some[at : at + each] if exact else _checked(connection, terms, some[at : at + each])
            found += matching
            matched += len(matching)
            if len(found) >= limit:
                return Newest(found[:limit])
        left -= 0 if exact else len(some)
        if not left:
            return Newest(found, some[-1])
        length, before = before - least, least
        expected = [length * _LONGER]
        if matched:
            expected.append(int(_SPARE * length * (limit - len(found)) / matched))
        if some and not exact:
            expected.append(int(_SPARE * length * left / len(some)))
        length = max(1 << STRETCHES[0], min(expected))
    return Newest(found)


def stretches(least: int, before: int) -> list[int]:
    """Numbers of the fewest stretches that cover these positions.

    Args:
        least: where a shortest one begins.
    """
    found = []
    while least < before:
        kind, bits = next(
            (kind, bits)
            for kind, bits in reversed(list(enumerate(STRETCHES)))
            if bits == STRETCHES[0] or (least % (1 << bits) == 0 and least + (1 << bits) <= before)
        )
        found.append((least >> bits) * len(STRETCHES) + kind)
        least += 1 << bits
    return found


def _ordered(terms: Terms) -> bool:
    return any(len(phrase.words) > 1 for phrase in _phrases(terms))


def _matching(connection: Connection, terms: Terms, positions: Sequence[int]) -> list[int]:
    """Those that match but for copies, newest first."""
    values = {"query": _tsquery(terms), "positions": list(positions)}
    return list(connection.execute(_CHECK, values).scalars())


def _checked(connection: Connection, terms: Terms, positions: Sequence[int]) -> list[int]:
    """Those of the matches by the index that match indeed, newest first."""
    matching = _matching(connection, terms, positions) if _ordered(terms) else list(positions)
    return copies.having(connection, matching, terms.copies) if terms.copies else matching
