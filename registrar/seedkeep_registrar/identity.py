"""The registrar's own key and the hold on its data folder."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from seedkeep.core.errors import UsageError
from seedkeep.core.keys import SEED_BYTES, PrivateKey
from seedkeep_registrar import durable

KEY_FILE = "registrar.pem"
LOCK_FILE = "registrar.lock"


def prepare_folder(data: Path) -> None:
    """Make the data folder, readable by its owner only.

    Raises:
        UsageError: that cannot be done.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the data folder {data} cannot be made: {error.strerror}", hint="Choose another one with --data."
        ) from error


def lock_folder(data: Path, *, shared: bool) -> int:
    """Hold the data folder for this process; give the handle to :func:`os.close` at the end.

    Args:
        shared: other processes that share it may hold it too: those on one PostgreSQL.

    Raises:
        UsageError: another registrar holds it.
    """
    try:
        handle = os.open(data / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"the data folder {data} is not writable: {error.strerror}") from error
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise UsageError(
            f"another registrar is running on {data}", hint="Stop it, or choose another folder with --data."
        ) from error
    return handle


def load_key(data: Path, random: Callable[[int], bytes]) -> PrivateKey:
    """The registrar's key; made at the first start, mode 0600, durable before it is used.

    Several processes that start on one folder end up with the same one.

    Raises:
        UsageError, InvalidInput: the file cannot be read or holds no key.
    """
    place = data / KEY_FILE
    try:
        return PrivateKey.from_pem(place.read_bytes())
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UsageError(f"the registrar's key {place} cannot be read: {error.strerror}") from error
    draft = place.with_suffix(f".{secrets.token_hex(8)}")
    try:
        durable.create(draft, PrivateKey(random(SEED_BYTES)).to_pem(), 0o600)
        with suppress(FileExistsError):  # another process was quicker
            os.link(draft, place)
    finally:
        draft.unlink(missing_ok=True)
    durable.sync_folder(data)
    return PrivateKey.from_pem(place.read_bytes())
