"""Errors as pages, for those who come with a browser; everybody else gets the problem document."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from sqlalchemy import Connection

from seedkeep.core.metadata import parse_metadata
from seedkeep_registrar import documents
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.negotiation import names_html
from seedkeep_registrar.pages.dataset import tombstone
from seedkeep_registrar.pages.render import show
from seedkeep_registrar.pages.text import plural
from seedkeep_registrar.pages.views import site_of
from seedkeep_registrar.store import records
from seedkeep_registrar.suggestions import meant

_PROBLEM = "application/problem+json"
_MACHINES = ("/api/", "/.well-known/", "/announce", "/scrape")
_TITLES = {
    400: "This cannot be read",
    401: "Please sign in",
    403: "This is not for you",
    404: "Not found",
    405: "Not possible here",
    406: "Not in this form",
    409: "Somebody was quicker",
    410: "Gone",
    413: "Too large",
    429: "Too many requests",
    503: "Not available at the moment",
}
_ASKED_MAX = 500


@web.middleware
async def pages_for_browsers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns problem documents into pages where a browser asks for a page."""
    answer = await handler(request)
    if (
        not isinstance(answer, web.Response)
        or answer.content_type != _PROBLEM
        or request.path.startswith(_MACHINES)
        or not names_html(request.headers.get("Accept", ""))
    ):
        return answer
    problem = json.loads(answer.body) if isinstance(answer.body, bytes) else {}
    shown = await _page(request, answer.status, problem, answer.headers.get("Retry-After", ""))
    for name in ("Allow", "Retry-After"):
        if name in answer.headers:
            shown.headers[name] = answer.headers[name]
    return shown


async def _page(request: web.Request, status: int, problem: dict[str, Any], again: str) -> web.Response:
    if status == 451:
        rid = problem.get("rid", "")
        return show(
            request,
            "tainted.html",
            status=451,
            taints=problem.get("taints", []),
            ark=problem.get("ark", ""),
            content_id=problem.get("content_id", ""),
            rid=rid,
            path=problem.get("path", ""),
            said=await request.app[REGISTRAR].db.read(_said, rid) if rid else None,
        )
    if status == 410 and "rid" in problem:
        return await tombstone(request, problem)
    asked, base = _asked(request), site_of(request.app[REGISTRAR]).base
    fallback = "Something went wrong here" if status >= 500 else "This did not work"
    return show(
        request,
        "error.html",
        status=status,
        title=_TITLES.get(status, fallback),
        detail=problem.get("detail", ""),
        hint=problem.get("hint", ""),
        suggestions=[
            {"url": f"{base}/{ark}", "name": ark} for ark in await meant(request.app[REGISTRAR], asked)
        ],
        asked=asked,
        again=_when(again),
    )


def _when(seconds: str) -> str:
    """``in 40 seconds`` from a ``Retry-After`` of 40; "" from nothing."""
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) < 10):
        return ""
    count = int(seconds)
    if count < 120:
        return f"in {plural(count, 'second')}"
    minutes = -(-count // 60)
    return f"in {plural(minutes, 'minute')}" if minutes < 120 else f"in {plural(-(-minutes // 60), 'hour')}"


def _said(connection: Connection, rid: str) -> dict[str, Any] | None:
    """What is still said of a record whose data is withheld: what it was called, whose it is, when."""
    record = records.by_rid(connection, rid)
    if record is None:
        return None
    metadata = parse_metadata(documents.read(connection, record).metadata)
    return {
        "title": record.title or record.name,
        "creators": [creator.name for creator in metadata.creators],
        "publisher": metadata.publisher,
        "created": record.created,
        "files": record.files,
        "bytes": record.bytes,
        "license": record.license,
    }


def _asked(request: web.Request) -> str:
    if request.path.startswith("/ark:"):
        return request.path[1:][:_ASKED_MAX]
    return request.query.get("id", "")[:_ASKED_MAX] if request.path == "/find" else ""
