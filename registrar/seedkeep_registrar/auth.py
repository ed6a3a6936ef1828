"""Who sent a request: RFC 9421 signatures, body digests, and nonces that count once, also after a restart."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput
from seedkeep.core.httpsig import Signed, Unauthenticated, verify_request
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.operations.limits import charge_sender
from seedkeep_registrar.problems import TooLarge
from seedkeep_registrar.store import account_keys, accounts, nonces
from seedkeep_registrar.store.accounts import Account

#: JSON above this many bytes is parsed in a thread
_LARGE_JSON = 64 * 1024
#: bytes per second
_SLOWEST = 2000
#: the key whose signature was checked
SIGNER: web.RequestKey[str] = web.RequestKey("signer", str)
#: the account for which that key acts, or None
ACTS_FOR: web.RequestKey[Account | None] = web.RequestKey("acts for", Account)


def target_uri(registrar: Registrar, request: web.Request) -> str:
    """The URL of a request as its sender sees it, whatever proxies stand in between."""
    return registrar.public_url + request.raw_path


async def verify(request: web.Request) -> Signed:
    """Check the signature and use up the nonce; the body's digest is for whoever reads the body.

    Raises:
        Unauthenticated: signature, time or nonce do not hold.
        TooManyRequests: this key sends more than is allowed.
        Refused: the key's account is disabled or deleted.
    """
    registrar = request.app[REGISTRAR]
    for name in ("Signature", "Signature-Input", "Content-Digest"):
        if len(request.headers.getall(name, [])) > 1:
            raise Unauthenticated(f"the request carries more than one {name} header")
    signed = verify_request(
        request.method, target_uri(registrar, request), dict(request.headers), now=registrar.clock()
    )
    charge_sender(request, f"key {signed.key}")
    request[ACTS_FOR] = await registrar.db.write(_admit, signed)
    request[SIGNER] = str(signed.key)
    return signed


def _admit(connection: Connection, signed: Signed) -> Account | None:
    account_keys.check_open(connection, str(signed.key))
    nonces.use(connection, signed)
    return accounts.by_key(connection, str(signed.key))


class Pace:
    """How long the next part of a body may take: who drips bytes would hold a connection for ever."""

    def __init__(self, request: web.Request) -> None:
        self._silence = request.app[REGISTRAR].settings.body_timeout_s
        self._loop = asyncio.get_running_loop()
        self._started, self._read = self._loop.time(), 0

    def next(self) -> asyncio.Timeout:
        """Read within this block.

        Raises:
            TimeoutError: in the block, when the sender falls silent for longer than ``body_timeout_s``, or
                has been slower than :data:`_SLOWEST` for that long.
        """
        slowest = self._started + self._silence + self._read / _SLOWEST
        return asyncio.timeout_at(min(self._loop.time() + self._silence, slowest))

    def came(self, count: int) -> None:
        """So many bytes more have come."""
        self._read += count


async def body_chunks(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes.

    Raises:
        TimeoutError: it comes slower than :class:`Pace` allows.
    """
    pace = Pace(request)
    while True:
        async with pace.next():
            chunk = await request.content.readany()
        if not chunk:
            return
        pace.came(len(chunk))
        yield chunk


def refuse_encoding(request: web.Request) -> None:
    """
    Raises:
        InvalidInput: the body is compressed: what was signed, and what unpacking it costs, cannot be told.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise InvalidInput("bodies are sent as they are, without a content encoding")


async def read_body(request: web.Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is over ``limit`` bytes.
        InvalidInput: it is compressed.
    """
    refuse_encoding(request)
    if (request.content_length or 0) > limit:
        raise TooLarge(f"the request's body is over the limit of {limit} bytes")
    held = bytearray()
    async for chunk in body_chunks(request):
        held += chunk
        if len(held) > limit:
            raise TooLarge(f"the request's body is over the limit of {limit} bytes")
    return bytes(held)


async def signed_json(request: web.Request, *, limit: int = 512 * 1024) -> tuple[Signed, Mapping[str, Any]]:
    """A signed request with a JSON object as its body.

    Raises:
        Unauthenticated: signature, time, nonce or digest do not hold.
        InvalidInput: the body is not one JSON object.
        TooLarge: it is over ``limit`` bytes.
    """
    body = await read_body(request, limit)
    signed = await verify(request)
    check_digest(signed, body)
    if len(body) > _LARGE_JSON:
        value = await asyncio.to_thread(jcs.loads, body, limit=limit)
    else:
        value = jcs.loads(body, limit=limit)
    if not isinstance(value, dict):
        raise InvalidInput("the request's body is not a JSON object")
    return signed, value


def check_digest(signed: Signed, body: bytes) -> None:
    """
    Raises:
        Unauthenticated: the body is not the one that was signed.
    """
    if hashlib.sha256(body).hexdigest() != signed.sha256:
        raise Unauthenticated("the request's body is not the one that was signed")
