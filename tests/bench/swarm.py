"""N storage managers mirror from one origin whose uplink is shaped, against the theoretical bound.

    sudo python -m tests.bench.swarm [--nodes 1 4 8] [--size 150MB] [--rate 40]

Every machine is a network namespace on one bridge with its own token bucket; processes are the real
``seedkeep``. The bound is max(F/u, F/d, N·F/(u+Σuᵢ)): nobody can be faster (Kumar and Ross, 2006). The time
runs from the start of ``seedkeep share`` until the registrar has N attestations, so it includes hashing,
registration, placement, the nodes' verification of every md5 and sha256, and the attestations.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seedkeep.core.units import parse_size
from tests.bench.report import describe_machine, table
from tests.support.fleet import fleet

HUB = "skhub"
NET = "10.88.0"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def shape(namespace: str, device: str, mbit: float) -> None:
    rule = ["tc", "qdisc", "replace", "dev", device, "root", "tbf"]
    limits = ["rate", f"{mbit}mbit", "burst", "64kb", "latency", "100ms"]
    ip("netns", "exec", namespace, *rule, *limits)


@contextmanager
def network(names: list[str], up: dict[str, float]) -> Iterator[dict[str, str]]:
    """One host per name on a bridge; gives the address of each. ``up`` is in Mbit/s."""
    tear_down(names)
    ip("netns", "add", HUB)
    try:
        ip("-n", HUB, "link", "add", "br0", "type", "bridge")
        ip("-n", HUB, "link", "set", "br0", "up")
        addresses = {}
        for number, name in enumerate(names):
            space, port = f"sk-{name}", f"p{number}"
            ip("netns", "add", space)
            ip("link", "add", port, "netns", HUB, "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("-n", HUB, "link", "set", port, "master", "br0", "up")
            addresses[name] = f"{NET}.{10 + number}"
            ip("-n", space, "addr", "add", f"{addresses[name]}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "link", "set", "eth0", "up")
            if name in up:
                shape(space, "eth0", up[name])
        ip("-n", HUB, "addr", "add", f"{NET}.1/24", "dev", "br0")
        yield addresses
    finally:
        tear_down(names)


def tear_down(names: list[str]) -> None:
    for space in [*(f"sk-{n}" for n in names), HUB]:
        subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread, and what it starts, in another network namespace."""
    with Path("/proc/thread-self/ns/net").open() as home, Path(f"/run/netns/{namespace}").open() as there:
        enter(there.fileno())
        try:
            yield
        finally:
            enter(home.fileno())


def enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, 0):
        raise OSError(ctypes.get_errno(), "setns failed")


async def run(count: int, size: int, rate: float, where: Path) -> float:
    """Seconds from the start of ``seedkeep share`` to ``count`` attested copies."""
    nodes = [f"n{i}" for i in range(count)]
    names = ["registrar", "origin", *nodes]
    with network(names, dict.fromkeys(["origin", *nodes], rate)) as addresses, inside(HUB):
        prefixes = {n: ("ip", "netns", "exec", f"sk-{n}") for n in names}
        async with fleet(where, host=addresses["registrar"], prefixes=prefixes) as ships:
            ships.port = 8080
            await ships.registrar()
            data = where / "dataset"
            data.mkdir()
            (data / "reads.bin").write_bytes(os.urandom(size))
            for name in nodes:
                ships.node(name)
            while len((await ships.get("/api/v1/nodes"))["nodes"]) < count:
                await asyncio.sleep(0.2)
            begun = time.monotonic()
            ships.start(
                "origin", "share", str(data), "--registrar", ships.url, "--copies", str(count), "--json"
            )
            while not (records := (await ships.get("/api/v1/records?limit=1"))["records"]):
                await asyncio.sleep(0.1)
            await ships.until(records[0]["rid"], lambda d: d["copies"]["complete"] >= count, seconds=900)
            return time.monotonic() - begun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--size", type=parse_size, default=parse_size("150MB"))
    parser.add_argument("--rate", type=float, default=40.0, help="uplink of origin and of every node, Mbit/s")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("this needs root: it makes network namespaces")
    rate = arguments.rate * 1e6 / 8
    rows = []
    for count in arguments.nodes:
        with tempfile.TemporaryDirectory(prefix="seedkeep-bench-") as place:
            seconds = asyncio.run(run(count, arguments.size, arguments.rate, Path(place)))
        bound = max(arguments.size / rate, count * arguments.size / (rate + count * rate))
        rows.append(
            (f"N = {count}", f"{seconds:.1f} s", f"{bound:.1f} s", f"{seconds / bound:.2f}", "≤ 1.25")
        )
    print(describe_machine())
    print(f"{arguments.size / 1e6:.0f} MB, uplinks of {arguments.rate:.0f} Mbit/s each\n")
    print(table(("storage managers", "share → N copies", "bound", "ratio", "budget"), rows))


if __name__ == "__main__":
    main()
