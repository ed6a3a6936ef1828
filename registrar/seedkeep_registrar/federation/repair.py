"""Objects that records name and that are not on this disk any more come back from other registrars.

The log names all that there must be, so nobody is asked for lists: what is lacking here is known here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web

from seedkeep.core.errors import Error
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.federation.bodies import Bodies
from seedkeep_registrar.federation.service import FEDERATION
from seedkeep_registrar.store import peers, records
from seedkeep_registrar.store.events import OWN

_LOG = logging.getLogger(__name__)
#: seconds from the start to the first look, and between two
_FIRST_S, _EVERY_S = 60.0, 6 * 3600.0
_AT_ONCE = 1000


async def repair(registrar: Registrar, bodies: Bodies) -> int:
    """Look for every object that a record names; how many came back."""
    after, came = "", 0
    while named := await registrar.db.read(records.objects_after, after, _AT_ONCE):
        after = named[-1]
        for sha256 in await asyncio.to_thread(_lacking, registrar, named):
            try:
                await bodies.objects(OWN, [sha256])
                came += 1
            except Error as error:
                _LOG.error("the object %s is lost here: %s", sha256, error.what)
    if came:
        _LOG.warning("%d lost objects came back from other registrars", came)
    return came


def _lacking(registrar: Registrar, named: list[str]) -> list[str]:
    return [sha256 for sha256 in named if registrar.objects.size(sha256) is None]


def setup(app: web.Application) -> None:
    """Start and stop with the application."""
    registrar, bodies = app[REGISTRAR], Bodies(app[REGISTRAR], app[FEDERATION].http)

    async def run() -> None:
        await asyncio.sleep(_FIRST_S)
        while True:
            try:
                some = await registrar.db.read(peers.every, peers.ACTIVE)
                if registrar.signals.leading and some:
                    await repair(registrar, bodies)
            except Exception:
                _LOG.exception("federation: lost objects could not be looked for")
            await asyncio.sleep(_EVERY_S)

    async def running(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    app.cleanup_ctx.append(running)
