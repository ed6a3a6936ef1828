"""Storage managers introduce themselves and report; everybody may see who they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

from aiohttp import web
from msgspec import Meta
from sqlalchemy import Connection

from seedkeep.core.errors import InvalidInput
from seedkeep_registrar import auth, times
from seedkeep_registrar.api.fields import Fields, hex_text, short_text
from seedkeep_registrar.client_address import address_of, parse_networks
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.interface.fields import Bytes, Count, Hex64, Key, Moment, Next, Port
from seedkeep_registrar.interface.operation import SIGNED, Body, Query, operation, query_of
from seedkeep_registrar.interface.paging import PageQuery, cursor_of, next_page, page, values_of
from seedkeep_registrar.replication import heartbeats
from seedkeep_registrar.replication.leases import Reported
from seedkeep_registrar.store import audits, nodes, totals
from seedkeep_registrar.store.nodes import Node

routes = web.RouteTableDef()
STATES = ("active", "paused", "draining")
CLAIM_STATES = ("downloading", "complete", "failed")
MAX_CLAIMS = 200_000
_HEARTBEAT_BYTES = 32 * 1024 * 1024


class NodeBody(Body):
    """What a storage manager says of itself; everything but pledge and port may be empty."""

    pledge: Bytes
    port: Port
    operator: Annotated[str, Meta(max_length=200)] = ""
    institution: Annotated[str, Meta(max_length=200)] = ""
    country: Annotated[str, Meta(max_length=60)] = ""
    subjects: Annotated[list[Annotated[str, Meta(max_length=500)]], Meta(max_length=1000)] = []  # noqa: RUF012
    software: Annotated[str, Meta(max_length=200)] = ""


class AuditTally(TypedDict):
    """How a storage manager's audits ended."""

    success: Count
    failure: Count
    offline: Count
    contained: Count
    unknown: Count


class NodeDocument(TypedDict):
    """A storage manager."""

    node: Key
    operator: str
    institution: str
    country: str
    state: Annotated[str, Meta(description="active, paused, draining or offline")]
    pledge: Bytes
    used: Bytes
    datasets: Count
    registered: Moment
    last_seen: Moment
    audits: AuditTally


class NodePage(TypedDict):
    """Storage managers, longest known first."""

    nodes: list[NodeDocument]
    next: Next


class HeartbeatQuery(Query):
    """How long the answer may be held back."""

    wait: Annotated[float, Meta(ge=0, le=heartbeats.MAX_WAIT_S, description="Seconds to wait for news.")] = (
        0.0
    )


class HeldClaim(Body):
    """A claim as its node sees it."""

    content_id: Hex64
    state: Literal["downloading", "complete", "failed"]
    bytes: Bytes


class TaintsSeen(Body):
    """The taint list that a node obeys."""

    version: Count
    log_size: Count


class HeartbeatBody(Body):
    """How a node is, with every claim that it has."""

    state: Literal["active", "paused", "draining"]
    pledge: Bytes
    used: Bytes
    reserved: Bytes
    port: Port
    claims: Annotated[list[HeldClaim], Meta(max_length=MAX_CLAIMS)] = []  # noqa: RUF012
    taints: TaintsSeen | None = None
    problems: Annotated[list[Annotated[str, Meta(max_length=1000)]], Meta(max_length=100)] = []  # noqa: RUF012
    companions: Annotated[list[Hex64], Meta(max_length=MAX_CLAIMS)] = []  # noqa: RUF012


class Offer(TypedDict):
    """A dataset that the node may take on."""

    content_id: Hex64
    rid: Hex64
    bytes: Bytes
    files: Count


class Lease(TypedDict):
    """A claim, and when it ends unless a heartbeat names it."""

    content_id: Hex64
    expires: Moment


class Challenge(TypedDict):
    """The first round of an audit."""

    id: str
    content_id: Hex64
    nonce: str
    leaves: list[Annotated[list[Count], Meta(min_length=2, max_length=2)]]
    deadline_s: float


class HeartbeatAnswer(TypedDict):
    """What there is for a node; see docs/protocol.md."""

    now: Moment
    taint_head: str
    taint_heads: Annotated[list[str], Meta(description="The newest heads of other registrars' taints.")]
    offers: list[Offer]
    leases: list[Lease]
    release: list[Hex64]
    challenges: list[Challenge]
    companions: list[Hex64]


def _address(request: web.Request) -> str:
    trusted = parse_networks(request.app[REGISTRAR].settings.trusted_proxies)
    return str(address_of(request, trusted))


@routes.post("/api/v1/nodes")
@operation(
    "Introduce a storage manager",
    tag="Storage",
    answers={200: NodeDocument, 201: NodeDocument},
    body=NodeBody,
    security=SIGNED,
)
async def introduce_node(request: web.Request) -> web.Response:
    """A node introduces itself, or says anew what it is: 201, or 200 when it is known."""
    registrar = request.app[REGISTRAR]
    signed, message = await auth.signed_json(request)
    f = Fields(message, "this storage manager")
    f.only("pledge", "port", "operator", "institution", "country", "subjects", "software")
    now = registrar.clock()
    node = Node(
        node=str(signed.key),
        operator=f.text("operator", limit=200, default="").strip(),
        institution=f.text("institution", limit=200, default="").strip(),
        country=f.text("country", limit=60, default="").strip(),
        subjects=f.items("subjects", short_text(500), most=1000),
        software=f.text("software", limit=200, default=""),
        pledge=f.number("pledge"),
        used=0,
        reserved=0,
        port=f.number("port", most=65535),
        address=_address(request),
        state="active",
        taint_version=0,
        problems=(),
        registered=now,
        last_seen=now,
    )
    new = await registrar.db.write(nodes.put, node)
    stored = await registrar.db.read(nodes.by_key, node.node)
    assert stored is not None
    return web.json_response(_document(registrar, stored, 0, {}), status=201 if new else 200)


