"""How fast a registrar takes over another one's log, and how soon an event is there.

    TMPDIR=/var/tmp python -m tests.bench.federation [--events 200000] [--engine sqlite] [--poll-s 10]

*first sync*: another process serves a log of that many signed events; they count when they are fetched by
HTTP, verified (signature, place, tree) and durable in the database of the registrar that follows.
*told* and *polled*: two registrars in this process; the time from the moment an event is sent to be
registered until the mirror shows a checkpoint that covers it, 20 times told and 5 times polled.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

from seedkeep.core.events import sign_event
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.tiles import Tile, grow
from seedkeep.core.log.tree import leaf_hash
from seedkeep.core.notes import Verifier
from seedkeep_registrar.store import peers
from tests.bench.report import describe_machine, table
from tests.support.federating import agree, befriend, known, mirrored
from tests.support.lying_registrar import LyingRegistrar, lying_registrar
from tests.support.postgres import postgres, url_of
from tests.support.registrar import shareable, start_registrar

KEY = PrivateKey(b"b" * 32)
TOLD, POLLED = 20, 5


def serve(count: int, say: Connection) -> None:
    """Serve a log of that many events until the process is ended."""
    asyncio.run(_serve(count, say))


class _Whole(LyingRegistrar):
    """Tiles of the whole log are made once."""

    def tile(self, leaves: object, path: str) -> bytes:
        tile = Tile.parse(path)
        if tile.level < 0:
            return super().tile(self.leaves, path)
        return self.made[tile.place][: tile.width * 32]

    def make(self) -> None:
        """Make them."""
        self.made = grow(0, {}, [leaf_hash(leaf) for leaf in self.leaves])


async def _serve(count: int, say: Connection) -> None:
    async with lying_registrar(_Whole(key=KEY)) as log:
        bodies = (b"%d" % number for number in range(count))
        given = {"type": "record", "home": log.origin, "created": "2026-01-31T12:00:00Z"}
        log.show([sign_event(KEY, body=body, **given).leaf() for body in bodies])
        assert isinstance(log, _Whole)
        log.make()
        say.send(log.url)
        await asyncio.Event().wait()


async def first_sync(folder: Path, database_url: str, url: str, count: int) -> float:
    """Events a second."""
    vkey = Verifier(url.partition("//")[2], KEY.public)
    async with start_registrar(folder, database_url=database_url) as one:
        began = time.monotonic()
        await agree(one, vkey, url)
        while (await known(one, vkey.name)).stored < count:
            await asyncio.sleep(0.2)
        return count / (time.monotonic() - began)


async def visible(folder: Path, database_url: str, poll_s: float) -> tuple[list[float], list[float]]:
    """Seconds until an event is visible at a peer that is told, and at one that polls."""
    settings = {"database_url": database_url, "peer_poll_s": poll_s}
    async with (
        start_registrar(folder / "a", **settings) as a,
        start_registrar(folder / "b", peer_poll_s=poll_s) as b,
    ):
        await befriend(a, b)
        person, size = a.person(), 0
        found: tuple[list[float], list[float]] = ([], [])
        for times, count in zip(found, (TOLD, POLLED), strict=True):
            if times is found[1]:
                await a.context.db.write(peers.set_state, (await known(a, b.context.origin)).id, peers.PAUSED)
                await asyncio.sleep(5)
            for _ in range(count):
                what = shareable(f"set {size}", {"a": b"%d" % size, "b": b"b"})
                await person.upload(what)
                body = what.body().encode()
                began, size = time.monotonic(), size + 1
                assert (await person.submit(person.event(body), body)).status == 201
                await mirrored(b, a.context.vkey, size)
                times.append(time.monotonic() - began)
        return found


def _rows(
    name: str, folder: Path, sync_url: str, pair_url: str, url: str, options: argparse.Namespace
) -> list[list[str]]:
    speed = asyncio.run(first_sync(folder / "sync", sync_url, url, options.events))
    told, polled = asyncio.run(visible(folder / "pair", pair_url, options.poll_s))
    rows = [[name, "first sync", f"{speed:,.0f} events/s", f"{options.events:,} events"]]
    for job, times in (("told", told), (f"polled, every {options.poll_s:g} s", polled)):
        rows.append([name, job, f"{statistics.median(times):.2f} s", f"at most {max(times):.2f} s"])
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--poll-s", type=float, default=10)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"))
    options = parser.parse_args()
    hear, say = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.Process(target=serve, args=(options.events, say), daemon=True)
    server.start()
    url, rows = hear.recv(), []
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="seedkeep-bench-")))
        if options.engine != "postgresql":
            rows += _rows("SQLite", place / "one", "", "", url, options)
        if options.engine != "sqlite":
            running = stack.enter_context(postgres())
            urls = [url_of(running, name) for name in ("postgres", "template1")]
            rows += _rows("PostgreSQL", place / "two", *urls, url, options)
    server.terminate()
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{describe_machine()}; load {load}\n")
    print(table(["database", "job", "result", "of"], rows))


if __name__ == "__main__":
    main()
