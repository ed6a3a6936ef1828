"""100,000 files of 5 kB: share them, then fetch them, beside ``cp -r`` plus hashing.

    sudo TMPDIR=/dev/shm python -m tests.bench.small_files [--files 100000] [--each 5000]

Everything runs on one machine in a private network namespace, on tmpfs when TMPDIR says so. *cp -r plus
hashing* is ``cp -r`` of the tree, then md5 and SHA-256 of every file of the copy in one process. *share* is
the whole process until its record is there (it hashes, registers, and begins to seed); *fetch* is the whole
process too, from that one seed. Memory is the peak of each process (VmHWM).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import re
import subprocess
import tempfile
import time
from pathlib import Path

from tests.bench.fetch import CLIENT, recorded
from tests.bench.ingest import make_files
from tests.bench.report import describe_machine, table
from tests.support.fleet import fleet
from tests.support.netns import private_network


def copied_and_hashed(data: Path, copy: Path) -> float:
    """Seconds of what anyone would do by hand."""
    begun = time.monotonic()
    subprocess.run(["cp", "-r", str(data), str(copy)], check=True)
    for path in copy.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            hashlib.md5(content, usedforsecurity=False).digest()
            hashlib.sha256(content).digest()
    return time.monotonic() - begun


def peak_memory(pid: int) -> int:
    """Bytes of memory the process has held at most so far; 0 when it is gone."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1000 if found else 0


async def measure(files: int, each: int, place: Path, hosts: tuple[str, ...]) -> list[tuple[str, ...]]:
    data = place / "dataset"
    await asyncio.to_thread(_spread, data, files, each)
    reference = await asyncio.to_thread(copied_and_hashed, data, place / "copy")
    async with fleet(place, host=hosts[0]) as ships:
        await ships.registrar()
        listen = {**CLIENT, "SEEDKEEP_CLIENT_LISTEN": hosts[1], "SEEDKEEP_CLIENT_PORT": "7001"}
        begun = time.monotonic()
        sharer = ships.start(
            "sharer", "share", str(data), "--registrar", ships.url, "--copies", "1", **listen
        )
        shared = await recorded(ships)
        sharing = time.monotonic() - begun
        reader = ships.home("reader", **CLIENT, SEEDKEEP_CLIENT_LISTEN=hosts[2])
        begun, memory = time.monotonic(), 0
        child = reader.start(
            "fetch", shared["ark"], "--registrar", ships.url, "-o", str(place / "out"), "--json"
        )
        ended = asyncio.ensure_future(child.wait())
        while not ended.done():
            memory = max(memory, peak_memory(child.pid))
            await asyncio.wait({ended}, timeout=0.1)
        fetching = time.monotonic() - begun
        if await ended:
            raise SystemExit(f"fetch failed: {child.output()}")
        sharer_memory = peak_memory(sharer.pid)
    same = ["diff", "-rq", str(data), str(place / "out" / "dataset")]
    await asyncio.to_thread(subprocess.run, same, check=True)
    return [
        row("cp -r, md5 and SHA-256", reference, reference, 0),
        row("share", sharing, reference, sharer_memory),
        row("fetch", fetching, reference, memory),
        row("share, then fetch", sharing + fetching, reference, max(memory, sharer_memory)),
    ]


def _spread(data: Path, files: int, each: int) -> None:
    """A thousand files in a directory, as people have them."""
    for first in range(0, files, 1000):
        make_files(data / f"{first // 1000:03d}", min(1000, files - first), each)
    # contents repeat across directories otherwise
    for number, path in enumerate(sorted(data.rglob("*.bin"))):
        with path.open("r+b") as stream:
            stream.write(number.to_bytes(8, "big")[-each:])


def row(what: str, seconds: float, reference: float, memory: int) -> tuple[str, ...]:
    shown = f"{memory / 1e6:.0f} MB" if memory else ""
    return what, f"{seconds:.1f} s", f"{seconds / reference:.1f}", shown


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--each", type=int, default=5000)
    arguments = parser.parse_args()
    with private_network() as hosts, tempfile.TemporaryDirectory(prefix="seedkeep-bench-") as place:
        rows = asyncio.run(measure(arguments.files, arguments.each, Path(place), hosts))
    print(describe_machine())
    print(f"{arguments.files} files of {arguments.each} bytes; the budget is a ratio of 3 and 1 GB\n")
    print(table(("job", "time", "ratio", "peak memory"), rows))


if __name__ == "__main__":
    main()
