"""Registrars' keys as first seen, like SSH's ``known_hosts``: one line each, ``URL vkey``.

A registrar that shows another key later is refused (see :class:`seedkeep.registrar_client.RegistrarClient`)
until a person removes its line. A registrar goes by its origin as well, so that nobody gets around its
pinned key by answering at another URL in its name.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import aiohttp

from seedkeep.core.errors import Error, InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier
from seedkeep.registrar_client import RegistrarClient
from seedkeep.registrar_http import ATTEMPTS, normal_url


class KnownRegistrars:
    """The pinned keys of one person or node.

    Args:
        path: the file; it need not exist.

    Raises:
        InvalidInput: (from every method) a line of the file is damaged; names file and line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def verifier(self, url: str) -> Verifier | None:
        """The key pinned for a registrar's URL, or None."""
        return self._all().get(normal_url(url))

    def by_origin(self, origin: str) -> Verifier | None:
        """The key pinned for the registrar of this name, or None."""
        return next((pinned for pinned in self._all().values() if pinned.name == origin), None)

    def urls(self) -> list[str]:
        """All registrars known, in the order they were met."""
        return list(self._all())

    def remember(self, url: str, verifier: Verifier) -> None:
        """Pin a key. One that is pinned already stays.

        Raises:
            VerificationFailed: another key is pinned for this registrar, under this URL or another one of
                its own (http instead of https, another port or address).
        """
        line = f"{normal_url(url)} {verifier}\n"
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                known = self._all()
                for other, pinned in known.items():
                    if other == normal_url(url) or pinned.name == verifier.name:
                        self._hold_to(pinned, other, url, verifier)
                if normal_url(url) not in known:
                    file.write(line)
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise Error(f"{self._path} cannot be written: {error.strerror}") from error

    def _hold_to(self, pinned: Verifier, other: str, url: str, shown: Verifier) -> None:
        if pinned != shown:
            raise VerificationFailed(
                f"{url} says it is the registrar {shown.name}, but shows another key than the one it was"
                f" known by at {other}: it was set up anew, or somebody stands in between",
                hint=f"Ask its operator. If the new key is right, remove its line from {self._path}.",
            )

    def client(
        self,
        url: str,
        *,
        key: PrivateKey | None,
        session: aiohttp.ClientSession,
        now: Callable[[], float],
        attempts: int = ATTEMPTS,
    ) -> RegistrarClient:
        """A client that holds the registrar to its pinned key, or pins it on first contact."""
        url = normal_url(url)
        return RegistrarClient(
            url,
            key=key,
            session=session,
            now=now,
            pinned=self.verifier(url),
            on_first_contact=lambda shown: self.remember(url, shown),
            attempts=attempts,
        )

    def _all(self) -> dict[str, Verifier]:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{self._path} cannot be read: {error}") from error
        found: dict[str, Verifier] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            url, _, vkey = line.partition(" ")
            try:
                found.setdefault(url, Verifier.parse(vkey))
            except InvalidInput as error:
                raise InvalidInput(f"line {number} of {self._path} is damaged: {error}") from error
        return found
