"""The OpenAPI document of everything below ``/api/v1``, ``/.well-known`` and ``/torrents``."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from seedkeep_registrar.accounts.browser import cookie_name
from seedkeep_registrar.api.problem_shapes import SHAPES
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.interface.document import document_of
from seedkeep_registrar.interface.operation import operation

routes = web.RouteTableDef()
DOCUMENT: web.AppKey[dict[str, Any]] = web.AppKey("openapi", dict)
_ENCODED: web.AppKey[bytes] = web.AppKey("openapi_json", bytes)


@routes.get("/api/v1/openapi.json")
@operation("Read this document", tag="Discovery", answers={200: dict[str, Any]})
async def openapi(request: web.Request) -> web.Response:
    """The OpenAPI 3.1 document."""
    return web.Response(
        body=request.app[_ENCODED],
        content_type="application/json",
        headers={"Access-Control-Allow-Origin": "*"},
    )


async def _make(app: web.Application) -> None:
    url = app[REGISTRAR].public_url
    app[DOCUMENT] = document_of(app, url, SHAPES, cookie_name(url))
    app[_ENCODED] = msgspec.json.encode(app[DOCUMENT])


def setup(app: web.Application) -> None:
    """Add the route; the document is made when the application starts, with all routes there."""
    app.add_routes(routes)
    app.on_startup.append(_make)
