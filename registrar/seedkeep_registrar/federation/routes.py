"""What federation serves: mirrors of logs, a witness, who the peers are, and the evidence against them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal, TypedDict

from aiohttp import web
from msgspec import Meta

from seedkeep.core.errors import Error, InvalidInput, NotFound, UsageError
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.evidence import Misbehaviour
from seedkeep.core.log.witness import MAX_REQUEST_BYTES, SIZE_TYPE, AddCheckpoint, Declined, decide
from seedkeep.core.notes import Cosigner, Note, Verifier
from seedkeep.core.origin import origin_of
from seedkeep_registrar import auth, times
from seedkeep_registrar.api.fields import path_hex64
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.federation import consent
from seedkeep_registrar.federation.reading import Seen, fingerprint, overview
from seedkeep_registrar.federation.service import FEDERATION
from seedkeep_registrar.interface.fields import Hex64, Moment
from seedkeep_registrar.interface.operation import SIGNED, Body, operation
from seedkeep_registrar.log.serving import checkpoint_answer, tile_answer
from seedkeep_registrar.store import mirrors, peers, trees
from seedkeep_registrar.store.events import OWN

routes = web.RouteTableDef()
#: how long whoever wants a cosignature waits until everything before it is stored here, seconds
_PATIENCE_S = 10.0
_MAX_MESSAGE = 4096


class EvidenceDocument(TypedDict):
    """What shows that a log has lied."""

    sha256: Hex64
    kind: str
    says: Annotated[str, Meta(description="What it has done, in one sentence.")]
    at: Moment
    url: Annotated[str, Meta(description="The evidence; `seedkeep log evidence` checks it.")]


class PeerDocument(TypedDict):
    """Another registrar."""

    origin: str
    url: str
    vkey: str
    fingerprint: Annotated[str, Meta(description="Of its key: what two operators read to each other.")]
    cosigner: Annotated[str, Meta(description="Cosigns the checkpoints of others.")]
    state: Annotated[str, Meta(description="asked, active, paused, removed or distrusted")]
    taint_mode: str
    size: Annotated[int, Meta(ge=0, description="Events of its log that are kept here.")]
    waiting: Annotated[int, Meta(ge=0, description="Those of them that do not count here yet.")]
    seen: Annotated[str, Meta(description="When it answered last; empty: never.")]
    problem: Annotated[str, Meta(description="What is wrong at present, or empty.")]
    mirror: Annotated[str, Meta(description="Prefix of C2SP tlog-tiles: the mirror of its log here.")]
    evidence: list[EvidenceDocument]


class PeerList(TypedDict):
    """The registrars that this one knows, and what is held against itself."""

    peers: list[PeerDocument]
    evidence: list[EvidenceDocument]


class EvidenceFile(TypedDict):
    """Signed checkpoints of a log, and what shows that they cannot be: see docs/protocol.md."""

    v: Literal[1]
    kind: Literal["fork", "broken-entry", "wrong-home"]
    log: Annotated[str, Meta(description="The verifier key of the log.")]
    notes: list[str]
    path: list[str]
    index: str
    entry: str


class Consent(Body):
    """A registrar agrees to be followed, and to follow; signed with its registrar's key."""

    v: Literal[1]
    url: Annotated[str, Meta(max_length=500, description="Its public URL.")]
    naan: Annotated[str, Meta(max_length=16, pattern="^[0-9]+$")]


class Agreed(TypedDict):
    """How it stands here."""

    state: Literal["proposed", "active", "paused", "removed"]


@routes.get("/mirror/{log}/checkpoint")
async def get_checkpoint(request: web.Request) -> web.Response:
    """The newest checkpoint up to which a log is kept here."""
    return await checkpoint_answer(request, await _log_of(request))


@routes.get("/mirror/{log}/{tile:tile/.+}")
async def get_tile(request: web.Request) -> web.Response:
    """A tile or a bundle of entries of a log that is kept here."""
    return await tile_answer(request, await _log_of(request), request.match_info["tile"])


async def _log_of(request: web.Request) -> int:
    registrar, name = request.app[REGISTRAR], path_hex64(request, "log")
    if name == peers.name_of(registrar.origin):
        return OWN
    peer = await registrar.db.read(peers.by_name, name)
    if peer is None:
        raise NotFound("no log of that name is kept here")
    return peer.id


