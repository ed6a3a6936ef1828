"""Read byte ranges of files on a web server, as a stream, through redirects, guarded.

Every request starts at the original URL, so a redirect to a signed place is signed afresh each time and never
expires between two requests. Redirect targets stay in here: no error text shows them.

Connections are made on the loop; what comes over them is read in threads straight into a buffer, at less than
half the processor time of a stream of chunks on the loop.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, responses
from typing import ParamSpec, TypeVar

from yarl import URL

from seedkeep.core.errors import Refused, Unreachable
from seedkeep.webseeds.guard import public_addresses

MAX_REDIRECTS = 5
#: bytes read before the loop hears of them, unless they are slow to come
CHUNK_BYTES = 1024 * 1024
_CHUNK_SECONDS = 0.25
_SIP_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ADDRESS_SECONDS = 60.0
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)

P = ParamSpec("P")
T = TypeVar("T")


class RetryLater(Unreachable):
    """The server asked to be left alone for ``seconds``."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(what)
        self.seconds = seconds


class RangeReader:
    """Reads ranges over connections that it keeps; close it.

    Args:
        user_agent: the header of that name.
        allow_private: also talk to private, loopback and link-local addresses.
        verify_https: hold servers to their certificates.
        silence: seconds to connect, and between two pieces of an answer, before it is given up.
        requests: at a time; more of them wait.
    """

    def __init__(
        self, *, user_agent: str, allow_private: bool, verify_https: bool, silence: float, requests: int
    ) -> None:
        self._user_agent = user_agent
        self._allow_private = allow_private
        self._verify_https = verify_https
        self._silence = silence
        self._requests = asyncio.Semaphore(requests)
        self._threads = ThreadPoolExecutor(requests, "web-seed")
        self._tls: ssl.SSLContext | None = None
        self._idle: dict[tuple[str, str, int], list[_Line]] = {}
        self._addresses: dict[tuple[str, int], tuple[float, list[str]]] = {}

    def close(self) -> None:
        """Close idle connections. Whoever is reading has to be cancelled before."""
        for line in (line for lines in self._idle.values() for line in lines):
            line.close()
        self._idle.clear()
        self._threads.shutdown(wait=False)

    async def read(self, url: str, start: int, stop: int, size: int) -> AsyncGenerator[memoryview, None]:
        """Yield all bytes ``start`` to ``stop`` (exclusive) of the file of ``size`` bytes at ``url``.

        What is yielded is overwritten by what comes next.

        Raises:
            RetryLater: 429 or 503 with a time to wait.
            Refused, Unreachable: what the server did wrong, in words that fit after the server's name.
        """
        missing = stop - start
        try:
            async with self._requests, self._opened(URL(url, encoded=True), start, stop) as (line, answer):
                _check(answer, start, stop, size)
                buffer = memoryview(bytearray(min(CHUNK_BYTES, missing)))
                while missing:
                    count = await self._in_thread(line, _fill, answer, buffer[:missing])
                    if not count:
                        raise Unreachable("its answer broke off")
                    missing -= count
                    yield buffer[:count]
                # An answer without a length may go on.
                more = 0 if answer.isclosed() else await self._in_thread(line, _fill, answer, buffer[:1])
                if more:
                    raise Refused("it sent more than it was asked for")
        except TimeoutError as error:
            raise Unreachable("it went silent") from error
        except (HTTPException, OSError, ValueError) as error:
            if missing < stop - start:
                raise Unreachable("its answer broke off") from error
            raise Unreachable(f"it does not answer ({type(error).__name__})") from error

    @asynccontextmanager
    async def _opened(self, url: URL, start: int, stop: int) -> AsyncIterator[tuple[_Line, HTTPResponse]]:
        """The answer at the end of the redirects."""
        for _ in range(MAX_REDIRECTS + 1):
            line, answer = await self._ask(url, f"bytes={start}-{stop - 1}")
            try:
                if answer.status not in _REDIRECTS:
                    yield line, answer
                    return
                url = _target(url, answer.getheader("Location", ""))
            finally:
                self._put_back(line, answer)
        raise Refused(f"it redirects more than {MAX_REDIRECTS} times")

    async def _ask(self, url: URL, wanted: str) -> tuple[_Line, HTTPResponse]:
        host, port = url.raw_host, url.port
        if url.scheme not in ("http", "https") or not host or not port:
            raise Refused("it is no http(s) URL")
        headers = {
            "Host": url.host_port_subcomponent or host,
            "Range": wanted,
            "Accept-Encoding": "identity",
            "User-Agent": self._user_agent,
        }
        key = (url.scheme, host, port)
        while idle := self._idle.get(key):
            line = idle.pop()
            # A server may have ended a connection that was kept; a fresh one tells what else is wrong.
            with suppress(HTTPException, ConnectionError):
                return line, await self._send(line, url, headers)
        line = await self._connected(key)
        return line, await self._send(line, url, headers)

    async def _send(self, line: _Line, url: URL, headers: dict[str, str]) -> HTTPResponse:
        try:
            return await self._in_thread(line, _request, line.http, url.raw_path_qs, headers)
        except (HTTPException, OSError, ValueError):
            line.close()
            raise

    def _put_back(self, line: _Line, answer: HTTPResponse) -> None:
        if answer.isclosed() and not answer.will_close and not line.left:
            self._idle.setdefault(line.key, []).append(line)
        else:
            line.close()

    async def _connected(self, key: tuple[str, str, int]) -> _Line:
        scheme, host, port = key
        # Connect to the very address that was checked; TLS still verifies the name.
        addresses = await self._addresses_of(host, port)
        for address in addresses:
            try:
                connection = await self._connect(address, port)
                break
            except OSError:
                if address == addresses[-1]:
                    raise
        line = _Line(key, HTTPConnection(host, port, timeout=self._silence), connection)
        if scheme == "https":
            try:
                tls = await asyncio.to_thread(self._context)
                line.http.sock = secured = tls.wrap_socket(
                    connection, server_hostname=host, do_handshake_on_connect=False
                )
                await self._in_thread(line, secured.do_handshake)
            except BaseException:
                line.close()
                raise
        return line

    async def _connect(self, address: str, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            async with asyncio.timeout(self._silence):
                await asyncio.get_running_loop().sock_connect(connection, (address, port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(self._silence)
        except BaseException:
            connection.close()
            raise
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            if not self._verify_https:
                self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        return self._tls

    async def _addresses_of(self, host: str, port: int) -> list[str]:
        until, known = self._addresses.get((host, port), (0.0, []))
        if until < time.monotonic():
            if self._allow_private:
                async with asyncio.timeout(self._silence):
                    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
                known = list(dict.fromkeys(str(entry[4][0]) for entry in found))
            else:
                known = await public_addresses(host, port)
            self._addresses[host, port] = (time.monotonic() + _ADDRESS_SECONDS, known)
        return known

    async def _in_thread(self, line: _Line, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run what blocks on ``line``; cancelled, the line is cut, so that the thread ends at once."""
        running: Future[T] = self._threads.submit(work, *args, **kwargs)
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            line.leave(running)
            raise


class _Line:
    """One connection to a server. ``left``: a thread still has it, and closes it when it is through."""

    def __init__(self, key: tuple[str, str, int], http: HTTPConnection, connection: socket.socket) -> None:
        self.key = key
        self.http = http
        self.http.sock = connection
        self.left = False

    def close(self) -> None:
        if not self.left:
            self.http.close()

    def leave(self, running: Future[T]) -> None:
        """Wake the thread that is at work on it."""
        with suppress(OSError):
            # SSLSocket's own method would take the TLS state away under the thread.
            socket.socket.shutdown(self.http.sock, socket.SHUT_RDWR)
        self.left = True
        running.add_done_callback(self._through)

    def _through(self, running: Future[T]) -> None:
        self.left = False
        self.close()


def _request(http: HTTPConnection, target: str, headers: dict[str, str]) -> HTTPResponse:
    """Send the request and read the answer's head; of a redirect, read its little body as well."""
    http.request("GET", target, headers=headers)
    answer = http.getresponse()
    if answer.status in _REDIRECTS:
        answer.read(_SIP_BYTES)
    return answer


def _fill(answer: HTTPResponse, buffer: memoryview) -> int:
    """Read until the buffer is full, the answer ends, or it has taken a while. Returns the bytes read."""
    until, count = time.monotonic() + _CHUNK_SECONDS, 0
    while count < len(buffer) and (got := answer.readinto(buffer[count : count + _SIP_BYTES])):
        count += got
        if time.monotonic() > until:
            break
    return count


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


def _check(answer: HTTPResponse, start: int, stop: int, size: int) -> None:
    """Whether the answer is the range asked for, before its body is read."""
    status = answer.status
    if answer.getheader("Content-Encoding", "identity") != "identity":
        raise Refused("it compresses what it sends")
    if status == 200:
        if (start, stop) != (0, size):
            raise Refused("it ignores byte ranges")
        if answer.length not in (None, size):
            raise Refused(f"its file has {answer.length} bytes, not {size}")
        return
    if status != 206:
        text = f"it answered {status} {responses.get(status, '')}".rstrip()
        wait = answer.getheader("Retry-After", "")
        if status in (429, 503) and wait.isdecimal():
            raise RetryLater(text, float(wait[:6]))
        raise (Unreachable if status == 429 or status >= 500 else Refused)(text)
    said = _CONTENT_RANGE.fullmatch(answer.getheader("Content-Range", ""))
    if said is None or (int(said[1]), int(said[2])) != (start, stop - 1):
        raise Refused("it misreads byte ranges")
    if said[3] not in ("*", str(size)):
        raise Refused(f"its file has {said[3]} bytes, not {size}")
    if answer.length is not None and answer.length > stop - start:
        raise Refused("it sent more than it was asked for")
