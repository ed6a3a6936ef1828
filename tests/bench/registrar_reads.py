"""How fast a registrar with very many records answers, on SQLite and on PostgreSQL.

    TMPDIR=/var/tmp python -m tests.bench.registrar_reads [--records 1000000] [--engine postgresql]

The records are made up and written in bulk past every check (see ``many_records``). A real registrar then
runs in this process and is asked over HTTP on loopback, one request after the other, by the same process:
the client's own time is in every figure. PostgreSQL has its default settings. *budget* is 100 ms, of a
look-up 20 ms; *ratio* is the 99th percentile by it. With ``--at`` what was loaded is kept and used again.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote, urlsplit

import aiohttp
from sqlalchemy import Connection, create_engine, select

from seedkeep.core.httpsig import sign_request
from seedkeep.core.keys import PrivateKey
from seedkeep_registrar.server import running
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store.tables import files, records
from tests.bench.many_records import Pools, load, loaded, sample
from tests.bench.report import describe_machine, table
from tests.support.ports import free_port
from tests.support.postgres import postgres, url_of

_WARM = 10
KEY = PrivateKey(b"b" * 32)
HEARTBEATS = {
    "heartbeat: of a new node": {},
    "heartbeat: of one with little room": {"pledge": 10**6},
    "heartbeat: of one that wants what there is not": {"subjects": ["nothing like it"]},
}


def looked_up(connection: Connection, rids: list[str]) -> dict[str, list[str]]:
    """ARKs and MD5s of some records."""
    arks = connection.execute(select(records.c.ark).where(records.c.rid.in_(rids))).scalars().all()
    of = select(files.c.md5).join(records, records.c.manifest_id == files.c.manifest_id)
    sums = connection.execute(of.where(records.c.rid.in_(rids), files.c.number == 0)).scalars().all()
    return {"ark": [f"ark:/{ark}" for ark in arks], "md5": [f"md5:{value.hex()}" for value in sums]}


def jobs(rids: list[str], names: dict[str, list[str]], seed: int) -> dict[str, tuple[int, Callable[[], str]]]:
    """What is asked: budget in ms, and how each request is made up."""
    pools, pick = Pools(seed), random.Random(seed)
    words, subjects = pools.words, pools.subjects

    def search(*parts: str) -> str:
        return "/api/v1/search?" + "&".join(parts)

    def word(first: int, last: int) -> str:
        return "q=" + pick.choice(words[first:last])

    def subject(first: int, last: int) -> str:
        return "subject=" + quote(pick.choice(subjects[first:last]))

    return {
        "search: a very common word": (100, lambda: search(word(0, 10))),
        "search: a common word": (100, lambda: search(word(10, 100))),
        "search: a middling word": (100, lambda: search(word(100, 2000))),
        "search: a rare word": (100, lambda: search(word(5000, 50_000))),
        "search: two common words": (
            100,
            lambda: search(f"q={pick.choice(words[:60])}+{pick.choice(words[:60])}"),
        ),
        "search: a phrase": (
            100,
            lambda: search(f"q=%22{pick.choice(words[:30])}+{pick.choice(words[:30])}%22"),
        ),
        "search: a beginning": (100, lambda: search(f"q={pick.choice(words[100:5000])[:4]}*")),
        "search: common subject": (100, lambda: search(subject(0, 10))),
        "search: rare subject": (100, lambda: search(subject(2000, 20_000))),
        "search: common word, common subject": (100, lambda: search(word(0, 50), subject(0, 10))),
        "search: common word, licence, copies": (
            100,
            lambda: search(word(0, 50), "license=CC-BY-4.0", "copies=0", "copies=1"),
        ),
        "search: no words, copies": (100, lambda: search("copies=1")),
        "search: nothing asked": (100, lambda: search("q=")),
        "search: newest with a common word": (100, lambda: search(word(0, 50), "sort=newest")),
        "page: search for a common word": (100, lambda: "/search?" + word(0, 100)),
        "page: storage managers": (100, lambda: "/nodes"),
        "resolve an ARK": (20, lambda: "/api/v1/resolve?id=" + pick.choice(names["ark"])),
        "resolve an MD5": (20, lambda: "/api/v1/resolve?id=" + pick.choice(names["md5"])),
        "record document": (20, lambda: "/api/v1/records/" + pick.choice(rids)),
        "list of records": (100, lambda: "/api/v1/records?limit=100"),
        "list of nodes": (100, lambda: "/api/v1/nodes"),
        "page: home": (100, lambda: "/"),
        "page: dataset": (100, lambda: "/records/" + pick.choice(rids)),
    }


async def measure(settings: Settings, rids: list[str], times: int) -> dict[str, tuple[int, list[float]]]:
    """Milliseconds of each request, by job."""
    found: dict[str, tuple[int, list[float]]] = {}
    engine = create_engine(settings.sqlalchemy_url)
    with engine.connect() as connection:
        names = looked_up(connection, rids)
    engine.dispose()
    async with running(settings), aiohttp.ClientSession() as session:
        for name, (budget, path) in jobs(rids, names, seed=1).items():
            taken = []
            for _ in range(_WARM + times):
                begun = time.perf_counter()
                async with session.get(f"http://{settings.listen}" + path()) as answer:
                    await answer.read()
                    assert answer.status == 200, (answer.status, answer.url)
                taken.append((time.perf_counter() - begun) * 1000)
            found[name] = budget, taken[_WARM:]
        for name, more in HEARTBEATS.items():
            found[name] = 100, await heartbeats(session, settings, more, times)
    return found


async def heartbeats(
    session: aiohttp.ClientSession, settings: Settings, more: Mapping[str, object], times: int
) -> list[float]:
    """Milliseconds of heartbeats of a storage manager that holds nothing yet.

    Args:
        more: what it says of itself besides.
    """
    said = {"pledge": 10**15, "port": 6881, **more}
    beat = {"state": "active", "pledge": said["pledge"], "used": 0, "reserved": 0, "port": 6881, "claims": []}

    async def post(path: str, value: object) -> float:
        body = json.dumps(value).encode()
        now, nonce, sha256 = int(time.time()), secrets.token_hex(16), hashlib.sha256(body).hexdigest()
        url = settings.public_url + path
        signed = sign_request(KEY, "POST", url, sha256=sha256, created=now, nonce=nonce)
        headers = {"Host": urlsplit(url).netloc, "Content-Type": "application/json", **signed}
        begun = time.perf_counter()
        async with session.post(f"http://{settings.listen}{path}", data=body, headers=headers) as answer:
            await answer.read()
            assert answer.status < 300, (answer.status, answer.url)
        return (time.perf_counter() - begun) * 1000

    await post("/api/v1/nodes", said)
    return [await post("/api/v1/heartbeat", beat) for _ in range(_WARM + times)][_WARM:]


async def begin(settings: Settings) -> str:
    """Make the database and the key; the registrar's origin."""
    async with running(settings) as registrar:
        return registrar.origin


