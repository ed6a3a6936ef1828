"""Hashing the files of one job: small ones block by block, a large one in several lanes at once.

MD5 cannot be split, and is the slowest of the four; so a large file is read once into a ring of
buffers, and MD5, SHA-256, v1 pieces and v2 leaves each run through the ring in a thread of their own
(hashlib releases the GIL). That keeps two cores busy, and the file is done as fast as MD5 alone allows.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from seedkeep.core.merkle import BLOCK
from seedkeep.core.paths import printable
from seedkeep.ingest import digests
from seedkeep.ingest.jobs import (
    Found,
    Hashed,
    Part,
    PartDone,
    Pieces,
    PiecesDone,
    PiecesJob,
    RunDone,
    RunJob,
    Setup,
)
from seedkeep.ingest.streams import PieceStream, TreeStream

#: files at least this large get lanes
LARGE = 32 << 20
_READ = 1 << 20
# Of a large file: 16 MiB on their way, so that the lanes seldom wait for each other.
_BLOCK = 2 << 20
_BLOCKS = 8
_PART_SECONDS = 4.0
# How long a stop waits for the next place where a large file can be continued.
_STOP_SECONDS = 1.0
_RETRY = "Run it again when nothing writes to it any more; files that were done are not read again."


class Reporter(Protocol):
    """Where hashing tells of progress and learns that it is no longer wanted."""

    def advance(self, count: int, files: int, path: str) -> None:
        """Count bytes and files. Raises Interrupted when the job is to be left."""

    def tick(self, count: int, path: str) -> bool:
        """Count bytes; whether the job is to be left."""

    def part(self, message: PartDone) -> None:
        """Pass on a point to continue from."""


class Interrupted(Exception):
    """The job is to be left."""


class Unusable(Exception):
    """A file cannot be hashed: text and hint."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


def hash_run(setup: Setup, job: RunJob, reporter: Reporter) -> RunDone:
    """Hash the files of one run.

    Raises:
        Unusable: a file is gone, unreadable, or not as it was scanned.
        Interrupted: by the reporter.
    """
    offset = job.part.offset if job.part else 0
    pieces = PieceStream(job.files[0].start + offset, job.files[-1].end, setup.piece_length)
    buffer = memoryview(bytearray(_READ))
    done: list[Hashed] = []
    for file in job.files:
        if file.size >= LARGE:
            done.append(_hash_large(setup, file, job.part, pieces, reporter))
            reporter.advance(0, 1, file.path)
        else:
            done.append(_hash_small(setup, file, pieces, buffer))
            reporter.advance(file.size, 1, file.path)
    return RunDone(tuple(done), pieces.take(), pieces.fragments())


def hash_pieces(setup: Setup, job: PiecesJob, reporter: Reporter) -> PiecesDone:
    """Hash v1 pieces only, for files whose other digests are known.

    Raises:
        Unusable, Interrupted: as :func:`hash_run`.
    """
    start = job.first * setup.piece_length
    buffer = memoryview(bytearray(_READ))
    hashes = bytearray()
    sha1, room = hashlib.sha1(usedforsecurity=False), setup.piece_length
    for file in job.files:
        begin, end = max(start, file.start), min(job.end, file.end)
        if begin >= end:
            continue
        with _opened(setup, file) as fd:
            for block in _blocks(fd, file, buffer, begin - file.start, end - file.start):
                rest = block
                while rest:
                    taken = rest[:room]
                    sha1.update(taken)
                    room -= len(taken)
                    rest = rest[len(taken) :]
                    if not room:
                        hashes += sha1.digest()
                        sha1, room = hashlib.sha1(usedforsecurity=False), setup.piece_length
                reporter.advance(len(block), 0, file.path)
    if room < setup.piece_length:
        hashes += sha1.digest()
    return PiecesDone(Pieces(job.first, bytes(hashes)))


@contextmanager
def _opened(setup: Setup, file: Found) -> Iterator[int]:
    """A descriptor of the very file that was scanned, unchanged from before the block until after it."""
    path = setup.root if setup.single else f"{setup.root}/{file.path}"
    try:
        # Non-blocking: if a pipe has taken the file's place, opening it must not wait for a writer.
        fd = os.open(
            path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if setup.single else os.O_NOFOLLOW)
        )
    except OSError as error:
        raise _unreadable(file, error) from error
    try:
        _check(fd, file)
        yield fd
        _check(fd, file)
    except OSError as error:
        raise _unreadable(file, error) from error
    finally:
        os.close(fd)


def _unreadable(file: Found, error: OSError) -> Unusable:
    return Unusable(
        f"cannot read {printable(file.path)}: {error.strerror}",
        "Make it readable, or take it out of the directory, then run it again.",
    )


def _check(fd: int, file: Found) -> None:
    now = os.fstat(fd)
    if (now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino) != file.identity:
        raise _changed(file)


def _changed(file: Found) -> Unusable:
    return Unusable(f"{printable(file.path)} changed while it was being read", _RETRY)


