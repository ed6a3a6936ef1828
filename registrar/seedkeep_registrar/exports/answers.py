"""A record in the form its reader asks for: by ``Accept``, ``?format=`` or an inflection of its ARK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from markupsafe import Markup

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput
from seedkeep.core.identifiers import Kind
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.documents import record_document
from seedkeep_registrar.exports.citations import DEFAULT_STYLE, STYLES
from seedkeep_registrar.exports.described import MOST_FILES, Described, describe
from seedkeep_registrar.exports.formats import FORMATS, Format, citation
from seedkeep_registrar.exports.schema_org import schema_org
from seedkeep_registrar.exports.signposting import LINKSET, format_url, link_header, linkset_header
from seedkeep_registrar.negotiation import choose, parse_accept
from seedkeep_registrar.problems import WithdrawnRecord, problem
from seedkeep_registrar.store import files

#: makes the HTML page of a record from its document and its description
Page = Callable[[Mapping[str, Any], Described], Awaitable[web.Response]]
HTML, JSON = "html", "json"
#: every format but HTML and JSON, by name
EVERY: Mapping[str, Format] = {**FORMATS, LINKSET.name: LINKSET}
#: format by media type, those first that are sent
_TYPES = {
    "text/html": HTML,
    "application/json": JSON,
    **{f.media_type: f.name for f in EVERY.values()},
    **{kind: f.name for f in EVERY.values() for kind in f.also},
    "application/xhtml+xml": HTML,
}
#: what records are given in besides HTML and JSON
MEDIA_TYPES = tuple(dict.fromkeys(f.media_type for f in EVERY.values()))
#: an ARK followed by one of these asks for its description
_INFLECTIONS = ("info", "?")
_HEADERS = {
    "Vary": "Accept",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Access-Control-Allow-Origin": "*",
}


async def described(registrar: Registrar, document: Mapping[str, Any]) -> Described:
    """The record as the formats need it, with its files when they are few."""
    few = document["files"] <= MOST_FILES and bool(document.get("web_seeds"))
    entries = await registrar.db.read(files.page, document["rid"], 0, MOST_FILES) if few else []
    settings = registrar.settings
    name = settings.institution or settings.name or registrar.origin
    return describe(
        document,
        publisher=document["home"] if document["mirrored"] else name,
        catalog_url=registrar.public_url,
        catalog_name=settings.name or name,
        files=entries,
    )


async def answer(
    request: web.Request,
    registrar: Registrar,
    kind: Kind,
    value: str,
    *,
    page: Page | None = None,
) -> web.Response:
    """The record of this name in the form asked for; 406 lists what there is.

    Of a withdrawn record everything that describes it is given as before, with status 410.

    Args:
        kind, value: as for :func:`~seedkeep_registrar.documents.record_document`.
        page: makes the HTML; without it there is none, and JSON is what is given when anything will do.

    Raises:
        NotFound, TaintedRecord: as there.
        WithdrawnRecord: as there, when HTML or JSON was asked for.
        InvalidInput: ``?format=`` or ``?style=`` names none that exists.
    """
    wanted = _wanted(request, HTML if page else JSON)
    status = 200
    try:
        document = await record_document(registrar, kind, value)
    except WithdrawnRecord as gone:
        if wanted in (HTML, JSON):
            raise
        document, status = gone.members, 410
    if wanted == JSON:  # what programs ask for all the time: nothing is made that they do not need
        made = web.Response(body=jcs.dumps(dict(document)), content_type="application/json", headers=_HEADERS)
        made.headers["Link"] = linkset_header(registrar.public_url, document["rid"])
        return made
    record = await described(registrar, document)
    if wanted is None:
        return _not_acceptable(record)
    if wanted == HTML and page:
        made = await page(document, record)
        made.headers["Vary"] = "Accept"
    else:
        made = await _formatted(request, record, EVERY[wanted])
    made.headers["Link"] = link_header(record)
    made.set_status(status)
    return made


def exports_of(record: Described) -> list[dict[str, str]]:
    """The formats as a page lists them: name, title, media type, url."""
    return [
        {"name": f.name, "title": f.title, "media_type": f.media_type, "url": format_url(record, f.name)}
        for f in FORMATS.values()
    ]


def citations_of(record: Described) -> list[dict[str, str]]:
    """The citations as a page shows them: style, title, text."""
    return [{"style": s, "title": title, "text": make(record)} for s, (title, make) in STYLES.items()]


def embedded(record: Described) -> Markup:
    """JSON-LD for ``<script type="application/ld+json">``: no character of it can end the element."""
    text = json.dumps(schema_org(record))  # ASCII alone
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped just above


def _wanted(request: web.Request, default: str) -> str | None:
    """The format's name; None when there is none that the client takes."""
    named = request.query.get("format")
    offered = [*([HTML] if default == HTML else []), JSON, *EVERY]
    if named:
        if named not in offered:
            raise InvalidInput(f"there is no format {named[:40]!r}", hint=f"There are {', '.join(offered)}.")
        return named
    if request.path.lower().startswith("/ark:") and _inflected(request):
        return "erc"
    by_preference = sorted(_TYPES, key=lambda kind: _TYPES[kind] != default)
    kind = choose(request.headers.get("Accept"), by_preference)
    if kind is None:
        return None
    # a browser that opens an address of the interface has not come for the XML that it takes as well
    return _TYPES[kind] if _TYPES[kind] in offered else default


def _inflected(request: web.Request) -> bool:
    return request.query_string in _INFLECTIONS or request.raw_path.endswith("?")


async def _formatted(request: web.Request, record: Described, made: Format) -> web.Response:
    if made.name == "citation":
        body = citation(record, _style(request)).encode()
    else:  # descriptions may be long
        body = await asyncio.to_thread(made.render, record)
    headers = dict(_HEADERS)
    kind = made.media_type
    if kind.startswith("text/") or kind.endswith("/x-bibtex"):
        kind += "; charset=utf-8"
    headers["Content-Type"] = f'{kind}; profile="{made.profile}"' if made.profile else kind
    headers["Content-Disposition"] = f'inline; filename="{record.ark.rpartition("/")[2]}.{made.ending}"'
    return web.Response(body=body, headers=headers)


def _style(request: web.Request) -> str:
    """The citation style of ``?style=`` or of ``Accept: text/x-bibliography; style=…``."""
    named = request.query.get("style")
    if named:
        if named not in STYLES:
            raise InvalidInput(
                f"there is no citation style {named[:40]!r}", hint=f"There are {', '.join(STYLES)}."
            )
        return named
    for accepted in parse_accept(request.headers.get("Accept", "")):
        style = dict(accepted.parameters).get("style", "").lower()
        if accepted.sub == "x-bibliography" and style in STYLES:
            return style
    return DEFAULT_STYLE


def _not_acceptable(record: Described) -> web.Response:
    available = [
        {"format": JSON, "media_type": "application/json", "url": format_url(record, JSON)},
        *(
            {"format": f.name, "media_type": f.media_type, "url": format_url(record, f.name)}
            for f in EVERY.values()
        ),
    ]
    refused = problem(
        406,
        "not_acceptable",
        "this record is not given in any form that Accept names",
        hint="Ask for one of available, or leave Accept out.",
        members={"available": available},
    )
    refused.headers["Vary"] = "Accept"
    return refused
