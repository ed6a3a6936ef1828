"""Bodies and objects that events of other logs name: from their home, or from whoever else has them.

What comes is believed for its digest alone, so it does not matter who gave it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence

from sqlalchemy import Connection

from seedkeep.core.errors import Error, NotFound, Unreachable
from seedkeep.core.events import MAX_BODY_BYTES
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.federation import bundle
from seedkeep_registrar.federation.client import PeerClient
from seedkeep_registrar.store import backlog, peers

_LOG = logging.getLogger(__name__)


class Bodies:
    """Fetches for one log after the other."""

    def __init__(self, registrar: Registrar, http: PeerClient) -> None:
        self._registrar = registrar
        self._http = http

    async def bodies(self, log: int, digests: Sequence[str]) -> None:
        """Get those of some bodies that are not here; which may be some of them, or none."""
        db = self._registrar.db
        lacking = await db.read(backlog.bodies_lacking, digests)
        for url in await db.read(_sources, log) if lacking else ():
            for found in [found async for found in self._bundles(url, lacking)]:
                small = {name: data for name, data in found.items() if len(data) <= MAX_BODY_BYTES}
                await db.write(backlog.put_bodies, small)
                lacking = [name for name in lacking if name not in small]
            if not lacking:
                return

    async def objects_ahead(self, log: int, digests: Sequence[str]) -> None:
        """Get those of many small objects that are not here, as far as one other registrar gives them."""
        store = self._registrar.objects
        lacking = await asyncio.to_thread(lambda: [name for name in digests if store.size(name) is None])
        if not lacking:
            return
        try:
            for url in (await self._registrar.db.read(_sources, log))[:1]:
                async for found in self._bundles(url, lacking):
                    await asyncio.gather(*(store.put(name, _whole(data)) for name, data in found.items()))
        except Error as error:
            _LOG.warning("federation: objects could not be stored: %s", error.what)

    async def objects(self, log: int, digests: Sequence[str]) -> None:
        """Get those of some objects that are not here.

        Raises:
            NotFound: nobody has one of them.
            Unreachable: not everybody answers who might.
            TooLarge, Unavailable: one cannot be stored here.
        """
        store = self._registrar.objects
        lacking = [name for name in dict.fromkeys(digests) if store.size(name) is None]
        if not lacking:
            return
        problem: Error = NotFound(f"no other registrar has the object {lacking[0][:12]}…")
        for url in await self._registrar.db.read(_sources, log):
            try:
                async for found in self._bundles(url, lacking):
                    for name, data in found.items():
                        await store.put(name, _whole(data))
                lacking = [name for name in lacking if store.size(name) is None]
                for name in lacking:
                    await store.put(name, self._http.chunks(f"{url}/objects/{name}"))
                return
            except NotFound:
                pass
            except Error as error:
                _LOG.info("federation: %s gives no objects: %s", url, error.what)
                problem = error
            lacking = [name for name in lacking if store.size(name) is None]
        # what one has sent wrong, another one may have right later
        raise problem if isinstance(problem, NotFound) else Unreachable(problem.what)

    async def _bundles(self, url: str, wanted: Sequence[str]) -> AsyncIterator[dict[str, bytes]]:
        """What a registrar gives of it; nothing when it does not answer as it should."""
        for part in _parts(wanted):
            left = list(part)
            while left:
                try:
                    answer = await self._http.ask(
                        f"{url}/api/v1/bundles", {"sha256": left}, limit=bundle.MAX_ANSWER
                    )
                    found = bundle.parse(answer, left)
                except Error as error:
                    _LOG.warning("federation: %s gives no bundle of objects: %s", url, error.what)
                    return
                if not found:
                    break
                yield found
                left = [name for name in left if name not in found]


def _parts(wanted: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(wanted), bundle.MOST):
        yield wanted[at : at + bundle.MOST]


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _sources(connection: Connection, log: int) -> list[str]:
    """URLs of the registrars to be asked: those that answered last time first, the log's own before them."""
    every = peers.every(connection, peers.ACTIVE)
    return [p.url for p in sorted(every, key=lambda p: (bool(p.problem), p.id != log))]
