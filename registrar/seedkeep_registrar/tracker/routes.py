"""``GET /announce`` and ``GET /scrape``, tied to the registrar's database, wake-ups and settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random

from aiohttp import web

from seedkeep_registrar.changes import Registered
from seedkeep_registrar.client_address import Network, address_of, parse_networks
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.store import claims, datasets
from seedkeep_registrar.store.datasets import Tracked
from seedkeep_registrar.tracker.service import Pace, Tracker
from seedkeep_registrar.tracker.sharing import Said, Sharing

TRACKER: web.AppKey[Tracker] = web.AppKey("tracker", Tracker)
_TRUSTED: web.AppKey[Sequence[Network]] = web.AppKey("trusted_proxies", Sequence)


#: one of the processes answers a new one; the others have heard of it by then, in seconds
_ANSWER_WITHIN_S = 1.0


def _tracker(registrar: Registrar, random: Random, tell: Callable[[Said], None]) -> Tracker:
    async def look_up(info_hash: bytes) -> Tracked | None:
        return await registrar.db.read(datasets.by_infohash, info_hash)

    async def wanted(content_id: str) -> None:
        holders = await registrar.db.read(claims.holders, content_id)
        registrar.wakeups.companion_wanted(content_id, holders)

    return Tracker(
        look_up,
        wanted,
        pace=Pace(interval_s=max(1, int(registrar.settings.tracker_interval_s))),
        clock=time.monotonic,
        random=random,
        tell=tell,
    )


def _shared_tracker(registrar: Registrar, app: web.Application) -> Tracker:
    random = Random(registrar.random(16))  # noqa: S311 - which peers are named is no secret
    if not registrar.db.shared:
        return _tracker(registrar, random, lambda said: None)
    tracker = _tracker(registrar, random, lambda said: sharing.tell(said))
    sharing = Sharing(
        registrar.signals,
        registrar.db.process,
        heard=tracker.heard,
        all_peers=tracker.all_peers,
        jitter=lambda: random.random() * _ANSWER_WITHIN_S,
    )
    app.cleanup_ctx.append(sharing.running)
    return tracker


def setup(app: web.Application) -> None:
    """Add the tracker to the application, unless it is switched off.

    Raises:
        UsageError: a trusted proxy in the settings is not an address or network.
    """
    registrar = app[REGISTRAR]
    if not registrar.settings.builtin_tracker:
        return
    tracker = app[TRACKER] = _shared_tracker(registrar, app)
    app[_TRUSTED] = parse_networks(registrar.settings.trusted_proxies)

    def registered(made: Registered) -> None:
        tracker.registered.forget(bytes.fromhex(made.infohash_v1))
        tracker.registered.forget(bytes.fromhex(made.content_id[:40]))

    registrar.changes.on_registered(registered)
    registrar.changes.on_taints(tracker.registered.clear)
    app.router.add_get("/announce", _announce, allow_head=False)
    app.router.add_get("/scrape", _scrape, allow_head=False)


def _query(request: web.Request) -> str:
    # as it came: an info-hash is bytes, not text
    return request.raw_path.partition("?")[2]


async def _announce(request: web.Request) -> web.Response:
    address = address_of(request, request.app[_TRUSTED])
    return _answer(await request.app[TRACKER].announce(_query(request), address))


async def _scrape(request: web.Request) -> web.Response:
    return _answer(await request.app[TRACKER].scrape(_query(request)))


def _answer(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="text/plain", headers={"Cache-Control": "no-store"})
