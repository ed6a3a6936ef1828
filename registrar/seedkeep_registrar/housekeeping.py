"""What has to happen without anybody asking: leases and audits run out, heads are re-signed, rubbish goes.

Of several processes the leading one does it. All of them see to it that no lease runs out because the
registrar, or its database, was away for a while.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sqlalchemy import Connection

from seedkeep_registrar import authorities, copy_history, curation
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.replication import auditing, leases
from seedkeep_registrar.store import (
    account_keys,
    audits,
    claims,
    files,
    idempotency,
    nonces,
    records,
    sessions,
    sign_in_codes,
    submissions,
    uploads,
)

_LOG = logging.getLogger(__name__)
_HOUR = 3600.0
#: how much later than it says a taint may end here, in seconds
_TAINTS_END_S = 20.0
#: a pause of the registrar that is shorter costs no node its lease, in seconds
_SHORT_PAUSE_S = 20.0
#: ended audits are remembered this long
_AUDITS_KEPT_S = 400 * 86400.0


class Housekeeping:
    """Owns the periodic tasks of one registrar."""

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar
        self._tasks: list[asyncio.Task[None]] = []
        self._looked: float | None = None

    async def extend_leases(self) -> None:
        """Give all leases new time: the registrar was away, not the nodes."""
        registrar = self._registrar
        await registrar.db.write(claims.extend_all, registrar.clock() + registrar.settings.lease_s)

    def start(self) -> None:
        """Begin."""
        registrar, settings = self._registrar, self._registrar.settings
        self._looked = asyncio.get_running_loop().time()
        often = max(
            0.05, min(5.0, settings.heartbeat_s / 4, settings.lease_s / 4, settings.audit_deadline_s / 4)
        )
        for every, job in (
            (min(60.0, settings.grace_s), self.slow_down),
            (_TAINTS_END_S, self.end_taints),
            (settings.taint_head_s, registrar.taint_head.refresh),
            (min(_HOUR, settings.orphan_s), self.drop_rubbish),
            (copy_history.EVERY_S, self.count_copies),
        ):
            self._tasks.append(asyncio.create_task(self._repeat(every, self._leading(job))))
        self._tasks.append(asyncio.create_task(self._repeat(often, self.end_overdue)))

    async def stop(self) -> None:
        """End the tasks and wait for them."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()

    async def _repeat(self, every: float, job: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(every)
            try:
                await job()
            except Exception:
                _LOG.exception("housekeeping: %s failed", getattr(job, "__name__", job))

    def _leading(self, job: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            if self._registrar.signals.leading:
                await job()

        run.__name__ = job.__name__
        return run

    async def slow_down(self) -> None:
        """Offer elsewhere what somebody has been fetching for too long."""
        registrar = self._registrar
        if await registrar.db.write(leases.slow_down, registrar.settings, registrar.clock()):
            registrar.wakeups.wake_all()

    async def end_taints(self) -> None:
        """Serve again what a taint had withheld whose time is over."""
        registrar = self._registrar
        if await registrar.db.read(curation.any_expired, registrar):
            await registrar.db.write(authorities.end_expired, registrar)
            registrar.wakeups.wake_all()

    async def end_overdue(self) -> None:
        """End leases and audits that have run out; what they held is offered elsewhere."""
        registrar, loop = self._registrar, asyncio.get_running_loop()
        nothing = await registrar.db.read(_nothing_overdue, registrar.clock())
        looked, self._looked = self._looked, loop.time()
        short = max(_SHORT_PAUSE_S, registrar.settings.offline_after_s)
        if looked is not None and self._looked - looked > short:
            await self.extend_leases()
            return
        if nothing or not registrar.signals.leading:
            return
        changed = await registrar.db.write(_end_overdue, registrar)
        if changed:
            registrar.wakeups.wake_all()

    async def count_copies(self) -> None:
        """Write down how many copies there are of what has gained or lost some."""
        await copy_history.count_copies(self._registrar)

    async def drop_rubbish(self) -> None:
        """Forget old nonces, sign-ins and audits; drop objects and file rows that no record names."""
        registrar = self._registrar
        now = registrar.clock()
        await registrar.db.write(nonces.purge, now)
        await registrar.db.write(idempotency.purge, now)
        await registrar.db.write(audits.purge, now - _AUDITS_KEPT_S)
        await registrar.db.write(_forget_sign_ins, now, registrar.settings.session_idle_s)
        before = now - registrar.settings.orphan_s
        await registrar.db.write(uploads.purge, before)
        while await registrar.db.write(files.drop_orphans, before):
            pass
        for sha256 in await asyncio.to_thread(lambda: list(registrar.objects.older_than(before))):
            if not await registrar.db.read(_is_needed, sha256):
                await registrar.db.write(_drop_object, registrar, sha256, before)


def _forget_sign_ins(connection: Connection, now: float, idle_s: float) -> None:
    sign_in_codes.purge(connection, now)
    account_keys.purge(connection, now)
    sessions.purge(connection, now, idle_s)


def _nothing_overdue(connection: Connection, now: float) -> bool:
    return not claims.expired(connection, now, limit=1) and not audits.overdue(connection, now, limit=1)


def _end_overdue(connection: Connection, registrar: Registrar) -> bool:
    now = registrar.clock()
    ended = auditing.end_overdue(connection, registrar.settings, now)
    return bool(leases.expire(connection, now)) or bool(ended)


def _is_needed(connection: Connection, sha256: str) -> bool:
    return records.is_named(connection, sha256) or submissions.names_object(connection, sha256)


def _drop_object(connection: Connection, registrar: Registrar, sha256: str, before: float) -> None:
    # inside the writing thread, so that no registration can name it at this very moment
    if not _is_needed(connection, sha256):
        registrar.objects.drop_if_older(sha256, before)
