"""What goes wrong for a moment, at a peer or here, ends nothing for good."""

from __future__ import annotations

import asyncio
import os
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput, Unreachable
from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.federation.asking import Asking
from seedkeep_registrar.federation.bodies import Bodies
from seedkeep_registrar.federation.client import Got, PeerClient, introduced
from seedkeep_registrar.federation.following import Follower
from seedkeep_registrar.federation.own_log import OwnLog
from seedkeep_registrar.federation.working import Working
from seedkeep_registrar.store import peers

KEY = PrivateKey(b"1" * 32)


def peer(number: int) -> SimpleNamespace:
    """Another registrar."""
    where = f"p{number}"
    return SimpleNamespace(id=number, url=f"http://{where}", origin=where, state=peers.ACTIVE, unheard=False)


async def test_a_mirror_that_came_to_nothing_is_looked_at_again() -> None:
    seen: list[str] = []

    class Http:
        async def get(self, url: str, *, limit: int, etag: str = "") -> Got:
            return Got(304, b"", etag) if etag else Got(200, b"note", '"tag"')

    class Own:
        async def offered(self, *_: Any) -> bool:
            seen.append("own")
            return seen.count("own") == 2

    class Others:
        async def follow(self, *_: Any) -> None:
            seen.append("other")
            if seen.count("other") < 2:
                raise Unreachable("its tiles cannot be had just now")

    async def read(*_: Any) -> list[Any]:
        return [peer(1), peer(2)]

    registrar = cast(Registrar, SimpleNamespace(origin="me", db=SimpleNamespace(read=read)))
    asking = Asking(registrar, cast(PeerClient, Http()), cast(Follower, Others()), cast(OwnLog, Own()))
    for _ in range(4):
        await asking._mirrors(cast(Any, peer(1)))
    assert (seen.count("own"), seen.count("other")) == (2, 2)


async def test_a_peer_that_drips_bytes_is_given_up() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"x")
            await asyncio.sleep(0.02)

    app = web.Application()
    app.router.add_get("/objects/a", drip)
    http = PeerClient(KEY, time.time, os.urandom)
    async with TestServer(app) as server, asyncio.timeout(60):
        with pytest.raises(Unreachable, match="in time"):
            async for _ in http.chunks(str(server.make_url("/objects/a")), silence=0.2):
                pass
        await http.close()


async def test_a_log_that_waits_for_a_slow_peer_holds_up_no_other_one() -> None:
    done: list[int] = []

    class Slow(Working):
        async def _round(self, log: int) -> bool:
            if log == 1:
                await asyncio.Event().wait()
            done.append(log)
            return False

    async def read(*_: Any) -> list[int]:
        return [1, 0, 2]

    signals = SimpleNamespace(on=lambda *_: None, leading=True)
    working = Slow(
        cast(Registrar, SimpleNamespace(signals=signals, db=SimpleNamespace(read=read))), cast(Bodies, None)
    )
    working.start()
    async with asyncio.timeout(60):
        while sorted(done) != [0, 2]:
            await asyncio.sleep(0)
    await working.stop()


@pytest.mark.parametrize("asked", ["https://nice.example", "https://10.0.0.7:9200"])
def test_a_registrar_is_followed_where_its_operator_said_and_nowhere_else(asked: str) -> None:
    said = {"origin": "10.0.0.7:9200", "public_url": "http://10.0.0.7:9200", "naan": "12345"}
    vkey = str(Verifier("10.0.0.7:9200", KEY.public))
    with pytest.raises(InvalidInput, match="is not where"):
        introduced(asked, jcs.dumps({**said, "vkey": vkey}))
