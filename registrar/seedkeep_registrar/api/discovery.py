"""``/.well-known/seedkeep``: who this registrar is and how to talk to it; and whether it is alive."""

from __future__ import annotations

from typing import Annotated, TypedDict

from aiohttp import web
from msgspec import Meta

from seedkeep import __version__
from seedkeep_registrar import times
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.interface.fields import Bytes, Count, Moment
from seedkeep_registrar.interface.operation import operation

routes = web.RouteTableDef()


class WellKnown(TypedDict):
    """Who this registrar is, and how to talk to it."""

    origin: str
    public_url: str
    vkey: Annotated[str, Meta(description="Its name and public key, as a C2SP verifier key.")]
    naan: str
    version: str
    name: str
    institution: str
    trackers: list[str]
    heartbeat_s: Annotated[float, Meta(gt=0, description="Seconds.")]
    registration: str
    peers: list[str]
    max_object_bytes: Bytes
    approvals: Count
    now: Moment


@routes.get("/.well-known/seedkeep")
@operation("Who this registrar is", tag="Discovery", answers={200: WellKnown})
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


