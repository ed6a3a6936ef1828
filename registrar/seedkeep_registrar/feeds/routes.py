"""The feeds: newest datasets, a search, a collection; each as RSS and Atom, a page at a time.

``?client=v1`` gives the torrents that clients without BitTorrent v2 can use.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import urlencode

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.errors import InvalidInput
from seedkeep.core.units import print_size
from seedkeep_registrar import collecting, times
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.feeds.documents import ATOM, RSS, Feed, Item, atom, rss
from seedkeep_registrar.interface.paging import number_in
from seedkeep_registrar.search.find import FILTERS, NEWEST, Asked, Result, find, results_of
from seedkeep_registrar.search.words import LONGEST_QUERY
from seedkeep_registrar.store.collections import Collection, Entry

routes = web.RouteTableDef()
PER_PAGE = 50
_MAX_AGE_S = 60
_FORMS = {"rss": (RSS, rss), "atom": (ATOM, atom)}
_LONGEST_FILTER, _MOST_FILTERS = 500, 20


@dataclass(frozen=True, slots=True)
class _Listed:
    """What a feed is of; ``query``: the parameters that say what, ``next``: cursor of the next page or ""."""

    title: str
    subtitle: str
    page: str
    query: Sequence[tuple[str, str]]
    changed: float
    entries: Sequence[tuple[Result, float]]
    next: str


@routes.get("/feeds/newest.{form:rss|atom}")
async def newest_feed(request: web.Request) -> web.Response:
    """The newest datasets."""
    asked = Asked(sort=NEWEST, cursor=request.query.get("cursor", ""), limit=PER_PAGE)
    return await _searched(request, asked, "Newest datasets", "", ())


@routes.get("/feeds/search.{form:rss|atom}")
async def search_feed(request: web.Request) -> web.Response:
    """What a search finds, newest first; the parameters are those of the search page."""
    text = request.query.get("q", "")[:LONGEST_QUERY]
    filters = {name: request.query.getall(name, [])[:_MOST_FILTERS] for name in FILTERS}
    pairs = [("q", text)] if text else []
    pairs += [(name, value[:_LONGEST_FILTER]) for name, values in filters.items() for value in values]
    asked = Asked(
        text=text,
        filters={name: tuple(v[:_LONGEST_FILTER] for v in values) for name, values in filters.items()},
        sort=NEWEST,
        cursor=request.query.get("cursor", ""),
        limit=PER_PAGE,
    )
    said = ", ".join(value for _, value in pairs) or "everything"
    return await _searched(request, asked, f"Datasets found by: {said[:200]}", "/search", pairs)


async def _searched(
    request: web.Request, asked: Asked, title: str, page: str, query: Sequence[tuple[str, str]]
) -> web.Response:
    found = await request.app[REGISTRAR].db.read(find, asked)
    entries = [(one, times.seconds(one.record.created)) for one in found.results]
    address = f"{page}?{urlencode(query)}" if query else page
    return _answer(request, _Listed(title, "", address, query, 0.0, entries, found.next))


@routes.get("/feeds/collections/{slug}.{form:rss|atom}")
async def collection_feed(request: web.Request) -> web.Response:
    """What is on a collection, the last added first."""
    after = number_in(request.query.get("cursor", ""))
    slug = request.match_info["slug"]
    collection, found, results = await request.app[REGISTRAR].db.read(_collection, slug, after)
    shown = found[:PER_PAGE]
    return _answer(
        request,
        _Listed(
            collection.title,
            collection.description,
            f"/collections/{slug}",
            (),
            collection.changed,
            [(result, entry.added) for result, entry in zip(results, shown, strict=True)],
            str(shown[-1].number) if len(found) > len(shown) else "",
        ),
    )


def _collection(
    connection: Connection, slug: str, after: int | None
) -> tuple[Collection, list[Entry], tuple[Result, ...]]:
    collection = collecting.named(connection, slug)
    found = collecting.entries(connection, collection, after=after, limit=PER_PAGE + 1, newest_first=True)
    return collection, found, results_of(connection, [entry.record.position for entry in found[:PER_PAGE]])


def _answer(request: web.Request, listed: _Listed) -> web.Response:
    registrar = request.app[REGISTRAR]
    client = request.query.get("client", "v2")
    if client not in ("v1", "v2"):
        raise InvalidInput(f"client {client[:20]!r} is neither v1 nor v2")
    items = [_item(registrar, result, added, client) for result, added in listed.entries]
    base = registrar.public_url
    path = base + request.path
    query = [*listed.query, *([("client", client)] if client == "v1" else [])]

    def address(*more: tuple[str, str]) -> str:
        return f"{path}?{urlencode([*query, *more])}" if query or more else path

    cursor = request.query.get("cursor", "")
    feed = Feed(
        title=listed.title,
        subtitle=listed.subtitle,
        page=base + listed.page,
        here=address(("cursor", cursor)) if cursor else address(),
        first=address(),
        next=address(("cursor", listed.next)) if listed.next else "",
        updated=max([listed.changed, *(item.updated for item in items)]),
        author=registrar.settings.name or registrar.origin,
        items=items,
    )
    media_type, write = _FORMS[request.match_info["form"]]
    return _conditional(request, write(feed), media_type, feed.updated)


def _conditional(request: web.Request, body: bytes, media_type: str, updated: float) -> web.Response:
    """200, or 304 where the client has it (RFC 9110, section 13.2.2)."""
    tag = hashlib.sha256(body).hexdigest()[:32]
    headers = {
        "ETag": f'"{tag}"',
        "Last-Modified": format_datetime(datetime.fromtimestamp(int(updated), UTC), usegmt=True),
        "Cache-Control": f"public, max-age={_MAX_AGE_S}",
        "X-Content-Type-Options": "nosniff",
        "Access-Control-Allow-Origin": "*",
    }
    tags, since = request.if_none_match, request.if_modified_since
    if tags is not None:
        same = any(one.value in (tag, "*") for one in tags)
    else:
        same = since is not None and int(updated) <= int(since.timestamp())
    if same:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers={**headers, "Content-Type": f"{media_type}; charset=utf-8"})


def _item(registrar: Registrar, result: Result, added: float, client: str) -> Item:
    record, base = result.record, registrar.public_url
    size = print_size(record.bytes)
    files = "1 file" if record.files == 1 else f"{record.files} files"
    return Item(
        page=f"{base}/ark:/{record.ark}",
        title=record.title or record.name,
        summary=f"{record.name}: {files}, {size}, {record.license}. ark:/{record.ark}",
        torrent=f"{base}/torrents/{record.content_id}.{'v1.torrent' if client == 'v1' else 'torrent'}",
        creators=result.creators[:20],
        subjects=result.subjects[:20],
        license=record.license,
        published=added,
        updated=max(added, times.seconds(record.updated)),
    )
