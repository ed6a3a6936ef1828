"""OpenStack Swift: TempURLs, which anyone may use for a while, and tokens, which stay here.

Source: Swift's ``tempurl`` middleware. A GET signature also allows HEAD.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable
from urllib.parse import quote, urlsplit

import aiohttp

from seedkeep.core.errors import Unreachable
from seedkeep.core.swift_auth import Session
from seedkeep_registrar.web_seeds.storage import Storage

_LOGIN_SECONDS = 10
_LOGIN_BYTES = 4 << 20


def temp_url(storage_url: str, container: str, key: str, *, secret: str, digest: str, expires: int) -> str:
    """A TempURL for reading one object.

    Args:
        storage_url: the account's URL.
        key: the object's name, not quoted.
        digest: ``sha256`` or ``sha1``.
        expires: Unix time in seconds.
    """
    parts = urlsplit(storage_url)
    path = f"{parts.path.rstrip('/')}/{container}/{key}"
    # the server signs the path as it reads it, without quotes
    message = f"GET\n{expires}\n{path}".encode()
    signature = hmac.new(secret.encode(), message, getattr(hashlib, digest)).hexdigest()
    address = f"{parts.scheme}://{parts.netloc}{quote(path)}"
    return f"{address}?temp_url_sig={signature}&temp_url_expires={expires}"


class SwiftReader:
    """Gives out URLs for the objects of one storage, and tokens to our own proxy."""

    def __init__(
        self,
        storage: Storage,
        http: Callable[[], aiohttp.ClientSession],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._storage = storage
        self._http = http
        self._clock = clock
        self._session: Session | None = None
        self._logging_in = asyncio.Lock()

    async def session(self, *, stale: str = "") -> Session:
        """A login; one that is kept, unless its token is ``stale``, the one just refused.

        Raises:
            Refused, Unreachable, InvalidInput: the login failed.
        """
        async with self._logging_in:
            if self._session is None or self._session.token == stale:
                self._session = await self._log_in()
            return self._session

    async def _log_in(self) -> Session:
        credentials = self._storage.credentials
        request = credentials.request()
        try:
            async with self._http().request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_LOGIN_SECONDS),
            ) as answer:
                body = await _read_up_to(answer, _LOGIN_BYTES)
                session = credentials.session(answer.status, answer.headers, body)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unreachable(f"storage {self._storage.name}: the login does not answer") from error
        if self._storage.endpoint:
            return Session(self._storage.endpoint.rstrip("/"), session.token)
        return session

    async def _storage_url(self) -> str:
        return self._storage.endpoint or (await self.session()).storage_url

    async def temp_url(self, key: str) -> str:
        """A TempURL for object ``key`` that works for the storage's ``expires_s``; a secret, never log it."""
        return temp_url(
            await self._storage_url(),
            self._storage.bucket,
            key,
            secret=self._storage.temp_url_key,
            digest=self._storage.temp_url_digest,
            expires=int(self._clock()) + self._storage.expires_s,
        )

    async def plain_url(self, key: str) -> str:
        """The object's URL, which needs a token."""
        return f"{(await self._storage_url()).rstrip('/')}/{self._storage.bucket}/{quote(key)}"


async def _read_up_to(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(65536):
        body += chunk
        if len(body) > limit:
            raise ValueError("the answer is too long")
    return bytes(body)
