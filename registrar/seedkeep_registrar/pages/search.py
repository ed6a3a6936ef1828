"""The search page: results, and what they can be narrowed by, as links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from seedkeep_registrar.api.search import search
from seedkeep_registrar.pages.render import show
from seedkeep_registrar.search.find import FILTERS, NEWEST, RELEVANCE, Asked
from seedkeep_registrar.search.words import LONGEST_QUERY

routes = web.RouteTableDef()
_PER_PAGE = 20
_MOST_FILTERS = 20
_LONGEST_VALUE = 500
_HEADINGS = {
    "subject": "Subject",
    "creator": "Creator",
    "year": "Year",
    "license": "Licence",
    "copies": "Copies",
    "size": "Size",
}
_SIZES = {
    "under-1MB": "under 1 MB",
    "1MB-100MB": "1 to 100 MB",
    "100MB-10GB": "100 MB to 10 GB",
    "10GB-1TB": "10 GB to 1 TB",
    "over-1TB": "over 1 TB",
}


def _words(facet: str, value: str) -> str:
    if facet == "size":
        return _SIZES.get(value, value)
    if facet == "copies":
        return {"0": "no copy yet", "1": "1 copy", "2": "2 copies", "3+": "3 or more copies"}.get(
            value, value
        )
    return value


def _link(asked: Asked, **changes: Any) -> str:
    """The address of a search that differs in some fields; it begins at the first page."""
    given: dict[str, Any] = {"q": asked.text, "sort": asked.sort, **asked.filters, **changes}
    if given["sort"] == RELEVANCE:
        given["sort"] = ""
    return "/search?" + urlencode([(n, v) for n, v in _pairs(given) if v])


def _pairs(given: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    return [
        (name, one)
        for name, value in given.items()
        for one in ((value,) if isinstance(value, str) else value)
    ]


@routes.get("/search")
async def _search(request: web.Request) -> web.Response:
    filters = {
        name: tuple(dict.fromkeys(v[:_LONGEST_VALUE] for v in request.query.getall(name, ()) if v))[
            :_MOST_FILTERS
        ]
        for name in FILTERS
    }
    asked = Asked(
        text=request.query.get("q", "").strip()[:LONGEST_QUERY],
        filters={name: values for name, values in filters.items() if values},
        sort=NEWEST if request.query.get("sort") == NEWEST else RELEVANCE,
        cursor=request.query.get("cursor", ""),
        limit=_PER_PAGE,
    )
    found = await search(request.app, asked)
    return show(
        request,
        "search.html",
        asked=asked.text,
        results=found["results"],
        total=found["total"],
        more=found["more"],
        counted=found["counted"],
        chosen=[
            (_HEADINGS[name], _words(name, value), _link(asked, **{name: [v for v in values if v != value]}))
            for name, values in asked.filters.items()
            for value in values
        ],
        facets=_facets(asked, found["facets"] or {}),
        sort=asked.sort if asked.text else NEWEST,
        orders=[
            ("Best match", RELEVANCE, _link(asked, sort=RELEVANCE)),
            ("Newest", NEWEST, _link(asked, sort=NEWEST)),
        ]
        if asked.text
        else [],
        filters=_pairs(asked.filters),
        first=_link(asked) if asked.cursor else "",
        next=_link(asked, cursor=found["next"]) if found["next"] else "",
        feed=_link(asked).removeprefix("/search?"),
    )


def _facets(asked: Asked, facets: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[tuple[str, list[Any]]]:
    """Heading and values of each facet: text, count and address; what is chosen already is left out."""
    shown = []
    for name, values in facets.items():
        chosen = tuple(asked.filters.get(name, ()))
        left = [
            (_words(name, one["value"]), one["count"], _link(asked, **{name: (*chosen, one["value"])}))
            for one in values
            if one["value"] not in chosen
        ]
        if left:
            shown.append((_HEADINGS[name], left))
    return shown
