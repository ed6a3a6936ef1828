"""Signed notes (C2SP signed-note) with Ed25519: text, a blank line, signature lines.

A note is trusted only for the keys the verifier brings along; signatures by unknown keys are ignored,
a bad signature by a known key is an error (https://c2sp.org/signed-note).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey, PublicKey

MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 100
_ED25519 = b"\x01"
_DASH = "— "


def _check_name(name: str) -> str:
    if not name or "+" in name or any(c.isspace() or ord(c) < 0x21 for c in name):
        raise InvalidInput(f"{name!r} cannot name a note's key")
    return name


def key_id(name: str, key: PublicKey) -> bytes:
    """The 4-byte key id: SHA-256(name ‖ LF ‖ 0x01 ‖ key)[:4]."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + key.raw).digest()[:4]


@dataclass(frozen=True)
class Verifier:
    """A named public key; printed and read as a C2SP *vkey*, ``name+hex(id)+base64(0x01‖key)``."""

    name: str
    key: PublicKey

    def __post_init__(self) -> None:
        _check_name(self.name)

    def __str__(self) -> str:
        packed = base64.b64encode(_ED25519 + self.key.raw).decode()
        return f"{self.name}+{key_id(self.name, self.key).hex()}+{packed}"

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """
        Raises:
            InvalidInput: not a vkey of an Ed25519 key, or its id does not fit.
        """
        parts = vkey.strip().split("+", 2)
        if len(parts) != 3:
            raise InvalidInput(f"{vkey[:120]!r} is not a verifier key (name+id+key)")
        name, identifier, packed = parts
        try:
            raw = base64.b64decode(packed, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidInput(f"the verifier key of {name!r} is not base64") from error
        if raw[:1] != _ED25519:
            raise InvalidInput(f"the verifier key of {name!r} is not an Ed25519 key")
        verifier = cls(name, PublicKey(raw[1:]))
        if key_id(name, verifier.key).hex() != identifier:
            raise InvalidInput(f"the verifier key of {name!r} carries a wrong id")
        return verifier


def _check_text(text: str) -> None:
    if not text.endswith("\n"):
        raise InvalidInput("a note's text must end with a newline")
    if any(ord(c) < 0x20 and c != "\n" for c in text):
        raise InvalidInput("a note's text has a control character")


def sign_note(text: str, name: str, key: PrivateKey) -> str:
    """Sign ``text`` (which ends with a newline) under ``name``; the whole note comes back."""
    _check_text(text)
    payload = key_id(_check_name(name), key.public) + key.sign(text.encode())
    return f"{text}\n{_DASH}{name} {base64.b64encode(payload).decode()}\n"


def open_note(note: str | bytes, trusted: Iterable[Verifier]) -> str:
    """Check a note and return its text.

    Args:
        note: the whole note.
        trusted: the keys that count; one good signature is needed.

    Raises:
        InvalidInput: it is not a note.
        VerificationFailed: no trusted key signed it, or a trusted key's signature is bad.
    """
    if len(note) > MAX_NOTE_BYTES:
        raise InvalidInput(f"a note of {len(note)} bytes is over the limit of {MAX_NOTE_BYTES}")
    try:
        whole = note.decode("utf-8") if isinstance(note, bytes) else note
    except UnicodeDecodeError as error:
        raise InvalidInput("a note is not UTF-8") from error
    text, separator, tail = whole.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise InvalidInput("a note lacks its signature lines")
    text += "\n"
    _check_text(text)
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise InvalidInput(f"a note carries more than {MAX_SIGNATURES} signatures")
    by_id = {(v.name, key_id(v.name, v.key)): v for v in trusted}
    good = False
    for line in lines:
        name, gap, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not gap:
            raise InvalidInput("a note has a malformed signature line")
        try:
            payload = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidInput("a note has a malformed signature line") from error
        if len(payload) < 5:
            raise InvalidInput("a note has a malformed signature line")
        verifier = by_id.get((name, payload[:4]))
        if verifier is None:
            continue
        try:
            verifier.key.verify(payload[4:], text.encode())
        except VerificationFailed as error:
            raise VerificationFailed(f"a note carries a bad signature of {name}") from error
        good = True
    if not good:
        raise VerificationFailed("no trusted key has signed this note")
    return text
