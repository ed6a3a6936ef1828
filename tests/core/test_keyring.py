"""Keys of a registrar: protected, rotated, stolen; every rule broken on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.errors import Error, InvalidInput, VerificationFailed
from seedkeep.core.keyring import MAX_RING_BYTES, KeyRing, TrustedKeys
from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier

ORIGIN = "registrar.example"
FIRST, SECOND, THIRD, MALLORY = (PrivateKey(bytes([n]) * 32) for n in (1, 2, 3, 9))
RECOVERY = tuple(PrivateKey(bytes([n]) * 32) for n in (11, 12, 13))


def ring(
    version: int, online: PrivateKey, recovery: Sequence[PrivateKey] = RECOVERY, threshold: int = 2
) -> KeyRing:
    return KeyRing(ORIGIN, version, online.public, tuple(key.public for key in recovery), threshold)


def protected() -> TrustedKeys:
    """A client that followed the protection by two of three keys."""
    keys = TrustedKeys.pinned(Verifier(ORIGIN, FIRST.public))
    keys.load(ring(1, FIRST).sign([FIRST, *RECOVERY[:2]]))
    return keys


def test_a_registrar_is_protected_then_rotated() -> None:
    keys = protected()
    assert (keys.ring.version, keys.verifier.key, keys.former) == (1, FIRST.public, ())
    keys.load(ring(2, SECOND).sign(RECOVERY[1:]))
    assert keys.verifier == Verifier(ORIGIN, SECOND.public)
    assert keys.former == (Verifier(ORIGIN, FIRST.public),)
    keys.check(Verifier(ORIGIN, SECOND.public), 2)
    keys.load(ring(3, FIRST).sign(RECOVERY))  # a key may come back
    assert keys.former == (Verifier(ORIGIN, SECOND.public),)


def test_who_comes_late_follows_from_the_first_key_on() -> None:
    zero = KeyRing(ORIGIN, 0, FIRST.public, (FIRST.public,), 1)
    rings = [ring(1, FIRST).sign([FIRST, *RECOVERY]), ring(2, SECOND).sign(RECOVERY)]
    keys = TrustedKeys.begin(zero.sign([FIRST]))
    for note in rings:
        keys.load(note)
    again = TrustedKeys.restore(*keys.dump())
    assert (again.ring, again.former) == (keys.ring, (Verifier(ORIGIN, FIRST.public),))
    for bad in (zero.sign([MALLORY]), replace(zero, online=SECOND.public).sign([FIRST]), rings[0]):
        with pytest.raises(VerificationFailed):
            TrustedKeys.begin(bad)
    with pytest.raises(VerificationFailed):
        TrustedKeys.restore(str(Verifier(ORIGIN, MALLORY.public)), rings)


def test_without_protection_the_online_key_rotates_itself() -> None:
    keys = TrustedKeys.pinned(Verifier(ORIGIN, FIRST.public))
    keys.load(ring(1, SECOND, [SECOND], 1).sign([FIRST, SECOND]))
    assert keys.verifier.key == SECOND.public


def test_recovery_keys_are_replaced_by_old_and_new_thresholds() -> None:
    others = tuple(PrivateKey(bytes([n]) * 32) for n in (21, 22))
    keys = protected()
    new = ring(2, SECOND, others, 2)
    for signers in (RECOVERY, others, (*RECOVERY[:1], *others), (*RECOVERY, others[0])):
        with pytest.raises(VerificationFailed, match="signed by"):
            keys.load(new.sign(signers))
    keys.load(new.sign([*RECOVERY[:2], *others]))
    with pytest.raises(VerificationFailed):
        keys.load(ring(3, THIRD).sign(RECOVERY))


def test_attack_a_stolen_online_key_cannot_rotate_once_protected() -> None:
    keys = protected()
    for note in (
        ring(2, MALLORY, [MALLORY], 1).sign([FIRST, MALLORY]),
        ring(2, MALLORY).sign([FIRST]),
        ring(2, MALLORY).sign([FIRST, RECOVERY[0]]),
        ring(2, MALLORY, [FIRST], 1).sign([FIRST]),
    ):
        with pytest.raises(VerificationFailed):
            keys.load(note)
    assert keys.verifier.key == FIRST.public


def test_attack_one_key_counts_once() -> None:
    note = ring(2, SECOND).sign([RECOVERY[0]])
    doubled = note + note.split("\n")[-2] + "\n"
    with pytest.raises(VerificationFailed, match="signed by 1"):
        protected().load(doubled)
    with pytest.raises(InvalidInput, match="twice"):
        ring(2, SECOND, [RECOVERY[0], RECOVERY[0]])


def test_attack_a_skipped_old_or_foreign_version_is_refused() -> None:
    keys = protected()
    for bad in (
        ring(1, SECOND),
        ring(3, SECOND),
        replace(ring(2, SECOND), origin="other.example"),
    ):
        with pytest.raises(VerificationFailed):
            keys.load(bad.sign(RECOVERY))
    assert keys.ring.version == 1


def test_attack_a_registrar_that_goes_back_is_refused() -> None:
    keys = protected()
    with pytest.raises(VerificationFailed, match="went back"):
        keys.check(Verifier(ORIGIN, FIRST.public), 0)
    keys.load(ring(2, SECOND).sign(RECOVERY))
    with pytest.raises(VerificationFailed, match="went back"):
        keys.check(Verifier(ORIGIN, FIRST.public), 1)
    with pytest.raises(VerificationFailed, match="is known by"):
        keys.check(Verifier(ORIGIN, FIRST.public), 2)


def test_attack_a_forged_or_bent_signature_is_refused() -> None:
    note = ring(2, SECOND).sign(RECOVERY[:2])
    for bent in (note.replace("registrar.example\n2\n", "registrar.example\n2\n", 1)[:-8] + "AAAA=\n",):
        with pytest.raises(Error):
            protected().load(bent)
    lower = ring(2, SECOND, threshold=1).text + note.removeprefix(ring(2, SECOND).text)
    with pytest.raises(VerificationFailed):
        protected().load(lower)


def test_attack_an_oversized_ring_is_refused_unread() -> None:
    with pytest.raises(InvalidInput, match="over the limit"):
        protected().load("x" * (MAX_RING_BYTES + 1))


@pytest.mark.parametrize("threshold", [0, 4])
def test_a_threshold_that_cannot_be_met_is_refused(threshold: int) -> None:
    with pytest.raises(InvalidInput):
        ring(1, FIRST, threshold=threshold)


@given(st.data())
def test_a_ring_has_one_form(data: st.DataObject) -> None:
    text = ring(7, SECOND).text
    assert KeyRing.parse(text) == replace(
        ring(7, SECOND), recovery=tuple(sorted((k.public for k in RECOVERY), key=str))
    )
    at = data.draw(st.integers(0, len(text) - 1))
    bent = text[:at] + data.draw(st.sampled_from(["", "0", " ", "\n", "A"])) + text[at + 1 :]
    try:
        assert KeyRing.parse(bent).text == bent
    except InvalidInput:
        return
