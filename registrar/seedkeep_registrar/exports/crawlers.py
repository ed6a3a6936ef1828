"""What search engines and harvesters read first: ``robots.txt`` and the sitemap.

Source: RFC 9309, https://www.sitemaps.org/protocol.html. A sitemap page lists dataset pages; each of those
links to its descriptions in every format.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, SubElement

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.errors import NotFound
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.exports.xml_text import document
from seedkeep_registrar.recent import Recent
from seedkeep_registrar.store import sitemap

_NAMES = {"xmlns": "http://www.sitemaps.org/schemas/sitemap/0.9"}
_KEPT_S = 600.0
#: what is not worth a crawler's time, or is made anew for each question
_NOT_FOR_CRAWLERS = ("/announce", "/scrape", "/find", "/search?", "/ws/", "/account", "/sign-in", "/metrics")
_INDEX: web.AppKey[Recent[None, list[tuple[int, str]]]] = web.AppKey("sitemap", Recent)

routes = web.RouteTableDef()


def robots(public_url: str) -> str:
    """``robots.txt``: everything public may be read, descriptions included."""
    base = urlsplit(public_url).path.rstrip("/")
    closed = "".join(f"Disallow: {base}{path}\n" for path in _NOT_FOR_CRAWLERS)
    return (
        f"User-agent: *\nAllow: {base}/api/v1/records/\n{closed}Disallow: {base}/api/\n\n"
        f"Sitemap: {public_url}/sitemap.xml\n"
    )


def index(public_url: str, pages: Sequence[tuple[int, str]]) -> bytes:
    """The index of sitemap pages.

    Args:
        pages: number and last change of each.
    """
    root = Element("sitemapindex", _NAMES)
    for number, changed in pages:
        _entry(root, "sitemap", f"{public_url}/sitemap-{number}.xml", changed)
    return document(root)


def page(public_url: str, records: Sequence[tuple[str, str]]) -> bytes:
    """One page.

    Args:
        records: ARK (``NAAN/sk…``) and last change of each.
    """
    root = Element("urlset", _NAMES)
    for ark, changed in records:
        _entry(root, "url", f"{public_url}/ark:/{ark}", changed)
    return document(root)


def _entry(root: Element, name: str, url: str, changed: str) -> None:
    made = SubElement(root, name)
    SubElement(made, "loc").text = url
    SubElement(made, "lastmod").text = changed


@routes.get("/robots.txt")
async def _robots(request: web.Request) -> web.Response:
    return web.Response(
        text=robots(request.app[REGISTRAR].public_url), headers={"Cache-Control": "public, max-age=3600"}
    )


@routes.get("/sitemap.xml")
async def _sitemap(request: web.Request) -> web.Response:
    pages = await request.app[_INDEX].find(None) or []
    return _xml(index(request.app[REGISTRAR].public_url, pages))


@routes.get(r"/sitemap-{number:[0-9]{1,9}}.xml")
async def _sitemap_page(request: web.Request) -> web.Response:
    registrar = request.app[REGISTRAR]
    found = await registrar.db.read(_read_page, registrar.public_url, int(request.match_info["number"]))
    if found is None:
        raise NotFound("there is no such page of the sitemap", hint="See /sitemap.xml for those there are.")
    return _xml(found)


def _read_page(connection: Connection, public_url: str, number: int) -> bytes | None:
    """One page; made in the thread that reads, as 10,000 elements take their time."""
    records = sitemap.page(connection, number)
    return page(public_url, records) if records else None


def _xml(body: bytes) -> web.Response:
    headers = {"Content-Type": "application/xml; charset=utf-8", "Cache-Control": "public, max-age=600"}
    return web.Response(body=body, headers=headers)


def _index(registrar: Registrar) -> Recent[None, list[tuple[int, str]]]:
    async def look_up(_: None) -> list[tuple[int, str]]:
        return await registrar.db.read(sitemap.pages)

    return Recent(look_up, time.monotonic, known_s=_KEPT_S, limit=1)


def setup(app: web.Application) -> None:
    """Add the routes."""
    app[_INDEX] = _index(app[REGISTRAR])
    app.add_routes(routes)
