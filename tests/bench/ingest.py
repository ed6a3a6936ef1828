"""Ingest against what the cores can hash, and against the tools that do parts of its job.

    python -m tests.bench.ingest [--big 1GiB] [--files 2000] [--each 256KiB] [--rounds 3] [--dir /dev/shm]

All in one run on data that is in memory (tmpfs, or page cache after a first read), each job several
times in turn, so that a busy moment of the machine hits all of them; the best time of each counts.

* *hash limit*: one process per core, each doing md5, sha256, sha1 and 16 KiB sha256 leaves over data
  in its own memory, together as many bytes as the dataset has; for one big file it is no better than
  md5 alone, which cannot be split. No file is read, nothing is started inside the timing.
* *md5sum + sha256sum*: both GNU tools at the same time over all files; less than our job, no torrents.
* *bdbag, then torrents*: a bag with md5 and sha256 manifests (of hard links, made outside the timing),
  then libtorrent's own ``create_torrent`` hashing, first for v2 only, then for v1 only; one after the
  other. *bdbag, then v2* leaves the v1 torrent out.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import libtorrent as lt

from seedkeep.core.merkle import BLOCK
from seedkeep.core.metainfo import piece_length
from seedkeep.core.units import parse_size
from seedkeep.ingest.run import ingest
from tests.bench.report import describe_machine, table


def make_files(directory: Path, count: int, size: int) -> None:
    """Files of random bytes, different in every file, at the speed of the disk."""
    directory.mkdir(parents=True)
    block = os.urandom(1 << 20)
    for number in range(count):
        with (directory / f"{number:06d}.bin").open("wb") as stream:
            stream.write(number.to_bytes(8, "big")[: min(8, size)])
            left = size - min(8, size)
            while left > 0:
                left -= stream.write(block[: min(left, len(block))])


def _hash_all(barrier: Barrier, block_size: int, total: int) -> None:
    block = memoryview(os.urandom(block_size))
    barrier.wait()
    for _ in range(max(1, total // block_size)):
        hashlib.md5(block, usedforsecurity=False).digest()
        hashlib.sha256(block).digest()
        hashlib.sha1(block, usedforsecurity=False).digest()
        for at in range(0, block_size, BLOCK):
            hashlib.sha256(block[at : at + BLOCK]).digest()
    barrier.wait()


def hash_limit(block_size: int, total: int) -> float:
    """Seconds that all cores together need to hash ``total`` bytes of their own memory."""
    cores = len(os.sched_getaffinity(0))
    barrier = multiprocessing.Barrier(cores + 1)
    args = (barrier, block_size, total // cores)
    processes = [multiprocessing.Process(target=_hash_all, args=args) for _ in range(cores)]
    for process in processes:
        process.start()
    barrier.wait()
    start = time.perf_counter()
    barrier.wait()
    elapsed = time.perf_counter() - start
    for process in processes:
        process.join()
    return elapsed


def md5_alone(total: int) -> float:
    """Seconds that md5 needs on one core, the others idle."""
    block = os.urandom(1 << 20)
    digest = hashlib.md5(usedforsecurity=False)
    start = time.perf_counter()
    for _ in range(total >> 20):
        digest.update(block)
    return time.perf_counter() - start


def timed(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def ours(directory: Path) -> float:
    return timed(lambda: asyncio.run(ingest(directory)))


def sums(directory: Path) -> float:
    def job() -> None:
        command = "find . -type f -print0 | sort -z | xargs -0 {} > /dev/null"
        started = [
            subprocess.Popen(["/bin/sh", "-c", command.format(tool)], cwd=directory)
            for tool in ("md5sum", "sha256sum")
        ]
        if any(process.wait() for process in started):
            raise SystemExit("md5sum or sha256sum failed")

    return timed(job)


def bag(directory: Path, scratch: Path) -> float:
    copy = scratch / "bag"
    shutil.copytree(directory, copy, copy_function=os.link)
    command = [str(Path(sys.executable).with_name("bdbag")), "--quiet"]
    command += ["--checksum", "md5", "--checksum", "sha256", str(copy)]
    try:
        return timed(lambda: subprocess.run(command, check=True, capture_output=True))
    finally:
        shutil.rmtree(copy)


def torrent(directory: Path, flags: int) -> float:
    def job() -> None:
        files = lt.list_files(str(directory))
        length = piece_length(sum(file.size for file in files), len(files))
        torrent = lt.create_torrent(files, length, flags)
        lt.set_piece_hashes(torrent, str(directory.parent))
        lt.bencode(torrent.generate())

    return timed(job)


def measure(
    directory: Path, scratch: Path, *, total: int, block: int, rounds: int, single: bool
) -> dict[str, float]:
    """The best seconds of each job over ``rounds``."""
    jobs: dict[str, Callable[[], float]] = {
        "limit": lambda: hash_limit(block, total),
        "md5": lambda: md5_alone(total) if single else 0.0,
        "ours": lambda: ours(directory),
        "sums": lambda: sums(directory),
        "bag": lambda: bag(directory, scratch),
        "v2": lambda: torrent(directory, lt.create_torrent.v2_only),
        "v1": lambda: torrent(directory, lt.create_torrent.v1_only),
    }
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            found[name].append(job())
    return {name: min(times) for name, times in found.items()}


def rows(label: str, total: int, seconds: dict[str, float]) -> list[list[str]]:
    limit = max(seconds["limit"], seconds["md5"])
    listed = [
        ("seedkeep ingest", seconds["ours"]),
        ("hash limit", limit),
        ("md5sum + sha256sum", seconds["sums"]),
        ("bdbag, then v2 and v1 torrents", seconds["bag"] + seconds["v2"] + seconds["v1"]),
        ("bdbag, then v2 torrent", seconds["bag"] + seconds["v2"]),
    ]
    return [
        [label, what, f"{each:.2f}", f"{total / each / 1e6:.0f}", f"{each / seconds['ours']:.2f}"]
        for what, each in listed
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.ingest", description=__doc__.splitlines()[0])
    parser.add_argument("--big", default="1GiB", help="size of the one big file")
    parser.add_argument("--files", type=int, default=2000, help="number of small files")
    parser.add_argument("--each", default="256KiB", help="size of each small file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", default="/dev/shm", help="where to put the data")
    options = parser.parse_args()
    big, each = parse_size(options.big), parse_size(options.each)
    lines: list[list[str]] = []
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="seedkeep-bench-") as made:
        scratch = Path(made)
        for label, count, size in (("1 file", 1, big), (f"{options.files} files", options.files, each)):
            directory = scratch / f"data-{count}"
            make_files(directory, count, size)
            seconds = measure(
                directory,
                scratch,
                total=count * size,
                block=min(size, 1 << 20),
                rounds=options.rounds,
                single=count == 1,
            )
            name = f"{label} of {options.big if count == 1 else options.each}"
            lines += rows(name, count * size, seconds)
            shutil.rmtree(directory)
    print(describe_machine())
    print()
    print(table(["data", "job", "seconds", "MB/s", "time ÷ ours"], lines))


if __name__ == "__main__":
    main()