def _claim(value: Any) -> Reported:
    f = Fields(value, "a claim").only("content_id", "state", "bytes")
    return Reported(f.hex64("content_id"), f.choice("state", CLAIM_STATES), f.number("bytes"))


@routes.post("/api/v1/heartbeat")
@operation(
    "Report, and be told",
    tag="Storage",
    answers={200: HeartbeatAnswer},
    problems=(404,),
    query=HeartbeatQuery,
    body=HeartbeatBody,
    security=SIGNED,
)
async def heartbeat(request: web.Request) -> web.Response:
    """A node reports, and is told what there is for it; see docs/protocol.md."""
    registrar = request.app[REGISTRAR]
    wait = query_of(request, HeartbeatQuery).wait
    signed, message = await auth.signed_json(request, limit=_HEARTBEAT_BYTES)
    # a node may have very many claims
    report = await asyncio.to_thread(_report, message, _address(request), registrar.clock())
    answer = await heartbeats.beat(registrar, str(signed.key), report, wait=wait)
    return web.json_response(body=await asyncio.to_thread(lambda: json.dumps(answer).encode()))


def _report(message: Mapping[str, Any], address: str, now: float) -> heartbeats.Report:
    f = Fields(message, "this heartbeat")
    f.only("state", "pledge", "used", "reserved", "port", "claims", "taints", "problems", "companions")
    reported = f.items("claims", _claim, most=MAX_CLAIMS)
    by_id = {c.content_id: c for c in reported}
    if len(by_id) != len(reported):
        raise InvalidInput("this heartbeat names a claim twice")
    head = f.inner("taints")
    version = head.only("version", "log_size").number("version") if head else None
    if head:
        head.number("log_size")
    return heartbeats.Report(
        seen={
            "state": f.choice("state", STATES),
            "pledge": f.number("pledge"),
            "used": f.number("used"),
            "reserved": f.number("reserved"),
            "port": f.number("port", most=65535),
            "address": address,
            "taint_version": version or 0,
            "problems": list(f.items("problems", short_text(1000), most=100)),
            "last_seen": now,
        },
        claims=by_id,
        taint_version=version,
        companions=frozenset(f.items("companions", hex_text, most=MAX_CLAIMS)),
    )


@dataclass(frozen=True, slots=True)
class _Listed:
    """Nodes, with their complete datasets and how their audits ended."""

    nodes: list[Node]
    complete: dict[str, int]
    tallies: dict[str, dict[str, int]]

    def document(self, registrar: Registrar, node: Node) -> dict[str, Any]:
        return _document(registrar, node, self.complete.get(node.node, 0), self.tallies.get(node.node, {}))


def _list(connection: Connection, last: tuple[float, str], limit: int | None) -> _Listed:
    found = nodes.after(connection, last, limit)
    return _Listed(found, totals.complete_of_nodes(connection), audits.tallies(connection))


@routes.get("/api/v1/nodes")
@operation(
    "List the storage managers",
    tag="Storage",
    answers={200: NodePage},
    query=PageQuery,
    links=next_page("list_nodes"),
)
async def list_nodes(request: web.Request) -> web.Response:
    """With how their audits ended."""
    registrar, asked = request.app[REGISTRAR], query_of(request, PageQuery)
    last = values_of(asked.cursor, tuple[float, str]) if asked.cursor else (0.0, "")
    found = await registrar.db.read(_list, last, asked.limit + 1)
    shown = found.nodes[: asked.limit]
    more = len(found.nodes) > len(shown)
    following = cursor_of(shown[-1].registered, shown[-1].node) if more else None
    return page(request, {"nodes": [found.document(registrar, node) for node in shown], "next": following})


async def node_documents(registrar: Registrar) -> list[dict[str, Any]]:
    """What is shown of every storage manager, longest known first."""
    found = await registrar.db.read(_list, (0.0, ""), None)
    return [found.document(registrar, node) for node in found.nodes]


def _document(registrar: Registrar, node: Node, datasets: int, tally: dict[str, int]) -> dict[str, Any]:
    outcomes = ("success", "failure", "offline", "contained", "unknown")
    return {
        "node": node.node,
        "operator": node.operator,
        "institution": node.institution,
        "country": node.country,
        "state": node.shown_state(registrar.clock(), registrar.settings.offline_after_s),
        "pledge": node.pledge,
        "used": node.used,
        "datasets": datasets,
        "registered": times.text(node.registered),
        "last_seen": times.text(node.last_seen),
        "audits": {outcome: tally.get(outcome, 0) for outcome in outcomes},
    }
