"""How many events a registrar's log takes and how large they are, on SQLite and on PostgreSQL.

    TMPDIR=/var/tmp python -m tests.bench.log [--events 5000] [--engine sqlite|postgresql]

Events are signed before the clock starts. *append* gives each event to the database by itself, from as many
writers at once as stand behind it; it counts as soon as it is durable: row, tiles and signed checkpoint.
Without the tree the same is written but tiles and checkpoints. *verify* is `seedkeep log verify` on an export
of that log: every signature, chain and hash; the budget is 5,000 events a second. *bytes* are those of one
event: its entry, its share of tiles and checkpoints, and what all of it takes in the database with indexes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import Connection, func, select

from seedkeep.core.events import Event, sign_event
from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier
from seedkeep.log_checking import check_log
from seedkeep_registrar.database import Database, open_database
from seedkeep_registrar.log.export import export
from seedkeep_registrar.log.sealing import Sealer
from seedkeep_registrar.migrations import upgrade
from seedkeep_registrar.store import events as log_store
from seedkeep_registrar.store.log_tables import checkpoints, log_tiles
from seedkeep_registrar.store.tables import events
from tests.bench.report import describe_machine, table
from tests.support.postgres import postgres, url_of

ORIGIN = "bench.example"
REGISTRAR, SHARER = PrivateKey(b"r" * 32), PrivateKey(b"s" * 32)
BUDGET = 5000


def made(count: int) -> list[tuple[Event, bytes]]:
    """Signed events with small bodies."""
    found = []
    for number in range(count):
        body = b"%d" % number
        created = "2026-01-31T12:00:00Z"
        found.append((sign_event(SHARER, type="record", body=body, home=ORIGIN, created=created), body))
    return found


def append(connection: Connection, event: Event, body: bytes) -> None:
    """One unit of work."""
    log_store.append(connection, log_store.lock(connection), event, body, now=1.0)


async def opened(url: str, *, tree: bool) -> Database:
    """An empty database."""
    db = open_database(url)
    upgrade(db.engine)
    if tree:
        db.before_commit(Sealer(ORIGIN, REGISTRAR, time.time).seal)
    db.start()
    await db.write(log_store.begin, ORIGIN)
    return db


async def rate(db: Database, given: list[tuple[Event, bytes]], writers: int) -> float:
    """Events a second."""
    waiting = iter(given)

    async def write() -> None:
        for event, body in waiting:
            await db.write(append, event, body)

    began = time.monotonic()
    await asyncio.gather(*(write() for _ in range(writers)))
    return len(given) / (time.monotonic() - began)


def sizes(connection: Connection) -> tuple[float, float, float]:
    """Bytes of an event's entry, and of its share of tiles and of checkpoints."""
    count, leaves = connection.execute(select(func.count(), func.sum(func.length(events.c.leaf)))).one()
    tiles = connection.execute(select(func.sum(func.length(log_tiles.c.data)))).scalar_one()
    notes = connection.execute(select(func.sum(func.length(checkpoints.c.note) + 32))).scalar_one()
    return leaves / count, tiles / count, notes / count


def whole(connection: Connection, count: int) -> float:
    """Bytes of the database for one event, with bodies and indexes."""
    if connection.dialect.name == "postgresql":
        tables = "'{events,bodies,log_tiles,checkpoints}'::regclass[]"
        query = f"SELECT sum(pg_total_relation_size(t)) FROM unnest({tables}) t"
        return float(connection.exec_driver_sql(query).scalar_one()) / count
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    return float(pages * connection.exec_driver_sql("PRAGMA page_size").scalar_one()) / count


async def verified(folder: Path) -> float:
    """Events a second of a first verification of the log in a folder."""

    async def get(path: str, limit: int) -> bytes:
        return (folder / path).read_bytes()[:limit]

    began = time.monotonic()
    verifier = Verifier(ORIGIN, REGISTRAR.public)
    found = await check_log(get, verifier, advance=lambda done, of, size: None)
    return found.checkpoint.size / (time.monotonic() - began)


async def measure(
    name: str, folder: Path, url: str, plain: str, given: list[tuple[Event, bytes]]
) -> list[list[str]]:
    """The rows of one database."""
    rows = []
    part = len(given) // 10
    db, without = await opened(url, tree=True), await opened(plain, tree=False)
    at = 0
    for writers, count in ((1, part), (64, len(given) - part)):
        some = given[at : at + count]
        at += count
        bare, sealed = await rate(without, some, writers), await rate(db, some, writers)
        rows.append(
            [
                name,
                f"append, {writers}",
                f"{sealed:,.0f}/s",
                f"{sealed / bare:.2f} of the rate without the tree",
            ]
        )
    entry, tiles, notes = await db.read(sizes)
    await db.read(export, folder, lambda what, done: None)
    speed = await verified(folder / "log")
    rows.append([name, "verify", f"{speed:,.0f}/s", f"{speed / BUDGET:.2f} of the budget"])
    with db.engine.connect() as connection:
        every = whole(connection, len(given))
    shares = f"entry {entry:.0f}, tiles {tiles:.0f}, checkpoints {notes:.0f}"
    rows.append(
        [name, "bytes", f"{every:,.0f}", f"{shares}: {(entry + tiles + notes) / entry:.2f} of the entry"]
    )
    for one in (db, without):
        await one.close()
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"))
    options = parser.parse_args()
    given, rows = made(options.events), []
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="seedkeep-bench-")))
        if options.engine != "postgresql":
            urls = (f"sqlite:///{place / 'tree.sqlite'}", f"sqlite:///{place / 'plain.sqlite'}")
            rows += asyncio.run(measure("SQLite", place / "one", *urls, given))
        if options.engine != "sqlite":
            server = stack.enter_context(postgres())
            pair = (url_of(server, name) for name in ("postgres", "template1"))
            rows += asyncio.run(measure("PostgreSQL", place / "two", *pair, given))
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{describe_machine()}; load {load}; {options.events} events\n")
    print(table(["database", "job", "events", "ratio"], rows))


if __name__ == "__main__":
    main()
