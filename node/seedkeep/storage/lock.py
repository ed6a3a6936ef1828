"""A data directory belongs to one node at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from seedkeep.core.errors import Conflict, Error


def take_lock(path: Path) -> int:
    """Lock a file for this process; closing the descriptor frees it.

    Raises:
        Conflict: another node has it. Error: it cannot be opened.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Error(f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise Conflict(
            f"another node runs in {path.parent}",
            hint="Give this one another --data directory, or stop the other one with `seedkeep node down`.",
        ) from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd
