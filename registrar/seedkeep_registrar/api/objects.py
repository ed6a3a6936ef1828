"""Objects: manifests, piece layers and v1 pieces by their SHA-256."""

from __future__ import annotations

from typing import TypedDict

from aiohttp import web

from seedkeep.core.errors import NotFound
from seedkeep.core.httpsig import Unauthenticated
from seedkeep_registrar import auth, documents
from seedkeep_registrar.accounts.principal import signer_of
from seedkeep_registrar.api.fields import path_hex64
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.interface.fields import Hex64
from seedkeep_registrar.interface.operation import SIGNED, Content, operation
from seedkeep_registrar.operations import uploads
from seedkeep_registrar.problems import TooLarge
from seedkeep_registrar.registration import check_member
from seedkeep_registrar.store import records, taints
from seedkeep_registrar.store.records import Record

routes = web.RouteTableDef()
IMMUTABLE = "public, max-age=31536000, immutable"
_BYTES = Content("application/octet-stream")


class StoredObject(TypedDict):
    """The object that is there now."""

    sha256: Hex64


@routes.put("/api/v1/objects/{sha256}")
@operation(
    "Upload an object",
    tag="Objects",
    answers={200: StoredObject, 201: StoredObject},
    body=_BYTES,
    security=SIGNED,
)
async def put_object(request: web.Request) -> web.Response:
    """Take an object: 201, or 200 when it was there. It is durable then."""
    registrar, sha256 = request.app[REGISTRAR], path_hex64(request, "sha256")
    limit = registrar.settings.max_object_bytes
    if (request.content_length or 0) > limit:
        raise TooLarge(f"this object is over the limit of {limit} bytes")
    auth.refuse_encoding(request)
    signed = await auth.verify(request)
    if signed.sha256 != sha256:
        raise Unauthenticated("the request was signed for another object")
    principal = signer_of(request, str(signed.key))
    check_member(registrar, principal)
    new = await uploads.take(request, principal, sha256, request.content_length, auth.body_chunks(request))
    return web.json_response({"sha256": sha256}, status=201 if new else 200)


@routes.get("/api/v1/objects/{sha256}", allow_head=False)
@operation(
    "Read an object",
    tag="Objects",
    answers={200: _BYTES, 206: _BYTES},
    problems=(404, 410, 416, 451),
)
async def get_object(request: web.Request) -> web.StreamResponse:
    """The bytes of an object that a record names; ranges are allowed."""
    return await object_answer(request.app[REGISTRAR], path_hex64(request, "sha256"))


async def object_answer(registrar: Registrar, sha256: str) -> web.StreamResponse:
    """The bytes of an object that a record names.

    Raises:
        NotFound: no record names it.
        TaintedRecord, WithdrawnRecord: the record may not be given out.
    """
    record = await named_object(registrar, sha256)
    if record.withdrawn:
        raise await documents.gone(registrar, record)
    return file_answer(registrar, sha256)


async def named_object(registrar: Registrar, sha256: str) -> Record:
    """The record that names an object.

    Raises:
        NotFound: there is none.
        TaintedRecord: it may not be given out.
    """
    record = await registrar.db.read(records.naming, sha256)
    if record is None:
        raise NotFound(f"no record names an object {sha256[:12]}…")
    standing = await registrar.db.read(taints.standing_on_record, record.rid)
    if standing:
        raise documents.tainted_record(record, tuple(standing))
    return record


def file_answer(registrar: Registrar, sha256: str) -> web.StreamResponse:
    """The bytes of an object."""
    return web.FileResponse(
        registrar.objects.path(sha256),
        headers={
            "Cache-Control": IMMUTABLE,
            "Content-Type": "application/octet-stream",
            "X-Content-Type-Options": "nosniff",
        },
    )


@routes.head("/api/v1/objects/{sha256}")
@operation("Ask whether an object is there", tag="Objects", answers={200: None, 404: None})
async def head_object(request: web.Request) -> web.Response:
    """200 when the object is there, named by a record or not."""
    sha256 = path_hex64(request, "sha256")
    present = request.app[REGISTRAR].objects.size(sha256) is not None
    return web.Response(status=200 if present else 404)
