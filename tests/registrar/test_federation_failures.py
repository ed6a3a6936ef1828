"""What goes wrong at a registrar while it follows others, and ends again."""

from __future__ import annotations

from typing import Any

import pytest

from seedkeep.core.log.cosignature import cosign
from seedkeep.core.log.witness import AddCheckpoint
from seedkeep.core.notes import Note, Verifier
from seedkeep_registrar.database import Unavailable
from seedkeep_registrar.federation import asking, service
from seedkeep_registrar.federation.following import keep_cosigned
from seedkeep_registrar.processes.signals import Kind, Signal, Signals
from seedkeep_registrar.store import peers, trees
from seedkeep_registrar.store.events import OWN
from tests.support.federating import agree, known, mirrored, poke, until
from tests.support.lying_registrar import lying_registrar
from tests.support.registrar import RegistrarUnderTest, new_key, shareable


async def test_a_peer_is_followed_again_after_the_database_was_away(
    registrar: RegistrarUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_LOOK_S", 0.02)
    context = registrar.context
    read, away, refused = context.db.read, False, 0

    async def reading(function: Any, *given: Any) -> Any:
        nonlocal refused
        if away and function is peers.by_id:
            refused += 1
            raise Unavailable("the database is restarting")
        return await read(function, *given)

    async with lying_registrar() as peer:
        monkeypatch.setattr(context.db, "read", reading)
        peer.show(peer.events(1))
        await agree(registrar, peer.vkey, peer.url)
        await mirrored(registrar, peer.vkey, 1)
        away = True

        async def refused_often() -> bool:
            context.signals.hear([Signal(Kind.FEDERATION, "1"), Signal(Kind.CHECKPOINT, "1 00")])
            return refused > 5

        await until(refused_often)
        away = False
        peer.show(peer.events(2))
        await poke(registrar, peer.origin)
        await mirrored(registrar, peer.vkey, 2)


async def test_a_process_that_does_not_lead_cosigns_nothing_before_peers_were_asked(
    any_registrar: RegistrarUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, context = any_registrar, any_registrar.context
    monkeypatch.setattr(Signals, "leading", False)
    async with lying_registrar() as peer:
        note = peer.show(peer.events(1))
        await agree(one, peer.vkey, peer.url)
        id_ = (await known(one, peer.origin)).id
        await context.db.write(peers.set_state, id_, peers.ACTIVE)

        async def cosigned() -> int:
            request = AddCheckpoint(0, (), note).encode()
            async with one.session.post(f"{one.url}/add-checkpoint", data=request) as answer:
                return answer.status

        assert await cosigned() == 503
        await context.db.write(peers.polled, id_, now=one.clock(), problem="")
        assert await cosigned() == 200


async def test_only_those_that_are_followed_make_a_checkpoint_cosigned(registrar: RegistrarUnderTest) -> None:
    context, key = registrar.context, new_key()
    await registrar.person().register(shareable())
    await agree(registrar, Verifier("liar.example", key.public), "http://127.0.0.1:1")
    id_ = (await known(registrar, "liar.example")).id
    newest = await context.db.read(trees.newest, OWN)
    assert newest is not None
    line = cosign(Note.parse(newest.note).text, "liar.example", key, int(registrar.clock()))
    for state, counted in ((peers.DISTRUSTED, False), (peers.ACTIVE, True)):
        await context.db.write(peers.set_state, id_, state)
        kept = await context.db.write(keep_cosigned, context, OWN, newest, "", line)
        assert kept.cosigned == counted


async def test_an_older_taint_head_takes_no_newer_ones_place(registrar: RegistrarUnderTest) -> None:
    context = registrar.context
    await agree(registrar, Verifier("peer.example", new_key().public), "http://127.0.0.1:1")
    id_ = (await known(registrar, "peer.example")).id
    for before, note in (("", "new"), ("", "old"), ("new", "newer"), ("new", "old")):
        await context.db.write(asking._keep_taints, context, id_, before, note, b"")
    assert (await context.db.read(peers.taints_of, id_))[0] == "newer"
