"""Announces a second: the registrar's own tracker beside opentracker, asked by the same client in turns.

    TMPDIR=/var/tmp python -m tests.bench.tracker [--announces 4000] [--swarms 50]

Each announce comes by a connection of its own, as torrent clients make them, from one of many ports, into
one of many registered swarms; half of the peers are seeds. *CPU* is what one announce costs the server's
process, which is to be trusted more than a rate where others use the machine too. *ratio* is opentracker's
rate by ours.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote_from_bytes, urlsplit

from tests.bench.load import Run, drive, request
from tests.bench.registrar_writes import cpu_seconds, events, good, registrar, uploads
from tests.bench.report import describe_machine, table
from tests.support.ports import free_port
from tests.support.registrar import shareable

NOBODY = 65534
CONNECTIONS = 16
ROUNDS = 3


@contextmanager
def opentracker(infohashes: list[str]) -> Iterator[tuple[tuple[str, int], int]]:
    """A real one that serves these; its address and process id."""
    program = shutil.which("opentracker")
    if program is None:
        raise SystemExit("the Debian package opentracker is not installed")
    with tempfile.TemporaryDirectory(prefix="seedkeep-opentracker-") as folder:
        Path(folder).chmod(0o755)
        whitelist = Path(folder) / "whitelist"
        whitelist.write_text("".join(f"{one}\n" for one in infohashes))
        port = free_port()
        as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        command = [*(as_nobody if os.geteuid() == 0 else []), program, "-i", "127.0.0.1"]
        command += ["-p", str(port), "-P", str(port), "-w", str(whitelist)]
        with subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as child:
            try:
                for _ in range(100):
                    with socket.socket() as probe:
                        if probe.connect_ex(("127.0.0.1", port)) == 0:
                            break
                    time.sleep(0.05)
                yield ("127.0.0.1", port), child.pid
            finally:
                child.kill()


def announces(infohashes: list[str], count: int, seed: int) -> list[bytes]:
    """As many announces, as a client writes them."""
    pick = random.Random(seed)
    found = []
    for _ in range(count):
        info_hash = quote_from_bytes(bytes.fromhex(pick.choice(infohashes)))
        query = (
            f"info_hash={info_hash}&peer_id=-BN0001-{pick.randrange(10**12):012d}"
            f"&port={pick.randrange(1024, 65536)}&uploaded=0&downloaded=0&left={pick.choice((0, 1))}"
            "&compact=1&numwant=50"
        )
        found.append(request("GET", f"/announce?{query}", {"Host": "localhost", "Connection": "close"}))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--announces", type=int, default=4000)
    parser.add_argument("--swarms", type=int, default=50)
    given = parser.parse_args()
    datasets = [shareable(f"swarm {n}", {"a": b"a%d" % n, "b": b"b"}) for n in range(given.swarms)]
    infohashes = [what.dataset().content_id[:40] for what in datasets]
    with (
        tempfile.TemporaryDirectory(prefix="seedkeep-bench-") as folder,
        registrar(Path(folder), "", 1) as (url, origin, ours),
        opentracker(infohashes) as (theirs_at, theirs),
    ):
        where = urlsplit(url)
        here = (where.hostname or "", where.port or 0)
        for requests in (uploads(url, datasets), events(url, origin, datasets)):
            good(drive(here, requests, connections=4, keep=True), 200, 201)
        runs = {"opentracker": Run(), "seedkeep": Run()}
        cpu = dict.fromkeys(runs, 0.0)
        for turn in range(ROUNDS):
            for name, address, pid in (("opentracker", theirs_at, theirs), ("seedkeep", here, ours)):
                asked = announces(infohashes, given.announces, turn)
                before = cpu_seconds(pid)
                one = good(drive(address, asked, connections=CONNECTIONS, keep=False), 200)
                cpu[name] += cpu_seconds(pid) - before
                runs[name].seconds += one.seconds
                runs[name].latencies += one.latencies
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{describe_machine()}; load {load}; {CONNECTIONS} connections, a new one for each announce\n")
    ratio = runs["opentracker"].rate / runs["seedkeep"].rate
    rows = [
        [
            name,
            *run.cells(),
            f"{1000 * cpu[name] / len(run.latencies):.3f} ms",
            f"{ratio:.1f}" * (name == "seedkeep"),
        ]
        for name, run in runs.items()
    ]
    print(table(["tracker", "announces", "p50", "p99", "CPU", "ratio"], rows))


if __name__ == "__main__":
    main()
