"""``/.well-known/seedkeep``: who this registrar is and how to talk to it; and whether it is alive."""

from __future__ import annotations

from aiohttp import web

from seedkeep import __version__
from seedkeep_registrar import times
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.store import events

routes = web.RouteTableDef()


@routes.get("/.well-known/seedkeep")
async def well_known(request: web.Request) -> web.Response:
    """See docs/protocol.md, Discovery."""
    registrar = request.app[REGISTRAR]
    settings = registrar.settings
    document = {
        "origin": registrar.origin,
        "public_url": registrar.public_url,
        "vkey": str(registrar.vkey),
        "naan": settings.naan,
        "version": __version__,
        "name": settings.name,
        "institution": settings.institution,
        "trackers": list(registrar.trackers),
        "heartbeat_s": settings.heartbeat_s,
        "registration": settings.registration,
        "peers": list(settings.peers),
        "max_object_bytes": settings.max_object_bytes,
        "approvals": settings.approvals,
        "now": times.text(registrar.clock()),
    }
    return web.json_response(document, headers={"Access-Control-Allow-Origin": "*"})


@routes.get("/healthz")
async def healthz(request: web.Request) -> web.Response:
    """200 when the database answers."""
    await request.app[REGISTRAR].db.read(events.log_state)
    return web.json_response({"status": "ok"})
