"""Where a person's or a node's private key lives: one PEM file, readable by its owner alone.

A key is made on first need and never overwritten; one that others can read is refused, like SSH does.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from seedkeep.core.errors import Error, InvalidInput
from seedkeep.core.keys import SEED_BYTES, PrivateKey
from seedkeep.durable import sync_folder


class KeyFileError(Error):
    """A key file is missing, damaged or open to others."""


def create(path: Path) -> PrivateKey:
    """Make a new key at ``path`` (mode 0600, its directory 0700 when it has to be made).

    Raises:
        KeyFileError: there is a file already, or it cannot be written.
    """
    key = PrivateKey(secrets.token_bytes(SEED_BYTES))
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(key.to_pem())
                file.flush()
                os.fsync(file.fileno())
            # a link, unlike a rename, never replaces a key that somebody made meanwhile
            os.link(draft, path)
            # a key that is gone takes what it signed with it
            sync_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)
    except FileExistsError as error:
        raise KeyFileError(
            f"there is a key in {path} already", hint="Move it away first if you really want another one."
        ) from error
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be written: {error.strerror}") from error
    return key


def load(path: Path) -> PrivateKey:
    """Read the key at ``path``.

    Raises:
        KeyFileError: it is missing, not readable, damaged, or readable by others.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            pem = file.read(10_000)
    except FileNotFoundError as error:
        raise KeyFileError(f"there is no key in {path}", hint="Make one with `seedkeep key new`.") from error
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise KeyFileError(f"the key file {path} can be read by others", hint=f"Run: chmod 600 {path}")
    try:
        return PrivateKey.from_pem(pem)
    except InvalidInput as error:
        raise KeyFileError(f"{error.what} ({path})", hint="Restore it from a backup.") from error


def load_or_create(path: Path) -> PrivateKey:
    """The key at ``path``, made on first need; safe when two programs need it at once."""
    if not path.exists():
        try:
            return create(path)
        except KeyFileError:
            if not path.exists():
                raise
    return load(path)
