"""``/metrics``, ``/healthz``, ``/readyz``, and what every request passes through."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.operations import health, metrics
from seedkeep_registrar.operations.limits import LIMITS, Limits
from seedkeep_registrar.operations.metrics import METRICS, Metrics


def setup(app: web.Application) -> None:
    """Add the routes, the figures and the counts."""
    registrar = app[REGISTRAR]
    app[METRICS] = Metrics()
    app[LIMITS] = Limits(registrar.clock, registrar.db if registrar.db.shared else None)
    app.cleanup_ctx.append(_counting)
    app.router.add_get("/metrics", metrics.show)
    app.router.add_get("/healthz", health.healthz)
    app.router.add_get("/readyz", health.readyz)


async def _counting(app: web.Application) -> AsyncIterator[None]:
    await app[LIMITS].start()
    yield
    await app[LIMITS].stop()
