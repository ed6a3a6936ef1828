"""The page of the other registrars: who mirrors whom, and what shows that one of them has lied."""

from __future__ import annotations

from aiohttp import web

from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.federation.reading import fingerprint, overview
from seedkeep_registrar.federation.routes import peer_list
from seedkeep_registrar.pages.render import show
from seedkeep_registrar.store import peers

routes = web.RouteTableDef()
_STATES = {
    peers.ASKED: ("waits for them", "other"),
    peers.ACTIVE: ("followed", "good"),
    peers.PAUSED: ("paused", "other"),
    peers.REMOVED: ("ended", "other"),
    peers.DISTRUSTED: ("caught lying", "bad"),
}


@routes.get("/federation")
async def _federation(request: web.Request) -> web.Response:
    registrar = request.app[REGISTRAR]
    listed = peer_list(registrar.public_url, await registrar.db.read(overview))
    return show(
        request,
        "federation.html",
        peers=listed["peers"],
        own=listed["evidence"],
        against=[(peer["origin"], peer["vkey"], e) for peer in listed["peers"] for e in peer["evidence"]],
        followed=sum(peer["state"] == peers.ACTIVE for peer in listed["peers"]),
        kept=sum(peer["size"] for peer in listed["peers"]),
        states=_STATES,
        own_fingerprint=fingerprint(registrar.key.public),
    )
