"""Files that are whole and durable, or not there: written, synced, then given their name."""

from __future__ import annotations

import os
from pathlib import Path


def create(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file that is not there yet; its name is durable after :func:`sync_folder`.

    Args:
        mode: permissions, less what the umask takes away.

    Raises:
        FileExistsError: there is one.
        OSError: it cannot be written.
    """
    _write(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), data)


def replace(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put ``data`` in the place of a file, at once and for good.

    Args:
        mode: permissions, whatever the umask says.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    os.fchmod(handle, mode)
    _write(handle, data)
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names that were just made in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(handle: int, data: bytes) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
