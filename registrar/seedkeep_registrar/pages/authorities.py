"""Pages about other registrars' taints: how each is followed, and the drafts that they give curators."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.errors import InvalidInput, NotFound
from seedkeep_registrar import authorities, curation, documents
from seedkeep_registrar.accounts.principal import Role
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.operations.journaling import tell
from seedkeep_registrar.pages.forms import form_of, see, signed_in
from seedkeep_registrar.pages.render import show
from seedkeep_registrar.processes.signals import Kind, announce
from seedkeep_registrar.store import followed, peers
from seedkeep_registrar.store.taints import STANDING, Taint

routes = web.RouteTableDef()
_MOST_DRAFTS = 50
MODES = (
    (peers.ADVISORY, "For advice: what it orders is shown"),
    (peers.BINDING, "Binding: as if it were ordered here"),
    (peers.DRAFT, "For drafts: what it orders waits for a curator"),
)


@routes.get("/operate/peers")
async def _peers(request: web.Request) -> web.Response:
    await signed_in(request, Role.OPERATOR)
    registrar = request.app[REGISTRAR]
    return show(
        request,
        "peers.html",
        peers=await registrar.db.read(peers.every),
        counts=await registrar.db.read(followed.counts),
        quorum=registrar.settings.taint_quorum,
        modes=MODES,
    )


@routes.post("/operate/peers/{id:[0-9]{1,6}}/taints")
async def _follow(request: web.Request) -> web.Response:
    await signed_in(request, Role.OPERATOR)
    form, registrar = await form_of(request), request.app[REGISTRAR]
    mode = form.text("mode", 16)
    if mode not in peers.TAINT_MODES:
        raise InvalidInput("a registrar's taints are followed in one of three ways", hint="Choose one.")
    peer = await registrar.db.write(_set_mode, registrar, int(request.match_info["id"]), mode)
    tell(request, subject=peer.origin, detail=mode)
    return see(request, "/operate/peers")


def _set_mode(connection: Connection, registrar: Registrar, id_: int, mode: str) -> peers.Peer:
    peer = peers.by_id(connection, id_)
    if peer is None:
        raise NotFound("this registrar is not known here", hint="See the list of registrars.")
    authorities.follow(connection, registrar.settings, peer, mode, now=registrar.clock())
    announce(connection, Kind.PEER_TAINTS, str(id_))
    return peer


async def draft_documents(registrar: Registrar) -> list[dict[str, Any]]:
    """The drafts that wait, oldest first."""
    found = await registrar.db.read(followed.drafts, _MOST_DRAFTS)
    return [
        {**shown, "row": taint.id}
        for taint, shown in zip(found, documents.taint_documents(tuple(found)), strict=True)
    ]


@routes.post("/taints/drafts/{id:[0-9a-f]{64}}/order")
async def _order(request: web.Request) -> web.Response:
    """A curator makes another registrar's order their own."""
    principal, _ = await signed_in(request, Role.CURATOR)
    await form_of(request)
    registrar = request.app[REGISTRAR]
    draft = await registrar.db.read(_draft, request.match_info["id"])
    decision = await curation.taint(registrar, principal, draft.order.fields())
    return see(request, f"/taints#{decision.taint.id}")


def _draft(connection: Connection, id_: str) -> Taint:
    draft = followed.by_row(connection, id_)
    if draft is None or draft.state != STANDING:
        raise NotFound("this order does not stand any more", hint="Look at the list of taints again.")
    return draft
