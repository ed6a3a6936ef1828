"""The database: one writing thread that commits whatever is queued, and readers in threads.

* :meth:`Database.write` returns when the work is *durable*. Units that arrive while a transaction is being
  committed share the next one; each has a SAVEPOINT of its own, so that one failing unit takes nothing
  else with it. With SQLite this is the only connection that writes or checkpoints (WAL, synchronous=FULL).
  With PostgreSQL the writing transactions of all processes run one after the other, so that what a unit has
  read does not change under it, whichever process it is in.
* :meth:`Database.read` runs on other connections, in threads, and sees only what is durable.

A unit is a plain function of a SQLAlchemy connection; it must not wait for anything else.
"""

from __future__ import annotations

import asyncio
import queue
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.pool import QueuePool

from seedkeep.core.errors import Error, UsageError
from seedkeep_registrar.locks import Lock, hold
from seedkeep_registrar.processes import signals
from seedkeep_registrar.processes.postgres import CHANNEL, envelope
from seedkeep_registrar.processes.signals import Signal

P = ParamSpec("P")
T = TypeVar("T")
READERS = 4
_BATCH = 256
_WRITER_CACHE_KIB = 64 * 1024
_CHECKPOINT_PAGES = 16_384
_RETRIES = 5
#: a connection to PostgreSQL is given up when it takes longer, in seconds
_CONNECT_S = 10
#: a process that stops in the middle of a transaction, or is cut off, must not hold up the others for ever
_POSTGRESQL = (
    "idle_in_transaction_session_timeout = '20s'",
    "tcp_keepalives_idle = 10",
    "jit = off",  # every statement is over before it would pay
)
_WRITER_WAITS = "lock_timeout = '30s'"


class Unavailable(Error):
    """The registrar cannot do this at the moment; trying again later may help."""

    code = "unavailable"


class _Unit:
    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.future: Future[Any] = Future()
        self.result: Any = None
        self.error: Exception | None = None


