"""Reading a dataset's bytes and holding them against its manifest.

One read gives md5, SHA-256 and the v1 pieces. Only regular files count, of the right size, and no
symbolic link is followed. Everything here blocks: call it in a thread, and set ``stop`` to end it early.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from seedkeep.core.errors import Error, NoSpace, NotFound
from seedkeep.core.manifest import FileEntry, Manifest
from seedkeep.durable import sync_folder
from seedkeep.storage.layout import NO_SPACE, open_below, place_of

_CHUNK = 1 << 20


class Stopped(Error):
    """The work was called off."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a read found.

    Args:
        bad: paths that are missing, of another size, unreadable, or whose digests differ.
        pieces_v1: SHA-1 of every piece of the files laid end to end; only right when nothing is bad.
    """

    bad: tuple[str, ...]
    pieces_v1: bytes = b""


class _Pieces:
    """SHA-1 over pieces that run across file borders."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._left = length
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._done: list[bytes] = []

    def update(self, data: memoryview) -> None:
        while len(data) >= self._left:
            self._sha1.update(data[: self._left])
            data = data[self._left :]
            self._close()
        self._sha1.update(data)
        self._left -= len(data)

    def _close(self) -> None:
        self._done.append(self._sha1.digest())
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._left = self._length

    def finish(self) -> bytes:
        if self._left < self._length:
            self._close()
        return b"".join(self._done)


def check_whole(
    folder: Path, manifest: Manifest, stop: threading.Event, skip: Collection[str] = ()
) -> Findings:
    """Read every file below ``folder`` once: md5, SHA-256, v1 pieces; all is flushed to the disk.

    Args:
        skip: pieces roots of files that need not be there; then there are no v1 pieces.

    Raises:
        Stopped: ``stop`` was set.
    """
    pieces = _Pieces(manifest.piece_length)
    bad = []
    for file in _besides(manifest, skip):
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()

        def feed(data: memoryview, md5: hashlib._Hash = md5, sha256: hashlib._Hash = sha256) -> None:
            md5.update(data)
            sha256.update(data)
            pieces.update(data)

        whole = _read(folder, place_of(manifest, file), file.size, feed, stop, flush=True)
        if not whole or (md5.hexdigest(), sha256.hexdigest()) != (file.md5, file.sha256):
            bad.append(file.path)
    if not bad:
        _sync_folders(folder, manifest, skip)
    return Findings(tuple(bad), b"" if skip else pieces.finish())


def _besides(manifest: Manifest, skip: Collection[str]) -> Iterator[FileEntry]:
    return (file for file in manifest.files if file.root not in skip)


def check_file(
    folder: Path, manifest: Manifest, index: int, stop: threading.Event, pace: Callable[[int], None]
) -> bool:
    """Whether one file still has its SHA-256.

    Args:
        pace: called with the bytes read, and blocks as long as the budget asks for.

    Raises:
        Stopped: ``stop`` was set.
    """
    file, sha256 = manifest.files[index], hashlib.sha256()

    def feed(data: memoryview) -> None:
        sha256.update(data)
        pace(len(data))

    whole = _read(folder, place_of(manifest, file), file.size, feed, stop, flush=False)
    return whole and sha256.hexdigest() == file.sha256


def sizes_are_right(folder: Path, manifest: Manifest, skip: Collection[str] = ()) -> bool:
    """Whether every file is there with its size; a quick look, no bytes are read.

    Args:
        skip: pieces roots of files that need not be there.
    """
    try:
        for file in _besides(manifest, skip):
            found = (folder / place_of(manifest, file)).lstat()
            if found.st_size != file.size:
                return False
    except OSError:
        return False
    return True


def _read(
    folder: Path,
    path: str,
    size: int,
    feed: Callable[[memoryview], object],
    stop: threading.Event,
    *,
    flush: bool,
) -> bool:
    """Feed all bytes of a file; False when it is not a readable file of that size.

    What goes wrong in ``feed`` is raised.
    """
    try:
        fd = open_below(folder, path)
    except OSError:
        return False
    with os.fdopen(fd, "rb", buffering=0) as file:
        if os.fstat(fd).st_size != size:
            return False
        left, buffer = size, memoryview(bytearray(min(_CHUNK, max(size, 1))))
        try:
            if flush:
                os.fsync(fd)
        except OSError:
            return False
        while left:
            if stop.is_set():
                raise Stopped("reading was called off")
            try:
                count = file.readinto(buffer)
            except OSError:
                return False
            if not count or count > left:
                return False
            feed(buffer[:count])
            left -= count
        if not flush:
            # A scrub must see the disk, not the cache, and not push others' pages out of it.
            with contextlib.suppress(OSError):
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def _sync_folders(folder: Path, manifest: Manifest, skip: Collection[str]) -> None:
    folders = {folder, folder.parent}
    for file in _besides(manifest, skip):
        path = (folder / place_of(manifest, file)).parent
        while path not in folders:
            folders.add(path)
            path = path.parent
    for path in folders:
        sync_folder(path)


def copy_files(
    source: Path, target: Path, manifest: Manifest, stop: threading.Event, skip: Collection[str] = ()
) -> None:
    """Copy a dataset's files from one save path to another one; links are not followed at the source.

    Args:
        skip: pieces roots of files that are left out.

    Raises:
        NotFound: a file is not there any more, or has another size.
        NoSpace: the disk is full.
        Stopped: ``stop`` was set.
    """
    for file in _besides(manifest, skip):
        place = target / place_of(manifest, file)
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(
                os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb"
            ) as out:
                whole = _read(source, place_of(manifest, file), file.size, out.write, stop, flush=False)
        except OSError as error:
            kind = NoSpace if error.errno in NO_SPACE else Error
            raise kind(f"{place} cannot be written: {error.strerror}") from error
        if not whole:
            raise NotFound(f"{file.path} is not there any more, or was changed")
