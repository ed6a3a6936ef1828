"""Answers a search: a page of records, how many there are, and what they can be narrowed by.

At any size the work is bounded. Of all matches the :data:`SAMPLE` newest are ranked (older ones follow them,
newest first) and counted for the facets, or fewer where finding these is work enough; the answer says so
where there are more. Without any query or filter, total and facets are exact.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Text, and_, cast, func, select, tuple_

from seedkeep.core.errors import InvalidInput
from seedkeep.core.metadata import orcid
from seedkeep_registrar.search import copies
from seedkeep_registrar.search.cursor import TOP, After, Below, decode, encode
from seedkeep_registrar.search.document import Facet
from seedkeep_registrar.search.index import code_of, engine_of, facet_of
from seedkeep_registrar.search.terms import Newest, Terms
from seedkeep_registrar.search.words import parse
from seedkeep_registrar.store import records, totals
from seedkeep_registrar.store.among import among
from seedkeep_registrar.store.records import Record
from seedkeep_registrar.store.search_tables import search_documents, search_values
from seedkeep_registrar.store.tables import records as record_rows

#: matches that are ranked and counted
SAMPLE = 1000
#: documents looked at in one answer for their copies, where nothing else is asked
LOOKED_AT = 4000
#: values of a facet in an answer
MOST_VALUES = 12
RELEVANCE, NEWEST = "relevance", "newest"
COPIES = ("0", "1", "2", "3+")
_SHOWN = {
    "subject": Facet.SUBJECT,
    "creator": Facet.CREATOR,
    "year": Facet.YEAR,
    "license": Facet.LICENSE,
    "size": Facet.SIZE,
}
#: what results can be narrowed by
FILTERS = ("subject", "creator", "year", "license", "copies", "size")
#: of these a dataset may have several values, so naming two asks for both
_SEVERAL = ("subject", "creator")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_IMPOSSIBLE = 0  # a code that no value has


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Args:
        text: as typed.
        filters: values by name: subject, creator (a name or an ORCID iD), year, license, size, copies.
        sort: ``relevance`` or ``newest``; without words it is always ``newest``.
        cursor: of the page before, or "".
    """

    text: str = ""
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sort: str = RELEVANCE
    cursor: str = ""
    limit: int = 20


@dataclass(frozen=True, slots=True)
class Result:
    """One record that was found."""

    record: Record
    copies: int
    creators: tuple[str, ...]
    subjects: tuple[str, ...]
    year: str


@dataclass(frozen=True, slots=True)
class Found:
    """One page of results.

    Attributes:
        total: how many there are; with ``more``, more than that. None on later pages.
        facets: the commonest values with their counts; None on later pages.
        counted: over how many of the newest matches the facets count; None for all of them.
        next: cursor of the next page, or "".
    """

    results: tuple[Result, ...]
    next: str
    total: int | None
    more: bool
    facets: Mapping[str, Sequence[tuple[str, int]]] | None
    counted: int | None


def find(connection: Connection, asked: Asked) -> Found:
    """Search.

    Raises:
        InvalidInput: the cursor is none that a page gave, or copies are no class of copies.
    """
    terms = Terms(parse(asked.text), _codes(connection, asked.filters), _copies(asked.filters))
    cursor = decode(asked.cursor) if asked.cursor else None
    if isinstance(cursor, After) and not terms.query.wanted:
        raise InvalidInput("this cursor belongs to another query", hint="Search again.")
    ranked = asked.sort == RELEVANCE and bool(terms.query.wanted)
    first = _newest(connection, terms, TOP, max(SAMPLE, asked.limit) + 1) if cursor is None else Newest([])
    if ranked and not isinstance(cursor, Below):
        positions, following = _ranked(connection, terms, cursor, first, asked.limit)
    else:
        below = cursor.position if cursor else TOP
        found = first if cursor is None else _newest(connection, terms, below, asked.limit + 1)
        positions, following = _page(found, asked.limit)
    results = results_of(connection, positions)
    after = encode(following) if following else ""
    if cursor is not None:
        return Found(results, after, None, False, None, None)
    total, exact = _total(connection, terms, first)
    if terms == Terms(parse("")):
        return Found(results, after, total, not exact, _all_facets(connection), None)
    sample = first.positions[:SAMPLE]
    return Found(
        results, after, total, not exact, _facets(connection, sample), None if exact else len(sample)
    )


