"""Runs a registrar: opens everything in order, serves, and closes everything in the reverse order."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing

from aiohttp import web

from seedkeep.core.errors import UsageError, VerificationFailed
from seedkeep.core.log.evidence import Misbehaviour
from seedkeep.core.notes import Verifier
from seedkeep.core.origin import origin_of
from seedkeep_registrar import identity
from seedkeep_registrar.app import make_app
from seedkeep_registrar.authorities import judge_anew
from seedkeep_registrar.changes import Changes
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.database import Database, open_database
from seedkeep_registrar.federation.client import PeerClient
from seedkeep_registrar.federation.own_log import OwnLog
from seedkeep_registrar.housekeeping import Housekeeping
from seedkeep_registrar.log.proofs import Proofs
from seedkeep_registrar.log.sealing import Sealer
from seedkeep_registrar.mail.mailer import Mailer
from seedkeep_registrar.migrations import upgrade
from seedkeep_registrar.objects import ObjectStore
from seedkeep_registrar.operations.acknowledged import Acknowledged
from seedkeep_registrar.processes.postgres import PostgresLink
from seedkeep_registrar.processes.signals import Kind, Signal, Signals
from seedkeep_registrar.replication.wakeups import Wakeups
from seedkeep_registrar.rotation import trusted_keys
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import events
from seedkeep_registrar.taint_head import TaintHead
from seedkeep_registrar.workers import Workers

_BACKLOG = 1024
_KEEP_ALIVE_S = 75.0
#: bytes of a request's first line: a magnet link of 4096 characters, percent-encoded, fits in
_LONGEST_LINE = 64 * 1024


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        UsageError: the port is taken, or the address is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"{host}:{port} is not an address to listen on: {error.strerror}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            hint="Stop the program that uses the port, or choose another one with --listen.",
        ) from error
    return listening


def _own_address() -> str:
    """The address by which machines of the local network reach this one; nothing is sent to find out."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def public_url_of(settings: Settings, listening: socket.socket) -> str:
    """The public URL: the setting, or one made from the address listened on."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - a comparison
        host = _own_address()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@asynccontextmanager
async def running(
    settings: Settings,
    *,
    listening: socket.socket | None = None,
    clock: Callable[[], float] = time.time,
    random: Callable[[int], bytes] = os.urandom,
) -> AsyncIterator[Registrar]:
    """A registrar that serves until the block is left.

    Args:
        listening: where it accepts connections, instead of a socket of its own.

    Raises:
        UsageError: a setting cannot work: port taken, folder in use, database out of reach, origin changed.
    """
    async with AsyncExitStack() as stack:
        shared = not settings.sqlalchemy_url.startswith("sqlite")
        identity.prepare_folder(settings.data)
        stack.callback(os.close, identity.lock_folder(settings.data, shared=shared))
        if listening is None:
            listening = stack.enter_context(closing(bind(*settings.bind)))
        public_url = public_url_of(settings, listening)
        origin = origin_of(public_url)
        key = identity.load_key(settings.data, random)
        db = await asyncio.to_thread(open_database, settings.sqlalchemy_url)
        stack.push_async_callback(db.close)
        link = PostgresLink(db.engine, db.process) if db.shared else None
        first = True
        if link is not None:
            stack.push_async_callback(link.close)
            first = await link.begin()
        signals = Signals(link)
        proofs, sealer = Proofs(), Sealer(origin, key, clock)

        def told(durable: Sequence[Signal]) -> None:
            for batch in filter(None, map(sealer.durable, durable)):
                proofs.sealed(batch)
            signals.committed(durable)

        signals.on(Kind.CHECKPOINT, sealer.heard)
        db.on_commit(told)
        db.before_commit(sealer.seal)
        await asyncio.to_thread(upgrade, db.engine)
        db.start()
        await db.write(events.begin, origin)
        keys = await db.read(trusted_keys, origin, key.public)
        if first:
            await _own_log_again(db, Verifier(origin, key.public), PeerClient(key, clock, random), clock)
        acknowledged = Acknowledged(db, signals, settings.data)
        await acknowledged.start(Verifier(origin, key.public))
        stack.push_async_callback(acknowledged.stop)
        objects = ObjectStore(
            settings.data / "objects",
            max_bytes=settings.max_object_bytes,
            min_free_bytes=settings.min_free_bytes,
        )
        await asyncio.to_thread(objects.prepare)
        if first:
            await asyncio.to_thread(objects.drop_unfinished)
        workers = Workers()
        stack.push_async_callback(workers.close)
        taint_head = TaintHead(db, signals, origin, key, clock)
        await _first_head(taint_head, settings)
        await db.write(judge_anew, settings, now=clock())
        changes, wakeups = Changes(signals, taint_head), Wakeups(clock, signals)
        changes.on_taints(wakeups.wake_here)
        mailer = await asyncio.to_thread(
            Mailer,
            settings,
            db,
            public_url=public_url,
            host=origin.partition("/")[0],
            clock=clock,
            random=random,
        )
        registrar = Registrar(
            settings=settings,
            public_url=public_url,
            origin=origin,
            key=key,
            vkey=Verifier(origin, key.public),
            keys=keys,
            db=db,
            proofs=proofs,
            objects=objects,
            workers=workers,
            signals=signals,
            changes=changes,
            wakeups=wakeups,
            taint_head=taint_head,
            mailer=mailer,
            clock=clock,
            random=random,
        )
        mailer.start()
        stack.push_async_callback(mailer.stop)
        housekeeping = Housekeeping(registrar)
        if first:
            await housekeeping.extend_leases()
        if link is not None:
            await link.begun(signals, first=first)
        housekeeping.start()
        stack.push_async_callback(housekeeping.stop)
        app = make_app(registrar)
        app.on_response_prepare.append(_part)
        runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,  # a small body could unpack to anything, on the event loop
            keepalive_timeout=_KEEP_ALIVE_S,
            shutdown_timeout=settings.shutdown_s,
            handle_signals=False,
            max_line_size=_LONGEST_LINE,
        )
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        stack.callback(registrar.wakeups.close)
        await web.SockSite(runner, listening, backlog=_BACKLOG).start()
        yield registrar


async def _part(request: web.Request, response: web.StreamResponse) -> None:
    """While the registrar shuts down, send whoever comes by a connection to be kept to somebody else."""
    if request.app[REGISTRAR].wakeups.closing:
        response.force_close()
        response.headers["Connection"] = "close"


async def _own_log_again(db: Database, vkey: Verifier, http: PeerClient, clock: Callable[[], float]) -> None:
    try:
        await OwnLog(db, vkey, http, clock).catch_up()
    except Misbehaviour as error:
        raise UsageError(
            f"this registrar's mirrors show another log than its own: {error.what}",
            hint="Restore a newer copy of its database: one that its mirrors agree with.",
        ) from error
    finally:
        await http.close()


async def _first_head(taint_head: TaintHead, settings: Settings) -> None:
    try:
        await taint_head.refresh()
    except VerificationFailed as error:
        raise UsageError(
            f"the key in {settings.data} is not the one with which this database's records were signed",
            hint="All processes of a registrar share one data folder; after a restore, restore its key too.",
        ) from error


async def serve(
    settings: Settings, ready: Callable[[Registrar], None], listening: socket.socket | None = None
) -> int:
    """Serve until SIGTERM or SIGINT.

    Then nobody is held back any more, ``/readyz`` says no, and connections are closed after their next
    answer; after ``drain_s`` no new ones are taken, and the requests that run have ``shutdown_s`` to end.

    Args:
        ready: called once requests are answered.
        listening: see :func:`running`.

    Returns:
        The exit code: 0 after SIGTERM, 130 after SIGINT.
    """
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(code: int) -> None:
        if not stopped.done():
            stopped.set_result(code)

    loop.add_signal_handler(signal.SIGTERM, stop, 0)
    loop.add_signal_handler(signal.SIGINT, stop, 130)
    try:
        async with running(settings, listening=listening) as registrar:
            ready(registrar)
            code = await stopped
            registrar.wakeups.close()
            await asyncio.sleep(settings.drain_s)
            return code
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)
