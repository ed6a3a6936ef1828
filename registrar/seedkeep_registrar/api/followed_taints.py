"""Which other registrars' taints count here, how far, and what they have ordered."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from aiohttp import web
from msgspec import Meta
from sqlalchemy import Connection

from seedkeep_registrar import documents
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.interface.fields import Count
from seedkeep_registrar.interface.operation import operation
from seedkeep_registrar.store import followed, obedience, peers
from seedkeep_registrar.store.taints import AGREED, BINDING, DRAFT

routes = web.RouteTableDef()
Mode = Literal["binding", "advisory", "draft"]


class Authority(TypedDict):
    """Another registrar whose taints are heard here. On its own records they bind, whatever the mode is."""

    origin: str
    url: str
    mode: Mode
    head: Annotated[str, Meta(description="The newest signed head of its list; empty before the first.")]
    binding: Annotated[int, Meta(ge=0, description="Taints of it that stand and bind on all records here.")]
    advice: Annotated[int, Meta(ge=0, description="Those that are shown, and bind on its own records only.")]
    drafts: Count


class Authorities(TypedDict):
    """All of them."""

    authorities: list[Authority]
    quorum: Annotated[
        int, Meta(ge=0, description="How many that are followed for advice bind together; 0: they never do.")
    ]


@routes.get("/api/v1/taints/authorities")
@operation("List whose taints count here", tag="Taints", answers={200: Authorities})
async def list_authorities(request: web.Request) -> web.Response:
    """The other registrars, and how each one is followed."""
    registrar = request.app[REGISTRAR]
    found = await registrar.db.read(_authorities)
    return web.json_response({"authorities": found, "quorum": registrar.settings.taint_quorum})


def _authorities(connection: Connection) -> list[dict[str, Any]]:
    counts = followed.counts(connection)
    shown = []
    for peer in peers.every(connection, *peers.MIRRORED):
        ways = counts.get(peer.origin, {})
        binding, drafts = ways.get(BINDING, 0) + ways.get(AGREED, 0), ways.get(DRAFT, 0)
        shown.append(
            {
                "origin": peer.origin,
                "url": peer.url,
                "mode": peer.taint_mode,
                "head": peers.taints_of(connection, peer.id)[0],
                "binding": binding,
                "advice": sum(ways.values()) - binding - drafts,
                "drafts": drafts,
            }
        )
    return shown


def newest(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """What others have ordered, newest first: as it is told, with its state and how it counts here."""
    found = followed.newest(connection, limit)
    obeyed = obedience.of_taints(connection, [taint.id for taint in found])
    return [
        {
            **shown,
            "row": taint.id,
            "state": taint.state,
            "way": taint.way,
            "obeyed": obeyed.get(taint.id, obedience.NONE),
        }
        for taint, shown in zip(found, documents.taint_documents(tuple(found)), strict=True)
    ]
