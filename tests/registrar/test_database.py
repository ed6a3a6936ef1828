"""The writing thread: durable, in batches, one failing unit takes nothing else with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, event, func, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from seedkeep_registrar.database import Database, Unavailable

META = MetaData()
NUMBERS = Table("numbers", META, Column("n", Integer, primary_key=True, autoincrement=False))


def add(connection: Connection, n: int) -> int:
    connection.execute(insert(NUMBERS).values(n=n))
    return n


def count(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(NUMBERS)).scalar_one())


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    META.create_all(database.engine)
    database.start()
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
async def db(tmp_path: Path, empty_database_url: str) -> AsyncIterator[Database]:
    async with opened(empty_database_url or f"sqlite:///{tmp_path / 'x.sqlite'}") as database:
        yield database


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(f"sqlite:///{tmp_path / 'x.sqlite'}") as database:
        yield database


async def test_what_is_written_is_read(db: Database) -> None:
    assert await db.write(add, 1) == 1
    assert await db.read(count) == 1


async def test_a_failing_unit_takes_nothing_else_with_it(db: Database) -> None:
    def half(connection: Connection) -> None:
        add(connection, 1000)
        raise ValueError("after half of it")

    units = [db.write(add, n) for n in range(20)]
    units += [db.write(add, 5) for _ in range(3)]  # type: ignore[list-item]
    results = await asyncio.gather(*units, db.write(half), return_exceptions=True)
    failed = [r for r in results if isinstance(r, Exception)]
    assert sorted(type(e).__name__ for e in failed) == ["IntegrityError"] * 3 + ["ValueError"]
    assert isinstance(failed[0], IntegrityError)
    assert await db.read(count) == 20


async def test_what_comes_while_one_commits_shares_the_next_transaction(db: Database) -> None:
    begun: list[int] = []
    event.listen(db.engine, "begin", lambda connection: begun.append(1))
    held, gate = threading.Event(), threading.Event()

    def wait(connection: Connection) -> None:
        held.set()
        gate.wait(10)

    first = asyncio.create_task(db.write(wait))
    assert await asyncio.to_thread(held.wait, 10)
    rest = [asyncio.create_task(db.write(add, n)) for n in range(50)]
    await asyncio.sleep(0)  # all of them are queued then
    gate.set()
    await asyncio.gather(first, *rest)
    assert len(begun) == 2


async def test_a_unit_that_the_database_will_not_take_fails_alone(db: Database) -> None:
    held, gate = threading.Event(), threading.Event()

    def wait(connection: Connection) -> None:
        held.set()
        gate.wait(10)

    def hopeless(connection: Connection) -> None:
        add(connection, 1000)
        raise OperationalError("a statement", {}, Exception("cancelled: it takes too long"))

    first = asyncio.create_task(db.write(wait))
    assert await asyncio.to_thread(held.wait, 10)
    units = [hopeless if n in (3, 7) else partial(add, n=n) for n in range(10)]
    rest = [asyncio.create_task(db.write(unit)) for unit in units]
    await asyncio.sleep(0)  # they share a transaction then
    gate.set()
    results = await asyncio.gather(first, *rest, return_exceptions=True)
    assert [type(r).__name__ for r in results[1:]] == [
        "Unavailable" if n in (3, 7) else "int" for n in range(10)
    ]
    assert await db.read(count) == 8


async def test_a_cancelled_unit_that_has_not_begun_is_left_out(db: Database) -> None:
    held, gate = threading.Event(), threading.Event()

    def wait(connection: Connection) -> None:
        held.set()
        gate.wait(10)

    first = asyncio.create_task(db.write(wait))
    assert await asyncio.to_thread(held.wait, 10)
    second = asyncio.create_task(db.write(add, 1))
    await asyncio.sleep(0)  # it is queued then
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.set()
    await first
    assert await db.read(count) == 0


async def test_closing_finishes_what_is_queued_and_takes_nothing_more(db: Database) -> None:
    writes = [asyncio.create_task(db.write(add, n)) for n in range(30)]
    await asyncio.sleep(0)
    await db.close()
    assert len(await asyncio.gather(*writes)) == 30
    with pytest.raises(Unavailable):
        await db.write(add, 99)


async def test_readers_cannot_write(sqlite: Database) -> None:
    with pytest.raises(Unavailable) as caught:
        await sqlite.read(add, 1)
    assert "readonly" in str(caught.value.__cause__)


async def test_a_sqlite_file_is_durable_and_only_the_writer_checkpoints(sqlite: Database) -> None:
    def pragma(connection: Connection, name: str) -> object:
        return connection.execute(text(f"PRAGMA {name}")).scalar_one()

    assert await sqlite.write(pragma, "journal_mode") == "wal"
    assert await sqlite.write(pragma, "synchronous") == 2  # FULL
    assert await sqlite.write(pragma, "wal_autocheckpoint") != 0
    assert await sqlite.read(pragma, "wal_autocheckpoint") == 0


async def test_a_full_database_is_told_and_goes_on_when_there_is_room(sqlite: Database) -> None:
    await sqlite.write(lambda c: c.execute(text("CREATE TABLE blobs (b BLOB)")) and None)

    def limit(connection: Connection, pages: int) -> None:
        connection.execute(text(f"PRAGMA max_page_count={pages}"))

    def fill(connection: Connection) -> None:
        connection.execute(text("INSERT INTO blobs VALUES (zeroblob(1000000))"))

    await sqlite.write(limit, 20)
    with pytest.raises(Unavailable, match="does not take this now"):
        await sqlite.write(fill)
    await sqlite.write(limit, 1_000_000)
    await sqlite.write(fill)
