"""Turn a record's web seed into something a client can read now, without giving it the credentials.

``s3://`` and ``swift://`` web seeds are read with the credentials of the configured storage that holds
them: a client is sent to a fresh presigned URL or TempURL, or the bytes are proxied. Whether the file
asked for may be served at all (registered, untainted, in the manifest) is for the caller to check first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import aiohttp

from seedkeep.core.errors import NotFound, Refused, UsageError
from seedkeep.core.web_seed import ObjectPlace, url_below
from seedkeep_registrar.web_seeds.proxy import Proxied, TokenRefused, open_range
from seedkeep_registrar.web_seeds.storage import Storage
from seedkeep_registrar.web_seeds.swift import SwiftReader

if TYPE_CHECKING:
    from seedkeep_registrar.web_seeds.s3 import S3Signer


def _s3_signer(storage: Storage) -> S3Signer:
    # boto3 takes long to load, and most registrars have no S3 storage
    from seedkeep_registrar.web_seeds.s3 import S3Signer

    return S3Signer(storage)


class Redirector:
    """Make it inside a running event loop; :meth:`close` it at the end.

    Args:
        storages: the configured private stores.
        clock: Unix time in seconds, for the expiry of TempURLs.

    Raises:
        UsageError: two storages have the same name or place.
    """

    def __init__(self, storages: Sequence[Storage], *, clock: Callable[[], float] = time.time) -> None:
        for what in ([s.name for s in storages], [str(s.place) for s in storages]):
            if twice := {x for x in what if what.count(x) > 1}:
                raise UsageError(f"there are two storages {min(twice)}")
        # the most special place first
        self._storages = sorted(storages, key=lambda s: len(s.place.prefix), reverse=True)
        self._session: aiohttp.ClientSession | None = None
        self._s3 = {s.name: _s3_signer(s) for s in storages if s.kind == "s3"}
        self._swift = {s.name: SwiftReader(s, self._http, clock) for s in storages if s.kind == "swift"}

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=False)
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        for signer in self._s3.values():
            signer.close()
        if self._session is not None:
            await self._session.close()

    def _find(self, web_seed: str) -> tuple[Storage, ObjectPlace]:
        place = ObjectPlace.parse(web_seed)
        for storage in self._storages:
            if storage.place.contains(place):
                return storage, place
        raise NotFound(f"no storage is configured for {place}")

    def open_to(self, web_seed: str, keys: Iterable[str]) -> bool:
        """Whether somebody with one of these keys may have records served from there; plain web seeds are
        open to all.

        Raises:
            NotFound: no storage is configured for it.
        """
        if web_seed.startswith(("http://", "https://")):
            return True
        storage, _ = self._find(web_seed)
        return any(map(storage.open_to, keys))

    def mode(self, web_seed: str) -> Literal["redirect", "proxy"]:
        """Whether to answer with :meth:`target` or with :meth:`stream`; plain web seeds redirect.

        Raises:
            NotFound: no storage is configured for it.
        """
        if web_seed.startswith(("http://", "https://")):
            return "redirect"
        storage, _ = self._find(web_seed)
        return "redirect" if storage.redirects else "proxy"

    async def target(self, web_seed: str, path: str) -> str:
        """A URL that reads a file for a limited time; a secret: answer ``no-store`` and never log it.

        Args:
            web_seed: as in the record.
            path: the file below it, not quoted: ``<name>/<path>``, or ``<name>`` for a single file.

        Raises:
            NotFound: no storage is configured for the web seed.
            InvalidInput: the path leaves the web seed.
            Refused: the storage can only be proxied, or its credentials are refused.
            Unreachable: Swift's login does not answer.
        """
        if web_seed.startswith(("http://", "https://")):
            return url_below(web_seed, path)
        storage, place = self._find(web_seed)
        key = place.key(path)
        if storage.kind == "s3":
            return await self._s3[storage.name].url(key)
        if not storage.temp_url_key:
            raise Refused(f"storage {storage.name} has no TempURL key", hint="Proxy the bytes.")
        return await self._swift[storage.name].temp_url(key)

    async def stream(self, web_seed: str, path: str, range_header: str | None) -> Proxied:
        """The bytes of a file (status, headers, body) of a configured private storage. Close the body.

        Args:
            web_seed, path: as for :meth:`target`; plain http(s) web seeds are never proxied.
            range_header: the client's ``Range``, if any.

        Raises:
            NotFound: no storage is configured for the web seed, or the file is not there.
            InvalidInput: a bad path or range.
            Refused, Unreachable: the storage said no, or fails.
        """
        storage, place = self._find(web_seed)
        key = place.key(path)
        if storage.kind == "s3" or not storage.auth_url:
            url = await self.target(web_seed, path)
            return await self._open(storage, url, range_header, token="")
        reader = self._swift[storage.name]
        url = await reader.plain_url(key)
        session = await reader.session()
        try:
            return await self._open(storage, url, range_header, token=session.token)
        except TokenRefused:
            session = await reader.session(stale=session.token)
            return await self._open(storage, url, range_header, token=session.token)

    async def _open(self, storage: Storage, url: str, range_header: str | None, *, token: str) -> Proxied:
        return await open_range(
            self._http(),
            url,
            name=storage.name,
            range_header=range_header,
            headers={"X-Auth-Token": token} if token else {},
        )
