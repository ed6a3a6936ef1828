"""The log as static resources (C2SP tlog-tiles) below ``/log/``, and what its events name at ``/objects/``.

Everything but the checkpoint never changes and may be kept for ever by whoever fetched it.
"""

from __future__ import annotations

import gzip
import hashlib

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.decision import DECISION
from seedkeep.core.errors import InvalidInput, NotFound
from seedkeep.core.log.tiles import ENTRIES, FULL, Tile, encode_bundle
from seedkeep.core.log.tree import HASH_BYTES
from seedkeep_registrar import documents
from seedkeep_registrar.api.fields import path_hex64
from seedkeep_registrar.api.objects import IMMUTABLE, file_answer, named_object
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.store import events, records, taints, trees
from seedkeep_registrar.store.events import OWN

routes = web.RouteTableDef()
_BYTES = {
    "Content-Type": "application/octet-stream",
    "Cache-Control": IMMUTABLE,
    "X-Content-Type-Options": "nosniff",
    "Access-Control-Allow-Origin": "*",
}
_NOTE = {
    "Content-Type": "text/plain; charset=utf-8",
    "Cache-Control": "no-cache",
    "Access-Control-Allow-Origin": "*",
}
#: a bundle is made for most mirrors once, and is text of which much repeats
_GZIP_LEVEL = 1


@routes.get("/log/checkpoint")
async def get_checkpoint(request: web.Request) -> web.Response:
    """The newest signed head of this registrar's own log."""
    return await checkpoint_answer(request, OWN)


@routes.get("/log/{tile:tile/.+}")
async def get_tile(request: web.Request) -> web.Response:
    """A tile or a bundle of entries of this registrar's own log."""
    return await tile_answer(request, OWN, request.match_info["tile"])


@routes.get("/objects/{sha256}")
async def get_named(request: web.Request) -> web.StreamResponse:
    """What an event or a record names by its digest: a body, or an object of a dataset, of a withdrawn one
    too, so that mirrors can tell what it was."""
    registrar, sha256 = request.app[REGISTRAR], path_hex64(request, "sha256")
    body = await registrar.db.read(public_body, sha256)
    if body is None:
        await named_object(registrar, sha256)
        return file_answer(registrar, sha256)
    return web.Response(body=body, headers=_BYTES)


async def checkpoint_answer(request: web.Request, log: int) -> web.Response:
    """The newest checkpoint of a log, with an ``ETag``; 304 where the sender has it.

    Raises:
        NotFound: there is none yet.
    """
    newest = await request.app[REGISTRAR].db.read(trees.newest, log)
    if newest is None:
        raise NotFound("this log has no checkpoint yet")
    tag = hashlib.sha256(newest.note.encode()).hexdigest()[:32]
    asked = request.if_none_match
    if asked is not None and any(one.value in (tag, "*") for one in asked):
        answer = web.Response(status=304, headers={k: v for k, v in _NOTE.items() if k != "Content-Type"})
    else:
        answer = web.Response(body=newest.note.encode(), headers=_NOTE)
    answer.etag = tag
    return answer


async def tile_answer(request: web.Request, log: int, path: str) -> web.Response:
    """A tile or a bundle of entries.

    Args:
        path: ``tile/…``, as :class:`seedkeep.core.log.tiles.Tile` reads it.

    Raises:
        NotFound: the log has none there, or it is shorter.
    """
    try:
        tile = Tile.parse(path)
    except InvalidInput as error:
        raise NotFound(error.what) from error
    registrar = request.app[REGISTRAR]
    if tile.level != ENTRIES:
        return web.Response(body=await registrar.db.read(read_tile, log, tile), headers=_BYTES)
    packed = "gzip" in request.headers.get("Accept-Encoding", "")
    data = await registrar.db.read(_bundle, log, tile, packed=packed)
    more = {"Vary": "Accept-Encoding", **({"Content-Encoding": "gzip"} if packed else {})}
    return web.Response(body=data, headers={**_BYTES, **more})


def read_tile(connection: Connection, log: int, tile: Tile) -> bytes:
    """A tile's hashes, or a bundle's entries.

    Raises:
        NotFound: the log has none there, or it is shorter.
    """
    if tile.level != ENTRIES:
        data = trees.tile(connection, log, tile.place) or b""
        if len(data) >= tile.width * HASH_BYTES:
            return data[: tile.width * HASH_BYTES]
    else:
        first = tile.index * FULL
        leaves = events.leaves(connection, log, first, first + tile.width)
        if len(leaves) == tile.width:
            return encode_bundle(leaves)
    raise NotFound(f"this log has no {tile.path}", hint="Look at its checkpoint again.")


def _bundle(connection: Connection, log: int, tile: Tile, *, packed: bool) -> bytes:
    data = read_tile(connection, log, tile)
    return gzip.compress(data, _GZIP_LEVEL, mtime=0) if packed else data


def public_body(connection: Connection, sha256: str) -> bytes | None:
    """A body that events name; None when no event does.

    Raises:
        NotFound: it is not for the public, or was dropped.
        TaintedRecord: taints stand on all records that it belongs to.
    """
    naming = events.naming(connection, sha256)
    if not naming:
        return None
    # what curators decide, and why, is between them and who submitted it
    public = [rid for kind, rid in naming if kind != DECISION]
    standing = {rid: tuple(taints.standing_on_record(connection, rid)) for rid in public}
    body = events.body(connection, sha256)
    if not public or body is None:
        raise NotFound(f"there is no body {sha256[:12]}… here")
    if all(standing.values()):
        record = records.by_rid(connection, public[0])
        assert record is not None
        raise documents.tainted_record(record, standing[record.rid])
    return body
