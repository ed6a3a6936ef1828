"""The way to the other processes by PostgreSQL: LISTEN and NOTIFY, and advisory locks for who does what.

Each process has two connections for this. On the first it listens, and holds three locks as long as it lives:
``STARTING`` while it starts (so that one migrates, and the others find it done), ``ALIVE`` shared with all
others (who gets it alone is the first after a pause), and ``LEADER`` when it leads. The second one sends.
The server drops the locks of a process that dies at once; a process that loses its connection leads no more,
connects again, and looks at everything anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from seedkeep.core.errors import UsageError
from seedkeep_registrar.locks import Lock, key_of
from seedkeep_registrar.processes.signals import MAX_TEXT, Kind, Signal, Signals

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_LOG = logging.getLogger(__name__)
CHANNEL = "seedkeep"
#: how often the connection is tried, and the lead asked for
LOOK_S = 1.0
_ANSWER_S = 10.0
_AGAIN_S = 1.0
#: signals that wait for the sending connection; beyond it the others are told to look at everything
_MAX_WAITING = 10_000
_GATHER_S = 0.005
_LOOK_AT_EVERYTHING = "resync"
_KINDS = frozenset(str(kind) for kind in Kind)
_KEEP_ALIVE = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


class PostgresLink:
    """
    Args:
        engine: for the database's address.
        process: names this process in what it sends, see :attr:`Database.process`.
    """

    def __init__(self, engine: Engine, process: str) -> None:
        self._connect_arguments = dict(engine.dialect.create_connect_args(engine.url)[1])
        self._process = process
        self._leading = False
        self._listening: AsyncConnection | None = None
        self._waiting: dict[Signal, None] = {}
        self._something = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._signals: Signals | None = None

    @property
    def leading(self) -> bool:
        """Whether this process leads."""
        return self._leading

    async def begin(self) -> bool:
        """Connect, and wait until no other process is starting; end it with :meth:`begun`.

        Returns:
            Whether no other process of this registrar is running.

        Raises:
            UsageError: the server does not take the connection.
        """
        import psycopg

        try:
            self._listening = connection = await self._connect()
            await connection.execute(f"LISTEN {CHANNEL}")
            await self._lock(connection, "pg_advisory_lock", Lock.STARTING)
            first = await self._lock(connection, "pg_try_advisory_lock", Lock.ALIVE)
            if not first:
                await self._lock(connection, "pg_advisory_lock_shared", Lock.ALIVE)
        except psycopg.Error as error:
            raise UsageError(
                f"the database cannot be opened: {error}",
                hint="Check database_url, and that its server runs.",
            ) from error
        return first

    async def begun(self, signals: Signals, *, first: bool) -> None:
        """This process has started: the next one may, and signals are heard from now on."""
        connection, self._signals = self._listening, signals
        assert connection is not None
        if first:
            await self._lock(connection, "pg_advisory_lock_shared", Lock.ALIVE)
            await self._lock(connection, "pg_advisory_unlock", Lock.ALIVE)
        self._leading = await self._lock(connection, "pg_try_advisory_lock", Lock.LEADER)
        await self._lock(connection, "pg_advisory_unlock", Lock.STARTING)
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._send())]

    async def close(self) -> None:
        """Give the locks and connections back."""
        self._leading = False
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        if self._listening is not None:
            await self._listening.close()

    def tell(self, signal: Signal) -> None:
        """Send it to the others soon; the same signal waits once."""
        if len(signal.text.encode()) > MAX_TEXT:
            raise ValueError(f"a signal of kind {signal.kind} is over {MAX_TEXT} bytes")
        if len(self._waiting) < _MAX_WAITING:
            self._waiting[signal] = None
        self._something.set()

    async def _connect(self) -> AsyncConnection:
        import psycopg

        return await psycopg.AsyncConnection.connect(
            **{**_KEEP_ALIVE, **self._connect_arguments}, autocommit=True
        )

    async def _lock(self, connection: AsyncConnection, function: str, lock: Lock) -> bool:
        row = await (await connection.execute(f"SELECT {function}({key_of(lock)})")).fetchone()
        return bool(row and row[0])

    async def _listen(self) -> None:
        await self._forever(self._hear_on, "the connection for signals is lost")

    async def _hear_on(self) -> None:
        assert self._signals is not None
        connection = self._listening
        if connection is None:
            connection = self._listening = await self._connect()
            async with asyncio.timeout(_ANSWER_S):
                await connection.execute(f"LISTEN {CHANNEL}")
                await self._lock(connection, "pg_advisory_lock_shared", Lock.ALIVE)
            await self._signals.resync()
        try:
            while True:
                async for notify in connection.notifies(timeout=LOOK_S):
                    await self._heard(notify.payload)
                async with asyncio.timeout(_ANSWER_S):  # a connection may be dead without a sign
                    if self._leading:
                        await connection.execute("SELECT 1")
                    else:
                        self._leading = await self._lock(connection, "pg_try_advisory_lock", Lock.LEADER)
        finally:
            self._leading, self._listening = False, None
            await connection.close()

    async def _heard(self, payload: str) -> None:
        assert self._signals is not None
        process, _, rest = payload.partition(" ")
        kind, _, text = rest.partition(" ")
        if process == self._process:
            return
        if kind == _LOOK_AT_EVERYTHING:
            await self._signals.resync()
        elif kind in _KINDS:  # else a newer version of this program runs beside this one
            self._signals.hear([Signal(Kind(kind), text)])

    async def _send(self) -> None:
        await self._forever(self._send_on, "signals cannot be sent")

    async def _send_on(self) -> None:
        async with await self._connect() as connection:
            await connection.execute("SET synchronous_commit = off")
            while True:
                await self._something.wait()
                await asyncio.sleep(_GATHER_S)
                self._something.clear()
                sent = list(self._waiting)
                texts = [envelope(self._process, signal) for signal in sent]
                if len(sent) >= _MAX_WAITING:
                    texts = [f"{self._process} {_LOOK_AT_EVERYTHING}"]
                async with asyncio.timeout(_ANSWER_S):
                    await connection.execute(
                        "SELECT pg_notify(%s, text) FROM unnest(%s::text[]) AS text", (CHANNEL, texts)
                    )
                for signal in sent:
                    del self._waiting[signal]

    async def _forever(self, work: Callable[[], Any], trouble: str) -> None:
        import psycopg

        told = False
        while True:
            begun = asyncio.get_running_loop().time()
            try:
                await work()
            except (psycopg.Error, OSError) as error:  # TimeoutError is one
                told = told and asyncio.get_running_loop().time() - begun < _ANSWER_S
                if not told:
                    _LOG.warning("%s, trying again: %s", trouble, error or type(error).__name__)
                told = True
            except Exception:
                _LOG.exception("%s, trying again", trouble)
            self._something.set()
            await asyncio.sleep(_AGAIN_S)


def envelope(process: str, signal: Signal) -> str:
    """A signal as it is sent."""
    return f"{process} {signal.kind} {signal.text}"
