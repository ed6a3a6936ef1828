"""HTTP as a registrar speaks it: signed requests, bounded answers, problem documents, careful retries.

:class:`Transport` knows nothing of what is asked; see :mod:`seedkeep.registrar_client` for that.
What it promises: every request ends within its timeout, no answer is read beyond its limit, redirects are
not followed (a signature holds for one URL), and whatever goes wrong is a
:class:`seedkeep.core.errors.Error` that names the registrar.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from seedkeep import __version__
from seedkeep.core import jcs
from seedkeep.core.errors import (
    Conflict,
    Error,
    InvalidInput,
    NotFound,
    Refused,
    Tainted,
    Unreachable,
    UsageError,
    Withdrawn,
)
from seedkeep.core.httpsig import Unauthenticated, sign_request
from seedkeep.core.keys import PrivateKey
from seedkeep.core.paths import printable
from seedkeep.message_fields import one_line
from seedkeep.taint_told import in_words, taints_in

T = TypeVar("T")
MAX_JSON_BYTES = 32 * 1024 * 1024
CONNECT_S = 10.0
SILENCE_S = 60.0
ANSWER_S = 120.0
ATTEMPTS = 3
_CHUNK = 1 << 18
#: an answer of up to this many bytes is read on the loop, within a few milliseconds
_SMALL = 1 << 16
_DIGITS = re.compile(r"[0-9]{1,6}")
_BUSY = frozenset({429, 502, 503, 504})
_LONGEST_WAIT_S = 20.0
_KINDS: Mapping[str, type[Error]] = {
    "invalid_input": InvalidInput,
    "unauthenticated": Unauthenticated,
    "refused": Refused,
    "not_found": NotFound,
    "conflict": Conflict,
    "precondition_failed": Conflict,
    "withdrawn": Withdrawn,
    "too_large": InvalidInput,
    "tainted": Tainted,
    "too_many_requests": Unreachable,
    "unavailable": Unreachable,
}
_BY_STATUS: Mapping[int, type[Error]] = {
    400: InvalidInput,
    401: Unauthenticated,
    403: Refused,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    413: InvalidInput,
    451: Tainted,
}


class TaintedRecord(Tainted):
    """A registrar says that what was asked for is tainted.

    Args:
        reasons: ``{"id", "subject", "category", "reason", "created"}`` of each taint, as told.
        rid, ark, content_id: of the record, or "".
    """

    def __init__(
        self,
        what: str,
        *,
        hint: str = "",
        reasons: tuple[Mapping[str, str], ...] = (),
        rid: str = "",
        ark: str = "",
        content_id: str = "",
    ) -> None:
        super().__init__(what, hint=hint)
        self.reasons = reasons
        self.rid = rid
        self.ark = ark
        self.content_id = content_id


class ToldWithdrawn(Withdrawn):
    """A registrar says that a record is withdrawn; nothing of it is verified yet.

    Args:
        document: the whole answer: what is still said of the record.
    """

    def __init__(self, what: str, *, hint: str = "", document: Mapping[str, Any]) -> None:
        super().__init__(what, hint=hint)
        self.document = document


class NotAnAnswer(InvalidInput):
    """Not how a registrar answers; something else, like a hotel's login page, may be in its place."""


class _Busy(Unreachable):
    """The registrar asks to be left alone for ``retry_after`` seconds."""

    def __init__(self, what: str, *, hint: str = "", retry_after: float = 0.0) -> None:
        super().__init__(what, hint=hint)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: status, and the body as bytes."""

    status: int
    body: bytes
    url: str

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            NotAnAnswer: it is something else; names the URL.
        """
        try:
            value = jcs.loads(self.body, limit=MAX_JSON_BYTES)
        except InvalidInput as error:
            raise NotAnAnswer(
                f"{self.url} did not answer with JSON: {error}", hint="Is that a Seedkeep registrar's URL?"
            ) from error
        if not isinstance(value, dict):
            raise NotAnAnswer(f"{self.url} did not answer with a JSON object")
        return value

    async def read(self, parse: Callable[[dict[str, Any]], T]) -> T:
        """What ``parse`` makes of :meth:`json`; a large answer is read in a thread."""
        if len(self.body) <= _SMALL:
            return parse(self.json())
        return await asyncio.to_thread(lambda: parse(self.json()))