def place(stack: ExitStack, engine: str, at: Path | None) -> Settings:
    """A registrar's settings, with its database's server running until the stack is left.

    Args:
        at: where it is kept; None is a temporary folder.
    """
    folder = at or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="seedkeep-bench-")))
    url = ""
    if engine == "postgresql":
        if at:
            at.mkdir(parents=True, exist_ok=True)
        url = url_of(stack.enter_context(postgres(at / "postgresql-server" if at else None)), "postgres")
    return Settings(
        data=folder / engine,
        listen=f"127.0.0.1:{free_port()}",
        public_url="http://registrar.example",
        database_url=url,
        zeroconf=False,
        min_free_bytes=0,
    )


def filled(settings: Settings, count: int, origin: str) -> list[str]:
    """Load the records unless they are there; the rids of a few."""
    engine = create_engine(settings.sqlalchemy_url)
    try:
        with engine.connect() as connection:
            there = loaded(connection)
        if there == 0:
            begun = time.monotonic()
            load(engine, count, origin=origin)
            print(f"loaded in {time.monotonic() - begun:.0f} s")
        elif there != count:
            raise SystemExit(f"there are {there} records in {settings.data}, not {count}")
        with engine.connect() as connection:
            return sample(connection)
    finally:
        engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=200, help="requests of each kind")
    parser.add_argument("--engine", action="append", choices=("sqlite", "postgresql"))
    parser.add_argument("--at", type=Path, help="keep the databases below this folder, and use them again")
    arguments = parser.parse_args()
    for engine_name in arguments.engine or ("sqlite", "postgresql"):
        with ExitStack() as stack:
            settings = place(stack, engine_name, arguments.at)
            origin = asyncio.run(begin(settings))
            rids = filled(settings, arguments.records, origin)
            found = asyncio.run(measure(settings, rids, arguments.times))
        print(describe_machine())
        print(f"{engine_name}, {arguments.records} records\n")
        rows = []
        for name, (budget, taken) in found.items():
            p99 = statistics.quantiles(taken, n=100)[98]
            rows.append(
                (name, f"{statistics.median(taken):.1f}", f"{p99:.1f}", f"{budget}", f"{p99 / budget:.2f}")
            )
        print(table(("request", "p50 ms", "p99 ms", "budget ms", "ratio"), rows), "\n")


if __name__ == "__main__":
    main()