def _fill(fd: int, buffer: memoryview, file: Found, offset: int) -> None:
    """Read exactly ``len(buffer)`` bytes from ``offset``."""
    while buffer:
        count = os.preadv(fd, [buffer], offset)
        if not count:
            raise _changed(file)
        buffer = buffer[count:]
        offset += count


def _blocks(fd: int, file: Found, buffer: memoryview, begin: int, end: int) -> Iterator[memoryview]:
    for at in range(begin, end, _READ):
        block = buffer[: min(_READ, end - at)]
        _fill(fd, block, file, at)
        yield block


def _hash_small(setup: Setup, file: Found, pieces: PieceStream, buffer: memoryview) -> Hashed:
    read_at = time.time_ns()
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    tree = TreeStream(file.size, setup.piece_length)
    # A file of one block has that block's hash as its root, which is its SHA-256.
    one_block = 0 < file.size <= BLOCK
    with _opened(setup, file) as fd:
        for block in _blocks(fd, file, buffer, 0, file.size):
            md5.update(block)
            sha256.update(block)
            pieces.update(block)
            if not one_block:
                tree.update(block)
    digest = sha256.hexdigest()
    root, layer = (digest, b"") if one_block else tree.finish()
    return Hashed(file.path, read_at, md5.hexdigest(), digest, root, layer)


def _hash_large(
    setup: Setup, file: Found, part: Part | None, pieces: PieceStream, reporter: Reporter
) -> Hashed:
    read_at = part.read_at_ns if part else time.time_ns()
    md5 = digests.md5(part.md5 if part else None)
    sha256 = digests.sha256(part.sha256 if part else None)
    tree = TreeStream(file.size, setup.piece_length, part.layer if part else b"")
    align = max(setup.piece_length, _BLOCK)
    can_continue = isinstance(md5, digests.PortableDigest) and isinstance(sha256, digests.PortableDigest)
    saved = time.monotonic()
    stop_by = 0.0
    with _opened(setup, file) as fd, _Ring([md5.update, sha256.update, pieces.update, tree.update]) as ring:
        for at in range(part.offset if part else 0, file.size, _BLOCK):
            buffer = ring.free()
            block = buffer[: min(_BLOCK, file.size - at)]
            _fill(fd, block, file, at)
            ring.push(buffer, block)
            now = time.monotonic()
            if reporter.tick(len(block), file.path):
                stop_by = stop_by or now + _STOP_SECONDS
                if not can_continue or now > stop_by:
                    raise Interrupted
            offset = at + len(block)
            if can_continue and offset % align == 0 and (stop_by or now - saved > _PART_SECONDS):
                ring.drain()
                assert isinstance(md5, digests.PortableDigest)
                assert isinstance(sha256, digests.PortableDigest)
                reached = Part(
                    file.path, read_at, offset, md5.state, sha256.state, digests.platform_tag(), tree.layer
                )
                reporter.part(PartDone(reached, pieces.take()))
                saved = now
                if stop_by:
                    raise Interrupted
        ring.drain()
    root, layer = tree.finish()
    return Hashed(file.path, read_at, md5.hexdigest(), sha256.hexdigest(), root, layer)


class _Ring:
    """A few buffers that go from the reader through every lane and back."""

    def __init__(self, lanes: Sequence[Callable[[memoryview], None]]) -> None:
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        for _ in range(_BLOCKS):
            self._free.put(memoryview(bytearray(_BLOCK)))
        self._queues: list[queue.SimpleQueue[tuple[memoryview, memoryview] | None]] = []
        self._threads: list[threading.Thread] = []
        self._left: dict[int, int] = {}
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        for lane in lanes:
            todo: queue.SimpleQueue[tuple[memoryview, memoryview] | None] = queue.SimpleQueue()
            self._queues.append(todo)
            self._threads.append(threading.Thread(target=self._work, args=(lane, todo), daemon=True))

    def __enter__(self) -> _Ring:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for todo in self._queues:
            todo.put(None)
        for thread in self._threads:
            thread.join()

    def _work(
        self,
        lane: Callable[[memoryview], None],
        todo: queue.SimpleQueue[tuple[memoryview, memoryview] | None],
    ) -> None:
        while (item := todo.get()) is not None:
            buffer, block = item
            try:
                if self._error is None:
                    lane(block)
            except BaseException as error:
                self._error = error
            with self._lock:
                self._left[id(buffer)] -= 1
                last = not self._left[id(buffer)]
            if last:
                self._free.put(buffer)

    def free(self) -> memoryview:
        """A buffer that every lane is done with."""
        buffer = self._free.get()
        if self._error is not None:
            raise self._error
        return buffer

    def push(self, buffer: memoryview, block: memoryview) -> None:
        """Give ``block``, which lies in ``buffer``, to every lane."""
        with self._lock:
            self._left[id(buffer)] = len(self._queues)
        for todo in self._queues:
            todo.put((buffer, block))

    def drain(self) -> None:
        """Wait until every lane has seen every block."""
        held = [self.free() for _ in range(_BLOCKS)]
        for buffer in held:
            self._free.put(buffer)