def normal_url(text: str) -> str:
    """A registrar's base URL in its one form: scheme, host, path without ``/`` at the end.

    Raises:
        UsageError: it is no http(s) URL, or carries a password, query or fragment.
    """
    hint = "A registrar's URL looks like https://registrar.example.org."
    written = text.strip()
    try:
        url = URL(written if "://" in written else f"https://{written}")
        host, port = url.host, url.port
    except ValueError as error:
        raise UsageError(f"{printable(text)} is not a registrar's URL", hint=hint) from error
    if url.scheme not in ("http", "https") or not host or port is None or len(text) > 500:
        raise UsageError(f"{printable(text)} is not a registrar's URL", hint=hint)
    if url.user is not None or url.raw_query_string or url.raw_fragment:
        raise UsageError(f"{printable(text)} carries more than a registrar's address", hint=hint)
    return str(url).rstrip("/")


class Transport:
    """Sends requests to one registrar.

    Args:
        url: its base URL, see :func:`normal_url`.
        key: signs requests; None for a client that only reads.
        session: for all requests; the caller closes it.
        now: Unix seconds.
        attempts: how often an idempotent request is tried, with growing pauses.
    """

    def __init__(
        self,
        url: str,
        *,
        key: PrivateKey | None,
        session: aiohttp.ClientSession,
        now: Callable[[], float],
        attempts: int = ATTEMPTS,
    ) -> None:
        self.url = normal_url(url)
        self.key = key
        self._session = session
        self._now = now
        self._attempts = attempts

    async def get(
        self, path: str, *, limit: int = MAX_JSON_BYTES, accept: str = "application/json"
    ) -> Answer:
        """A read; tried again while the registrar cannot be reached or is busy.

        Raises:
            Error: what the problem document said, or what went wrong on the way.
        """
        return await self._persist(
            lambda: self._once("GET", path, headers={"Accept": accept}, limit=limit, total=None)
        )

    async def head(self, path: str) -> bool:
        """Whether something is there (200) or not (404)."""
        try:
            await self._persist(lambda: self._once("HEAD", path, headers={}, limit=0, total=ANSWER_S))
        except NotFound:
            return False
        return True

    async def post(
        self, base: str, path: str, fields: Mapping[str, Any], *, again: bool = False, wait: float = 0.0
    ) -> Answer:
        """:meth:`send` by POST."""
        return await self.send("POST", base, path, fields, again=again, wait=wait)

    async def send(
        self,
        method: str,
        base: str,
        path: str,
        fields: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        again: bool = False,
        wait: float = 0.0,
    ) -> Answer:
        """A signed request with a JSON body.

        Args:
            base: the registrar's public URL, which the signature covers.
            headers: further ones.
            again: repeating it does no harm, so it may be tried again.
            wait: seconds for which the registrar may hold back its answer.
        """

        def encode() -> tuple[bytes, str]:
            data = jcs.dumps(fields)
            return data, hashlib.sha256(data).hexdigest()

        data, digest = await asyncio.to_thread(encode)

        async def send() -> Answer:
            signed = self._signed(method, base + path, digest) | {"Content-Type": "application/json"}
            return await self._once(
                method,
                path,
                headers={**signed, **(headers or {})},
                limit=MAX_JSON_BYTES,
                data=lambda: data,
                total=ANSWER_S + wait,
            )

        return await (self._persist(send) if again else send())

    async def ask(self, method: str, base: str, path: str, *, wait: float = 0.0) -> Answer:
        """A signed request without a body, such as GET or DELETE; never tried again.

        Args:
            base: the registrar's public URL, which the signature covers.
            wait: seconds for which the registrar may hold back its answer.
        """
        headers = self._signed(method, base + path, hashlib.sha256(b"").hexdigest())
        return await self._once(method, path, headers=headers, limit=MAX_JSON_BYTES, total=ANSWER_S + wait)

    async def put(self, base: str, path: str, sha256: str, data: bytes | Path) -> Answer:
        """A signed upload, streamed from disk when ``data`` is a path; tried again when it breaks off."""
        size = len(data) if isinstance(data, bytes) else (await asyncio.to_thread(data.stat)).st_size

        async def send() -> Answer:
            headers = self._signed("PUT", base + path, sha256)
            headers |= {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            return await self._once(
                "PUT", path, headers=headers, limit=MAX_JSON_BYTES, data=lambda: _chunks(data), total=None
            )

        return await self._persist(send)

    def _signed(self, method: str, url: str, sha256: str) -> dict[str, str]:
        if self.key is None:
            raise UsageError(
                "this needs a key to sign with", hint="Make one with `seedkeep key new`, then try again."
            )
        return sign_request(
            self.key, method, url, sha256=sha256, created=int(self._now()), nonce=secrets.token_urlsafe(18)
        )

    async def _persist(self, send: Callable[[], Any]) -> Answer:
        for attempt in range(1, self._attempts + 1):
            try:
                answer: Answer = await send()
            except Unreachable as error:
                if attempt == self._attempts:
                    raise
                asked = error.retry_after if isinstance(error, _Busy) else 0.0
                pause = max(asked, 0.4 * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                await asyncio.sleep(min(pause, _LONGEST_WAIT_S))
            else:
                return answer
        raise AssertionError("unreachable")  # pragma: no cover

    async def _once(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        limit: int,
        total: float | None,
        data: Callable[[], Any] | None = None,
    ) -> Answer:
        target = self.url + path
        silence = SILENCE_S if total is None else None
        timeout = aiohttp.ClientTimeout(total=total, sock_connect=CONNECT_S, sock_read=silence)
        try:
            async with self._session.request(
                method,
                URL(target, encoded=True),
                headers={"User-Agent": f"seedkeep/{__version__}", "Accept": "application/json", **headers},
                data=data() if data else None,
                allow_redirects=False,
                timeout=timeout,
            ) as response:
                body = await _read(response, target, limit if response.status < 300 else MAX_JSON_BYTES)
                if response.status >= 300:
                    raise _problem(self.url, target, response, body)
                return Answer(response.status, body, target)
        except TimeoutError as error:
            raise Unreachable(
                f"the registrar {self.url} did not answer in time", hint="Try again later."
            ) from error
        except aiohttp.ClientError as error:
            why = _system_says(error) or one_line(str(error)) or type(error).__name__
            raise Unreachable(
                f"the registrar {self.url} cannot be reached: {why}",
                hint="Check its URL and the network, or name another registrar with --registrar.",
            ) from error


def _system_says(error: aiohttp.ClientError) -> str:
    """The operating system's words for a connection that failed, such as "Connection refused"."""
    if not isinstance(error, aiohttp.ClientConnectorError):
        return ""
    number = error.os_error.errno
    return os.strerror(number) if number and number > 0 else error.os_error.strerror or ""


async def _read(response: aiohttp.ClientResponse, target: str, limit: int) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_chunked(_CHUNK):
        size += len(part)
        if size > limit:
            raise InvalidInput(f"the answer of {target} is longer than the {limit} bytes it may have")
        parts.append(part)
    return b"".join(parts)


async def _chunks(data: bytes | Path) -> AsyncIterator[bytes]:
    if isinstance(data, bytes):
        for at in range(0, len(data), _CHUNK):
            yield data[at : at + _CHUNK]
        return
    file = await asyncio.to_thread(data.open, "rb")
    try:
        while part := await asyncio.to_thread(file.read, _CHUNK):
            yield part
    finally:
        await asyncio.to_thread(file.close)


def _problem(base: str, target: str, response: aiohttp.ClientResponse, body: bytes) -> Error:
    """The error that an answer other than 2xx stands for."""
    status = response.status
    if 300 <= status < 400:
        where = one_line(response.headers.get("Location", ""), 300)
        return Unreachable(f"{target} has moved to {where or 'another place'}", hint="Use that URL instead.")
    try:
        fields = jcs.loads(body, limit=MAX_JSON_BYTES) if "json" in response.content_type else {}
    except InvalidInput:
        fields = {}
    if not isinstance(fields, dict):
        fields = {}
    detail, hint = one_line(fields.get("detail")), one_line(fields.get("hint"))
    known = _KINDS.get(str(fields.get("code")))
    kind = known or _BY_STATUS.get(status)
    if kind is None:
        kind = Unreachable if status in _BUSY else Error
    if kind is Tainted:
        return _tainted(base, target, fields, detail, hint)
    if kind is Withdrawn:
        return ToldWithdrawn(detail or f"{target} is withdrawn", hint=hint, document=fields)
    if kind is NotFound and known is None:
        hint = hint or "Is that a Seedkeep registrar's URL?"
    what = detail or f"{target} answered {status} {one_line(response.reason, 80)}".rstrip()
    if kind is Unreachable:
        after = response.headers.get("Retry-After", "")
        return _Busy(
            f"{what} ({base})", hint=hint, retry_after=float(after) if _DIGITS.fullmatch(after) else 0.0
        )
    return kind(what if kind is NotFound else f"{what} ({base})", hint=hint)


def _tainted(base: str, target: str, fields: Mapping[str, Any], detail: str, hint: str) -> TaintedRecord:
    reasons = taints_in(fields)
    what = detail or f"{target} is tainted"
    if why := " | ".join(in_words(reason, base) for reason in reasons[:5]):
        # what the registrar says in its own words repeats the first one's category and reason
        what = f"{what.partition(' (' + reasons[0].get('category', '') + ')')[0]} ({why})"
    names = {k: one_line(fields.get(k), 100) for k in ("rid", "ark", "content_id")}
    return TaintedRecord(what, hint=hint, reasons=reasons, **names)
