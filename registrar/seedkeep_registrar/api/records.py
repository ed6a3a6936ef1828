"""Records: registered by signed events, read by rid, listed, with their manifest."""

from __future__ import annotations

from typing import Annotated, TypedDict

from aiohttp import web
from msgspec import Meta

from seedkeep.core.identifiers import Kind
from seedkeep_registrar import documents, revising, submissions
from seedkeep_registrar.accounts.principal import Role, json_of, require
from seedkeep_registrar.api.fields import path_hex64
from seedkeep_registrar.api.shapes import Record, ShortRecord, SignedEvent, TakenRecord
from seedkeep_registrar.api.submission_shapes import ShortSubmission
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.exports.answers import EVERY, MEDIA_TYPES, answer
from seedkeep_registrar.exports.citations import STYLES
from seedkeep_registrar.interface.fields import Next, Position
from seedkeep_registrar.interface.operation import SIGNED, Content, Link, Query, operation, query_of
from seedkeep_registrar.interface.paging import PageQuery, cursor_of, next_page, page, values_of
from seedkeep_registrar.store import records
from seedkeep_registrar.store.submissions import Submission

routes = web.RouteTableDef()
_OF_RECORD = {"rid": "$response.body#/rid"}
_FROM_RECORD = {
    "record": Link("get_record", _OF_RECORD),
    "manifest": Link("get_manifest", _OF_RECORD),
    "web_seed_reports": Link("list_web_seed_reports", _OF_RECORD),
    "torrent": Link("torrent_v2", {"content_id": "$response.body#/content_id"}),
    "torrent_v1": Link("torrent_v1", {"content_id": "$response.body#/content_id"}),
}


class FormQuery(Query):
    """In which form a record is wanted."""

    format: Annotated[
        str, Meta(max_length=40, description=f"json, {', '.join(EVERY)}; else Accept decides.")
    ] = ""
    style: Annotated[str, Meta(max_length=40, description=f"Of a citation: {', '.join(STYLES)}.")] = ""


class RecordPage(TypedDict):
    """Some records, and how to go on."""

    records: list[ShortRecord]
    next: Next


@routes.post("/api/v1/events")
@operation(
    "Record a dataset, revise a record or withdraw one",
    tag="Records",
    answers={200: TakenRecord, 201: TakenRecord, 202: ShortSubmission},
    problems=(404, 409, 410, 451),
    body=SignedEvent,
    security=SIGNED,
    links=_FROM_RECORD,
    repeatable=True,
)
async def post_event(request: web.Request) -> web.Response:
    """Take a record, revision, withdrawal or rehome: 201 with the record document, 200 when the event is
    there already. When the record is withdrawn, the document says nothing of torrents and copies. 409 tells
    the record's present head.

    202 with a submission where a curator has to agree; the same event again tells how it stands.
    """
    registrar = request.app[REGISTRAR]
    principal = await require(request, Role.VISITOR, "register")
    message = await json_of(request)
    if revising.is_meant(message):
        found, new = await revising.accept(registrar, principal, message)
        found = await documents.proven_now(registrar, found)
        return web.json_response(documents.statement(registrar, found), status=201 if new else 200)
    taken = await submissions.register(registrar, principal, message)
    if isinstance(taken, Submission):
        return web.json_response(submissions.short_document(registrar, taken), status=202)
    found, new = taken
    found = await documents.proven_now(registrar, found)
    return web.json_response(documents.render(registrar, found), status=201 if new else 200)


@routes.get("/api/v1/records")
@operation(
    "List the records",
    tag="Records",
    answers={200: RecordPage},
    query=PageQuery,
    links={
        **next_page("list_records"),
        "first": Link("get_record", {"rid": "$response.body#/records/0/rid"}),
    },
)
async def list_records(request: web.Request) -> web.Response:
    """Short documents, newest first, a page at a time."""
    registrar = request.app[REGISTRAR]
    asked = query_of(request, PageQuery)
    (before,) = values_of(asked.cursor, tuple[Position]) if asked.cursor else (None,)
    found = await registrar.db.read(records.newest, before=before, limit=asked.limit + 1)
    shown = found[: asked.limit]
    following = cursor_of(shown[-1].position) if len(found) > len(shown) else None
    short = [documents.short_document(registrar, record) for record in shown]
    return page(request, {"records": short, "next": following})


@routes.get("/api/v1/records/{rid}")
@operation(
    "Read a record",
    tag="Records",
    answers={200: Record},
    problems=(404, 406, 410, 451),
    query=FormQuery,
    links=_FROM_RECORD,
    also=tuple(Content(media_type) for media_type in MEDIA_TYPES),
)
async def get_record(request: web.Request) -> web.Response:
    """The record document, or another form of what is said of the record, by Accept or by `format`.

    451 when a taint stands on it; 410 when it is withdrawn, with all that is still said of it in every form.
    """
    return await answer(request, request.app[REGISTRAR], Kind.RID, path_hex64(request, "rid"))


@routes.get("/api/v1/records/{rid}/manifest")
@operation(
    "Read a record's manifest",
    tag="Records",
    answers={200: Content("application/jsonl"), 206: Content("application/jsonl")},
    problems=(404, 410, 416, 451),
)
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
