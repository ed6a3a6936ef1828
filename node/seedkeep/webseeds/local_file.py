"""Read a dataset's file again, and notice when it is no longer the one that was shared."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from seedkeep.core.errors import Error, VerificationFailed
from seedkeep.core.manifest import FileEntry


class LocalFile:
    """One pass over a file; :meth:`finish` says whether the bytes read are those of the manifest.

    All methods block: call them in a thread. :meth:`close` it in any case.
    """

    def __init__(self, path: Path, entry: FileEntry) -> None:
        self.entry = entry
        self.path = path
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Open it.

        Raises:
            VerificationFailed: the file is gone, is no plain file, or has another size.
            Error: it cannot be read.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise self.changed() from error
        except OSError as error:
            raise Error(f"{self.path} cannot be read: {error.strerror}") from error
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size != self.entry.size:
            os.close(descriptor)
            raise self.changed()
        self._file = os.fdopen(descriptor, "rb", buffering=0)

    def close(self) -> None:
        """Close it, if it is open."""
        if self._file is not None:
            self._file.close()

    def changed(self) -> VerificationFailed:
        """The error that names the file."""
        return VerificationFailed(
            f"{self.path} has changed since it was hashed",
            hint="Restore it, or share the folder again: changed data is a new dataset.",
        )

    def read(self, length: int) -> bytes:
        """The next ``length`` bytes, fewer only at the end."""
        assert self._file is not None
        parts = []
        while length > 0:
            try:
                part = self._file.read(length)
            except OSError as error:
                raise Error(f"{self.path} cannot be read: {error.strerror}") from error
            if not part:
                break
            self._md5.update(part)
            self._sha256.update(part)
            parts.append(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_again(self, start: int, length: int) -> bytes:
        """Bytes from ``start`` on, which are not counted as read."""
        assert self._file is not None
        return os.pread(self._file.fileno(), length, start)

    def finish(self) -> None:
        """Compare what was read, from the first byte to the last, with the manifest.

        Raises:
            VerificationFailed: the bytes are others; names the file.
        """
        if self._sha256.hexdigest() != self.entry.sha256 or self._md5.hexdigest() != self.entry.md5:
            raise self.changed()
