"""How registrars came to have their keys: a file for each that has protected them, beside the pinned keys.

A pinned key (see :mod:`seedkeep.known`) stays in its line; this folder knows which keys it has led to, by
:mod:`seedkeep.core.keyring`. Where a person writes another key into the line, they begin anew with it.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from seedkeep.core.errors import Error, InvalidInput
from seedkeep.core.keyring import TrustedKeys
from seedkeep.core.notes import Verifier
from seedkeep.durable import sync_folder


class KeyRings:
    """
    Args:
        folder: where they are; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, pinned: Verifier) -> TrustedKeys:
        """What is trusted of the registrar whose pinned key is, or once was, this one.

        Raises:
            InvalidInput, VerificationFailed: what is stored was damaged or tampered with.
        """
        place = self._place(pinned.name)
        try:
            stored = json.loads(place.read_text(encoding="utf-8"))
            keys = TrustedKeys.restore(stored["first"], stored["rings"])
        except FileNotFoundError:
            return TrustedKeys.pinned(pinned)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"{place} cannot be read: {error}") from error
        return keys if pinned in (keys.verifier, *keys.former) else TrustedKeys.pinned(pinned)

    def keep(self, keys: TrustedKeys) -> None:
        """Remember what is trusted now; durable when this returns.

        Raises:
            Error: it cannot be written.
        """
        first, rings = keys.dump()
        place = self._place(keys.verifier.name)
        draft = place.with_name(f"{place.name}.{os.getpid()}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8") as file:
                json.dump({"first": first, "rings": list(rings)}, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(place)
            sync_folder(self._folder)
        except OSError as error:
            raise Error(f"{place} cannot be written: {error.strerror}") from error

    def _place(self, origin: str) -> Path:
        return self._folder / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.json"