def _engine(url: str, *, writer: bool) -> Engine:
    if not url.startswith("sqlite"):
        return _postgresql(url, writer=writer)
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1 if writer else READERS,
        connect_args={"check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
            cursor.execute(f"PRAGMA {pragma}")
        if writer:
            # large manifests touch many pages of the digests' indexes again and again
            cursor.execute(f"PRAGMA cache_size=-{_WRITER_CACHE_KIB}")
            cursor.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        else:
            # only the writer may checkpoint: SQLite before 3.51.3 can lose commits otherwise
            cursor.execute("PRAGMA wal_autocheckpoint=0")
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    return engine


def _postgresql(url: str, *, writer: bool) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1 if writer else READERS,
        max_overflow=0,
        pool_timeout=_CONNECT_S,
        connect_args={"connect_timeout": _CONNECT_S},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            for value in (*_POSTGRESQL, *([_WRITER_WAITS] if writer else [])):
                cursor.execute(f"SET {value}")
        connection.commit()

    return engine


class Database:
    """See the module's text. Open it with :meth:`open`, give it back with :meth:`close`."""

    def __init__(self, url: str) -> None:
        """
        Args:
            url: SQLAlchemy URL of SQLite (a file) or PostgreSQL (psycopg).
        """
        self._writer = _engine(url, writer=True)
        self._reader = _engine(url, writer=False)
        self._queue: queue.SimpleQueue[_Unit | None] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="registrar-read")
        self._thread = threading.Thread(target=self._run, name="registrar-write", daemon=True)
        self._closed = False
        self._told: Callable[[Sequence[Signal]], None] = lambda told: None
        #: how many transactions of this process are durable; counted before their callers go on
        self.written = 0
        self._before_commit: Callable[[Connection], None] = lambda connection: None
        #: names this process among those of one registrar
        self.process = secrets.token_hex(8)

    @property
    def shared(self) -> bool:
        """Whether several processes may use it."""
        return self._writer.dialect.name == "postgresql"

    def on_commit(self, told: Callable[[Sequence[Signal]], None]) -> None:
        """Call ``told``, in the writing thread, with what a durable transaction has announced."""
        self._told = told

    def before_commit(self, work: Callable[[Connection], None]) -> None:
        """Call ``work``, in the writing thread, at the end of every writing transaction; what it announces is
        announced with the rest."""
        self._before_commit = work

    @property
    def engine(self) -> Engine:
        """The writing engine, for migrations before :meth:`start`."""
        return self._writer

    def start(self) -> None:
        """Start the writing thread."""
        self._thread.start()

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``work(connection, …)`` in one read transaction, in a thread.

        Raises:
            whatever ``work`` raises.
            Unavailable: the database does not answer.
        """

        def once() -> T:
            with self._reader.connect() as connection, connection.begin():
                return work(connection, *args, **kwargs)

        def run() -> T:
            try:
                try:
                    return once()
                except DBAPIError as error:
                    if not error.connection_invalidated:
                        raise
                    return once()  # the server had ended the connection; all old ones are given up now
            except (OperationalError, InterfaceError, NoConnection) as error:
                raise Unavailable(
                    "the registrar's database does not answer now", hint="Try again later."
                ) from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    async def write(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``work(connection, …)`` on the writing connection; durable when this returns.

        ``work`` may run again from the start when the whole transaction had to be repeated.

        Raises:
            whatever ``work`` raises; then nothing of it was written.
            Unavailable: the database refuses to take it (disk full, connection lost).
        """
        if self._closed:
            raise Unavailable("the registrar is shutting down")
        unit = _Unit(lambda connection: work(connection, *args, **kwargs))
        self._queue.put(unit)
        result: T = await asyncio.wrap_future(unit.future)
        return result

    async def close(self) -> None:
        """Finish what is queued, then close all connections (the readers first)."""
        if self._closed:
            return
        self._closed = True
        if self._thread.is_alive():
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)
        self._threads.shutdown(wait=True)
        self._reader.dispose()
        self._writer.dispose()

    def _run(self) -> None:
        while (unit := self._queue.get()) is not None:
            units, last = [unit], False
            while len(units) < _BATCH and not self._queue.empty():
                more = self._queue.get()
                if more is None:
                    last = True
                    break
                units.append(more)
            left = [u for u in units if u.future.set_running_or_notify_cancel()]
            while left:
                left = self._commit(left)
            if last:
                return

    def _commit(self, units: list[_Unit]) -> list[_Unit]:
        """Commit them and tell their callers; those come back that failed only because of another one."""
        failure: Exception | None = None
        for _ in range(_RETRIES):
            try:
                self._transaction(units)
                failure = None
                break
            except (OperationalError, InterfaceError) as error:  # lost connection, full disk: all rolled back
                failure = error
            except Exception as error:
                failure = error
                break
        to_blame = [u for u in units if failure is not None and u.error is failure]
        for unit in to_blame or units:
            if failure is not None:
                problem = Unavailable(
                    "the registrar's database does not take this now", hint="Try again later."
                )
                problem.__cause__ = failure
                unit.future.set_exception(problem)
            elif unit.error is not None:
                unit.future.set_exception(unit.error)
            else:
                unit.future.set_result(unit.result)
        return [u for u in units if u not in to_blame] if to_blame else []

    def _transaction(self, units: list[_Unit]) -> None:
        told: dict[Signal, None] = {}
        with self._writer.connect() as connection, connection.begin():
            hold(connection, Lock.WRITING)
            signals.take(connection)  # of a transaction that came to nothing
            for unit in units:
                unit.result = unit.error = None
                # by hand: begin_nested() compiles its statements each time
                connection.exec_driver_sql("SAVEPOINT unit")
                try:
                    unit.result = unit.work(connection)
                except (OperationalError, InterfaceError) as error:
                    unit.error = error
                    raise
                except Exception as error:
                    unit.error = error
                    connection.exec_driver_sql("ROLLBACK TO SAVEPOINT unit")
                    connection.exec_driver_sql("RELEASE SAVEPOINT unit")
                    signals.take(connection)
                else:
                    connection.exec_driver_sql("RELEASE SAVEPOINT unit")
                    told.update(dict.fromkeys(signals.take(connection)))
            self._before_commit(connection)
            told.update(dict.fromkeys(signals.take(connection)))
            if self.shared:
                for signal in told:
                    values = {"channel": CHANNEL, "text": envelope(self.process, signal)}
                    connection.execute(text("SELECT pg_notify(:channel, :text)"), values)
        self.written += 1
        self._told(list(told))


def open_database(url: str) -> Database:
    """Connect once, to tell a wrong URL early.

    Raises:
        UsageError: nothing answers there.
    """
    try:
        database = Database(url)
        with database.engine.connect():
            return database
    except (DBAPIError, ImportError) as error:
        cause = getattr(error, "orig", error)
        raise UsageError(
            f"the database cannot be opened: {cause}", hint="Check database_url, and that its server runs."
        ) from error
