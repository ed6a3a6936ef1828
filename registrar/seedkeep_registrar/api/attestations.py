"""Attestations: a node has read all bytes of a dataset and found them right."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from aiohttp import web
from msgspec import Meta
from sqlalchemy import Connection

from seedkeep.core.errors import Conflict, Refused
from seedkeep.core.statements import Attestation
from seedkeep_registrar import auth
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.interface.fields import Hex64, Key, Moment
from seedkeep_registrar.interface.operation import SIGNED, Body, operation
from seedkeep_registrar.replication import leases
from seedkeep_registrar.store import attestations, claims, records, taint_marks
from seedkeep_registrar.store.claims import COMPLETE, FAILED

routes = web.RouteTableDef()
Signature = Annotated[str, Meta(description="Base64 of the Ed25519 signature by the node's key.")]


class AttestationBody(Body):
    """A node says that it has read all bytes, but for withheld files, and found them right; signed, see
    docs/protocol.md."""

    v: Literal[1]
    type: Literal["attestation"]
    content_id: Hex64
    manifest: Hex64
    infohash_v1: Annotated[
        str, Meta(pattern="^([0-9a-f]{40})?$", description="Empty when taints withhold some of the files.")
    ]
    node: Key
    at: Moment
    sig: Signature


class Attested(TypedDict):
    """The dataset that was attested."""

    content_id: Hex64


@routes.post("/api/v1/attestations")
@operation(
    "Attest a copy",
    tag="Storage",
    answers={201: Attested},
    problems=(409, 451),
    body=AttestationBody,
    security=SIGNED,
)
async def attest(request: web.Request) -> web.Response:
    """201: the copy counts as complete, and its first audit follows at once."""
    registrar = request.app[REGISTRAR]
    signed, message = await auth.signed_json(request)
    statement = Attestation.parse(message)
    if statement.node != str(signed.key):
        raise Refused("an attestation is sent by the node that made it")
    await registrar.db.write(_attest, registrar, statement, dict(message))
    registrar.wakeups.wake([statement.node])
    return web.json_response({"content_id": statement.content_id}, status=201)


def _attest(
    connection: Connection, registrar: Registrar, statement: Attestation, document: dict[str, Any]
) -> None:
    claim = claims.one(connection, statement.content_id, statement.node)
    if claim is None or claim.state == FAILED:
        raise Conflict(
            f"this node has no claim on dataset {statement.content_id[:12]}…", hint="Claim it first."
        )
    servable = records.servable(connection, statement.content_id)
    if not servable:
        raise leases.withheld(connection, statement.content_id)
    agreeing = [r for r in servable if r.manifest == statement.manifest]
    if not agreeing:
        raise Conflict("no record of this dataset has the manifest that the node checked")
    partial = not statement.infohash_v1
    if partial and not taint_marks.with_withheld_files(connection, [r.rid for r in servable]):
        raise Conflict(
            "nothing of this dataset is withheld here, so all of it has to be read", hint="Fetch all files."
        )
    if not partial and statement.infohash_v1 not in {r.infohash_v1 for r in agreeing}:
        raise Conflict(
            "the v1 info-hash that the node computed is not the recorded one",
            hint="The v1 pieces of this record do not belong to its bytes; tell the registrar.",
        )
    attestations.put(connection, statement, document)
    now = registrar.clock()
    values = {
        "state": COMPLETE,
        "attested": now,
        "next_audit": now,
        "expires": now + registrar.settings.grace_s,
    }
    claims.change(connection, statement.content_id, statement.node, values)
