"""Ask a web seed for a few random pieces before it is trusted.

libtorrent retries a server that ignores ``Range`` for ever and bans one that lies only after it has
wasted a download on it; so a web seed is first asked for ranges of random pieces, which must come back
as 206 with the right ``Content-Range`` and hash to the piece layers of the record.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import random
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.client import responses

import aiohttp
from yarl import URL

from seedkeep.core.errors import Error, InvalidInput, Refused, Unreachable
from seedkeep.core.manifest import FileEntry, Manifest
from seedkeep.core.merkle import leaf_hashes, piece_hash, root_of, split_layer
from seedkeep.core.metainfo import layer_of
from seedkeep.core.record import check_web_seed
from seedkeep.core.web_seed import path_below, url_below
from seedkeep.webseeds.guard import public_addresses

MAX_REDIRECTS = 5
#: seconds to connect, and between two pieces of an answer
SILENCE_S = 10
#: a whole answer may take SILENCE_S and what its bytes take at this rate, in bytes per second
SLOWEST = 256_000
_TAIL = 16384
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a probe.

    Args:
        ok: the web seed may be used.
        reason: one sentence for a person; what it did wrong, or what was checked.
        bytes_per_s: rate at which the samples came, 0 when it failed.
        lies: it gave wrong bytes, which is more than being out of order.
    """

    ok: bool
    reason: str
    bytes_per_s: float
    lies: bool = False


async def probe(
    session: aiohttp.ClientSession,
    url: str,
    manifest: Manifest,
    layers: bytes,
    *,
    samples: int = 2,
    allow_private: bool = False,
    rng: random.Random | None = None,
) -> Verdict:
    """Read ``samples`` random pieces from an http(s) web seed and verify them. Never raises an Error.

    Args:
        session: any session without credentials of its own.
        url: the web seed's base URL, which ends in ``/``.
        layers: the record's concatenated piece layers, already checked against the manifest.
        samples: how many pieces to read (fewer if the dataset has fewer).
        allow_private: also talk to private, loopback and link-local addresses.
        rng: where the choice comes from; the system's randomness by default.
    """
    loaded, seconds = 0, 0.0
    try:
        check_web_seed(url)
        pieces = _choose(manifest, samples, rng or random.SystemRandom())
        for index, piece in pieces:
            entry = manifest.files[index]
            start = piece * manifest.piece_length
            stop = min(start + manifest.piece_length, entry.size)
            began = time.monotonic()
            data = await _read_range(
                session, _file_url(url, manifest, entry), entry, start, stop, allow_private
            )
            seconds += time.monotonic() - began
            loaded += len(data)
            if not await asyncio.to_thread(_is_genuine, data, manifest, layers, index, piece):
                return Verdict(False, f"it has wrong bytes in {entry.path}, piece {piece}", 0.0, lies=True)
    except Error as error:
        return Verdict(False, error.what, 0.0)
    return Verdict(True, f"{len(pieces)} random pieces are right", loaded / max(seconds, 1e-6))


async def answers_ranges(
    session: aiohttp.ClientSession, url: str, manifest: Manifest, *, allow_private: bool = False
) -> Verdict:
    """Whether an http(s) web seed gives the end of the largest file to anyone who asks. Verifies no bytes."""
    entry = max(manifest.files, key=lambda f: f.size)
    start = max(0, entry.size - _TAIL)
    began = time.monotonic()
    try:
        check_web_seed(url)
        file_url = _file_url(url, manifest, entry)
        data = await _read_range(session, file_url, entry, start, entry.size, allow_private)
    except Error as error:
        return Verdict(False, error.what, 0.0)
    return Verdict(True, "it answers ranges", len(data) / max(time.monotonic() - began, 1e-6))


def _file_url(base: str, manifest: Manifest, entry: FileEntry) -> URL:
    below = path_below(manifest.name, entry.path, files=len(manifest.files))
    return URL(url_below(base, below), encoded=True)


