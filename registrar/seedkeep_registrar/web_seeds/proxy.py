"""Pass a range of a private object through, for clients that cannot follow a redirect to it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

import aiohttp
from yarl import URL

from seedkeep.core.errors import InvalidInput, NotFound, Refused, Unreachable

_RANGE = re.compile(r"bytes=(\d{1,18}-\d{0,18}|-\d{1,18})")
_PASSED_ON = ("Content-Length", "Content-Range", "Content-Type", "ETag", "Last-Modified")
_CHUNK = 256 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)


class TokenRefused(Refused):
    """The store does not know us: the token has expired, or was never right."""


class Body(AsyncIterator[bytes]):
    """The bytes, at most 256 KiB at a time. Close it, read or not; a broken store raises Unreachable."""

    def __init__(self, answer: aiohttp.ClientResponse, name: str) -> None:
        self._answer = answer
        self._name = name

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._answer.content.read(_CHUNK)
        except (aiohttp.ClientError, TimeoutError) as error:
            self._answer.close()
            raise Unreachable(f"storage {self._name} broke off in the middle of a file") from error
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Let go of the connection; a half-read one is dropped, not drained."""
        self._answer.close()


class Proxied(NamedTuple):
    """What to answer a client: 200, 206 or 416, the headers, and the bytes (close them)."""

    status: int
    headers: dict[str, str]
    body: Body


def check_range(header: str | None) -> str | None:
    """One range of bytes, or none.

    Raises:
        InvalidInput: anything else, e.g. several ranges, which web seeds never ask for.
    """
    if header is None or _RANGE.fullmatch(header.strip()):
        return header.strip() if header else None
    raise InvalidInput(f"the range {header[:100]!r} is not understood", hint="Ask for one range: bytes=A-B.")


async def open_range(
    http: aiohttp.ClientSession,
    url: str,
    *,
    name: str,
    range_header: str | None,
    headers: Mapping[str, str],
) -> Proxied:
    """Ask the store for an object.

    Args:
        url: where the object is; may be a secret and appears in no error.
        name: the storage's name, for errors.
        headers: a token, if the URL needs one.

    Raises:
        InvalidInput: a bad range.
        NotFound: the object is not there.
        TokenRefused, Refused: the credentials are not valid, or do not open it.
        Unreachable: the store fails, or redirects, which is not followed.
    """
    sent = {**headers, "Accept-Encoding": "identity"}
    if wanted := check_range(range_header):
        sent["Range"] = wanted
    try:
        answer = await http.get(URL(url, encoded=True), headers=sent, allow_redirects=False, timeout=_TIMEOUT)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unreachable(f"storage {name} does not answer") from error
    if answer.status == 404:
        answer.close()
        raise NotFound(f"storage {name} does not have this file")
    if answer.status == 401:
        answer.close()
        raise TokenRefused(f"storage {name} refuses its credentials")
    if answer.status == 403:
        answer.close()
        raise Refused(f"storage {name} refuses its credentials")
    if answer.status not in (200, 206, 416) or "Content-Encoding" in answer.headers:
        answer.close()
        raise Unreachable(f"storage {name} answered {answer.status}")
    passed_on = {h: answer.headers[h] for h in _PASSED_ON if h in answer.headers}
    if answer.status != 416 and "Content-Length" not in passed_on:
        answer.close()
        raise Unreachable(f"storage {name} does not say how long its answer is")
    passed_on["Accept-Ranges"] = "bytes"
    return Proxied(answer.status, passed_on, Body(answer, name))
