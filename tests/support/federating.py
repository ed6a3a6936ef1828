"""Registrars that follow each other: bringing it about, and waiting for what comes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from click.testing import CliRunner

from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.notes import Verifier
from seedkeep_registrar.cli import registrar as command
from seedkeep_registrar.federation import consent
from seedkeep_registrar.processes.signals import Kind, Signal
from seedkeep_registrar.store import peers
from seedkeep_registrar.store.peers import Peer
from tests.support.registrar import RegistrarUnderTest

PATIENCE_S = 60


class Follows(Protocol):
    """What has a log that can be followed."""

    @property
    def url(self) -> str:
        """The public URL."""

    @property
    def vkey(self) -> Verifier:
        """Its name and key."""


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """What ``look`` gives, once that is something."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await look()):
            await asyncio.sleep(0.02)
    return found


async def agree(one: RegistrarUnderTest, vkey: Verifier, url: str, naan: str = "99999") -> None:
    """The operator of ``one`` adds another one."""
    await one.context.db.write(consent.wanted_by_operator, vkey, url=url, naan=naan, now=one.clock())


async def known(one: RegistrarUnderTest, origin: str) -> Peer:
    """How another one stands there."""
    peer = await one.context.db.read(peers.by_origin, origin)
    assert peer is not None
    return peer


async def befriend(one: RegistrarUnderTest, other: RegistrarUnderTest) -> None:
    """Both operators agree, and both registrars know."""
    for a, b in ((one, other), (other, one)):
        await agree(a, b.context.vkey, b.url, b.context.settings.naan)
    for a, b in ((one, other), (other, one)):
        await until(lambda a=a, b=b: _is(a, b.context.origin, peers.ACTIVE))


async def _is(one: RegistrarUnderTest, origin: str, state: str) -> bool:
    return (await known(one, origin)).state == state


async def poke(one: RegistrarUnderTest, origin: str) -> Peer:
    """Have another one asked now; how it stands afterwards."""
    for _ in range(2):  # the first round that ends may have begun before
        before = await known(one, origin)
        one.context.signals.hear([Signal(Kind.FEDERATION, str(before.id))])
        await until(lambda before=before: _asked_since(one, before))
    return await known(one, origin)


async def _asked_since(one: RegistrarUnderTest, before: Peer) -> bool:
    peer = await known(one, before.origin)
    return peer.last_poll != before.last_poll or peer.state == peers.DISTRUSTED


def mirror(origin: str) -> str:
    """Where the mirror of a log is."""
    return f"/mirror/{peers.name_of(origin)}"


async def mirrored(at: RegistrarUnderTest, vkey: Verifier, size: int) -> Checkpoint:
    """The checkpoint of a mirror, once it has that size."""

    async def look() -> Checkpoint | None:
        answer = await at.person().get(f"{mirror(vkey.name)}/checkpoint")
        if answer.status != 200:
            return None
        seen = Checkpoint.open(answer.body, vkey)
        return seen if seen.size >= size else None

    found: Checkpoint = await until(look)
    return found


async def commanded(one: RegistrarUnderTest, *words: str, fails: bool = False) -> Any:
    """What ``seedkeep registrar peer …`` says; the registrar runs meanwhile."""
    settings = one.context.settings
    given = ["peer", *words, "--data", str(settings.data), "--json"]
    if settings.database_url:
        given += ["--database-url", settings.database_url]
    ended = await asyncio.to_thread(CliRunner().invoke, command, given)
    assert (ended.exception is not None) == fails, ended.output
    return ended.exception if fails else json.loads(ended.stdout)
