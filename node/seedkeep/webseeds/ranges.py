"""Read byte ranges of files on a web server, as a stream, through redirects, guarded.

Every request starts at the original URL, so a redirect to a signed place is signed afresh each time and never
expires between two requests. Redirect targets stay in here: no error text shows them.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from http.client import responses

import aiohttp
from yarl import URL

from seedkeep.core.errors import Refused, Unreachable
from seedkeep.webseeds.guard import public_addresses

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ADDRESS_SECONDS = 60.0
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


class RetryLater(Unreachable):
    """The server asked to be left alone for ``seconds``."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(what)
        self.seconds = seconds


class RangeReader:
    """Reads ranges over one HTTP session.

    Args:
        session: without credentials of its own; the caller closes it.
        allow_private: also talk to private, loopback and link-local addresses.
        silence: seconds to connect, and between two pieces of an answer, before it is given up.
    """

    def __init__(self, session: aiohttp.ClientSession, *, allow_private: bool, silence: float) -> None:
        self._session = session
        self._allow_private = allow_private
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=silence, sock_read=silence)
        self._addresses: dict[tuple[str, int], tuple[float, list[str]]] = {}

    async def read(self, url: str, start: int, stop: int, size: int) -> AsyncGenerator[bytes, None]:
        """Yield all bytes ``start`` to ``stop`` (exclusive) of the file of ``size`` bytes at ``url``.

        Raises:
            RetryLater: 429 or 503 with a time to wait.
            Refused, Unreachable: what the server did wrong, in words that fit after the server's name.
        """
        try:
            async with self._opened(URL(url, encoded=True), start, stop) as answer:
                _check(answer, start, stop, size)
                missing = stop - start
                async for chunk in answer.content.iter_any():
                    missing -= len(chunk)
                    if missing < 0:
                        raise Refused("it sent more than it was asked for")
                    yield chunk
                if missing:
                    raise Unreachable("its answer broke off")
        except TimeoutError as error:
            raise Unreachable("it went silent") from error
        except aiohttp.ClientPayloadError as error:
            raise Unreachable("its answer broke off") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(f"it does not answer ({type(error).__name__})") from error

    @asynccontextmanager
    async def _opened(self, url: URL, start: int, stop: int) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer at the end of the redirects."""
        headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._get(url, headers)
            async with answer:
                if answer.status not in _REDIRECTS:
                    yield answer
                    return
                url = _target(url, answer.headers.get("Location", ""))
        raise Refused(f"it redirects more than {MAX_REDIRECTS} times")

    async def _get(self, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        if self._allow_private:
            return await self._session.get(url, headers=headers, allow_redirects=False, timeout=self._timeout)
        host, port = url.raw_host or "", url.port or 0
        # Connect to the very address that was checked; TLS still verifies the name.
        addresses = await self._public(host, port)
        named = {**headers, "Host": url.host_port_subcomponent or host}
        for address in addresses:
            try:
                return await self._session.get(
                    url.with_host(address),
                    headers=named,
                    allow_redirects=False,
                    timeout=self._timeout,
                    server_hostname=host if url.scheme == "https" else None,
                )
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                if address == addresses[-1]:
                    raise
        raise Unreachable("it has no address")

    async def _public(self, host: str, port: int) -> list[str]:
        until, known = self._addresses.get((host, port), (0.0, []))
        if until < time.monotonic():
            known = await public_addresses(host, port)
            self._addresses[host, port] = (time.monotonic() + _ADDRESS_SECONDS, known)
        return known


def _target(url: URL, location: str) -> URL:
    try:
        # A signed target must be asked for exactly as it was signed.
        target = url.join(URL(location, encoded=True))
        usable = bool(location and target.scheme in ("http", "https") and target.host and target.port)
    except ValueError:
        usable = False
    if not usable:
        raise Refused("it redirects to nowhere")
    if target.user is not None or target.password is not None:
        raise Refused("it redirects to a URL with a password")
    return target


def _check(answer: aiohttp.ClientResponse, start: int, stop: int, size: int) -> None:
    """Whether the answer is the range asked for, before its body is read."""
    status = answer.status
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused("it compresses what it sends")
    if status == 200:
        if (start, stop) != (0, size):
            raise Refused("it ignores byte ranges")
        if answer.content_length not in (None, size):
            raise Refused(f"its file has {answer.content_length} bytes, not {size}")
        return
    if status != 206:
        text = f"it answered {status} {responses.get(status, '')}".rstrip()
        wait = answer.headers.get("Retry-After", "")
        if status in (429, 503) and wait.isdecimal():
            raise RetryLater(text, float(wait[:6]))
        raise (Unreachable if status == 429 or status >= 500 else Refused)(text)
    said = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if said is None or (int(said[1]), int(said[2])) != (start, stop - 1):
        raise Refused("it misreads byte ranges")
    if said[3] not in ("*", str(size)):
        raise Refused(f"its file has {said[3]} bytes, not {size}")