def count_copies(connection: Connection) -> dict[str, int]:
    """How many of all datasets have how many complete copies."""
    counted: Counter[str] = Counter()
    for complete, count in totals.by_copies(connection).items():
        counted[COPIES[min(complete, 3)]] += count
    return {name: counted[name] for name in COPIES if counted[name]}


def _copies(filters: Mapping[str, Sequence[str]]) -> tuple[int, ...]:
    wanted = filters.get("copies", ())
    if unknown := [text for text in wanted if text not in COPIES]:
        raise InvalidInput(f"copies {unknown[0][:20]!r} is none of {', '.join(COPIES)}")
    return tuple(sorted({COPIES.index(text) for text in wanted}))


def _codes(connection: Connection, filters: Mapping[str, Sequence[str]]) -> tuple[tuple[int, ...], ...]:
    """Groups of codes, of each of which a document must have one."""
    wanted = [
        (name, _facet_value(name, value)) for name in _SHOWN for value in dict.fromkeys(filters.get(name, ()))
    ]
    keys = [key for _, key in wanted if not _UNSTORABLE.search(key[1])]
    rows = connection.execute(
        select(search_values.c.id, search_values.c.facet, search_values.c.value).where(
            tuple_(search_values.c.facet, search_values.c.value).in_(keys)
        )
    )
    known = {(row.facet, row.value): code_of(row.facet, row.id) for row in rows} if keys else {}
    groups: list[tuple[int, ...]] = []
    for name in _SHOWN:
        codes = tuple(known.get(key, _IMPOSSIBLE) for of, key in wanted if of == name)
        if name in _SEVERAL:
            groups += [(code,) for code in codes]
        elif codes:
            groups.append(codes)
    return tuple(groups)


def _facet_value(name: str, value: str) -> tuple[int, str]:
    if name == "creator":
        try:
            return int(Facet.ORCID), orcid(value)
        except InvalidInput:
            pass
    return int(_SHOWN[name]), value


def _newest(connection: Connection, terms: Terms, before: int, limit: int) -> Newest:
    if terms.query.wanted or terms.query.unwanted or terms.facets:
        return engine_of(connection).newest(connection, terms, before=before, limit=limit)
    few = copies.few(connection, terms.copies, LOOKED_AT) if terms.copies else None
    if few is not None:
        return Newest(sorted((position for position in few if position < before), reverse=True)[:limit])
    query = select(search_documents.c.position).where(search_documents.c.position < before)
    some = query.order_by(search_documents.c.position.desc()).limit(LOOKED_AT if terms.copies else limit)
    positions = connection.execute(some).scalars().all()
    if not terms.copies:
        return Newest(positions)
    found = copies.having(connection, positions, terms.copies)
    reached = positions[-1] if len(positions) == LOOKED_AT and len(found) < limit else 0
    return Newest(found[:limit], reached)


def _page(found: Newest, limit: int) -> tuple[list[int], Below | None]:
    """As many as are wanted, and how to go on."""
    positions = list(found.positions[:limit])
    if len(found.positions) > limit:
        return positions, Below(positions[-1] if positions else found.positions[0] + 1)
    return positions, Below(found.reached) if found.reached else None


def _ranked(
    connection: Connection, terms: Terms, cursor: After | None, first: Newest, limit: int
) -> tuple[list[int], Below | After | None]:
    """A page of the ranked matches, filled up with older ones where they end."""
    top = cursor.top if cursor else (first.positions[0] + 1 if first.positions else TOP)
    known = first if cursor is None else _newest(connection, terms, top, SAMPLE + 1)
    candidates = known.positions[:SAMPLE]
    scores = engine_of(connection).scores(connection, terms, candidates)
    order = sorted((-scores.get(position, 0.0), -position) for position in candidates)
    if cursor:
        order = [one for one in order if one > (-cursor.score, -cursor.position)]
    positions = [-position for _, position in order[:limit]]
    if len(order) > limit:
        score, position = order[limit - 1]
        return positions, After(top, -score, -position)
    if len(known.positions) <= SAMPLE:
        return positions, Below(known.reached) if known.reached else None
    left = limit - len(positions)
    older, following = _page(_newest(connection, terms, candidates[-1], left + 1), left)
    return [*positions, *older], following


