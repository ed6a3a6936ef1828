"""The page of one dataset: what it is, how to cite and get it, its files, and how well it is kept."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import segno
from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.errors import InvalidInput, NotFound, UsageError
from seedkeep.core.identifiers import Identifier, Kind, parse
from seedkeep.core.web_seed import path_below, url_below
from seedkeep_registrar import times
from seedkeep_registrar.api.resolve import matches_of
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.documents import record_document, untainted
from seedkeep_registrar.exports.answers import answer, citations_of, described, embedded, exports_of
from seedkeep_registrar.exports.described import Described
from seedkeep_registrar.exports.signposting import link_header
from seedkeep_registrar.pages.health import Health, health
from seedkeep_registrar.pages.render import HEADERS, show
from seedkeep_registrar.pages.views import FILES_PER_PAGE, FilesPage, files_page, number_of, record_view
from seedkeep_registrar.store import collections, copy_counts, files, folders, records, web_seed_reports
from seedkeep_registrar.store.collections import Named
from seedkeep_registrar.store.copy_counts import Counts
from seedkeep_registrar.store.folders import Listing
from seedkeep_registrar.store.records import Version
from seedkeep_registrar.store.web_seed_reports import Report
from seedkeep_registrar.suggestions import unknown_name

_SHOWN_S = 400 * 86400.0
_REPORTS_SHOWN = 20
_LONGEST_PATH = 4096

routes = web.RouteTableDef()


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the page shows beside the record document."""

    listing: Listing | None
    history: list[Counts]
    reports: list[Report]
    versions: list[Version]
    collections: list[Named]


@routes.get("/records/{rid:[0-9a-f]{64}}")
async def _record(request: web.Request) -> web.Response:
    return await _landing(request, Kind.RID, request.match_info["rid"])


@routes.get("/ark:{name:/?.+}")
async def _ark(request: web.Request) -> web.Response:
    text = f"ark:{request.match_info['name']}"
    try:
        named = parse(text)
    except (InvalidInput, UsageError) as error:
        raise await unknown_name(request.app[REGISTRAR], text, error.what, error.hint) from error
    if named.latest:
        return await _newest(request, named)
    if named.path:
        return await _file(request, named)
    return await _landing(request, named.kind, named.value)


async def _newest(request: web.Request, named: Identifier) -> web.Response:
    """``ark:/…@latest``: to the newest version, whichever that is now."""
    registrar = request.app[REGISTRAR]
    match = (await matches_of(registrar, str(named)))[0]
    path = f"/{quote(match['path'])}" if match["path"] else ""
    asked = request.rel_url.raw_query_string
    query = f"?{asked}" if asked else ""
    target = f"{registrar.public_url}/{match['ark']}{path}{query}"
    return web.Response(status=302, headers={"Location": target, "Cache-Control": "no-cache"})


@routes.get("/records/{rid:[0-9a-f]{64}}/files")
async def _part(request: web.Request) -> web.Response:
    """One page of a folder alone, for a tree that opens in place."""
    registrar = request.app[REGISTRAR]
    document = await record_document(registrar, Kind.RID, request.match_info["rid"])
    kept = await registrar.db.read(_listing, document["rid"], *_folder(request))
    return show(request, "files.html", record=document, files=_files(document, kept))


@routes.get("/records/{rid:[0-9a-f]{64}}/qr.svg")
async def _qr(request: web.Request) -> web.Response:
    """The address of the page as a QR code, for posters and labels."""
    registrar = request.app[REGISTRAR]
    record = await untainted(registrar, Kind.RID, request.match_info["rid"])
    drawn = io.BytesIO()
    code = segno.make(f"{registrar.public_url}/ark:/{record.ark}", error="m", micro=False)
    code.save(drawn, kind="svg", scale=4, border=4, light="#fff", dark="#000", xmldecl=False)
    headers = {**HEADERS, "Cache-Control": "public, max-age=86400"}
    return web.Response(body=drawn.getvalue(), content_type="image/svg+xml", headers=headers)


async def _landing(request: web.Request, kind: Kind, value: str) -> web.Response:
    return await answer(
        request, request.app[REGISTRAR], kind, value, page=lambda document, r: _page(request, document, r)
    )


