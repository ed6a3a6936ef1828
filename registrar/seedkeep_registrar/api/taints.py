"""Taints: the signed head and list that nodes follow, what curators do, and receipts of removal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

from aiohttp import web
from msgspec import Meta
from sqlalchemy import Connection

from seedkeep.core.errors import NotFound, Refused
from seedkeep.core.statements import Removal
from seedkeep_registrar import auth, curation, documents
from seedkeep_registrar.accounts import curators
from seedkeep_registrar.accounts.principal import Role, json_of, require
from seedkeep_registrar.api.attestations import Signature
from seedkeep_registrar.api.fields import path_hex64
from seedkeep_registrar.api.shapes import EmptyOrHex64, Event
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.curation import Decision
from seedkeep_registrar.interface.fields import Bytes, Count, Hex64, Key, Moment, Next
from seedkeep_registrar.interface.operation import PERSON, SIGNED, Body, Content, operation, query_of
from seedkeep_registrar.interface.paging import PageQuery, cursor_of, next_page, page, values_of
from seedkeep_registrar.interface.problem import Effect, Taint
from seedkeep_registrar.replication import leases
from seedkeep_registrar.store import obedience, peers, taint_marks, taints

routes = web.RouteTableDef()
_ID = {"id": Hex64}


State = Literal["proposed", "standing", "lifted", "expired"]


class TaintDocument(Taint):
    """A taint, and how far it is obeyed."""

    approvers: Annotated[list[str], Meta(description="Keys, or `account:ID` for whom the registrar signed.")]
    lifted: EmptyOrHex64
    why_lifted: str
    state: State
    approvals: Count
    needed: Count
    obeyed: Annotated[int, Meta(ge=0, description="Storage managers that returned a receipt.")]
    median_s: Annotated[
        int | None, Meta(description="Seconds from the order to the receipt, for half of them at most.")
    ]
    slowest_s: Annotated[int | None, Meta(description="Seconds to the last receipt so far.")]


class TaintPage(TypedDict):
    """Taints, newest first."""

    taints: list[TaintDocument]
    next: Next


class Decided(TypedDict):
    """How a taint stands after a curator's decision."""

    id: Hex64
    state: State
    approvals: Count
    needed: Count


class TaintMessage(Body):
    """An order, for which the registrar signs; or an event of type `taint` with its body, signed by the
    curator's key."""

    subject: Annotated[str, Meta(max_length=100, description="content:…, record:… or root:…")] = ""
    effect: Effect | None = None
    category: Annotated[str, Meta(max_length=40)] = ""
    reason: Annotated[str, Meta(max_length=2000, description="Shown to whoever asks for the data.")] = ""
    basis: Annotated[str, Meta(max_length=300)] = ""
    jurisdiction: Annotated[str, Meta(max_length=60)] = ""
    evidence: Annotated[str, Meta(max_length=64)] = ""
    appeal: Annotated[str, Meta(max_length=300)] = ""
    expires: Annotated[str, Meta(max_length=20)] = ""
    event: Event | None = None
    body: dict[str, Any] | None = None


class LiftMessage(Body):
    """A reason, for which the registrar signs; or an event of type `lift` with its body, signed by the
    curator's key."""

    reason: Annotated[str, Meta(max_length=2000)] = ""
    event: Event | None = None
    body: dict[str, Any] | None = None


class ReceiptBody(Body):
    """A node says that it passes nothing tainted of a dataset on any more, or that the bytes are gone from
    it; signed, see docs/protocol.md."""

    v: Literal[1]
    type: Literal["removal"]
    taint: Hex64
    content_id: Hex64
    action: Literal["stopped", "removed"]
    bytes: Bytes
    node: Key
    at: Moment
    sig: Signature


class ReceiptKept(TypedDict):
    """The taint that was obeyed."""

    taint: Hex64


@routes.get("/api/v1/taints/head")
@operation("Read the head of the taint list", tag="Taints", answers={200: Content("text/plain")})
async def taint_head(request: web.Request) -> web.Response:
    """The signed head of the list."""
    note = await request.app[REGISTRAR].taint_head.newest()
    return web.Response(text=note, content_type="text/plain", headers={"Cache-Control": "no-cache"})


@routes.get("/api/v1/taints/lists/{sha256}")
@operation("Read a taint list", tag="Taints", answers={200: Content("application/jsonl")}, problems=(404,))
async def taint_list(request: web.Request) -> web.Response:
    """The list that a head names, also one of another registrar that is followed; an entry a line."""
    registrar, sha256 = request.app[REGISTRAR], path_hex64(request, "sha256")
    data = await registrar.db.read(_list_here, sha256)
    if data is None:
        raise NotFound(f"there is no taint list {sha256[:12]}…", hint="Read the head again.")
    return web.Response(
        body=data,
        content_type="application/jsonl",
        headers={"Cache-Control": "public, max-age=86400, immutable"},
    )


def _list_here(connection: Connection, sha256: str) -> bytes | None:
    """One of its own, or the newest one of a registrar that it follows."""
    own = taints.published(connection, sha256)
    return peers.taint_list(connection, sha256) if own is None else own