def _total(connection: Connection, terms: Terms, first: Newest) -> tuple[int, bool]:
    """How many match, and whether that is all."""
    if len(first.positions) <= SAMPLE:
        return len(first.positions), not first.reached
    if terms.query.wanted or terms.query.unwanted or terms.copies or len(terms.facets) > 1:
        return SAMPLE, False
    # every document has exactly one licence
    which = [search_values.c.facet == int(Facet.LICENSE)]
    if terms.facets:
        which = [among(connection, search_values.c.id, [facet_of(code)[1] for code in terms.facets[0]])]
    total = connection.execute(select(func.sum(search_values.c.count)).where(*which)).scalar_one()
    return int(total or 0), True


def _all_facets(connection: Connection) -> dict[str, list[tuple[str, int]]]:
    """The commonest values of every facet over all documents; copies are not counted."""
    found = {}
    for name, facet in _SHOWN.items():
        rows = connection.execute(
            select(search_values.c.value, search_values.c.count)
            .where(and_(search_values.c.facet == int(facet), search_values.c.count > 0))
            .order_by(search_values.c.count.desc(), search_values.c.value)
            .limit(MOST_VALUES)
        )
        found[name] = [(row.value, int(row[1])) for row in rows]
    return found


def _facets(connection: Connection, positions: Sequence[int]) -> dict[str, list[tuple[str, int]]]:
    """The commonest values of every facet among these documents."""
    # as text: drivers take longer to read arrays than all the rest takes
    rows = connection.execute(
        select(cast(search_documents.c.facets, Text), search_documents.c.complete).where(
            among(connection, search_documents.c.position, positions)
        )
    ).all()
    counts = Counter(int(code) for codes, _ in rows for code in codes[1:-1].split(","))
    common: dict[int, list[int]] = {int(facet): [] for facet in _SHOWN.values()}
    for code, _ in counts.most_common():
        of = common.get(facet_of(code)[0])
        if of is not None and len(of) < MOST_VALUES:
            of.append(code)
    values = _values(connection, [code for codes in common.values() for code in codes])
    found = {
        name: sorted(((values[c], counts[c]) for c in common[int(facet)]), key=lambda v: (-v[1], v[0]))
        for name, facet in _SHOWN.items()
    }
    counted = Counter(min(complete, copies.MOST) for _, complete in rows)
    found["copies"] = [(name, counted[n]) for n, name in enumerate(COPIES) if n in counted]
    return found


def _values(connection: Connection, codes: Iterable[int]) -> dict[int, str]:
    """The values that these codes stand for."""
    ids = sorted({facet_of(code)[1] for code in codes})
    rows = connection.execute(
        select(search_values.c.id, search_values.c.facet, search_values.c.value).where(
            among(connection, search_values.c.id, ids)
        )
    )
    return {code_of(row.facet, row.id): row.value for row in rows}


def results_of(connection: Connection, positions: Sequence[int]) -> tuple[Result, ...]:
    """The records at these positions, in this order; they are in the index."""
    which = select(record_rows.c.rid).where(among(connection, record_rows.c.position, positions))
    found = {record.position: record for record in records.in_order(connection, which)}
    rows = connection.execute(
        select(search_documents.c.position, search_documents.c.facets, search_documents.c.complete).where(
            among(connection, search_documents.c.position, positions)
        )
    ).all()
    values = _values(connection, (code for row in rows for code in row.facets))
    described = {}
    for row in rows:
        of: dict[int, list[str]] = {int(facet): [] for facet in Facet}
        for code in row.facets:
            of[facet_of(code)[0]].append(values[code])
        described[row.position] = Result(
            record=found[row.position],
            copies=row.complete,
            creators=tuple(of[Facet.CREATOR]),
            subjects=tuple(of[Facet.SUBJECT]),
            year="".join(of[Facet.YEAR][:1]),
        )
    return tuple(described[position] for position in positions)


def with_subject(connection: Connection, subject: str, *, before: int, limit: int) -> list[Record]:
    """Records that have a subject, newest first, those at lower positions than ``before``."""
    terms = Terms(parse(""), _codes(connection, {"subject": (subject,)}))
    positions = _newest(connection, terms, before, limit).positions
    which = select(record_rows.c.rid).where(among(connection, record_rows.c.position, positions))
    return records.in_order(connection, which)[::-1]


def count_with_subject(connection: Connection, subject: str) -> int:
    """How many records have a subject."""
    found = connection.execute(
        select(search_values.c.count).where(
            search_values.c.facet == int(Facet.SUBJECT), search_values.c.value == subject
        )
    ).scalar_one_or_none()
    return int(found or 0)