async def _page(request: web.Request, document: Mapping[str, Any], record: Described) -> web.Response:
    registrar, rid = request.app[REGISTRAR], document["rid"]
    since = max(times.seconds(document["created"]), registrar.clock() - _SHOWN_S)
    kept = await registrar.db.read(_kept, rid, *_folder(request), since)
    return show(
        request,
        "record.html",
        record=record_view(registrar.public_url, document),
        files=_files(document, kept.listing),
        health=_health(registrar, document, kept, since),
        reports=[(r, times.text(r.at)) for r in kept.reports[:_REPORTS_SHOWN]],
        versions=kept.versions,
        collections=kept.collections,
        json_ld=embedded(record),
        citations=citations_of(record),
        exports=exports_of(record),
    )


async def tombstone(request: web.Request, document: Mapping[str, Any]) -> web.Response:
    """The page of a withdrawn record: everything but its data.

    Args:
        document: the members of :class:`~seedkeep_registrar.problems.WithdrawnRecord`.
    """
    registrar = request.app[REGISTRAR]
    record = await described(registrar, document)
    made = show(
        request,
        "record.html",
        status=410,
        record=record_view(registrar.public_url, document),
        versions=await registrar.db.read(_versions, document["rid"]),
        json_ld=embedded(record),
        citations=citations_of(record),
        exports=exports_of(record),
    )
    made.headers["Link"] = link_header(record)
    return made


def _health(registrar: Registrar, document: Mapping[str, Any], kept: _Kept, since: float) -> Health:
    copies = document["copies"]
    now = Counts(int(registrar.clock()), copies["wanted"], copies["complete"], copies["audited"])
    return health(kept.history, since, now)


def _folder(request: web.Request) -> tuple[str, int]:
    """Which folder is asked for, and from which file on."""
    path = request.query.get("folder", "")
    if len(path) > _LONGEST_PATH:
        raise InvalidInput("folder is longer than a path can be")
    return path, number_of(request, "after") or 0


def _files(document: Mapping[str, Any], listing: Listing | None) -> FilesPage:
    if listing is None:
        raise NotFound(
            f"the dataset {document['ark']} has no such folder",
            hint="Follow the links of its page, where all folders are.",
        )
    return files_page(document, listing)


def _listing(connection: Connection, rid: str, path: str, after: int) -> Listing | None:
    record = records.by_rid(connection, rid)
    return folders.listing(connection, record.manifest_id, path, after, FILES_PER_PAGE) if record else None


def _kept(connection: Connection, rid: str, path: str, after: int, since: float) -> _Kept:
    record = records.by_rid(connection, rid)
    assert record is not None  # its document has just been read, and records stay
    return _Kept(
        folders.listing(connection, record.manifest_id, path, after, FILES_PER_PAGE),
        copy_counts.history(connection, record.content_id, since),
        web_seed_reports.of_dataset(connection, record.content_id),
        records.versions(connection, record.series),
        collections.that_have(connection, record),
    )


def _versions(connection: Connection, rid: str) -> list[Version]:
    record = records.by_rid(connection, rid)
    return records.versions(connection, record.series) if record else []


async def _file(request: web.Request, named: Identifier) -> web.Response:
    """``ark:/…/path``: to the file on a web seed, or else to the dataset it is in; or to the folder."""
    registrar = request.app[REGISTRAR]
    document = await record_document(registrar, named.kind, named.value)
    entry = await registrar.db.read(files.find_path, document["content_id"], named.path)
    if entry is None:
        folder = named.path.rstrip("/")
        if await registrar.db.read(_listing, document["rid"], folder, 0):
            inside = f"{document['landing_page']}?folder={quote(folder, safe='/')}"
            return web.Response(status=302, headers={"Location": inside, "Cache-Control": "no-store"})
        raise NotFound(
            f"the dataset {document['ark']} has no file or folder {named.path[:200]}",
            hint="Compare the path with the list of files on the dataset's page.",
        )
    if document["withheld"]:
        await matches_of(registrar, str(named))  # which raises when it is this file
    below = path_below(document["name"], entry.path, files=document["files"])
    seeds = document["web_seeds"]
    target = url_below(seeds[0], below) if seeds else document["landing_page"]
    return web.Response(status=302, headers={"Location": target, "Cache-Control": "no-store"})
