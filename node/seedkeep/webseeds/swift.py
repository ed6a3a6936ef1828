"""Put files into an OpenStack Swift container: streamed, checked by MD5, large ones as SLO segments.

An object carries its SHA-256 as metadata, so that a later run knows what is already there. Segments lie
in the same container (so that its read rights and TempURLs cover them) under names made from the file's
digest, so that an interrupted upload goes on with the first segment that is missing.

Source: the Object Storage API v1 and its Static Large Objects.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from seedkeep.core.errors import Error, InvalidInput, Refused, Unreachable, VerificationFailed
from seedkeep.core.manifest import FileEntry
from seedkeep.core.swift_auth import Credentials, Session
from seedkeep.core.web_seed import ObjectPlace
from seedkeep.webseeds.local_file import LocalFile

#: files up to this many bytes are one object, larger ones segments of at least as many
SEGMENT_BYTES = 1 << 30
_MAX_SEGMENTS = 1000
_CHUNK = 1 << 20
_ANSWER_BYTES = 16 << 20
_ATTEMPTS = 4
_FIRST_PAUSE_S = 0.5
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
_DIGEST = "X-Object-Meta-Sha256"

Content = Callable[[], AsyncIterator[bytes]]


class _Answer(NamedTuple):
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


class SwiftStore:
    """A container to write to. An async context manager."""

    def __init__(
        self, place: ObjectPlace, credentials: Credentials, *, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self._place = place
        self._credentials = credentials
        self._segment_bytes = segment_bytes
        self._session: Session | None = None
        self._logging_in = asyncio.Lock()
        self.large_above = segment_bytes

    async def __aenter__(self) -> SwiftStore:
        self._http = aiohttp.ClientSession(timeout=_TIMEOUT, auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def prepare(self) -> None:
        """Log in, and make the container unless it is there.

        Raises:
            Refused, Unreachable, InvalidInput: that did not work.
        """
        # not HEAD: Swift under eventlet 0.33 sends a body with that 204, which breaks the connection
        if (await self._request("GET", "", query={"format": "json", "limit": "1"})).status == 404:
            await self._expect(await self._request("PUT", ""), 201, 202)

    async def has(self, key: str, entry: FileEntry) -> bool:
        """Whether the object is already there, with the right size and SHA-256."""
        answer = await self._request("HEAD", key)
        size, digest = answer.headers.get("Content-Length"), answer.headers.get(_DIGEST)
        return answer.status == 200 and size == str(entry.size) and digest == entry.sha256

    async def put(self, key: str, file: LocalFile, report: Callable[[int], None]) -> None:
        """Write one object; ``report`` gets the bytes of it that are done.

        Raises:
            VerificationFailed: the file has changed; the object is not written.
            Refused, Unreachable: the store cannot be written to.
        """
        entry = file.entry
        headers = {_DIGEST: entry.sha256, "Content-Type": "application/octet-stream"}
        if entry.size > self._segment_bytes:
            segments = await self._put_segments(file, report)
            await self._put_slo(key, segments, headers)
            return
        await self._check(file)
        await self._send(key, file, 0, entry.size, entry.md5, headers, report)

    async def _check(self, file: LocalFile) -> None:
        """Read the whole file, so that no wrong byte leaves this machine."""
        while await asyncio.to_thread(file.read, _CHUNK):
            pass
        await asyncio.to_thread(file.finish)

    async def _send(
        self,
        key: str,
        file: LocalFile,
        start: int,
        length: int,
        md5: str,
        headers: Mapping[str, str],
        report: Callable[[int], None],
    ) -> None:
        shrunk = False

        def content() -> AsyncIterator[bytes]:
            if shrunk:
                raise file.changed()
            return pieces()

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal shrunk
            for at in range(start, start + length, _CHUNK):
                wanted = min(_CHUNK, start + length - at)
                data = await asyncio.to_thread(file.read_again, at, wanted)
                if len(data) != wanted:
                    shrunk = True
                    raise file.changed()
                yield data
                report(at + wanted)

        sent = {**headers, "ETag": md5, "Content-Length": str(length)}
        # what ends the sending of a body reaches us as a broken connection, so the next attempt tells
        answer = await self._request("PUT", key, headers=sent, content=content)
        if answer.status == 422:
            raise file.changed()
        await self._expect(answer, 201)
        if answer.headers.get("ETag", md5).strip('"') != md5:
            raise Unreachable(f"{self._place} stored {file.entry.path} with another MD5")

    async def _put_segments(self, file: LocalFile, report: Callable[[int], None]) -> list[dict[str, object]]:
        """Write what is missing; gives the rows of the SLO manifest."""
        size = file.entry.size
        step = max(self._segment_bytes, -(-size // _MAX_SEGMENTS))
        folder = f"{self._place.prefix}.seedkeep-segments/{file.entry.sha256}/{step}"
        there = await self._list(f"{folder}/")
        rows: list[dict[str, object]] = []
        try:
            for number, start in enumerate(range(0, size, step)):
                length = min(step, size - start)
                md5 = await self._md5_of_next(file, length)
                key = f"{folder}/{number:04d}"
                if there.get(key) != (length, md5):
                    await self._send(key, file, start, length, md5, {}, report)
                rows.append({"path": f"/{self._place.container}/{key}", "etag": md5, "size_bytes": length})
                report(start + length)
            await asyncio.to_thread(file.finish)
        except VerificationFailed:
            for key in await self._list(f"{folder}/"):
                await self._request("DELETE", key)
            raise
        return rows

    async def _md5_of_next(self, file: LocalFile, length: int) -> str:
        digest = hashlib.md5(usedforsecurity=False)

        def step(wanted: int) -> int:
            data = file.read(wanted)
            digest.update(data)
            return len(data)

        while length > 0:
            count = await asyncio.to_thread(step, min(_CHUNK, length))
            if not count:
                raise file.changed()
            length -= count
        return digest.hexdigest()

    async def _put_slo(self, key: str, segments: list[dict[str, object]], headers: Mapping[str, str]) -> None:
        body = json.dumps(segments).encode()

        async def content() -> AsyncIterator[bytes]:
            yield body

        sent = {**headers, "Content-Length": str(len(body))}
        answer = await self._request(
            "PUT", key, query={"multipart-manifest": "put"}, headers=sent, content=content
        )
        await self._expect(answer, 201)

    async def _list(self, prefix: str) -> dict[str, tuple[int, str]]:
        """Objects below ``prefix`` (at most one page, which holds more than an SLO): (bytes, MD5 as hex)."""
        answer = await self._request("GET", "", query={"format": "json", "prefix": prefix})
        await self._expect(answer, 200, 204)
        try:
            rows = json.loads(answer.body or b"[]")
            return {str(row["name"]): (int(row["bytes"]), str(row["hash"])) for row in rows}
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"{self._place} gives a listing that makes no sense") from error

    async def public_url(self) -> str:
        """The place's http(s) URL for those who need no credentials; ends in ``/``."""
        session = await self._log_in(None)
        return f"{session.storage_url}/{self._place.container}/{quote(self._place.prefix)}"

    async def _expect(self, answer: _Answer, *statuses: int) -> None:
        if answer.status in statuses:
            return
        hint = "Check that this user may write to the container, and its quota."
        raise Refused(f"{self._place} refuses ({answer.status})", hint=hint)

    async def _log_in(self, stale: Session | None) -> Session:
        """A login; the one we have, unless that is ``stale``."""
        async with self._logging_in:
            if self._session is None or self._session is stale:
                request = self._credentials.request()
                answer = await self._once(request.method, request.url, request.headers, request.body or None)
                self._session = self._credentials.session(answer.status, answer.headers, answer.body)
            return self._session

    async def _request(
        self,
        method: str,
        key: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: Content | None = None,
    ) -> _Answer:
        """Ask for the container (no key) or an object; log in and try again where that can help."""
        stale: Session | None = None
        for attempt in range(_ATTEMPTS):
            last = attempt == _ATTEMPTS - 1
            try:
                session = await self._log_in(stale)
                url = f"{session.storage_url}/{self._place.container}"
                url += f"/{quote(key)}" if key else ""
                url += f"?{urlencode(query)}" if query else ""
                sent = {**(headers or {}), "X-Auth-Token": session.token}
                answer = await self._once(method, url, sent, content() if content else None)
            except Unreachable:
                if last:
                    raise
            else:
                # a token may expire at any time; the second refusal is meant
                stale = session if answer.status == 401 and stale is None else None
                if not stale and answer.status < 500 and answer.status not in (408, 429):
                    return answer
                if last:
                    raise Unreachable(f"{self._place} answers {answer.status}, again and again")
            await asyncio.sleep(0 if stale else _FIRST_PAUSE_S * 2**attempt)
        raise AssertionError("the loop returns or raises")

    async def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] | None,
    ) -> _Answer:
        try:
            async with self._http.request(
                method, URL(url, encoded=True), headers=CIMultiDict(headers), data=body, allow_redirects=False
            ) as answer:
                found = bytearray()
                async for chunk in answer.content.iter_chunked(1 << 16):
                    found += chunk
                    if len(found) > _ANSWER_BYTES:
                        raise Unreachable(f"{self._place} sends an answer that is too long")
                return _Answer(answer.status, answer.headers, bytes(found))
        except Error:
            raise
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise Unreachable(f"the object store of {self._place} does not answer, or breaks off") from error
