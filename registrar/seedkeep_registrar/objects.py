"""Objects by SHA-256 on disk: ``<folder>/aa/<sha256>``, whole and durable or not there at all.

An object is written to a temporary file, hashed on the way, synced and renamed; a crash leaves at most a
temporary file, which the next start removes. Several processes may share the folder, on one machine or by
a network file system with atomic renames.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from seedkeep.core.errors import InvalidInput
from seedkeep_registrar.database import Unavailable
from seedkeep_registrar.durable import sync_folder
from seedkeep_registrar.problems import TooLarge

SHA256 = re.compile(r"[0-9a-f]{64}")
_SMALL = 256 * 1024


class ObjectStore:
    """See the module's text."""

    def __init__(self, folder: Path, *, max_bytes: int, min_free_bytes: int) -> None:
        """
        Args:
            max_bytes: the largest object taken.
            min_free_bytes: disk space that is left free.
        """
        self._folder = folder
        self._incoming = folder / "incoming"
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes

    def prepare(self) -> None:
        """Make the folders."""
        for name in ("incoming", *(f"{i:02x}" for i in range(256))):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        sync_folder(self._folder)

    def drop_unfinished(self) -> None:
        """Drop what a crash left half-written; nobody may be putting anything."""
        for left in self._incoming.iterdir():
            left.unlink(missing_ok=True)

    def path(self, sha256: str) -> Path:
        """Where the object is, or would be.

        Raises:
            InvalidInput: ``sha256`` is not 64 hex digits.
        """
        if not SHA256.fullmatch(sha256):
            raise InvalidInput(f"{sha256[:80]!r} is not the SHA-256 of an object")
        return self._folder / sha256[:2] / sha256

    def size(self, sha256: str) -> int | None:
        """Bytes of the object; None when it is not there."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, sha256: str) -> bytes:
        """The whole object; for small ones.

        Raises:
            FileNotFoundError: it is not there.
        """
        return self.path(sha256).read_bytes()

    def touch(self, sha256: str) -> bool:
        """Start its day as an orphan anew; False when it is not there."""
        try:
            os.utime(self.path(sha256))
        except FileNotFoundError:
            return False
        return True

    async def put(self, sha256: str, chunks: AsyncIterator[bytes]) -> bool:
        """Take an object.

        Returns:
            True when it is new; it is durable then.

        Raises:
            InvalidInput: the bytes have another digest.
            TooLarge: it is over the limit.
            Unavailable: the disk has no room.
        """
        self._check_room()
        digest, held, total = hashlib.sha256(), bytearray(), 0
        temporary = self._incoming / f"{sha256[:16]}.{secrets.token_hex(8)}"
        handle = None
        try:
            async for chunk in chunks:
                total += len(chunk)
                if total > self._max_bytes:
                    raise TooLarge(f"an object is over this registrar's limit of {self._max_bytes} bytes")
                digest.update(chunk)
                held += chunk
                if len(held) > _SMALL:
                    self._check_room()  # others write too
                    if handle is None:
                        handle = await asyncio.to_thread(temporary.open, "wb", 0)
                    await asyncio.to_thread(handle.write, bytes(held))
                    held.clear()
            if digest.hexdigest() != sha256:
                raise InvalidInput(f"the bytes sent as object {sha256[:12]}… have another SHA-256")
            if await asyncio.to_thread(self.touch, sha256):
                return False

            def finish() -> None:
                out = handle or temporary.open("wb", 0)
                with out:
                    out.write(held)
                    os.fsync(out.fileno())
                place = self.path(sha256)
                temporary.replace(place)
                sync_folder(place.parent)

            await asyncio.to_thread(finish)
            return True
        except (TimeoutError, ConnectionError):  # the sender's, though they are OSErrors too
            raise
        except OSError as error:
            raise Unavailable(
                f"the registrar could not store an object: {error.strerror}", hint="Try again later."
            ) from error
        finally:
            if handle is not None:
                handle.close()
            if total > _SMALL or handle is not None:
                await asyncio.to_thread(temporary.unlink, missing_ok=True)

    def free_bytes(self) -> int:
        """Free space on the disk of the objects."""
        return shutil.disk_usage(self._folder).free

    def _check_room(self) -> None:
        if self.free_bytes() < self._min_free_bytes:
            raise Unavailable("the registrar's disk is full", hint="Tell its operator; try again later.")

    def older_than(self, when: float) -> Iterator[str]:
        """Objects last touched before ``when`` (Unix seconds), for the orphan collection."""
        for folder in self._folder.iterdir():
            if folder == self._incoming or not folder.is_dir():
                continue
            for entry in os.scandir(folder):
                if SHA256.fullmatch(entry.name) and entry.stat().st_mtime < when:
                    yield entry.name

    def drop_if_older(self, sha256: str, when: float) -> bool:
        """Delete it unless it was touched since ``when``; True when it was deleted."""
        path = self.path(sha256)
        try:
            if path.stat().st_mtime >= when:
                return False
            path.unlink()
        except FileNotFoundError:
            return False
        return True
