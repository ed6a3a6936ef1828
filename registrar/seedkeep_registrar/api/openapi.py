"""The OpenAPI document of everything below ``/api/v1``, ``/.well-known`` and ``/torrents``."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec
from aiohttp import web

from seedkeep_registrar.accounts.browser import cookie_name
from seedkeep_registrar.api.problem_shapes import SHAPES
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.interface.document import document_of
from seedkeep_registrar.interface.operation import operation

routes = web.RouteTableDef()


class Document:
    """The document of an application, made when it is first asked for: that takes a while."""

    def __init__(self, app: web.Application) -> None:
        self._app = app

    @cached_property
    def told(self) -> dict[str, Any]:
        """As a JSON object."""
        url = self._app[REGISTRAR].public_url
        return document_of(self._app, url, SHAPES, cookie_name(url))

    @cached_property
    def encoded(self) -> bytes:
        """As it is sent."""
        return msgspec.json.encode(self.told)


DOCUMENT: web.AppKey[Document] = web.AppKey("openapi", Document)


@routes.get("/api/v1/openapi.json")
@operation("Read this document", tag="Discovery", answers={200: dict[str, Any]})
async def openapi(request: web.Request) -> web.Response:
    """The OpenAPI 3.1 document."""
    return web.Response(
        body=request.app[DOCUMENT].encoded,
        content_type="application/json",
        headers={"Access-Control-Allow-Origin": "*"},
    )


def setup(app: web.Application) -> None:
    """Add the route, and what makes the document."""
    app.add_routes(routes)
    app[DOCUMENT] = Document(app)