def _choose(manifest: Manifest, samples: int, rng: random.Random) -> list[tuple[int, int]]:
    """Distinct (file index, piece in file), each piece as likely as any other."""
    counts = [-(-f.size // manifest.piece_length) for f in manifest.files]
    ends = list(itertools.accumulate(counts))
    found = []
    for number in rng.sample(range(ends[-1]), min(samples, ends[-1])):
        index = bisect.bisect_right(ends, number)
        found.append((index, number - (ends[index] - counts[index])))
    return found


def _is_genuine(data: bytes, manifest: Manifest, layers: bytes, index: int, piece: int) -> bool:
    entry = manifest.files[index]
    leaves = leaf_hashes(data)
    if entry.size <= manifest.piece_length:
        return root_of(leaves, size=entry.size).hex() == entry.root
    expected = split_layer(layer_of(manifest, layers, index))[piece]
    return piece_hash(leaves, manifest.piece_length) == expected


async def _read_range(
    session: aiohttp.ClientSession, url: URL, entry: FileEntry, start: int, stop: int, allow_private: bool
) -> bytes:
    """Bytes ``start`` to ``stop`` (exclusive) of a file, through at most 5 redirects.

    Raises:
        Refused, Unreachable, InvalidInput: what the server did wrong.
    """
    headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    seen: set[URL] = set()
    try:
        async with asyncio.timeout(SILENCE_S + (stop - start) / SLOWEST):
            while True:
                if url in seen:
                    raise Refused("it redirects in a circle")
                if len(seen) > MAX_REDIRECTS:
                    raise Refused(f"it redirects more than {MAX_REDIRECTS} times")
                seen.add(url)
                async with _get(session, url, headers, allow_private) as answer:
                    if answer.status not in (301, 302, 303, 307, 308):
                        return await _body(answer, entry, start, stop)
                    url = _next(url, answer.headers.get("Location", ""))
    except TimeoutError as error:
        raise Unreachable(f"it is too slow with {entry.path}") from error
    except aiohttp.ClientPayloadError as error:
        raise Unreachable(f"it truncates {entry.path}: the answer broke off") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Unreachable(f"it does not answer for {entry.path} ({type(error).__name__})") from error


def _next(url: URL, location: str) -> URL:
    try:
        # a signed target must be asked for exactly as it was signed
        target = url.join(URL(location, encoded=True))
        usable = target.scheme in ("http", "https") and target.host and target.port
    except ValueError:
        usable = None
    if not location or not usable:
        raise Refused("it redirects to something that is no http(s) URL")
    if target.user is not None or target.password is not None:
        raise Refused("it redirects to a URL with a password")
    return target


@asynccontextmanager
async def _get(
    session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str], allow_private: bool
) -> AsyncIterator[aiohttp.ClientResponse]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_S, sock_read=SILENCE_S)
    if allow_private:
        async with session.get(url, headers=headers, allow_redirects=False, timeout=timeout) as answer:
            yield answer
        return
    host, port = url.raw_host, url.port
    if not host or not port:
        raise InvalidInput("it has no host")
    # connect to the very address that was checked; TLS still verifies the name
    named = {**headers, "Host": url.host_port_subcomponent or host}
    addresses = await public_addresses(host, port)
    for address in addresses:
        try:
            response = await session.get(
                url.with_host(address),
                headers=named,
                allow_redirects=False,
                timeout=timeout,
                server_hostname=host,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            if address == addresses[-1]:
                raise
            continue
        async with response:
            yield response
        return


async def _body(answer: aiohttp.ClientResponse, entry: FileEntry, start: int, stop: int) -> bytes:
    length = stop - start
    if answer.status == 200:
        raise Refused("it ignores Range")
    if answer.status == 416:
        raise Refused(f"it truncates {entry.path}: it has no bytes from {start}")
    if answer.status != 206:
        phrase = responses.get(answer.status, "unknown")
        kind = Unreachable if answer.status == 429 or answer.status >= 500 else Refused
        raise kind(f"it answers {answer.status} ({phrase}) for {entry.path}")
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused(f"it compresses {entry.path}")
    said = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if said is None or (int(said[1]), int(said[2])) != (start, stop - 1):
        raise Refused(f"it gives another range of {entry.path} than it was asked for")
    if int(said[3]) != entry.size:
        raise Refused(f"its {entry.path} has {said[3]} bytes, not {entry.size}")
    data = bytearray()
    async for chunk in answer.content.iter_chunked(1 << 18):
        data += chunk
        if len(data) > length:
            raise Refused(f"it sends more of {entry.path} than it was asked for")
    if len(data) < length:
        raise Unreachable(f"it truncates {entry.path}: {len(data)} bytes came, not {length}")
    return bytes(data)
