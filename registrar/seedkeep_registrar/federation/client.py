"""Requests to other registrars: each has a time limit and a size limit, and follows no redirects."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput, NotFound, Unreachable
from seedkeep.core.httpsig import sign_request
from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier
from seedkeep.core.origin import origin_of

#: seconds
CONNECT_S, PATIENCE_S = 5.0, 30.0
MAX_DOCUMENT = 256 * 1024
#: bytes per second; who sends large objects slower holds up what waits for them
SLOWEST = 16 * 1024


@dataclass(frozen=True, slots=True)
class Got:
    """An answer; ``etag`` as it was sent, "" for none."""

    status: int
    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a registrar says of itself."""

    url: str
    verifier: Verifier
    naan: str


class PeerClient:
    """Talks to other registrars in the name of this one; close it at the end."""

    def __init__(self, key: PrivateKey, clock: Callable[[], float], random: Callable[[int], bytes]) -> None:
        self._key = key
        self._clock = clock
        self._random = random
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            # what is packed is left packed: a small answer could unpack to anything
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept-Encoding": "identity"},
            )
        return self._session

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        limit: int,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        patience: float = PATIENCE_S,
    ) -> Got:
        timeout = aiohttp.ClientTimeout(total=patience, connect=min(CONNECT_S, patience))
        try:
            async with self._http().request(
                method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                held = bytearray()
                async for chunk in answer.content.iter_any():
                    held += chunk
                    if len(held) > limit:
                        raise InvalidInput(f"{url} answers with more than {limit} bytes")
                return Got(answer.status, bytes(held), answer.headers.get("ETag", ""))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            reason = str(error)[:200] or "it does not answer in time"
            raise Unreachable(f"{url} cannot be reached: {reason}") from error

    async def get(self, url: str, *, limit: int, etag: str = "", patience: float = PATIENCE_S) -> Got:
        """GET, with what the last answer was tagged with.

        Returns:
            Status 200, or 304 when nothing has changed since.

        Raises:
            Unreachable: no answer, or one that says that something is wrong there.
            NotFound: 404, 410.
            InvalidInput: more than ``limit`` bytes.
        """
        headers = {"If-None-Match": etag} if etag else {}
        got = await self._ask("GET", url, limit=max(limit, 4096), headers=headers, patience=patience)
        if got.status in (404, 410, 451):
            raise NotFound(f"{url} is not there ({got.status})")
        if got.status not in (200, 304):
            raise Unreachable(f"{url} answers {got.status}")
        if len(got.body) > limit:
            raise InvalidInput(f"{url} answers with more than {limit} bytes")
        return got

    async def post(self, url: str, body: bytes, *, patience: float = PATIENCE_S) -> Got:
        """POST, unsigned; any status.

        Raises:
            Unreachable: no answer.
            InvalidInput: it is over 256 KiB.
        """
        headers = {"Content-Type": "text/plain"}
        return await self._ask("POST", url, limit=MAX_DOCUMENT, body=body, headers=headers, patience=patience)

    async def ask(self, url: str, message: Mapping[str, Any], *, limit: int) -> bytes:
        """POST of JSON, unsigned, that is answered with at most ``limit`` bytes.

        Raises:
            Unreachable: no answer, or one that is none.
            InvalidInput: more than that.
        """
        headers = {"Content-Type": "application/json"}
        got = await self._ask("POST", url, limit=limit, body=jcs.dumps(dict(message)), headers=headers)
        if got.status != 200:
            raise Unreachable(f"{url} answers {got.status}")
        return got.body

    async def chunks(self, url: str, *, silence: float = PATIENCE_S) -> AsyncIterator[bytes]:
        """GET of something that may be large, a part at a time; how much is taken is for the caller.

        Args:
            silence: seconds between two parts after which it is given up, and after which it must not have
                been slower than :data:`SLOWEST`.

        Raises:
            Unreachable: no answer, or it breaks off, or drips.
            NotFound: 404, 410, 451.
        """
        timeout = aiohttp.ClientTimeout(connect=CONNECT_S, sock_read=silence)
        try:
            async with self._http().get(url, timeout=timeout, allow_redirects=False) as answer:
                if answer.status in (404, 410, 451):
                    raise NotFound(f"{url} is not there ({answer.status})")
                if answer.status != 200:
                    raise Unreachable(f"{url} answers {answer.status}")
                loop, taken = asyncio.get_running_loop(), 0
                started = loop.time()
                while True:
                    async with asyncio.timeout_at(started + silence + taken / SLOWEST):
                        chunk = await answer.content.readany()
                    if not chunk:
                        return
                    taken += len(chunk)
                    yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            reason = str(error)[:200] or "it does not answer in time"
            raise Unreachable(f"{url} cannot be reached: {reason}") from error

    async def send(self, url: str, message: Mapping[str, Any]) -> Got:
        """POST of JSON, signed with this registrar's key for exactly that URL; any status.

        Raises:
            Unreachable, InvalidInput: as for :meth:`post`.
        """
        body = jcs.dumps(dict(message))
        signed = sign_request(
            self._key,
            "POST",
            url,
            sha256=hashlib.sha256(body).hexdigest(),
            created=int(self._clock()),
            nonce=self._random(16).hex(),
        )
        return await self._ask(
            "POST", url, limit=MAX_DOCUMENT, body=body, headers={**signed, "Content-Type": "application/json"}
        )


def introduced(url: str, document: bytes) -> Introduction:
    """Read the discovery document that was found at ``url``.

    Raises:
        InvalidInput: it is none, its name, URL and key do not belong together, or it is elsewhere.
    """
    said = jcs.loads(document, limit=MAX_DOCUMENT)
    fields = said if isinstance(said, dict) else {}
    texts = [fields.get(name) for name in ("origin", "public_url", "vkey", "naan")]
    if not all(isinstance(text, str) and len(text) <= 500 for text in texts):
        raise InvalidInput(f"{url} is no registrar: its discovery document lacks origin, URL, key or naan")
    origin, public_url, vkey, naan = map(str, texts)
    verifier = Verifier.parse(vkey)
    if not (verifier.name == origin == origin_of(public_url)) or not naan.isdigit() or len(naan) > 16:
        raise InvalidInput(f"{url} says that it is {origin[:200]!r} at {public_url[:200]!r} with another key")
    if origin_of(url) != origin or (url.startswith("https:") and not public_url.startswith("https:")):
        raise InvalidInput(
            f"{url} is not where {origin[:200]} is: its public URL is {public_url[:200]}",
            hint="Ask its operator for its public URL, and add that one.",
        )
    return Introduction(public_url.rstrip("/"), verifier, naan)
