"""A registrar that has rotated its key while its log stands still, or while nobody followed it."""

from __future__ import annotations

from seedkeep.core.keyring import KeyRing
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.cosignature import cosignatures
from seedkeep.core.notes import Cosigner
from seedkeep_registrar.store import peers
from tests.support.federating import agree, commanded, known, mirror, mirrored, poke
from tests.support.lying_registrar import LyingRegistrar, lying_registrar
from tests.support.registrar import RegistrarUnderTest, new_key


def ring(one: LyingRegistrar, version: int, online: PrivateKey, recovery: PrivateKey) -> KeyRing:
    return KeyRing(one.origin, version, online.public, (recovery.public,), 1)


def protect(one: LyingRegistrar, recovery: PrivateKey) -> None:
    """From now on another key decides about its key."""
    one.rings = [ring(one, 1, one.key, recovery).sign([one.key, recovery])]


def rotate(one: LyingRegistrar, recovery: PrivateKey) -> None:
    """It has another key, and signs its log anew."""
    one.key = new_key()
    one.rings.append(ring(one, len(one.rings) + 1, one.key, recovery).sign([recovery]))
    one.show(one.leaves)


async def test_a_mirror_is_served_and_cosigned_under_the_key_that_the_log_has_now(
    any_registrar: RegistrarUnderTest,
) -> None:
    registrar, recovery = any_registrar, new_key()
    async with lying_registrar() as peer:
        peer.show(peer.events(3))
        await agree(registrar, peer.vkey, peer.url)
        await mirrored(registrar, peer.vkey, 3)
        assert (await poke(registrar, peer.origin)).problem == ""

        protect(peer, recovery)
        rotate(peer, recovery)
        seen = await poke(registrar, peer.origin)
        assert (seen.problem, seen.state, seen.vkey) == ("", peers.ACTIVE, str(peer.vkey))
        # what was mirrored is served and cosigned under the new key
        await mirrored(registrar, peer.vkey, 3)
        note = (await registrar.person().get(f"{mirror(peer.origin)}/checkpoint")).body
        assert cosignatures(note, [Cosigner(registrar.context.origin, registrar.context.key.public)])

        assert (await poke(registrar, peer.origin)).problem == ""


async def test_a_registrar_that_was_left_when_it_rotated_its_key_is_followed_again(
    registrar: RegistrarUnderTest,
) -> None:
    recovery = new_key()
    async with lying_registrar() as peer:
        peer.show(peer.events(1))
        await agree(registrar, peer.vkey, peer.url)
        await mirrored(registrar, peer.vkey, 1)
        await poke(registrar, peer.origin)
        await commanded(registrar, "remove", peer.origin)
        protect(peer, recovery)
        rotate(peer, recovery)
        await commanded(registrar, "resume", peer.origin)
        assert (await poke(registrar, peer.origin)).problem == ""
        await mirrored(registrar, peer.vkey, 1)
        assert (await known(registrar, peer.origin)).vkey == str(peer.vkey)
