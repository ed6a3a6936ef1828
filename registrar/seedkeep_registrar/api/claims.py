"""Claims: a node takes a dataset on, or gives it back."""

from __future__ import annotations

from aiohttp import web

from seedkeep.core.errors import NotFound
from seedkeep_registrar import auth, times
from seedkeep_registrar.api.fields import Fields, path_hex64
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.replication import leases

routes = web.RouteTableDef()


@routes.post("/api/v1/claims")
async def claim(request: web.Request) -> web.Response:
    """201 with the lease; 409 when enough nodes have the dataset; 451 when it is tainted."""
    registrar = request.app[REGISTRAR]
    signed, message = await auth.signed_json(request)
    content_id = Fields(message, "this claim").only("content_id").hex64("content_id")
    made, rid = await registrar.db.write(
        leases.claim, registrar.settings, str(signed.key), content_id, registrar.clock()
    )
    answer = {"content_id": content_id, "rid": rid, "expires": times.text(made.expires)}
    return web.json_response(answer, status=201)


@routes.post("/api/v1/claims/{content_id}/release")
async def release(request: web.Request) -> web.Response:
    """The node does not hold the dataset any more, or will not."""
    registrar, content_id = request.app[REGISTRAR], path_hex64(request, "content_id")
    signed, message = await auth.signed_json(request)
    Fields(message, "this release").only("reason").text("reason", limit=1000, default="")
    if not await registrar.db.write(leases.release, content_id, str(signed.key)):
        raise NotFound(f"this storage manager has no claim on dataset {content_id[:12]}…")
    registrar.wakeups.wake_all()
    return web.json_response({"content_id": content_id})
