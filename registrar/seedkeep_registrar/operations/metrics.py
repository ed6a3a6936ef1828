"""``/metrics`` for Prometheus: requests by route, the database, and what the registrar looks after.

Only addresses in ``metrics_from`` may read it. Labels are route templates and status codes, never anything
a client can choose. What comes from the database is counted at most every few seconds, however often asked.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from sqlalchemy import Connection, select

from seedkeep.core.errors import Refused
from seedkeep_registrar.client_address import address_of, comes_by_stranger, parse_networks
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.store import figures, totals
from seedkeep_registrar.store.tables import log

_FRESH_S = 5.0
_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0, 60.0)


@dataclass
class Metrics:
    """The figures of one process."""

    registry: CollectorRegistry = field(default_factory=lambda: CollectorRegistry(auto_describe=True))
    _counted: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        PlatformCollector(registry=self.registry)
        ProcessCollector(registry=self.registry)
        labels = ("route", "method", "status")
        self.requests = Counter("seedkeep_requests", "Requests answered", labels, registry=self.registry)
        self.seconds = Histogram(
            "seedkeep_request_seconds",
            "Time to an answer, waiting heartbeats left out",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.running = Gauge("seedkeep_requests_running", "Requests being answered", registry=self.registry)
        self.refused = Counter(
            "seedkeep_limited", "Requests refused by a rate limit", ("limit",), registry=self.registry
        )
        self._held = {
            name: Gauge(f"seedkeep_{name}", text, registry=self.registry)
            for name, text in {
                "events": "Events in the log",
                "datasets": "Datasets that may be served",
                "dataset_bytes": "Bytes of the datasets that may be served",
                "copies_complete": "Complete copies of them",
                "nodes_online": "Storage managers heard of lately",
                "claims": "Claims, whatever their state",
                "taint_version": "Version of the taint list",
                "taint_head_age_seconds": "Age of the signed head of the taint list",
                "disk_free_bytes": "Free disk space below data",
            }.items()
        }

    async def count(self, registrar: Registrar) -> None:
        """Bring what the database says up to date."""
        async with self._lock:
            now = time.monotonic()
            if now - self._counted < _FRESH_S:
                return
            since = registrar.clock() - registrar.settings.offline_after_s
            held = await registrar.db.read(_held, since)
            held["disk_free_bytes"] = await asyncio.to_thread(registrar.objects.free_bytes)
            for name, value in held.items():
                self._held[name].set(value)
            self._counted = now


METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)


def _held(connection: Connection, seen_since: float) -> dict[str, float]:
    found = figures.read(connection, seen_since)
    size, version = connection.execute(select(log.c.size, log.c.taint_version)).one()
    return {
        "events": size,
        "taint_version": version,
        "datasets": found.datasets,
        "dataset_bytes": found.bytes,
        "copies_complete": found.copies,
        "nodes_online": found.nodes,
        "claims": totals.claims(connection),
    }


@web.middleware
async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts the request under its route's template."""
    metrics = request.app[METRICS]
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "(none)"
    started = time.monotonic()
    status = 499
    with metrics.running.track_inprogress():
        try:
            answer = await handler(request)
            status = answer.status
            return answer
        finally:
            method = request.method if resource is not None else "(any)"
            metrics.requests.labels(route, method, str(status)).inc()
            if "wait" not in request.query:
                metrics.seconds.labels(route).observe(time.monotonic() - started)


async def show(request: web.Request) -> web.Response:
    """``GET /metrics``."""
    registrar, metrics = request.app[REGISTRAR], request.app[METRICS]
    trusted = parse_networks(registrar.settings.trusted_proxies)
    client = address_of(request, trusted)
    if comes_by_stranger(request, trusted):
        raise Refused(
            "metrics are not for everybody, and this came by a proxy that is not known",
            hint="The operator names reverse proxies in trusted_proxies.",
        )
    if not any(client in network for network in parse_networks(registrar.settings.metrics_from)):
        raise Refused("metrics are not for this address", hint="The operator names readers in metrics_from.")
    await metrics.count(registrar)
    body = await asyncio.to_thread(generate_latest, metrics.registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})
