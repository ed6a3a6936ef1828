"""Records: registered by signed events, read by rid, listed, with their manifest."""

from __future__ import annotations

from aiohttp import web

from seedkeep.core.errors import InvalidInput
from seedkeep.core.events import MAX_BODY_BYTES
from seedkeep.core.identifiers import Kind
from seedkeep_registrar import auth, documents
from seedkeep_registrar.api.fields import path_hex64, query_number
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.registration import register
from seedkeep_registrar.store import records

routes = web.RouteTableDef()
_PAGE = 100
_LONGEST_PAGE = 1000


@routes.post("/api/v1/events")
async def post_event(request: web.Request) -> web.Response:
    """Record a dataset: 201 with the record document, 200 when the event is there already."""
    registrar = request.app[REGISTRAR]
    # JSON with escapes may be longer than its canonical form, which has the limit
    signed, message = await auth.signed_json(request, limit=2 * MAX_BODY_BYTES)
    found, new = await register(registrar, signed, message)
    return web.json_response(documents.render(registrar, found), status=201 if new else 200)


@routes.get("/api/v1/records")
async def list_records(request: web.Request) -> web.Response:
    """Short documents, newest first, a page at a time."""
    registrar = request.app[REGISTRAR]
    limit = int(query_number(request, "limit", _PAGE, _LONGEST_PAGE)) or _PAGE
    cursor = request.query.get("cursor")
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 16):
        raise InvalidInput("this cursor is not one that a page gave")
    before = int(cursor) if cursor else None
    found = await registrar.db.read(records.newest, before=before, limit=limit + 1)
    following = str(found[limit - 1].position) if len(found) > limit else None
    shown = [documents.short_document(registrar, record) for record in found[:limit]]
    return web.json_response({"records": shown, "next": following})


@routes.get("/api/v1/records/{rid}")
async def get_record(request: web.Request) -> web.Response:
    """The record document; 451 when a taint stands."""
    registrar, rid = request.app[REGISTRAR], path_hex64(request, "rid")
    return web.json_response(await documents.record_document(registrar, Kind.RID, rid))


@routes.get("/api/v1/records/{rid}/manifest")
async def get_manifest(request: web.Request) -> web.StreamResponse:
    """The manifest as JSON Lines."""
    registrar, rid = request.app[REGISTRAR], path_hex64(request, "rid")
    record = await documents.untainted(registrar, Kind.RID, rid)
    return web.FileResponse(
        registrar.objects.path(record.manifest),
        headers={
            "Content-Type": "application/jsonl",
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
        },
    )
