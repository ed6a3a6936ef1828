"""``GET /ws/{content_id}/{name}/{path…}``: private storage as a web seed that needs no credentials (BEP 19).

Only files in the manifest of a registered, untainted dataset; each answer is a redirect to a URL that soon
expires, or the bytes themselves where the storage is set to be proxied.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator, Set
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.errors import Error, NotFound, Refused, Unreachable
from seedkeep.core.web_seed import path_below
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.documents import gone, tainted_record
from seedkeep_registrar.recent import Recent
from seedkeep_registrar.store import account_keys, files, private_seeds, records, taint_marks, taints
from seedkeep_registrar.store.private_seeds import is_private
from seedkeep_registrar.store.records import Record
from seedkeep_registrar.store.taints import Taint
from seedkeep_registrar.web_seeds.redirector import Redirector

_CONTENT_ID = re.compile(r"[0-9a-f]{64}")
#: a reader that takes nothing for so long is let go, in seconds
_STALL_S = 60.0
#: bytes of strangers must not run as a page of this registrar
_INERT = {
    "Cache-Control": "no-store",
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Content-Type": "application/octet-stream",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class _Seed:
    """A web seed, with the keys of who named it and of the record's present stewards; both must be entitled
    to private storage: neither a handed-over record nor a stranger who names a steward opens it."""

    url: str
    namer: frozenset[str]
    stewards: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a file is, or the taints that forbid it, or the withdrawn record.

    Args:
        tainted: the record, the taints, and the path of the file when they are about that alone.
        web_seeds: private storage first.
    """

    size: int
    web_seeds: tuple[_Seed, ...]
    tainted: tuple[Record, tuple[Taint, ...], str] | None = None
    gone: Record | None = None


def _keys_of(connection: Connection, account: str) -> frozenset[str]:
    """The keys that act for an account (its id), or the key that stands for nobody else."""
    if not account.isdigit():
        return frozenset({account} - {""})
    return frozenset(bound.key for bound in account_keys.of_account(connection, int(account)))


def _seeds(connection: Connection, own: Set[str], record: Record) -> Iterator[_Seed]:
    named = private_seeds.of_record(connection, record.rid) if any(map(is_private, record.web_seeds)) else {}
    stewards = frozenset(record.stewards)
    if own & stewards:
        stewards |= _keys_of(connection, record.account)
    for seed in record.web_seeds:
        by = named.get(seed)
        namer = frozenset({by.signer}) | _keys_of(connection, by.editor) if by else frozenset()
        yield _Seed(seed, namer, stewards)


def _look_up(connection: Connection, own: Set[str], content_id: str, wanted: str) -> _Place | None:
    """
    Args:
        own: this registrar's keys, which have signed for accounts.
        wanted: path below the web seed, ``<name>/<path>`` or ``<name>``.
    """
    servable = records.servable(connection, content_id)
    if not servable:
        known = records.by_content_id(connection, content_id)
        if not known:
            return None
        standing = tuple(taints.standing_on_record(connection, known[0].rid))
        return _Place(0, (), tainted=(known[0], standing, "")) if standing else _Place(0, (), gone=known[0])
    first = servable[0]
    path = wanted if wanted == first.name else wanted.removeprefix(f"{first.name}/")
    entry = files.find_path(connection, content_id, path)
    if entry is None or path_below(first.name, path, files=first.files) != wanted:
        return None
    if on_file := tuple(taint_marks.on_file(connection, first.rid, content_id, path)):
        return _Place(0, (), tainted=(first, on_file, path))
    seeds = dict.fromkeys(seed for record in servable for seed in _seeds(connection, own, record))
    # what is private can be read in no other way than through here
    return _Place(entry.size, tuple(sorted(seeds, key=lambda seed: not is_private(seed.url))))


class WebSeeds:
    """Files of registered datasets, and how to send a client to them."""

    def __init__(self, registrar: Registrar, redirector: Redirector) -> None:
        self._registrar = registrar
        self._redirector = redirector

        async def look_up(key: tuple[str, str]) -> _Place | None:
            return await registrar.db.read(_look_up, registrar.own_keys, *key)

        self._places = Recent(look_up, time.monotonic, limit=10_000)
        registrar.changes.on_taints(self._places.clear)
        registrar.changes.on_registered(lambda _: self._places.clear())

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Redirect to the file, or send it.

        Raises:
            NotFound: no such dataset, or no such file in it, or nothing serves it.
            TaintedRecord: it must not be served.
            WithdrawnRecord: it is not served any more.
            Refused, Unreachable: the storage does not give it.
        """
        content_id = request.match_info["content_id"]
        place = None
        path = _wanted(request)
        if _CONTENT_ID.fullmatch(content_id) and path:
            place = await self._places.find((content_id, path))
        if place is None:
            raise NotFound(
                "no dataset of this registrar has this file", hint="Compare the path with the manifest."
            )
        if place.tainted is not None:
            raise tainted_record(*place.tainted)
        if place.gone is not None:
            raise await gone(self._registrar, place.gone)
        problem: Error = NotFound("no web seed of this dataset is served by this registrar")
        for seed in place.web_seeds:
            try:
                if not all(self._redirector.open_to(seed.url, keys) for keys in (seed.namer, seed.stewards)):
                    raise Refused("the storage of this web seed is not open to the record's steward")
                return await self._from(request, seed.url, path, place.size)
            except (NotFound, Refused, Unreachable) as error:
                problem = error
        raise problem

    async def _from(self, request: web.Request, seed: str, path: str, size: int) -> web.StreamResponse:
        if self._redirector.mode(seed) == "redirect":
            target = await self._redirector.target(seed, path)
            headers = {"Location": target, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
            return web.Response(status=302, headers=headers)
        if request.method == "HEAD":
            return _head(size)
        return await self._proxy(request, seed, path)

    async def _proxy(self, request: web.Request, seed: str, path: str) -> web.StreamResponse:
        proxied = await self._redirector.stream(seed, path, request.headers.get("Range"))
        try:
            answer = web.StreamResponse(status=proxied.status, headers={**proxied.headers, **_INERT})
            await answer.prepare(request)
            try:
                async for chunk in proxied.body:
                    async with asyncio.timeout(_STALL_S):
                        await answer.write(chunk)
                await answer.write_eof()
            except (Unreachable, TimeoutError, ConnectionError):
                # The status is sent: a cut connection is the one way left to say that this is not all.
                if request.transport is not None:
                    request.transport.abort()
            return answer
        finally:
            await proxied.body.aclose()


def _head(size: int) -> web.Response:
    return web.Response(headers={**_INERT, "Accept-Ranges": "bytes", "Content-Length": str(size)})


def _wanted(request: web.Request) -> str:
    """The path below the web seed, decoded once; "" when it is not UTF-8."""
    raw = request.raw_path.partition("?")[0]
    below = raw.partition("/ws/")[2].partition("/")[2]
    try:
        return unquote(below, errors="strict")
    except UnicodeDecodeError:
        return ""


WEB_SEEDS: web.AppKey[WebSeeds] = web.AppKey("web_seeds", WebSeeds)


async def _serve(request: web.Request) -> web.StreamResponse:
    return await request.app[WEB_SEEDS].answer(request)


async def _run(app: web.Application) -> AsyncIterator[None]:
    redirector = Redirector(app[REGISTRAR].settings.storage)
    app[WEB_SEEDS] = WebSeeds(app[REGISTRAR], redirector)
    yield
    await redirector.close()


def setup(app: web.Application) -> None:
    """Add the route to the application."""
    app.cleanup_ctx.append(_run)
    app.router.add_get("/ws/{content_id}/{path:.+}", _serve)
