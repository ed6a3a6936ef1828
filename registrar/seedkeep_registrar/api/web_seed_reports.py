"""Reports of web seeds that serve something else than the record says."""

from __future__ import annotations

from typing import Annotated, TypedDict

from aiohttp import web
from msgspec import Meta
from sqlalchemy import Connection

from seedkeep.core.errors import NotFound
from seedkeep_registrar import auth, documents, times
from seedkeep_registrar.api.fields import Fields, path_hex64
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.interface.fields import Hex64, Key, Moment
from seedkeep_registrar.interface.operation import SIGNED, Body, operation
from seedkeep_registrar.store import records, web_seed_reports

routes = web.RouteTableDef()


class ReportBody(Body):
    """A web seed that serves something else than the record says."""

    content_id: Hex64
    web_seed: Annotated[str, Meta(max_length=2000)]
    reason: Annotated[str, Meta(max_length=1000)] = ""


class Empty(TypedDict):
    """Nothing to say."""


class Report(TypedDict):
    """Somebody's last report on one web seed."""

    web_seed: str
    reporter: Key
    reason: str
    at: Moment


class Reports(TypedDict):
    """Reports, newest first."""

    reports: list[Report]


@routes.post("/api/v1/web-seed-reports")
@operation(
    "Report a web seed",
    tag="Storage",
    answers={202: Empty},
    problems=(404,),
    body=ReportBody,
    security=SIGNED,
)
async def report_web_seed(request: web.Request) -> web.Response:
    """Keep the sender's last report on one web seed of one dataset."""
    registrar = request.app[REGISTRAR]
    signed, message = await auth.signed_json(request)
    f = Fields(message, "this report").only("content_id", "web_seed", "reason")
    content_id, web_seed = f.hex64("content_id"), f.text("web_seed", limit=2000)
    reason = f.text("reason", limit=1000, default="")
    await registrar.db.write(_keep, registrar, content_id, web_seed, str(signed.key), reason)
    return web.json_response({}, status=202)


@routes.get("/api/v1/records/{rid}/web-seed-reports")
@operation("List the reports on web seeds", tag="Records", answers={200: Reports}, problems=(404,))
async def list_web_seed_reports(request: web.Request) -> web.Response:
    """What was reported of the web seeds of a record's data, newest first."""
    registrar, rid = request.app[REGISTRAR], path_hex64(request, "rid")
    found = await registrar.db.read(_of_record, rid)
    shown = [
        {"web_seed": r.web_seed, "reporter": r.reporter, "reason": r.reason, "at": times.text(r.at)}
        for r in found
    ]
    return web.json_response({"reports": shown})


def _of_record(connection: Connection, rid: str) -> list[web_seed_reports.Report]:
    record = records.by_rid(connection, rid)
    if record is None:
        raise NotFound(f"this registrar has no record {rid[:12]}…")
    return web_seed_reports.of_dataset(connection, record.content_id)


def _keep(
    connection: Connection,
    registrar: Registrar,
    content_id: str,
    web_seed: str,
    reporter: str,
    reason: str,
) -> None:
    every = records.by_content_id(connection, content_id)
    if not every:
        raise NotFound(f"this registrar has no dataset {content_id[:12]}…")
    recorded = tuple(seed for record in every for seed in record.web_seeds)
    if web_seed not in (*recorded, *documents.web_seeds_of(connection, registrar, content_id)):
        raise NotFound(f"this is not a web seed of dataset {content_id[:12]}…")
    web_seed_reports.put(connection, content_id, web_seed, reporter, reason, registrar.clock())
