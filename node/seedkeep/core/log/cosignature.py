"""Cosignatures of checkpoints (C2SP tlog-cosignature, Ed25519, type 0x04): "I saw this log grow to here".

A cosigner signs ``cosignature/v1``, ``time N`` and the checkpoint's text; the header keeps it apart from
everything else that the same key signs, so a registrar cosigns others with its own key, under its origin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.tree import MAX_SIZE
from seedkeep.core.notes import Cosigner, Note, Signature

_SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Cosignature:
    """Who cosigned, and when (Unix seconds)."""

    cosigner: Cosigner
    time: int

    @property
    def name(self) -> str:
        """The cosigner's."""
        return self.cosigner.name


def _message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def cosign(text: str, name: str, key: PrivateKey, time: int) -> str:
    """The signature line for a checkpoint that has been verified.

    Args:
        text: the checkpoint's text, without signatures.
        name: the cosigner's.
        time: now, Unix seconds.

    Returns:
        The line with its newline; append it to the note.
    """
    if not 0 < time <= MAX_SIZE:
        raise InvalidInput(f"{time} is no time to cosign at")
    payload = time.to_bytes(8, "big") + key.sign(_message(text, time))
    return str(Signature(name, Cosigner(name, key.public).id, payload))


def _check(text: str, signature: Signature, cosigner: Cosigner) -> Cosignature:
    time = int.from_bytes(signature.payload[:8], "big")
    good = len(signature.payload) == 8 + _SIGNATURE_BYTES and 0 < time <= MAX_SIZE
    try:
        if not good:
            raise VerificationFailed("a cosignature is malformed")
        cosigner.key.verify(signature.payload[8:], _message(text, time))
    except VerificationFailed as error:
        raise VerificationFailed(f"a checkpoint carries a bad cosignature of {cosigner.name}") from error
    return Cosignature(cosigner, time)


def _good_ones(note: Note, cosigners: Iterable[Cosigner]) -> dict[Cosigner, tuple[Signature, Cosignature]]:
    """The newest good line of each of ``cosigners``."""
    by_id = {(c.name, c.id): c for c in cosigners}
    found: dict[Cosigner, tuple[Signature, Cosignature]] = {}
    for signature in note.signatures:
        cosigner = by_id.get((signature.name, signature.key_id))
        if cosigner is None:
            continue
        made = _check(note.text, signature, cosigner)
        if cosigner not in found or found[cosigner][1].time < made.time:
            found[cosigner] = signature, made
    return found


def cosignatures(note: str | bytes, cosigners: Iterable[Cosigner]) -> list[Cosignature]:
    """Who of ``cosigners`` has cosigned: one answer each, the newest, in the order of the note.

    Raises:
        InvalidInput: it is not a note.
        VerificationFailed: a cosignature by one of them is bad.
    """
    return [made for _, made in _good_ones(Note.parse(note), cosigners).values()]


def add_cosignatures(note: str, lines: str, cosigners: Iterable[Cosigner]) -> str:
    """Merge the answer of a witness into a note: good lines by ``cosigners``, one each, the rest dropped.

    Args:
        note: a checkpoint's note; lines in it by anyone else stay as they are.
        lines: what the witness answered.
        cosigners: whose lines are wanted.

    Raises:
        InvalidInput: the lines are no signature lines.
        VerificationFailed: a cosignature by one of them is bad.
    """
    known = list(cosigners)
    old = Note.parse(note)
    answer = Note.parse(f"{old.text}\n{lines}")
    if answer.text != old.text:
        raise InvalidInput("the answer of a witness holds more than signature lines")
    newest = _good_ones(Note(old.text, old.signatures + answer.signatures), known)
    ids = {(c.name, c.id) for c in known}
    kept = tuple(s for s in old.signatures if (s.name, s.key_id) not in ids)
    return str(Note(old.text, kept + tuple(line for line, _ in newest.values())))
