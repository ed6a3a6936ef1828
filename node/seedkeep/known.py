"""Registrars' keys as first seen, like SSH's ``known_hosts``: one line each, ``URL vkey``.

A registrar that shows another key later is refused (see :class:`seedkeep.registrar_client.RegistrarClient`)
until a person removes its line. A registrar goes by its origin as well, so that nobody gets around its
pinned key by answering at another URL in its name.

A key that its registrar has rotated since stays in its line; how it led to the present one is kept beside
(:mod:`seedkeep.key_rings`).

A registrar names its peers, which mirror and countersign its log; their keys are pinned as well, so that
whoever has met one registrar knows several. Such a line says who named them, ``URL vkey met|heard ORIGIN…``:
``met`` was asked by itself, of ``heard`` others have told. What is pinned is never changed by hearsay;
what a registrar itself shows over https replaces what others have told of it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from seedkeep.core.errors import Error, InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier
from seedkeep.core.origin import origin_of
from seedkeep.durable import sync_folder
from seedkeep.key_rings import KeyRings
from seedkeep.registrar_client import RegistrarClient
from seedkeep.registrar_http import ATTEMPTS, normal_url
from seedkeep.registrar_messages import Peer

MET, HEARD = "met", "heard"
#: peers that one registrar may name, and registrars of which others may have told
_MOST_NAMED, _MOST_HEARD = 50, 500
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Line:
    """A registrar: ``how`` it became known, and the origins of those that name it as their peer."""

    verifier: Verifier
    how: str = MET
    named_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        more = (self.how, *self.named_by) if self.how == HEARD or self.named_by else ()
        return " ".join((str(self.verifier), *more))

    @classmethod
    def parse(cls, text: str) -> _Line:
        vkey, *more = text.split()
        if more and more[0] not in (MET, HEARD):
            raise InvalidInput(f"{more[0][:40]!r} is neither {MET} nor {HEARD}")
        return cls(Verifier.parse(vkey), more[0] if more else MET, tuple(more[1:]))


def _is_outweighed(line: _Line, url: str) -> bool:
    """Whether what the registrar at ``url`` itself shows counts for more than a line."""
    return line.how == HEARD and url.startswith("https:")


def _is_at(origin: str, url: str) -> bool:
    """Whether a registrar of this name can have this URL."""
    with suppress(Error):
        return origin_of(url) == origin
    return False


class KnownRegistrars:
    """The pinned keys of one person or node.

    Args:
        path: the file; it need not exist.

    Raises:
        InvalidInput: (from every method) a line of the file is damaged; names file and line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rings = KeyRings(path.with_name(f"{path.name}.keys"))

    def verifier(self, url: str) -> Verifier | None:
        """The key pinned for a registrar's URL, or the one to which it has led since; None without any."""
        line = self._all().get(normal_url(url))
        return self._present(line) if line else None

    def _present(self, line: _Line) -> Verifier:
        return self._rings.load(line.verifier).verifier

    def by_origin(self, origin: str) -> Verifier | None:
        """The key pinned for the registrar of this name, or None."""
        return next((key for key in self.keys() if key.name == origin), None)

    def keys(self) -> list[Verifier]:
        """All pinned keys, one of each registrar."""
        return list(dict.fromkeys(self._present(line) for line in self._all().values()))

    def urls(self) -> list[str]:
        """The registrars that were met, in that order."""
        return [url for url, line in self._all().items() if line.how == MET]

    def everybody(self) -> list[str]:
        """Those that were met, then those of which others have told."""
        heard = [url for url, line in self._all().items() if line.how == HEARD]
        return [*self.urls(), *heard]

    def peers(self, origin: str) -> dict[str, Verifier]:
        """The registrars that this one has last named as its peers: URL → pinned key."""
        return {url: self._present(line) for url, line in self._all().items() if origin in line.named_by}

    def remember(self, url: str, verifier: Verifier) -> None:
        """Pin a key. One that is pinned already stays; but what a registrar itself shows over https counts
        for more than what others have told of it.

        Raises:
            VerificationFailed: another key is pinned for this registrar, under this URL or another one of
                its own (http instead of https, another port or address).
        """
        url = normal_url(url)
        with self._changing() as known:
            for other, line in list(known.items()):
                if other != url and line.verifier.name != verifier.name:
                    continue
                if _is_outweighed(line, url) and self._present(line) != verifier:
                    log.warning(
                        "%s shows another key than %s told of it; its own counts",
                        url,
                        ", ".join(line.named_by) or "somebody",
                    )
                    del known[other]
                else:
                    self._hold_to(line, other, url, verifier)
            known.setdefault(url, _Line(verifier))

    def _hold_to(self, line: _Line, other: str, url: str, shown: Verifier) -> None:
        if self._present(line) != shown:
            told = f" as {', '.join(line.named_by)} told" if line.how == HEARD and line.named_by else ""
            raise VerificationFailed(
                f"{url} says it is the registrar {shown.name}, but shows another key than the one it was"
                f" known by at {other}{told}: it was set up anew, or somebody stands in between",
                hint=f"Ask its operator. If the new key is right, remove its line from {self._path}.",
            )

    def learn(self, namer: Verifier, peers: Sequence[Peer]) -> None:
        """Pin the keys of a registrar's peers as it names them, if it is the first to tell.

        Whom it names no more is its peer no more; a key that is pinned stays all the same. Where a peer is
        named with another key than the pinned one, that is logged: it may have rotated its key, which it
        shows itself when it is asked, or somebody lies.
        """
        told = [(p.url, p.key) for p in peers if p.key is not None and p.key.name != namer.name]
        named = dict(told[:_MOST_NAMED])
        if named == self.peers(namer.name):
            return
        try:
            with self._changing() as known:
                for url, line in known.items():
                    if url not in named:
                        kept = tuple(origin for origin in line.named_by if origin != namer.name)
                        known[url] = replace(line, named_by=kept)
                for url, key in named.items():
                    self._learn(known, namer.name, url, key)
        except Error as error:
            log.warning("the peers of %s are not remembered: %s", namer.name, error)

    def _learn(self, known: dict[str, _Line], namer: str, url: str, key: Verifier) -> None:
        if not _is_at(key.name, url):
            log.warning("%s names a registrar %s at %s, which cannot be its URL", namer, key.name, url)
            return
        same = [line for other, line in known.items() if other == url or line.verifier.name == key.name]
        if any(self._present(line) != key for line in same):
            log.warning(
                "%s names the registrar %s with another key than the one it is known by here; that one stays",
                namer,
                key.name,
            )
            if url not in known or known[url].verifier.name != key.name:
                return
        if url not in known and sum(line.how == HEARD for line in known.values()) >= _MOST_HEARD:
            return
        line = known.get(url) or _Line(key, HEARD)
        known[url] = replace(line, named_by=tuple(dict.fromkeys((*line.named_by, namer))))

    def client(
        self,
        url: str,
        *,
        key: PrivateKey | None,
        session: aiohttp.ClientSession,
        now: Callable[[], float],
        attempts: int = ATTEMPTS,
    ) -> RegistrarClient:
        """A client that holds the registrar to its pinned key, or pins it on first contact, and learns of its
        peers."""
        url = normal_url(url)
        line = self._all().get(url)
        return RegistrarClient(
            url,
            key=key,
            session=session,
            now=now,
            pinned=None if line is None or _is_outweighed(line, url) else self._present(line),
            on_first_contact=lambda shown: self.remember(url, shown),
            on_peers=self.learn,
            keys=self.keys,
            rings=self._rings,
            attempts=attempts,
        )

    def _all(self) -> dict[str, _Line]:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{self._path} cannot be read: {error}") from error
        found: dict[str, _Line] = {}
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            url, _, rest = line.partition(" ")
            try:
                found.setdefault(url, _Line.parse(rest or "?"))
            except InvalidInput as error:
                raise InvalidInput(f"line {number} of {self._path} is damaged: {error}") from error
        return found

    @contextmanager
    def _changing(self) -> Iterator[dict[str, _Line]]:
        """All lines, to be changed; nobody else changes them meanwhile. People's remarks stay."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._path.with_name(f".{self._path.name}.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                before = self._all()
                known = dict(before)
                yield known
                if known != before:
                    self._write(known)
        except OSError as error:
            raise Error(f"{self._path} cannot be written: {error.strerror}") from error

    def _write(self, known: Mapping[str, _Line]) -> None:
        remarks: list[str] = []
        if self._path.exists():
            remarks = [n for n in self._path.read_text(encoding="utf-8").splitlines() if n.startswith("#")]
        draft = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        try:
            with draft.open("w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in remarks)
                file.writelines(f"{url} {line}\n" for url, line in known.items())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
            sync_folder(self._path.parent)
        finally:
            draft.unlink(missing_ok=True)
