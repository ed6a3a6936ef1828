"""``/.well-known/seedkeep``: who this registrar is and how to talk to it; and whether it is alive."""

from __future__ import annotations

import re
from typing import Annotated, TypedDict

from aiohttp import web
from msgspec import Meta

from seedkeep import __version__
from seedkeep.core.errors import NotFound
from seedkeep.core.notes import Cosigner
from seedkeep_registrar import times
from seedkeep_registrar.accounts import curators
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.exports.answers import EVERY
from seedkeep_registrar.interface.fields import Bytes, Count, Moment
from seedkeep_registrar.interface.operation import Content, operation
from seedkeep_registrar.store import key_rings, peers

routes = web.RouteTableDef()
_VERSION = re.compile(r"0|[1-9][0-9]{0,3}")
_ENDPOINTS = {
    "api": "/api/v1/openapi.json",
    "records": "/api/v1/records",
    "record": "/api/v1/records/{rid}",
    "page": "/records/{rid}",
    "resolve": "/api/v1/resolve?id={name}",
    "search": "/api/v1/search?q={query}",
    "nodes": "/api/v1/nodes",
    "taints": "/api/v1/taints/head",
    "sitemap": "/sitemap.xml",
}


class LogPlace(TypedDict):
    """Where its log is, whose checkpoints and cosignatures are its own."""

    url: Annotated[str, Meta(description="Prefix of C2SP tlog-tiles: checkpoint and tile/… are below it.")]
    vkey: Annotated[str, Meta(description="Signs its checkpoints.")]
    cosigner: Annotated[str, Meta(description="Cosigns the checkpoints of others.")]


class PeerPlace(TypedDict):
    """Another registrar, which mirrors this one's log and cosigns its checkpoints."""

    url: str
    origin: str
    vkey: str
    cosigner: str


class WellKnown(TypedDict):
    """Who this registrar is, and how to talk to it."""

    origin: str
    public_url: str
    vkey: Annotated[str, Meta(description="Its name and public key, as a C2SP verifier key.")]
    log: LogPlace
    naan: str
    version: str
    name: str
    institution: str
    trackers: list[str]
    heartbeat_s: Annotated[float, Meta(gt=0, description="Seconds.")]
    registration: str
    peers: list[PeerPlace]
    max_object_bytes: Bytes
    approvals: Count
    keys: Annotated[list[str], Meta(description="Verifier keys it signs with now; the first is vkey.")]
    key_version: Annotated[int, Meta(ge=0, description="Newest of its key rings; 0: its first key, alone.")]
    endpoints: Annotated[
        dict[str, str], Meta(description="Where things are; {rid}, {name} and {query} are to be filled in.")
    ]
    formats: Annotated[list[str], Meta(description="What ?format= of a record takes.")]
    now: Moment


@routes.get("/.well-known/seedkeep")
@operation("Who this registrar is", tag="Discovery", answers={200: WellKnown})
async def well_known(request: web.Request) -> web.Response:
    """See docs/protocol.md, Discovery."""
    registrar = request.app[REGISTRAR]
    settings = registrar.settings
    document = {
        "origin": registrar.origin,
        "public_url": registrar.public_url,
        "vkey": str(registrar.vkey),
        "log": {
            "url": f"{registrar.public_url}/log",
            "vkey": str(registrar.vkey),
            "cosigner": str(Cosigner(registrar.origin, registrar.key.public)),
        },
        "naan": settings.naan,
        "version": __version__,
        "name": settings.name,
        "institution": settings.institution,
        "trackers": list(registrar.trackers),
        "heartbeat_s": settings.heartbeat_s,
        "registration": settings.registration,
        "peers": [
            {"url": p.url, "origin": p.origin, "vkey": p.vkey, "cosigner": str(p.cosigner)}
            for p in await registrar.db.read(peers.every, peers.ACTIVE)
        ],
        "max_object_bytes": settings.max_object_bytes,
        "approvals": (await registrar.db.read(curators.read, settings)).needed,
        "keys": [str(registrar.vkey)],
        "key_version": registrar.keys.ring.version,
        "endpoints": {name: registrar.public_url + path for name, path in _ENDPOINTS.items()},
        "formats": ["json", *EVERY],
        "now": times.text(registrar.clock()),
    }
    return web.json_response(document, headers={"Access-Control-Allow-Origin": "*"})


@routes.get("/.well-known/seedkeep/keys/{version}")
@operation(
    "Read a version of its keys",
    tag="Discovery",
    answers={200: Content("text/plain")},
    problems=(404,),
    path={"version": Annotated[int, Meta(ge=0)]},
)
async def key_ring(request: web.Request) -> web.Response:
    """A signed note that names the key it signs with and the recovery keys that decide about that one; each
    version is signed by those of the one before, too."""
    registrar, text = request.app[REGISTRAR], request.match_info["version"]
    number = int(text) if _VERSION.fullmatch(text) else -1
    note = await registrar.db.read(key_rings.note, number) if number >= 0 else None
    if note is None:
        raise NotFound("this registrar's keys have no such version", hint="See key_version.")
    headers = {"Cache-Control": "public, max-age=86400, immutable", "Access-Control-Allow-Origin": "*"}
    return web.Response(text=note, content_type="text/plain", headers=headers)
