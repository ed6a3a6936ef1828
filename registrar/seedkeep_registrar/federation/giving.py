"""What other registrars need to apply events, bodies and objects at once; and what was not applied here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, TypedDict

from aiohttp import web
from msgspec import Meta
from sqlalchemy import Connection

from seedkeep.core import jcs
from seedkeep.core.errors import Error, InvalidInput
from seedkeep_registrar import auth
from seedkeep_registrar.api.fields import HEX64
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.federation import bundle
from seedkeep_registrar.interface.fields import Count, Hex64
from seedkeep_registrar.interface.operation import Body, Content, operation
from seedkeep_registrar.log.serving import public_body
from seedkeep_registrar.store import backlog, records, taints

routes = web.RouteTableDef()
_MOST_PROBLEMS = 200
_MAX_QUESTION = 100 * bundle.MOST


class Wanted(Body):
    """The objects that are wanted."""

    sha256: Annotated[list[Hex64], Meta(max_length=bundle.MOST)]


class ProblemDocument(TypedDict):
    """An event in a log that does not count here."""

    origin: Annotated[str, Meta(description="Of the registrar in whose log it is; empty: of this one.")]
    index: Count
    type: str
    rid: Hex64
    seq: Count
    state: Annotated[str, Meta(description="waiting, refused, or fork: another event has its place")]
    problem: Annotated[str, Meta(description="Why, in a sentence.")]
    tries: Count


class ProblemList(TypedDict):
    """The newest ones; at most 200."""

    problems: list[ProblemDocument]


@routes.get("/api/v1/peers/problems")
@operation("List the mirrored events that do not count here", tag="Federation", answers={200: ProblemList})
async def list_problems(request: web.Request) -> web.Response:
    """Events of mirrored logs that wait for something, do not hold, or contradict another one, and why."""
    found = await request.app[REGISTRAR].db.read(backlog.problems, _MOST_PROBLEMS)
    return web.json_response({"problems": [asdict(one) for one in found]})


@routes.post("/api/v1/bundles")
@operation(
    "Read many small objects",
    tag="Objects",
    answers={200: Content("application/octet-stream")},
    body=Wanted,
)
async def get_bundle(request: web.Request) -> web.Response:
    """Bodies of events and objects of datasets, of those asked for the ones that are here, may be given
    out and have at most 1 MiB, up to 8 MiB in all: of each a line with its SHA-256 and its length, then its
    bytes. What is left out can be asked for again, or read one by one at `/objects/{sha256}`."""
    registrar = request.app[REGISTRAR]
    message = jcs.loads(await auth.read_body(request, _MAX_QUESTION), limit=_MAX_QUESTION)
    wanted = message.get("sha256") if isinstance(message, dict) and set(message) == {"sha256"} else None
    if not isinstance(wanted, list) or len(wanted) > bundle.MOST or not all(map(_is_digest, wanted)):
        raise InvalidInput(f"send sha256: a list of at most {bundle.MOST} digests")
    found = await registrar.db.read(_read, registrar, list(dict.fromkeys(wanted)))
    return web.Response(body=found, content_type="application/octet-stream")


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and HEX64.fullmatch(value) is not None


def _read(connection: Connection, registrar: Registrar, wanted: Sequence[str]) -> bytes:
    found: dict[str, bytes] = {}
    left = bundle.MAX_BYTES
    for sha256 in wanted:
        data = _one(connection, registrar, sha256)
        if data is not None and len(data) <= left:
            found[sha256] = data
            left -= len(data)
    return bundle.encode(found)


def _one(connection: Connection, registrar: Registrar, sha256: str) -> bytes | None:
    """A body or an object that may be given out, unless it is large."""
    try:
        body = public_body(connection, sha256)
    except Error:  # not for the public, dropped, or tainted
        return None
    if body is not None:
        return body
    record = records.naming(connection, sha256)
    if record is None or taints.standing_on_record(connection, record.rid):
        return None
    if (registrar.objects.size(sha256) or 0) > bundle.LARGEST:
        return None
    try:
        return registrar.objects.read(sha256)
    except FileNotFoundError:
        return None
