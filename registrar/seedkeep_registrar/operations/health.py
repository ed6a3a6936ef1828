"""``/healthz``: the process answers. ``/readyz``: it can do its work, so that traffic may be sent to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web
from sqlalchemy import Connection, select

from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.store.tables import log

_PATIENCE_S = 5.0


def _answer(status: int, checks: Mapping[str, str]) -> web.Response:
    return web.json_response(
        {"status": "ok" if status == 200 else "unavailable", "checks": dict(checks)},
        status=status,
        headers={"Cache-Control": "no-store"},
    )


async def healthz(request: web.Request) -> web.Response:
    """``GET /healthz``: 200 as long as the event loop turns."""
    return _answer(200, {})


async def readyz(request: web.Request) -> web.Response:
    """``GET /readyz``: 200, or 503 with what is wrong."""
    registrar = request.app[REGISTRAR]
    checks = await ready(registrar)
    return _answer(200 if all(word == "ok" for word in checks.values()) else 503, checks)


async def ready(registrar: Registrar) -> dict[str, str]:
    """What this process needs to do its work, each ``ok`` or why not, in words that tell no secrets."""
    checks = {"process": "ok", "database": "ok", "disk": "ok"}
    if registrar.wakeups.closing:
        checks["process"] = "it is shutting down"
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await registrar.db.read(_touch)
    except Exception:
        checks["database"] = "the database does not answer"
    try:
        free = await asyncio.to_thread(registrar.objects.free_bytes)
        if free < registrar.settings.min_free_bytes:
            checks["disk"] = "the disk is full"
    except OSError as error:
        checks["disk"] = f"the data folder cannot be read: {error.strerror}"
    return checks


def _touch(connection: Connection) -> None:
    connection.execute(select(log.c.size)).one()
