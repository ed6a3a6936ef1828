"""Whom to ask: registrars in the order of decision 4, the next one looked for only when it is needed.

The one given by hand → the one the name itself mentions → the configured ones → those on the local network →
those behind the name's trackers → the ones all of these name as peers, as far as is known even when they
are down → everybody who was met or heard of before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from seedkeep.core.errors import Error, Unreachable, UsageError
from seedkeep.known import KnownRegistrars
from seedkeep.locating import is_bare
from seedkeep.registrar_client import RegistrarClient
from seedkeep.registrar_http import normal_url

_MOST_REGISTRARS = 40


class RegistrarChain:
    """See the module. Clients are made once, and kept.

    Args:
        connect: makes a client for a registrar's URL that holds it to its pinned key.
        first: registrars given by hand.
        configured: registrars from the settings.
        neighbours: finds registrars on the local network; only asked when nobody else knew.
        known: who was met before, and whom they have named as peers.
        locate: finds the URL of a registrar that was given as a domain alone.
        patience: seconds that one registrar has to answer before the next is asked.
    """

    def __init__(
        self,
        connect: Callable[[str], RegistrarClient],
        *,
        first: Sequence[str],
        configured: Sequence[str],
        neighbours: Callable[[], Awaitable[Sequence[str]]] | None,
        known: KnownRegistrars | None,
        locate: Callable[[str], Awaitable[str]] | None,
        patience: float,
    ) -> None:
        self._connect = connect
        self.first = [normal_url(u) for u in first]
        self.configured = [normal_url(u) for u in configured]
        self._domains = {normal_url(u) for u in (*first, *configured) if locate and is_bare(u)}
        self._locate = locate
        self._neighbours = neighbours
        self._known = known
        self._patience = patience
        self._clients: dict[str, RegistrarClient] = {}

    def client(self, url: str) -> RegistrarClient:
        """The client for a registrar."""
        if url not in self._clients:
            self._clients[url] = self._connect(url)
        return self._clients[url]

    async def settle(self) -> None:
        """Put the URLs of those that were given as domains into :attr:`first` and :attr:`configured`."""
        if self._locate is None or not self._domains:
            return
        domains = sorted(self._domains)
        urls = await asyncio.gather(*map(self._locate, (d.removeprefix("https://") for d in domains)))
        place = dict(zip(domains, urls, strict=True))
        self.first = [place.get(u, u) for u in self.first]
        self.configured = [place.get(u, u) for u in self.configured]
        self._domains.clear()

    async def to_write(self) -> RegistrarClient:
        """The registrar to write to: the first that answers, but nobody instead of one given by hand.

        Raises:
            Unreachable: none does. UsageError: none is known.
        """
        failure: Error | None = None
        async for url in self.near("", ()):
            client = self.client(url)
            try:
                await client.info()
            except Unreachable as error:
                failure = failure or error
                if url in self.first:
                    break
            else:
                return client
        raise failure or nobody()

    async def near(self, mentioned: str, trackers: Sequence[str]) -> AsyncIterator[str]:
        """Those that are named here and now, and their peers.

        Args:
            mentioned, trackers: by the name that is to be resolved.
        """
        await self.settle()
        given: dict[str, None] = {}

        def fresh(urls: Sequence[str]) -> list[str]:
            new = [u for u in dict.fromkeys(urls) if u not in given][: _MOST_REGISTRARS - len(given)]
            given.update(dict.fromkeys(new))
            return new

        for url in fresh([*self.first, *([mentioned] if mentioned else []), *self.configured]):
            yield url
        if self._neighbours is not None and not self.first:
            for url in fresh(list(await self._neighbours())):
                yield url
        for url in fresh(_registrars_of(trackers)):
            yield url
        for url in list(given):
            for peer in fresh(await self._peers(url)):
                yield peer

    async def everybody(self, mentioned: str, trackers: Sequence[str]) -> AsyncIterator[str]:
        """:meth:`near`, and then all that are known from earlier."""
        asked = set()
        async for url in self.near(mentioned, trackers):
            asked.add(url)
            yield url
        remembered = await asyncio.to_thread(self._known.everybody) if self._known else []
        for url in [u for u in remembered if u not in asked][: _MOST_REGISTRARS - len(asked)]:
            yield url

    async def mirrors(self, client: RegistrarClient) -> list[RegistrarClient]:
        """The peers of a registrar, which may be down."""
        return [self.client(url) for url in await self._peers(client.url)]

    async def _peers(self, url: str) -> list[str]:
        """What is remembered comes first: a registrar that is down is not asked twice."""
        if named := await asyncio.to_thread(self._named, url):
            return named
        with suppress(Error, TimeoutError):
            async with asyncio.timeout(self._patience):
                return [peer.url for peer in (await self.client(url).info()).peers]
        return []

    def _named(self, url: str) -> list[str]:
        pinned = self._known.verifier(url) if self._known else None
        return list(self._known.peers(pinned.name)) if self._known and pinned else []


def _registrars_of(trackers: Sequence[str]) -> list[str]:
    """Registrars that may stand behind announce URLs: theirs is ``{public URL}/announce``."""
    found = []
    for tracker in trackers[:20]:
        parts = urlsplit(tracker)
        if parts.scheme in ("http", "https") and parts.path.endswith("/announce") and not parts.query:
            with suppress(UsageError):
                found.append(normal_url(tracker.removesuffix("/announce")))
    return found


def nobody() -> Error:
    """Says that there is no registrar to ask."""
    return UsageError(
        "no registrar is known to ask",
        hint="Name one with --registrar URL, or set registrars in client.toml.",
    )
