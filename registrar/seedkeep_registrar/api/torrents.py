"""The two torrents of every dataset."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from seedkeep.core.identifiers import Kind
from seedkeep.core.metainfo import carried_web_seeds
from seedkeep_registrar import documents
from seedkeep_registrar.built import Built
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.interface.operation import Content, operation
from seedkeep_registrar.verification import build_torrent
from seedkeep_registrar.workers import LARGE_BYTES

routes = web.RouteTableDef()
MAX_WEB_SEEDS = 16
_TORRENT = Content("application/x-bittorrent")
BUILT: web.AppKey[Built] = web.AppKey("built", Built)


@routes.get(r"/torrents/{content_id:[0-9a-f]{64}}.torrent")
@operation("Read the torrent", tag="Torrents", answers={200: _TORRENT}, problems=(404, 410, 451))
async def torrent_v2(request: web.Request) -> web.Response:
    """The v2-only torrent, which is the dataset's identity."""
    return await _torrent(request, 2)


@routes.get(r"/torrents/{content_id:[0-9a-f]{64}}.v1.torrent")
@operation("Read the v1 companion torrent", tag="Torrents", answers={200: _TORRENT}, problems=(404, 410, 451))
async def torrent_v1(request: web.Request) -> web.Response:
    """The v1-only companion, for clients that know no v2."""
    return await _torrent(request, 1)


async def _torrent(request: web.Request, version: int) -> web.Response:
    registrar, content_id = request.app[REGISTRAR], request.match_info["content_id"]
    record = await documents.untainted(registrar, Kind.CONTENT_ID, content_id)
    every = await registrar.db.read(documents.web_seeds_of, registrar, content_id)
    seeds = carried_web_seeds(version, record.files, every[:MAX_WEB_SEEDS])
    manifest = registrar.objects.path(record.manifest)
    hashes = registrar.objects.path(record.piece_layers if version == 2 else record.pieces_v1)
    size = sum(registrar.objects.size(s) or 0 for s in (record.manifest, hashes.name))

    trackers = registrar.trackers

    async def build() -> bytes:
        return await registrar.workers.run(size, build_torrent, version, manifest, hashes, trackers, seeds)

    key = (version, record.manifest, hashes.name, trackers, seeds)
    body = await (request.app[BUILT].get(key, build) if size > LARGE_BYTES else build())
    suffix = ".v1.torrent" if version == 1 else ".torrent"
    return web.Response(
        body=body,
        headers={
            "Content-Type": "application/x-bittorrent",
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(record.name + suffix, safe='')}",
            "Cache-Control": "no-cache",
        },
    )
