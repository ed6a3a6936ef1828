"""Search: full text and facets, a page at a time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

from aiohttp import web
from msgspec import Meta, field

from seedkeep_registrar import documents
from seedkeep_registrar.api.shapes import ShortRecord
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.interface.fields import Count, Next
from seedkeep_registrar.interface.operation import Link, Query, operation, query_of
from seedkeep_registrar.interface.paging import page
from seedkeep_registrar.recent import Recent
from seedkeep_registrar.search.find import FILTERS, Asked, Found, count_copies, find

routes = web.RouteTableDef()
_COPIES_KNOWN_S = 60.0
_COPIES: web.AppKey[Recent[None, dict[str, int]]] = web.AppKey("copies", Recent)

Value = Annotated[str, Meta(max_length=500)]
Class = Literal["0", "1", "2", "3+"]


class SearchQuery(Query):
    """What to look for. Several subjects or creators must all apply, of the others one. A creator is a name
    or an ORCID iD, a license an SPDX identifier, a size one of the classes that the facets name.
    """

    q: Annotated[
        str,
        Meta(
            max_length=1000,
            description='Words, "phrases", -words that must not occur, beginnings*. Any text is a query.',
        ),
    ] = ""
    subject: list[Value] = field(default_factory=list)
    creator: list[Value] = field(default_factory=list)
    year: list[Value] = field(default_factory=list)
    license: list[Value] = field(default_factory=list)
    copies: list[Class] = field(default_factory=list)
    size: list[Value] = field(default_factory=list)
    sort: Annotated[
        Literal["relevance", "newest"], Meta(description="Without words it is always newest.")
    ] = "relevance"
    cursor: Annotated[str, Meta(max_length=200, description="The `next` of the page before.")] = ""
    limit: Annotated[int, Meta(ge=1, le=100, description="Most results in the answer.")] = 20


class SearchResult(ShortRecord):
    """A record that was found."""

    creators: list[str]
    subjects: list[str]
    year: str
    copies: Annotated[Count, Meta(description="Complete copies in distinct failure domains.")]


class FacetValue(TypedDict):
    """A value to narrow the results by, and how many have it."""

    value: str
    count: Count


class SearchPage(TypedDict):
    """Some results, and how to go on. What is counted is null on later pages."""

    results: list[SearchResult]
    next: Next
    total: Annotated[Count | None, Meta(description="How many there are; with `more`, at least that.")]
    more: Annotated[bool, Meta(description="There may be more than `total`.")]
    counted: Annotated[
        Count | None, Meta(description="The facets count this many of the newest results; null: all.")
    ]
    facets: dict[str, list[FacetValue]] | None


@routes.get("/api/v1/search")
@operation(
    "Search the records",
    tag="Records",
    answers={200: SearchPage},
    query=SearchQuery,
    links={"record": Link("get_record", {"rid": "$response.body#/results/0/rid"})},
)
async def search_records(request: web.Request) -> web.Response:
    """Best matches first, or newest first. At most the 1000 newest matches are ranked and counted; older ones
    follow them, newest first. Where matches are hard to find, a page may have few or
    none, and still a `next`.
    """
    query = query_of(request, SearchQuery)
    asked = Asked(
        text=query.q,
        filters={name: tuple(getattr(query, name)) for name in FILTERS},
        sort=query.sort,
        cursor=query.cursor,
        limit=query.limit,
    )
    return page(request, await search(request.app, asked))


async def search(app: web.Application, asked: Asked) -> dict[str, Any]:
    """The answer to a search as a document, see :class:`SearchPage`.

    Raises:
        InvalidInput: no page gave the cursor, or copies are no class of copies.
    """
    registrar = app[REGISTRAR]
    found = await registrar.db.read(find, asked)
    facets = found.facets
    if facets is not None and "copies" not in facets:
        copies = await app[_COPIES].find(None) or {}
        facets = {**facets, "copies": list(copies.items())}
    return _document(registrar, found, facets)


def _document(registrar: Registrar, found: Found, facets: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "results": [
            {
                **documents.short_document(registrar, one.record),
                "creators": list(one.creators),
                "subjects": list(one.subjects),
                "year": one.year,
                "copies": one.copies,
            }
            for one in found.results
        ],
        "next": found.next or None,
        "total": found.total,
        "more": found.more,
        "counted": found.counted,
        "facets": None
        if facets is None
        else {name: [{"value": value, "count": count} for value, count in facets[name]] for name in FILTERS},
    }


def setup(app: web.Application) -> None:
    """Remember for a minute how many datasets have how many copies: that is counted over all of them."""
    registrar = app[REGISTRAR]

    async def look_up(_: None) -> dict[str, int] | None:
        return await registrar.db.read(count_copies)

    app[_COPIES] = Recent(look_up, time.monotonic, known_s=_COPIES_KNOWN_S, limit=1)
    app.add_routes(routes)
