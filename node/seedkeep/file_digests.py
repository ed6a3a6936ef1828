"""Reading files that are already on disk: all digests of one file, on as many cores as there are.

For hashing what is to be shared see :mod:`seedkeep.ingest`; this is for holding files against a manifest.
Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from seedkeep.ingest.jobs import Fragment, Pieces
from seedkeep.ingest.plan import PieceTable
from seedkeep.ingest.streams import PieceStream, TreeStream

_READ = 1 << 20
_NO_PIECES = Pieces(0, b"")


class Stopped(Exception):
    """The reading was called off."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to be read: ``start`` is its place in the stream of all files of the dataset."""

    path: str
    place: Path
    size: int
    start: int = 0


@dataclass(frozen=True, slots=True)
class FileDigests:
    """What a file on disk is. ``problem`` is "" or why it could not be read as a file of that size."""

    path: str
    problem: str
    md5: str = ""
    sha256: str = ""
    root: str = ""
    pieces: Pieces = _NO_PIECES
    fragments: tuple[Fragment, ...] = ()


def digest_files(
    files: Iterable[Wanted], piece_length: int, *, stop: threading.Event, advance: Callable[[int], None]
) -> Iterator[FileDigests]:
    """Digests of files, in their order.

    Args:
        piece_length: of the dataset, in bytes.
        stop: ends it early when set.
        advance: is told how many bytes were read, from any thread.

    Raises:
        Stopped: ``stop`` was set.
    """
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="digests") as pool:
        yield from pool.map(lambda f: digest_file(f, piece_length, stop=stop, advance=advance), files)


def digest_file(
    file: Wanted, piece_length: int, *, stop: threading.Event, advance: Callable[[int], None]
) -> FileDigests:
    """Digests of one file, from one read of it."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    pieces = PieceStream(file.start, file.start + file.size, piece_length)
    tree = TreeStream(file.size, piece_length)
    try:
        # non-blocking, so that a pipe in the file's place is not waited for
        fd = os.open(file.place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return FileDigests(file.path, "is missing")
    except OSError as error:
        return FileDigests(file.path, f"cannot be read: {error.strerror}")
    try:
        found = os.fstat(fd)
        if found.st_size != file.size or not stat.S_ISREG(found.st_mode):
            return FileDigests(file.path, f"has {found.st_size} bytes instead of {file.size}")
        buffer = memoryview(bytearray(min(_READ, max(file.size, 1))))
        at = 0
        while at < file.size:
            if stop.is_set():
                raise Stopped
            block = buffer[: min(_READ, file.size - at)]
            if not _fill(fd, block, at):
                return FileDigests(file.path, "changed while it was being read")
            for lane in (md5, sha256, pieces, tree):
                lane.update(block)
            at += len(block)
            advance(len(block))
    except OSError as error:
        return FileDigests(file.path, f"cannot be read: {error.strerror}")
    finally:
        os.close(fd)
    root, _ = tree.finish()
    return FileDigests(
        file.path, "", md5.hexdigest(), sha256.hexdigest(), root, pieces.take(), pieces.fragments()
    )


def enter_pieces(table: PieceTable, found: FileDigests) -> None:
    """Put what a file gives of the dataset's v1 pieces into their table."""
    table.add(found.pieces)
    for fragment in found.fragments:
        table.join(fragment)


def _fill(fd: int, block: memoryview, at: int) -> bool:
    while block:
        count = os.preadv(fd, [block], at)
        if not count:
            return False
        block, at = block[count:], at + count
    return True
