"""Registrars that follow each other: consent, mirrors, cosignatures, and what they know of each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.cosignature import cosignatures
from seedkeep.core.log.tiles import parse_bundle
from seedkeep.core.notes import Cosigner
from seedkeep_registrar.federation import consent
from seedkeep_registrar.store import mirrors, peers
from seedkeep_registrar.store.peers import Peer
from tests.support.registrar import RegistrarUnderTest, shareable, start_registrar

PATIENCE_S = 60


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """What ``look`` gives, once that is something."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await look()):
            await asyncio.sleep(0.02)
    return found


async def agree(one: RegistrarUnderTest, other: RegistrarUnderTest) -> None:
    """The operator of ``one`` adds the other one."""
    context = other.context
    await one.context.db.write(
        consent.wanted_by_operator, context.vkey, url=other.url, naan="99999", now=one.clock()
    )


async def known(one: RegistrarUnderTest, other: RegistrarUnderTest) -> Peer | None:
    return await one.context.db.read(peers.by_origin, other.context.origin)


def mirror(of: RegistrarUnderTest) -> str:
    return f"/mirror/{peers.name_of(of.context.origin)}"


async def mirrored(at: RegistrarUnderTest, of: RegistrarUnderTest, size: int) -> Checkpoint:
    """The checkpoint of the mirror, once it has that size."""

    async def look() -> Checkpoint | None:
        answer = await at.person().get(f"{mirror(of)}/checkpoint")
        if answer.status != 200:
            return None
        seen = Checkpoint.open(answer.body, of.context.vkey)
        return seen if seen.size >= size else None

    found: Checkpoint = await until(look)
    return found


@pytest.fixture
async def pair(
    tmp_path: Path, database_url: str
) -> AsyncIterator[tuple[RegistrarUnderTest, RegistrarUnderTest]]:
    """Two registrars that follow each other; the first one runs on SQLite, then on PostgreSQL."""
    async with AsyncExitStack() as stack:
        a = await stack.enter_async_context(start_registrar(tmp_path / "a", database_url=database_url))
        b = await stack.enter_async_context(start_registrar(tmp_path / "b"))
        await agree(a, b)
        await agree(b, a)
        for one, other in ((a, b), (b, a)):
            await until(lambda one=one, other=other: is_active(one, other))
        yield a, b


async def is_active(one: RegistrarUnderTest, other: RegistrarUnderTest) -> bool:
    peer = await known(one, other)
    return peer is not None and peer.state == peers.ACTIVE


async def test_an_event_is_soon_at_the_peer_and_cosigned(
    pair: tuple[RegistrarUnderTest, RegistrarUnderTest],
) -> None:
    a, b = pair
    await mirrored(b, a, 0)
    began = asyncio.get_running_loop().time()
    await a.person().register(shareable())
    head = await mirrored(b, a, 1)
    print("visible after", asyncio.get_running_loop().time() - began)
    own = Checkpoint.open((await a.person().get("/log/checkpoint")).body, a.context.vkey)
    assert head == own
    for path in ("/tile/0/000.p/1", "/tile/entries/000.p/1"):
        there = await b.person().get(mirror(a) + path)
        assert there.body == (await a.person().get(f"/log{path}")).body
    assert len(parse_bundle(there.body, 1)) == 1
    cosigner = Cosigner(b.context.origin, b.context.key.public)

    async def cosigned() -> bool:
        note = (await a.person().get("/log/checkpoint")).body
        return bool(cosignatures(note, [cosigner]))

    await until(cosigned)
