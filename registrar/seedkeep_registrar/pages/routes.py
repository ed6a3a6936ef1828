"""The routes of the pages, and what they read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from seedkeep.core.errors import InvalidInput, NotFound, UsageError
from seedkeep.core.identifiers import Identifier, Kind, parse
from seedkeep.core.web_seed import path_below, url_below
from seedkeep_registrar.api.nodes import node_documents
from seedkeep_registrar.api.resolve import matches_of
from seedkeep_registrar.api.taints import all_taint_documents
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.documents import record_document, short_document
from seedkeep_registrar.exports.answers import answer, citations_of, embedded, exports_of
from seedkeep_registrar.exports.described import Described
from seedkeep_registrar.pages.errors import pages_for_browsers
from seedkeep_registrar.pages.render import HEADERS, STATIC, show
from seedkeep_registrar.pages.views import FILES_PER_PAGE, files_page, record_view
from seedkeep_registrar.recent import Recent
from seedkeep_registrar.store import figures, files, records
from seedkeep_registrar.store.figures import Figures

_RECORDS_PER_PAGE = 20
_MATCHES_SHOWN = 100
_STATIC_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FIGURES: web.AppKey[Recent[None, Figures]] = web.AppKey("figures", Recent)

routes = web.RouteTableDef()


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise InvalidInput(f"{name} is not a cursor of this page", hint="Follow the links of the page.")
    return int(text)


@routes.get("/")
async def _home(request: web.Request) -> web.Response:
    registrar = request.app[REGISTRAR]
    before = _number(request, "cursor")
    found = await registrar.db.read(records.newest, before=before, limit=_RECORDS_PER_PAGE + 1)
    shown = found[:_RECORDS_PER_PAGE]
    return show(
        request,
        "home.html",
        figures=await request.app[_FIGURES].find(None),
        records=[short_document(registrar, record) for record in shown],
        next=str(shown[-1].position) if len(found) > len(shown) else None,
        older=before is not None,
    )


@routes.get("/records/{rid:[0-9a-f]{64}}")
async def _record(request: web.Request) -> web.Response:
    return await _landing(request, Kind.RID, request.match_info["rid"])


@routes.get("/ark:{name:/?.+}")
async def _ark(request: web.Request) -> web.Response:
    try:
        named = parse(f"ark:{request.match_info['name']}")
    except (InvalidInput, UsageError) as error:
        raise NotFound(error.what, hint=error.hint) from error
    if named.path:
        return await _file(request, named)
    return await _landing(request, named.kind, named.value)


async def _landing(request: web.Request, kind: Kind, value: str) -> web.Response:
    registrar = request.app[REGISTRAR]

    async def page(document: Mapping[str, Any], record: Described) -> web.Response:
        after = _number(request, "files_after") or 0
        entries = await registrar.db.read(files.page, document["rid"], after, FILES_PER_PAGE)
        return show(
            request,
            "record.html",
            record=record_view(registrar.public_url, document),
            files=files_page(document, entries, after),
            json_ld=embedded(record),
            citations=citations_of(record),
            exports=exports_of(record),
        )

    return await answer(request, registrar, kind, value, page=page)


async def _file(request: web.Request, named: Identifier) -> web.Response:
    """``ark:/…/path``: to the file on a web seed, or else to the dataset it is in."""
    registrar = request.app[REGISTRAR]
    document = await record_document(registrar, named.kind, named.value)
    entry = await registrar.db.read(files.find_path, document["content_id"], named.path)
    if entry is None:
        raise NotFound(
            f"the dataset {document['ark']} has no file {named.path[:200]}",
            hint="Compare the path with the list of files on the dataset's page.",
        )
    below = path_below(document["name"], entry.path, files=document["files"])
    seeds = document["web_seeds"]
    target = url_below(seeds[0], below) if seeds else document["landing_page"]
    return web.Response(status=302, headers={"Location": target, "Cache-Control": "no-store"})


@routes.get("/static/{name:[a-z.]+}")
async def _static(request: web.Request) -> web.StreamResponse:
    place = STATIC / request.match_info["name"]
    if place.suffix not in _STATIC_TYPES or not place.is_file():
        raise NotFound("there is no such file")
    # pages name a file with its digest: another file has another address
    keep = "public, max-age=31536000, immutable" if "v" in request.query else "no-cache"
    kept = {**HEADERS, "Cache-Control": keep, "Content-Type": _STATIC_TYPES[place.suffix]}
    return web.FileResponse(place, headers=kept)


@routes.get("/find")
async def _find(request: web.Request) -> web.Response:
    """To what a name means; a list when it means several things."""
    registrar = request.app[REGISTRAR]
    asked = request.query.get("id", "")
    try:
        matches = await matches_of(registrar, asked)
    except UsageError as error:
        raise NotFound(error.what, hint=error.hint) from error
    pages = [{**m, "landing_page": f"{registrar.public_url}/{m['ark']}"} for m in matches]
    if len(pages) == 1:
        return web.Response(status=303, headers={"Location": pages[0]["landing_page"]})
    return show(request, "matches.html", asked=asked, matches=pages[:_MATCHES_SHOWN])


@routes.get("/nodes")
async def _nodes(request: web.Request) -> web.Response:
    registrar = request.app[REGISTRAR]
    nodes = await node_documents(registrar)
    return show(
        request,
        "nodes.html",
        nodes=nodes,
        pledged=sum(n["pledge"] for n in nodes),
        used=sum(n["used"] for n in nodes),
    )


@routes.get("/taints")
async def _taints(request: web.Request) -> web.Response:
    registrar = request.app[REGISTRAR]
    return show(
        request,
        "taints.html",
        approvals=registrar.settings.approvals,
        taints=await all_taint_documents(registrar),
    )


def _figures(registrar: Registrar) -> Recent[None, Figures]:
    async def look_up(_: None) -> Figures | None:
        since = registrar.clock() - registrar.settings.offline_after_s
        return await registrar.db.read(figures.read, since)

    return Recent(look_up, time.monotonic, limit=1)


def setup(app: web.Application) -> None:
    """Add the pages to the application, and show its errors as pages to browsers."""
    app[_FIGURES] = _figures(app[REGISTRAR])
    app.middlewares.insert(0, pages_for_browsers)
    app.add_routes(routes)