@routes.get("/api/v1/taints")
@operation(
    "List the taints",
    tag="Taints",
    answers={200: TaintPage},
    query=PageQuery,
    links=next_page("list_taints"),
)
async def list_taints(request: web.Request) -> web.Response:
    """With their state, newest first."""
    registrar, asked = request.app[REGISTRAR], query_of(request, PageQuery)
    last = values_of(asked.cursor, tuple[Moment, Hex64]) if asked.cursor else None
    found = await registrar.db.read(_documents, registrar, last, asked.limit + 1)
    shown = [document for _, document in found[: asked.limit]]
    following = cursor_of(*found[asked.limit - 1][0]) if len(found) > asked.limit else None
    return page(request, {"taints": shown, "next": following})


async def all_taint_documents(registrar: Registrar) -> list[dict[str, Any]]:
    """What is shown of every taint, newest first."""
    return [document for _, document in await registrar.db.read(_documents, registrar, None, None)]


def _documents(
    connection: Connection, registrar: Registrar, last: tuple[str, str] | None, limit: int | None
) -> list[tuple[tuple[str, str], dict[str, Any]]]:
    """Each with what it is ordered by."""
    agreed, who = taints.all_approvers(connection), curators.read(connection, registrar.settings)
    some = taints.newest(connection, last, limit)
    obeyed = obedience.of_taints(connection, [t.id for t in some])
    return [
        (
            (taint.created, taint.id),
            {
                **shown,
                "approvers": agreed.get(taint.id, []),
                "lifted": taint.lifted,
                "why_lifted": taints.why_lifted(connection, taint),
                "state": taint.state,
                "approvals": who.count(agreed.get(taint.id, [])),
                "needed": curation.needed(who, taint),
                "obeyed": obeyed.get(taint.id, obedience.NONE).nodes,
                "median_s": obeyed.get(taint.id, obedience.NONE).median_s,
                "slowest_s": obeyed.get(taint.id, obedience.NONE).slowest_s,
            },
        )
        for taint, shown in zip(some, documents.taint_documents(tuple(some)), strict=True)
    ]


def _answer(decision: Decision) -> web.Response:
    document = {
        "id": decision.taint.id,
        "state": decision.taint.state,
        "approvals": decision.approvals,
        "needed": decision.needed,
    }
    return web.json_response(document, status=201 if decision.new else 200)


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """What a request says, without what it leaves empty."""
    return {name: value for name, value in message.items() if value not in (None, "")}


@routes.post("/api/v1/taints")
@operation(
    "Propose or approve a taint",
    tag="Taints",
    answers={200: Decided, 201: Decided},
    problems=(404, 409),
    body=TaintMessage,
    security=PERSON,
    scope="curate",
)
async def post_taint(request: web.Request) -> web.Response:
    """A curator proposes a taint, or approves another one's with the same subject, effect and end."""
    principal = await require(request, Role.CURATOR, "curate")
    message = _message(await json_of(request))
    return _answer(await curation.taint(request.app[REGISTRAR], principal, message))


@routes.post("/api/v1/taints/{id}/lift")
@operation(
    "Lift a taint",
    tag="Taints",
    answers={200: Decided, 201: Decided},
    problems=(404, 409),
    path=_ID,
    body=LiftMessage,
    security=PERSON,
    scope="curate",
)
async def lift_taint(request: web.Request) -> web.Response:
    """A curator lifts a taint."""
    registrar, taint_id = request.app[REGISTRAR], path_hex64(request, "id")
    principal = await require(request, Role.CURATOR, "curate")
    message = _message(await json_of(request))
    return _answer(await curation.lift(registrar, taint_id, principal, message))


@routes.post("/api/v1/receipts")
@operation(
    "Return a receipt for a taint",
    tag="Taints",
    answers={201: ReceiptKept},
    problems=(404,),
    body=ReceiptBody,
    security=SIGNED,
)
async def post_receipt(request: web.Request) -> web.Response:
    """A node's receipt: it has obeyed a taint on a dataset, or on files in it."""
    registrar = request.app[REGISTRAR]
    signed, message = await auth.signed_json(request)
    removal = Removal.parse(message)
    if removal.node != str(signed.key):
        raise Refused("a receipt is sent by the node that made it")
    await registrar.db.write(_keep, removal, dict(message))
    return web.json_response({"taint": removal.taint}, status=201)


def _keep(connection: Connection, removal: Removal, document: dict[str, Any]) -> None:
    leases.known_node(connection, removal.node)
    found = taints.named(connection, removal.taint)
    if not found:
        raise NotFound(f"there is no taint {removal.taint[:12]}…")
    obeyed = [
        taint
        for taint in found
        if any(removal.content_id == cid for _, cid in taint_marks.hit(connection, taint.order.subject))
    ]
    if not obeyed:
        raise NotFound(f"taint {removal.taint[:12]}… does not hit dataset {removal.content_id[:12]}… here")
    for taint in obeyed:
        taints.put_removal(connection, taint, removal, document)
