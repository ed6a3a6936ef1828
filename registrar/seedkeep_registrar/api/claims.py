"""Claims: a node takes a dataset on, or gives it back."""

from __future__ import annotations

from typing import Annotated, TypedDict

from aiohttp import web
from msgspec import Meta

from seedkeep.core.errors import NotFound
from seedkeep_registrar import auth, times
from seedkeep_registrar.api.fields import Fields, path_hex64
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.interface.fields import Hex64, Moment
from seedkeep_registrar.interface.operation import SIGNED, Body, operation
from seedkeep_registrar.replication import leases

routes = web.RouteTableDef()


class ClaimBody(Body):
    """The dataset to take on."""

    content_id: Hex64


class Claim(TypedDict):
    """The claim, and when it ends unless a heartbeat names it."""

    content_id: Hex64
    rid: Hex64
    expires: Moment


class ReleaseBody(Body):
    """Why the claim is given back."""

    reason: Annotated[str, Meta(max_length=1000)] = ""


class Released(TypedDict):
    """The dataset that was given back."""

    content_id: Hex64


@routes.post("/api/v1/claims")
@operation(
    "Take a dataset on",
    tag="Storage",
    answers={201: Claim},
    problems=(404, 409, 451),
    body=ClaimBody,
    security=SIGNED,
)
async def claim_dataset(request: web.Request) -> web.Response:
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
@operation(
    "Give a claim back",
    tag="Storage",
    answers={200: Released},
    problems=(404,),
    body=ReleaseBody,
    security=SIGNED,
)
async def release_claim(request: web.Request) -> web.Response:
    """The node does not hold the dataset any more, or will not."""
    registrar, content_id = request.app[REGISTRAR], path_hex64(request, "content_id")
    signed, message = await auth.signed_json(request)
    Fields(message, "this release").only("reason").text("reason", limit=1000, default="")
    if not await registrar.db.write(leases.release, content_id, str(signed.key)):
        raise NotFound(f"this storage manager has no claim on dataset {content_id[:12]}…")
    registrar.wakeups.wake_all()
    return web.json_response({"content_id": content_id})