@routes.post("/add-checkpoint")
async def add_checkpoint(request: web.Request) -> web.Response:
    """Cosign a checkpoint (C2SP tlog-witness), once everything before it is stored here."""
    registrar = request.app[REGISTRAR]
    try:
        wanted = AddCheckpoint.parse(await auth.read_body(request, MAX_REQUEST_BYTES))
    except InvalidInput as error:
        return web.Response(status=400, text=f"{error.what}\n")
    peer = await registrar.db.read(peers.by_origin, wanted.origin)
    verifier = peer.verifier if peer is not None and peer.state == peers.ACTIVE else None
    for _ in range(2):
        newest = await registrar.db.read(trees.newest, peer.id) if peer is not None else None
        trusted = Checkpoint(wanted.origin, newest.size, newest.root) if newest else None
        decided = decide(wanted, trusted, verifier)
        if isinstance(decided, Declined) and (decided.status != 422 or peer is None):
            return _declined(decided)
        assert peer is not None
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await request.app[FEDERATION].follower.follow(peer.id, wanted.note, [f"{peer.url}/log"])
        except Misbehaviour as error:
            return web.Response(status=422, text=f"{error.what}\n")
        except (Error, TimeoutError):
            if isinstance(decided, Declined):
                return _declined(decided)
            return web.Response(
                status=503, text="this log could not be fetched up to there\n", headers={"Retry-After": "5"}
            )
        if isinstance(decided, Declined):
            return _declined(decided)
        kept = await registrar.db.read(mirrors.checkpoint, peer.id, decided.checkpoint.size)
        own = Cosigner(registrar.origin, registrar.key.public)
        lines = [s for s in Note.parse(kept.note).signatures if s.key_id == own.id] if kept else []
        if kept is not None and kept.root == decided.checkpoint.root and lines:
            return web.Response(text="".join(map(str, lines)))
    return web.Response(status=503, text="this log goes on too fast\n", headers={"Retry-After": "1"})


def _declined(decided: Declined) -> web.Response:
    type_ = SIZE_TYPE if decided.status == 409 else "text/plain"
    return web.Response(status=decided.status, body=decided.body.encode(), content_type=type_)


@routes.post("/api/v1/peers")
@operation(
    "Agree to follow each other",
    tag="Federation",
    answers={200: Agreed, 202: Agreed},
    body=Consent,
    security=SIGNED,
)
async def agree(request: web.Request) -> web.Response:
    """Another registrar agrees; 200 when this one's operator has agreed too, 202 while they have not."""
    registrar = request.app[REGISTRAR]
    signed, message = await auth.signed_json(request, limit=_MAX_MESSAGE)
    url, naan = message.get("url"), message.get("naan")
    fits = isinstance(url, str) and isinstance(naan, str) and len(url) <= 500
    if not fits or not str(naan).isdigit() or len(str(naan)) > 16 or message.get("v") != 1:
        raise InvalidInput("a registrar agrees with its public URL and its NAAN")
    try:
        origin = origin_of(str(url))
    except UsageError as error:
        raise InvalidInput(error.what) from error
    if origin == registrar.origin:
        raise InvalidInput("this registrar does not follow itself")
    peer = await registrar.db.write(
        consent.asked_by,
        Verifier(origin, signed.key),
        url=str(url).rstrip("/"),
        naan=str(naan),
        now=registrar.clock(),
    )
    agreed = peer.state in (peers.ACTIVE, peers.PAUSED)
    return web.json_response({"state": peer.state}, status=200 if agreed else 202)


@routes.get("/api/v1/peers")
@operation("List the other registrars", tag="Federation", answers={200: PeerList})
async def list_peers(request: web.Request) -> web.Response:
    """Those that this registrar follows or has followed, and the evidence that it has against them."""
    registrar = request.app[REGISTRAR]
    seen = await registrar.db.read(overview)
    return web.json_response(peer_list(registrar.public_url, seen))


@routes.get("/api/v1/evidence/{sha256}")
@operation(
    "Read the evidence against a registrar",
    tag="Federation",
    answers={200: EvidenceFile},
    problems=(404,),
    path={"sha256": Hex64},
)
async def get_evidence(request: web.Request) -> web.Response:
    """A document that shows, with nothing but the registrar's key, that it has signed what cannot be."""
    registrar, sha256 = request.app[REGISTRAR], path_hex64(request, "sha256")
    document = await registrar.db.read(mirrors.evidence_of, sha256)
    if document is None:
        raise NotFound(f"there is no evidence {sha256[:12]}… here")
    name = f"evidence-{sha256[:12]}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=document, content_type="application/json", headers=headers)


def peer_list(public_url: str, seen: Seen) -> PeerList:
    """What is shown of other registrars."""

    def against(peer: int) -> list[EvidenceDocument]:
        return [
            {
                "sha256": e.sha256,
                "kind": e.kind,
                "says": e.says,
                "at": times.text(e.at),
                "url": f"{public_url}/api/v1/evidence/{e.sha256}",
            }
            for e in seen.evidence
            if e.peer == peer
        ]

    return {
        "peers": [
            {
                "origin": peer.origin,
                "url": peer.url,
                "vkey": peer.vkey,
                "fingerprint": fingerprint(peer.verifier.key),
                "cosigner": str(peer.cosigner),
                "state": peer.state,
                "taint_mode": peer.taint_mode,
                "size": peer.stored,
                "waiting": seen.waiting.get(peer.id, 0),
                "seen": times.text(peer.last_ok) if peer.last_ok else "",
                "problem": peer.problem,
                "mirror": f"{public_url}/mirror/{peers.name_of(peer.origin)}",
                "evidence": against(peer.id),
            }
            for peer in seen.peers
        ],
        "evidence": against(OWN),
    }
