"""The database: one writing thread that commits whatever is queued, and readers in threads.

* :meth:`Database.write` returns when the work is *durable*. Units that arrive while a transaction is being
  committed share the next one; each has a SAVEPOINT of its own, so that one failing unit takes nothing
  else with it. With SQLite this is the only connection that writes or checkpoints (WAL, synchronous=FULL).
* :meth:`Database.read` runs on other connections, in threads, and sees only what is durable.

A unit is a plain function of a SQLAlchemy connection; it must not wait for anything else.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import QueuePool

from seedkeep.core.errors import Error, UsageError

P = ParamSpec("P")
T = TypeVar("T")
READERS = 4
_BATCH = 256
_WRITER_CACHE_KIB = 64 * 1024
_CHECKPOINT_PAGES = 16_384
_RETRIES = 5


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
        return create_engine(url, poolclass=QueuePool, pool_size=1 if writer else READERS, pool_pre_ping=True)
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
        """Run ``work(connection, …)`` in one read transaction, in a thread."""

        def run() -> T:
            with self._reader.connect() as connection, connection.begin():
                return work(connection, *args, **kwargs)

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
            except OperationalError as error:  # deadlock, lost connection, full disk: all rolled back
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
        with self._writer.connect() as connection, connection.begin():
            for unit in units:
                unit.result = unit.error = None
                savepoint = connection.begin_nested()
                try:
                    unit.result = unit.work(connection)
                except OperationalError as error:
                    unit.error = error
                    raise
                except Exception as error:
                    unit.error = error
                    savepoint.rollback()
                else:
                    savepoint.commit()


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
