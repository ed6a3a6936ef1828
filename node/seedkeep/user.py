"""One person at this machine: settings, key, known registrars, and the way to ask them.

:func:`open_user` puts together what the commands share; it owns the HTTP session and closes it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from seedkeep import keystore
from seedkeep.config import ClientSettings, Places, client_settings
from seedkeep.core.keys import PrivateKey
from seedkeep.countersigned import Countersigning
from seedkeep.discovery import browse
from seedkeep.known import KnownRegistrars
from seedkeep.locating import Locator, answering
from seedkeep.record_cache import RecordCache
from seedkeep.registrar_client import RegistrarClient
from seedkeep.resolve import Resolver


@dataclass(frozen=True)
class User:
    """See :func:`open_user`."""

    places: Places
    settings: ClientSettings
    session: aiohttp.ClientSession
    resolver: Resolver
    known: KnownRegistrars
    countersigning: Countersigning

    def key(self) -> PrivateKey:
        """The person's key, made on first need; raises KeyFileError."""
        return keystore.load_or_create(self.places.key)

    def checkpoint(self, root: Path) -> Path:
        """Where the hashing of a folder is remembered."""
        mark = hashlib.sha256(str(root.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return self.places.state / "ingest" / f"{mark}.checkpoint"


@asynccontextmanager
async def open_user(
    environ: Mapping[str, str],
    *,
    registrars: Sequence[str] = (),
    signs: bool = False,
    flags: Mapping[str, Any] | None = None,
) -> AsyncIterator[User]:
    """Everything a command needs of the person's own.

    Args:
        environ: the environment.
        registrars: named by hand; asked before all others.
        signs: make a key if there is none yet, because something will be signed.
        flags: settings given by hand.

    Raises:
        UsageError, KeyFileError: a setting or the key file is bad.
    """
    places = Places.of(environ)
    settings = client_settings(places, environ, flags)
    known = KnownRegistrars(places.known_registrars)
    key = keystore.load_or_create(places.key) if signs or places.key.exists() else None
    connector = aiohttp.TCPConnector(limit_per_host=16)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

        def connect(url: str) -> RegistrarClient:
            return known.client(url, key=key, session=session, now=time.time)

        async def neighbours() -> list[str]:
            return [n.url for n in await browse("registrar")]

        resolver = Resolver(
            connect,
            RecordCache(places.cache),
            first=registrars,
            configured=settings.registrars,
            neighbours=neighbours if settings.zeroconf else None,
            known=known,
            locate=Locator(answering(session, time.time), places.cache / "domains.json", time.time).url,
        )
        countersigning = Countersigning(known, _policy(settings), meet=resolver.meet)
        yield User(places, settings, session, resolver, known, countersigning)


def _policy(settings: ClientSettings) -> Path | None:
    return Path(settings.policy).expanduser() if settings.policy else None
