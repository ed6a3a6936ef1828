"""A peer that has rotated its key is followed; one that only says so is not."""

from __future__ import annotations

from seedkeep.core.keyring import KeyRing
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.checkpoint import Checkpoint
from tests.support.federating import agree, mirrored, poke
from tests.support.lying_registrar import LyingRegistrar, lying_registrar
from tests.support.registrar import RegistrarUnderTest, new_key


def rotate(liar: LyingRegistrar, signers: list[PrivateKey]) -> str:
    """The next version of its keys: one that is its own recovery key."""
    key = new_key()
    ring = KeyRing(liar.origin, len(liar.rings) + 1, key.public, (key.public,), 1)
    liar.rings.append(ring.sign([*signers, key]))
    liar.key = key
    liar.show(liar.leaves)
    return str(liar.vkey)


async def test_a_peer_that_rotated_its_key_is_followed(any_registrar: RegistrarUnderTest) -> None:
    async with lying_registrar() as liar:
        liar.show(liar.events(3))
        await agree(any_registrar, liar.vkey, liar.url)
        await mirrored(any_registrar, liar.vkey, 3)
        await poke(any_registrar, liar.origin)
        now = rotate(liar, [liar.key])
        liar.show([*liar.leaves, liar.event("after")])
        peer = await poke(any_registrar, liar.origin)
        assert (peer.problem, peer.vkey) == ("", now)
        assert Checkpoint.open(peer.note, liar.vkey).size == 4
        await mirrored(any_registrar, liar.vkey, 4)
        again = rotate(liar, [liar.key])
        assert (await poke(any_registrar, liar.origin)).vkey == again


async def test_a_key_that_those_before_did_not_sign_is_refused(any_registrar: RegistrarUnderTest) -> None:
    async with lying_registrar() as liar:
        first, events = str(liar.vkey), liar.events(3)
        liar.show(events)
        await agree(any_registrar, liar.vkey, liar.url)
        await mirrored(any_registrar, liar.vkey, 3)
        await poke(any_registrar, liar.origin)
        rotate(liar, [])
        liar.show([*events, liar.event("of a thief")])
        peer = await poke(any_registrar, liar.origin)
        assert "is signed by 0 of the 1 keys" in peer.problem
        assert (peer.vkey, peer.stored) == (first, 3)


async def test_another_log_after_a_rotation_is_refused(any_registrar: RegistrarUnderTest) -> None:
    async with lying_registrar() as liar:
        liar.show(liar.events(3))
        await agree(any_registrar, liar.vkey, liar.url)
        await mirrored(any_registrar, liar.vkey, 3)
        await poke(any_registrar, liar.origin)
        rotate(liar, [liar.key])
        liar.show(liar.events(4, "other "))
        peer = await poke(any_registrar, liar.origin)
        assert "another log than before its key was rotated" in peer.problem
        assert peer.stored == 3
