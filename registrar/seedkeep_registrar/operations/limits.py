"""How many requests a minute somebody may make, counted over all processes of the registrar.

Each process counts by itself and asks first its own count; with PostgreSQL the counts are exchanged every
second through the database, so that N processes together let through at most what N·(requests of one second)
would add. The window slides: the minute before counts for the part of it that is less than 60 s ago.

Counted are addresses (IPv6: the /64), accounts and keys. Loopback addresses are not: behind a proxy that is
not in ``trusted_proxies`` everybody would be one of them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

from aiohttp import web
from aiohttp.typedefs import Handler

from seedkeep.core.errors import Error
from seedkeep_registrar.client_address import Address, address_of, parse_networks
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.database import Database
from seedkeep_registrar.operations.metrics import METRICS
from seedkeep_registrar.problems import TooManyRequests
from seedkeep_registrar.store import rates

_LOG = logging.getLogger(__name__)
_MINUTE = 60.0
_EXCHANGE_S = 1.0
#: names counted at a time; beyond, new ones are let through uncounted rather than memory filled
_MAX_NAMES = 200_000
#: never limited: whoever watches the registrar must be able to when it is busiest
_FREE = frozenset({"/healthz", "/readyz", "/metrics"})


class Limits:
    """The counts of this process, and what it knows of the others'."""

    def __init__(self, clock: Callable[[], float], db: Database | None) -> None:
        """
        Args:
            db: where counts are exchanged; None when there is no other process.
        """
        self._clock = clock
        self._db = db
        self._totals: dict[int, dict[str, int]] = {}
        self._fresh: dict[tuple[str, int], int] = {}
        self._task: asyncio.Task[None] | None = None

    def charge(self, name: str, per_minute: int, *, cost: int = 1) -> None:
        """Count one request of ``name``.

        Args:
            per_minute: how many there may be; 0 = any number.

        Raises:
            TooManyRequests: there were too many; this one is not counted.
        """
        if not per_minute:
            return
        now = self._clock()
        minute = int(now // _MINUTE)
        present = self._totals.get(minute)
        if present is None:
            present = self._totals[minute] = {}
            for old in [m for m in self._totals if m < minute - 1]:
                del self._totals[old]
        before = self._totals.get(minute - 1, {}).get(name, 0)
        left = 1 - (now % _MINUTE) / _MINUTE
        count = present.get(name, 0)
        if count + before * left + cost > per_minute:
            wait = _MINUTE - now % _MINUTE if count + cost > per_minute else _MINUTE * cost / max(before, 1)
            raise TooManyRequests(
                f"more than {per_minute} requests a minute came from {name.partition(' ')[2]}",
                retry_after=max(1, round(wait)),
            )
        if count or len(present) < _MAX_NAMES:
            present[name] = count + cost
            if self._db is not None:
                self._fresh[name, minute] = self._fresh.get((name, minute), 0) + cost

    async def start(self) -> None:
        """Exchange counts with the other processes from now on."""
        if self._db is not None:
            self._task = asyncio.create_task(self._repeat(self._db))

    async def stop(self) -> None:
        """End that."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def exchange(self, db: Database) -> None:
        """Tell the others what was counted here, and learn what they counted."""
        fresh, self._fresh = self._fresh, {}
        if not fresh:
            return
        try:
            found: Mapping[tuple[str, int], int] = await db.write(
                rates.add, fresh, int(self._clock() // _MINUTE)
            )
        except Error:
            for key, count in fresh.items():
                self._fresh[key] = self._fresh.get(key, 0) + count
            raise
        for (name, minute), total in found.items():
            if minute in self._totals:
                self._totals[minute][name] = total + self._fresh.get((name, minute), 0)

    async def _repeat(self, db: Database) -> None:
        while True:
            await asyncio.sleep(_EXCHANGE_S)
            try:
                await self.exchange(db)
            except Exception:
                _LOG.exception("request counts could not be exchanged")


LIMITS: web.AppKey[Limits] = web.AppKey("limits", Limits)


def name_of(address: Address) -> str:
    """Under which name an address is counted; empty for loopback."""
    if address.is_loopback:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        return f"address {ipaddress.IPv6Network((address, 64), strict=False)}"
    return f"address {address}"


@web.middleware
async def limited(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts the request under its address; refused ones reach no handler."""
    settings = request.app[REGISTRAR].settings
    name = name_of(address_of(request, parse_networks(settings.trusted_proxies)))
    if name and request.path not in _FREE:
        try:
            request.app[LIMITS].charge(name, settings.requests_per_minute)
        except TooManyRequests:
            request.app[METRICS].refused.labels("address").inc()
            raise
    return await handler(request)


def charge_mail(request: web.Request) -> None:
    """Count a mail that somebody who is not known yet has sent to an address of their choice.

    Raises:
        TooManyRequests: there were too many from their own address.
    """
    settings = request.app[REGISTRAR].settings
    name = name_of(address_of(request, parse_networks(settings.trusted_proxies)))
    if not name:
        return
    try:
        request.app[LIMITS].charge(f"mail {name}", settings.mails_per_minute)
    except TooManyRequests:
        request.app[METRICS].refused.labels("mail").inc()
        raise


def charge_sender(request: web.Request, name: str) -> None:
    """Count a request of a known sender: ``key ed25519:…`` or ``account 17``.

    Raises:
        TooManyRequests: there were too many.
    """
    settings = request.app[REGISTRAR].settings
    try:
        request.app[LIMITS].charge(name, settings.requests_per_minute_sender)
    except TooManyRequests:
        request.app[METRICS].refused.labels("sender").inc()
        raise
