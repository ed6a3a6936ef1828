"""The routes of the pages, and what they read."""

from __future__ import annotations

import time
from urllib.parse import urlencode

from aiohttp import web

from seedkeep.core.errors import NotFound, UsageError
from seedkeep.core.identifiers import parse
from seedkeep_registrar.api.nodes import node_documents
from seedkeep_registrar.api.resolve import CLAIMED, matches_of
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.documents import short_document
from seedkeep_registrar.pages import dataset, federation, taints
from seedkeep_registrar.pages.errors import pages_for_browsers
from seedkeep_registrar.pages.forms import see
from seedkeep_registrar.pages.render import HEADERS, STATIC, show
from seedkeep_registrar.pages.views import number_of
from seedkeep_registrar.recent import Recent
from seedkeep_registrar.store import figures, records
from seedkeep_registrar.store.figures import Figures

_RECORDS_PER_PAGE = 20
_NODES_PER_PAGE = 50
_MATCHES_SHOWN = 100
#: how old the home page's figures may be, in seconds
_FIGURES_S = 60.0
_STATIC_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FIGURES: web.AppKey[Recent[None, Figures]] = web.AppKey("figures", Recent)

routes = web.RouteTableDef()


@routes.get("/")
async def _home(request: web.Request) -> web.Response:
    registrar = request.app[REGISTRAR]
    before = number_of(request, "cursor")
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
    except UsageError:  # it is no name: words to search for
        return see(request, f"/search?{urlencode({'q': asked})}")
    pages = [{**m, "landing_page": f"{registrar.public_url}/{m['ark']}"} for m in matches]
    if len(pages) == 1:
        return web.Response(status=303, headers={"Location": pages[0]["landing_page"]})
    claimed = parse(asked).kind in CLAIMED
    return show(request, "matches.html", asked=asked, claimed=claimed, matches=pages[:_MATCHES_SHOWN])


@routes.get("/nodes")
async def _nodes(request: web.Request) -> web.Response:
    registrar = request.app[REGISTRAR]
    nodes = await node_documents(registrar)
    after = number_of(request, "after") or 0
    return show(
        request,
        "nodes.html",
        nodes=nodes[after : after + _NODES_PER_PAGE],
        total=len(nodes),
        active=sum(n["state"] == "active" for n in nodes),
        after=after,
        next=after + _NODES_PER_PAGE if after + _NODES_PER_PAGE < len(nodes) else None,
        pledged=sum(n["pledge"] for n in nodes),
        used=sum(n["used"] for n in nodes),
    )


def _figures(registrar: Registrar) -> Recent[None, Figures]:
    async def look_up(_: None) -> Figures | None:
        since = registrar.clock() - registrar.settings.offline_after_s
        return await registrar.db.read(figures.read, since)

    return Recent(look_up, time.monotonic, known_s=_FIGURES_S, limit=1)


def setup(app: web.Application) -> None:
    """Add the pages to the application, and show its errors as pages to browsers."""
    app[_FIGURES] = _figures(app[REGISTRAR])
    app.middlewares.insert(0, pages_for_browsers)
    app.add_routes(routes)
    app.add_routes(dataset.routes)
    app.add_routes(taints.routes)
    app.add_routes(federation.routes)
