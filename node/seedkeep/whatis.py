"""From a file in hand, or a checksum, to the datasets that it is in: what ``seedkeep whatis`` does."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seedkeep.core.errors import InvalidInput
from seedkeep.core.identifiers import Identifier, Kind
from seedkeep.core.paths import printable
from seedkeep.ingest.run import Progress, ingest
from seedkeep.resolve import Resolved, Resolver, parse_name

_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class Meaning:
    """What was asked for, as which name, and the datasets it is in.

    Args:
        name: as it was asked for: a file's SHA-256, a folder's content id, or what was typed.
    """

    asked: str
    name: Identifier
    found: tuple[Resolved, ...]


async def whatis(resolver: Resolver, asked: str, advance: Callable[[int, int], None]) -> Meaning:
    """Find the datasets of a file or folder on this machine, or of any name.

    Args:
        advance: is told the bytes read and to be read.

    Raises:
        NotFound, TaintedRecord, Unreachable: as :meth:`~seedkeep.resolve.Resolver.resolve`.
        InvalidInput, UsageError: it cannot be read, or is neither a path nor a name.
    """
    name = await name_of(Path(asked), advance) if await asyncio.to_thread(os.path.lexists, asked) else None
    name = name or parse_name(asked)
    return Meaning(asked, name, tuple(await resolver.meanings(name)))


async def name_of(path: Path, advance: Callable[[int, int], None]) -> Identifier:
    """A file's SHA-256, a folder's content id.

    Raises:
        InvalidInput: it cannot be read.
    """
    if await asyncio.to_thread(path.is_dir):
        read = await ingest(path, progress=lambda at: _report(at, advance))
        return Identifier(Kind.CONTENT_ID, read.manifest.content_id())
    loop = asyncio.get_running_loop()
    stopped = False

    def report(done: int, size: int) -> None:
        loop.call_soon_threadsafe(advance, done, size)

    try:
        return Identifier(Kind.SHA256, await asyncio.to_thread(_sha256, path, report, lambda: stopped))
    finally:
        stopped = True


def _report(at: Progress, advance: Callable[[int, int], None]) -> None:
    advance(at.bytes_done, at.bytes_total)


def _sha256(path: Path, advance: Callable[[int, int], None], stopped: Callable[[], bool]) -> str:
    found, done = hashlib.sha256(), 0
    try:
        # non-blocking, so that a pipe is not waited for
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb", buffering=0) as file:  # noqa: PTH123
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise InvalidInput(f"{printable(str(path))} is not a file")
            while not stopped() and (block := file.read(_READ)):
                found.update(block)
                done += len(block)
                advance(done, about.st_size)
    except OSError as error:
        raise InvalidInput(f"{printable(str(path))} cannot be read: {error.strerror}") from error
    return found.hexdigest()
