"""The keys of one registrar, and who may change them: TUF's root, as signed notes (C2SP signed-note).

A *key ring* names the key that signs everything (online) and those that decide about it (recovery):

    seedkeep.keys/v1
    <origin>
    <version>
    <threshold>
    online <key>
    recovery <key>          one line each, ascending, no key twice

:class:`TrustedKeys` keeps what a client trusts of one registrar's keys and takes nothing that breaks a rule:

1. Where nobody has said anything else, the pinned online key is the only recovery key of a ring of version
   0, with a threshold of 1. So whoever protects a registrar signs version 1 with the key that it has.
2. A ring is loadable only as the next one: its version is one higher, its origin the same. None is skipped.
3. It must be signed by a threshold of the recovery keys of the ring before it *and* by a threshold of its
   own. One key counts once, however often it signs or is named. The online key counts only if it is a
   recovery key, too.
4. What is trusted never goes back: a registrar that shows an older version than the trusted one, or another
   online key, is refused.

A stolen online key can sign heads, checkpoints and records until it is rotated; it cannot rotate itself once
the registrar is protected, so the theft ends with the next ring. What a former online key signed is history:
:attr:`TrustedKeys.former` names those keys, and only the log says which of their events are of that time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey, PublicKey
from seedkeep.core.notes import Note, Verifier, sign_note

HEADER = "seedkeep.keys/v1"
MAX_RING_BYTES = 16 * 1024
MAX_RECOVERY_KEYS = 20
#: rings that a client follows at most in all
MAX_VERSION = 1000
_NUMBER = re.compile(r"0|[1-9][0-9]{0,5}")


@dataclass(frozen=True, slots=True)
class KeyRing:
    """One version of a registrar's keys.

    Args:
        recovery: the keys that decide, without repetition.
        threshold: how many of them must sign.
    """

    origin: str
    version: int
    online: PublicKey
    recovery: tuple[PublicKey, ...]
    threshold: int

    def __post_init__(self) -> None:
        if len({key.raw for key in self.recovery}) != len(self.recovery):
            raise InvalidInput("a recovery key is named twice")
        if not 1 <= len(self.recovery) <= MAX_RECOVERY_KEYS:
            raise InvalidInput(f"there are 1 to {MAX_RECOVERY_KEYS} recovery keys")
        if not 1 <= self.threshold <= len(self.recovery):
            raise InvalidInput(
                f"of {len(self.recovery)} recovery keys, {self.threshold} cannot be needed",
                hint="Need at least one, and no more than there are.",
            )
        if not 0 <= self.version <= MAX_VERSION:
            raise InvalidInput(f"the version of a key ring is over {MAX_VERSION}")

    @property
    def verifier(self) -> Verifier:
        """The online key under the registrar's name."""
        return Verifier(self.origin, self.online)

    @property
    def text(self) -> str:
        """What is signed."""
        recovery = sorted(str(key) for key in self.recovery)
        lines = [HEADER, self.origin, str(self.version), str(self.threshold), f"online {self.online}"]
        return "".join(f"{line}\n" for line in (*lines, *(f"recovery {key}" for key in recovery)))

    def sign(self, keys: Sequence[PrivateKey]) -> str:
        """The note with a signature of each of these keys."""
        notes = [sign_note(self.text, self.origin, key) for key in keys]
        return self.text + "\n" + "".join(note.removeprefix(self.text + "\n") for note in notes)

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """Read what is signed; nothing is said yet about who signed it.

        Raises:
            InvalidInput: it is no key ring in its one form.
        """
        lines = text.split("\n")[:-1]
        if len(lines) < 6 or lines[0] != HEADER or not all(_NUMBER.fullmatch(n) for n in lines[2:4]):
            raise InvalidInput("a key ring is malformed")
        named = [line.partition(" ") for line in lines[4:]]
        if [kind for kind, _, _ in named] != ["online", *["recovery"] * (len(named) - 1)]:
            raise InvalidInput("a key ring does not name one online key, then recovery keys")
        online, *recovery = (PublicKey.parse(key) for _, _, key in named)
        ring = cls(lines[1], int(lines[2]), online, tuple(recovery), int(lines[3]))
        if ring.text != text:
            raise InvalidInput("a key ring is not in its one form")
        return ring

    def signers(self, note: Note) -> set[bytes]:
        """Which recovery keys of this ring have signed a note.

        Raises:
            VerificationFailed: a signature in the name of one of them is not its own.
        """
        by_id = {Verifier(self.origin, key).id: key for key in self.recovery}
        found: set[bytes] = set()
        for signature in note.signatures:
            key = by_id.get(signature.key_id) if signature.name == self.origin else None
            if key is not None:
                key.verify(signature.payload, note.text.encode())
                found.add(key.raw)
        return found


