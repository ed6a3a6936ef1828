"""How many datasets a registrar takes, and how many names it resolves, on SQLite and on PostgreSQL.

    TMPDIR=/var/tmp python -m tests.bench.registrar_writes [--datasets 1000] [--processes 1]

A registrar runs as a process of its own and is asked over HTTP on loopback. All requests are signed before
the clock starts. *upload* is one object (three for each dataset), *register* the event of a dataset whose
objects are there, durable when answered; *whole* is the rate of datasets with their uploads. *resolve* asks
for each dataset once, in any order, *again* for some that were asked for already. The budget is 200 events a
second, and 2,000 resolves a second with a 99th percentile below 20 ms.

The client runs on the same machine, beside the registrar. *Server CPU* is what one answer costs the
registrar's processes, without the database's, *client CPU* what it costs this program: both are to be trusted
more than a rate where others use the machine too. *By CPU* is what one core could give if it did nothing
else: a registrar's process is one interpreter, and has no more. PostgreSQL has its default settings.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from seedkeep.core import jcs
from seedkeep.core.events import sign_event
from seedkeep.core.httpsig import sign_request
from seedkeep.core.keys import PrivateKey
from seedkeep_registrar import times
from tests.bench.load import Run, drive, request
from tests.bench.report import describe_machine, table
from tests.support.ports import free_port
from tests.support.postgres import postgres, url_of
from tests.support.registrar import Shareable, shareable

KEY = PrivateKey(b"b" * 32)
RUN = "from seedkeep_registrar.cli import registrar; registrar()"
CONNECTIONS = 32


@contextmanager
def registrar(folder: Path, database_url: str, processes: int) -> Iterator[tuple[str, str, int]]:
    """A registrar as a process; its URL, origin and process id."""
    command = [sys.executable, "-c", RUN, "up", "--json", "--data", str(folder), "--listen"]
    command += [f"127.0.0.1:{free_port()}", "--processes", str(processes)]
    if database_url:
        command += ["--database-url", database_url]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SEEDKEEP_")}
    environ = {**clean, "SEEDKEEP_REGISTRAR_ZEROCONF": "false", "SEEDKEEP_REGISTRAR_MIN_FREE_BYTES": "0"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ) as child:
        assert child.stdout is not None
        said = json.loads(child.stdout.readline())
        try:
            yield said["url"], said["origin"], child.pid
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(60)


def signed(url: str, method: str, path: str, body: bytes) -> bytes:
    """A signed request, as it goes over the wire."""
    headers = sign_request(
        KEY,
        method,
        url + path,
        sha256=hashlib.sha256(body).hexdigest(),
        created=int(time.time()),
        nonce=os.urandom(16).hex(),
    )
    return request(method, path, {"Host": urlsplit(url).netloc, **headers}, body)


def uploads(url: str, datasets: list[Shareable]) -> list[bytes]:
    """The objects of all datasets."""
    objects = {name: data for what in datasets for name, data in what.objects.items()}
    return [signed(url, "PUT", f"/api/v1/objects/{name}", data) for name, data in objects.items()]


def events(url: str, origin: str, datasets: list[Shareable]) -> list[bytes]:
    """The events that register them."""
    found = []
    for what in datasets:
        body = what.body().encode()
        event = sign_event(KEY, type="record", body=body, home=origin, created=times.text(time.time()))
        message = jcs.dumps({"event": json.loads(event.leaf()), "body": json.loads(body)})
        found.append(signed(url, "POST", "/api/v1/events", message))
    return found


def resolves(url: str, datasets: list[Shareable], times_each: int) -> list[bytes]:
    """The names of registered datasets, shuffled."""
    host = {"Host": urlsplit(url).netloc}
    names = [f"urn:btmh:1220{what.dataset().content_id}" for what in datasets] * times_each
    random.Random(1).shuffle(names)
    return [request("GET", f"/api/v1/resolve?id={quote(name)}", host) for name in names]


def cpu_seconds(pid: int) -> float:
    """What a process and its children have used."""
    used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


def good(run: Run, *statuses: int) -> Run:
    """
    Raises:
        AssertionError: other answers came.
    """
    assert set(run.statuses) <= set(statuses), run.statuses
    return run


def measure(name: str, folder: Path, database_url: str, count: int, processes: int) -> list[list[str]]:
    """The rows of one database."""
    with registrar(folder, database_url, processes) as (url, origin, pid):
        datasets = [shareable(f"dataset {n}", {"a": b"a%d" % n, "b": b"b%d" % n}) for n in range(count)]
        where = urlsplit(url)
        address = (where.hostname or "", where.port or 0)

        def cells(requests: list[bytes]) -> tuple[Run, list[str]]:
            server, client = cpu_seconds(pid), time.process_time()
            run = good(drive(address, requests, connections=CONNECTIONS, keep=True), 200, 201)
            client = (time.process_time() - client) / len(requests)
            server = (cpu_seconds(pid) - server) / len(requests)
            costs = [f"{1000 * server:.2f} ms", f"{1000 * client:.2f} ms", f"{1 / server:,.0f}/s"]
            return run, [*run.cells(), *costs]

        put, of_uploads = cells(uploads(url, datasets))
        registered, of_events = cells(events(url, origin, datasets))
        resolved, of_resolves = cells(resolves(url, datasets, 1))
        again, of_more = cells(resolves(url, datasets, 5))
        whole = count / (put.seconds + registered.seconds)
    return [
        [name, "upload", *of_uploads, ""],
        [name, "register", *of_events, f"{registered.rate / 200:.2f}"],
        [name, "whole", f"{whole:,.0f}/s", "", "", "", "", "", ""],
        [name, "resolve", *of_resolves, f"{resolved.rate / 2000:.2f}"],
        [name, "again", *of_more, f"{again.rate / 2000:.2f}"],
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=1, help="of the registrar, on PostgreSQL")
    parser.add_argument("--engine", choices=("sqlite", "postgresql"))
    given = parser.parse_args()
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="seedkeep-bench-")))
        if given.engine != "postgresql":
            rows += measure("SQLite", folder / "sqlite", "", given.datasets, 1)
        if given.engine != "sqlite":
            url = url_of(stack.enter_context(postgres()), "postgres")
            rows += measure("PostgreSQL", folder / "pg", url, given.datasets, given.processes)
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{describe_machine()}; load {load}; {CONNECTIONS} connections\n")
    columns = ["rate", "p50", "p99", "server CPU", "client CPU", "by CPU", "ratio to the budget"]
    print(table(["database", "job", *columns], rows))


if __name__ == "__main__":
    main()