class TrustedKeys:
    """What a client trusts of one registrar's keys; see the module's text for the rules."""

    def __init__(self, first: KeyRing) -> None:
        """
        Args:
            first: the ring that is trusted without any before it.
        """
        self._first = self._ring = first
        self._former: tuple[Verifier, ...] = ()
        self._notes: tuple[str, ...] = ()

    @classmethod
    def pinned(cls, verifier: Verifier) -> TrustedKeys:
        """What is trusted of a registrar of which only its key is known (rule 1)."""
        return cls(KeyRing(verifier.name, 0, verifier.key, (verifier.key,), 1))

    @classmethod
    def begin(cls, note: str | bytes) -> TrustedKeys:
        """Trust a registrar on first contact, by its version 0, which its first key has signed.

        Raises:
            InvalidInput, VerificationFailed: it is not that.
        """
        signed = _parse(note)
        ring = KeyRing.parse(signed.text)
        if ring.version or ring.recovery != (ring.online,) or not ring.signers(signed):
            raise VerificationFailed(f"the first key of {ring.origin} has not signed its version 0")
        return cls(ring)

    def dump(self) -> tuple[str, tuple[str, ...]]:
        """The first key as a vkey and the notes after it, to be persisted and given to :meth:`restore`."""
        return str(self._first.verifier), self._notes

    @classmethod
    def restore(cls, first: str, notes: Iterable[str]) -> TrustedKeys:
        """Take back what :meth:`dump` gave.

        Raises:
            InvalidInput, VerificationFailed: the stored state was tampered with.
        """
        keys = cls.pinned(Verifier.parse(first))
        for note in notes:
            keys.load(note)
        return keys

    @property
    def ring(self) -> KeyRing:
        """The newest trusted version."""
        return self._ring

    @property
    def verifier(self) -> Verifier:
        """The registrar's present key."""
        return self._ring.verifier

    @property
    def former(self) -> tuple[Verifier, ...]:
        """The online keys that it had before, without the present one."""
        return self._former

    def load(self, note: str | bytes) -> None:
        """Take the next version (rules 2 and 3).

        Raises:
            InvalidInput, VerificationFailed: a rule does not hold; nothing has changed.
        """
        signed, old = _parse(note), self._ring
        ring = KeyRing.parse(signed.text)
        if ring.origin != old.origin:
            raise VerificationFailed(f"a key ring of {ring.origin!r} came where {old.origin!r} was expected")
        if ring.version != old.version + 1:
            raise VerificationFailed(
                f"after version {old.version} of the keys of {ring.origin}, version {ring.version} came"
            )
        for deciding in (old, ring):
            count = len(deciding.signers(signed))
            if count < deciding.threshold:
                raise VerificationFailed(
                    f"version {ring.version} of the keys of {ring.origin} is signed by {count} of the "
                    f"{deciding.threshold} keys that version {deciding.version} asks for",
                    hint="Ask the registrar's operator what has happened to its keys.",
                )
        others = (*self._former, old.verifier)
        self._former = tuple(dict.fromkeys(v for v in others if v != ring.verifier))
        self._ring, self._notes = ring, (*self._notes, str(signed))

    def check(self, shown: Verifier, version: int) -> None:
        """Hold a registrar to what is trusted, after every version that it has was loaded (rule 4).

        Args:
            shown: the key that it signs with.
            version: of its key ring, as it says.

        Raises:
            VerificationFailed: it goes back, or shows another key.
        """
        if version < self._ring.version:
            raise VerificationFailed(
                f"{self._ring.origin} went back from version {self._ring.version} of its keys to {version}"
            )
        if shown != self.verifier:
            raise VerificationFailed(
                f"{shown.name} shows the key {shown.key}, but it is known by {self.verifier.key}: "
                "it was set up anew, or somebody stands in between",
                hint="Ask its operator. If the new key is right, remove its line from known_registrars.",
            )


def _parse(note: str | bytes) -> Note:
    if len(note) > MAX_RING_BYTES:
        raise InvalidInput(f"a key ring of {len(note)} bytes is over the limit of {MAX_RING_BYTES}")
    return Note.parse(note)
