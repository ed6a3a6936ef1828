"""Signed notes (C2SP signed-note) with Ed25519: text, a blank line, signature lines.

A note is trusted only for the keys the verifier brings along; signatures by unknown keys are ignored,
a bad signature by a known key is an error (https://c2sp.org/signed-note).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey, PublicKey

MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 100
_DASH = "— "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_NAME = re.compile(r"[^\s\x00-\x20+]+")
#: signature types, the byte that key ids and vkeys carry
ED25519 = b"\x01"
ED25519_COSIGNATURE = b"\x04"


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} cannot name a note's key")
    return name


def key_id(name: str, key: PublicKey, kind: bytes = ED25519) -> bytes:
    """The 4-byte key id: SHA-256(name ‖ LF ‖ kind ‖ key)[:4]."""
    return hashlib.sha256(name.encode() + b"\n" + kind + key.raw).digest()[:4]


@dataclass(frozen=True)
class _NamedKey:
    """A named public key; printed and read as a C2SP *vkey*, ``name+hex(id)+base64(kind‖key)``."""

    name: str
    key: PublicKey
    kind: ClassVar[bytes]

    def __post_init__(self) -> None:
        _check_name(self.name)

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(self.kind + self.key.raw).decode()}"

    @cached_property
    def id(self) -> bytes:
        """The 4 bytes that stand before its signatures."""
        return key_id(self.name, self.key, self.kind)

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """
        Raises:
            InvalidInput: not a vkey of a key of this kind, or its id does not fit.
        """
        parts = vkey.strip().split("+", 2)
        if len(parts) != 3:
            raise InvalidInput(f"{vkey[:120]!r} is not a verifier key (name+id+key)")
        name, identifier, packed = parts
        try:
            raw = base64.b64decode(packed, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidInput(f"the verifier key of {name!r} is not base64") from error
        if raw[:1] != cls.kind:
            raise InvalidInput(f"the verifier key of {name!r} is not an Ed25519 key of type {cls.kind[0]}")
        verifier = cls(name, PublicKey(raw[1:]))
        if verifier.id.hex() != identifier:
            raise InvalidInput(f"the verifier key of {name!r} carries a wrong id")
        return verifier


class Verifier(_NamedKey):
    """Whose signature over a note's text counts (type 0x01)."""

    kind = ED25519


class Cosigner(_NamedKey):
    """Whose cosignature of a checkpoint counts (type 0x04), see :mod:`seedkeep.core.log.cosignature`."""

    kind = ED25519_COSIGNATURE


def read_text(what: str, data: str | bytes, limit: int) -> str:
    """``data`` as text that UTF-8 can carry.

    Args:
        what: how errors name it, with its article.
        limit: the largest size accepted, in bytes.

    Raises:
        InvalidInput: it is larger, or not UTF-8.
    """
    try:
        raw = data.encode() if isinstance(data, str) else data
        if len(raw) > limit:
            raise InvalidInput(f"{what} of {len(raw)} bytes is over the limit of {limit}")
        return raw.decode()
    except UnicodeError as error:
        raise InvalidInput(f"{what} is not UTF-8") from error


def _check_text(text: str) -> None:
    if not text.endswith("\n"):
        raise InvalidInput("a note's text must end with a newline")
    if _CONTROL.search(text):
        raise InvalidInput("a note's text has a control character")


def sign_note(text: str, name: str, key: PrivateKey) -> str:
    """Sign ``text`` (which ends with a newline) under ``name``; the whole note comes back."""
    _check_text(text)
    signature = Signature(name, key_id(_check_name(name), key.public), key.sign(text.encode()))
    return f"{text}\n{signature}"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: the key's name and 4-byte id, and what follows the id."""

    name: str
    key_id: bytes
    payload: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.payload).decode()}\n"

    @classmethod
    def parse(cls, line: str) -> Signature:
        """Read a line, without its newline.

        Raises:
            InvalidInput: it is no signature line.
        """
        name, gap, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            payload = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidInput("a note has a malformed signature line") from error
        signature = cls(_check_name(name), payload[:4], payload[4:])
        if not gap or not signature.payload or str(signature) != line + "\n":
            raise InvalidInput("a note has a malformed signature line")
        return signature


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart; its signatures are not checked yet.

    Args:
        text: what is signed, with its last newline.
        signatures: all of them, by whomever.
    """

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(str(s) for s in self.signatures)}"

    @classmethod
    def parse(cls, note: str | bytes) -> Note:
        """
        Raises:
            InvalidInput: it is not a note, is over 64 KiB, or has more than 100 signatures.
        """
        whole = read_text("a note", note, MAX_NOTE_BYTES)
        text, separator, tail = whole.rpartition("\n\n")
        if not separator or not tail.endswith("\n"):
            raise InvalidInput("a note lacks its signature lines")
        _check_text(text + "\n")
        lines = tail[:-1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise InvalidInput(f"a note carries more than {MAX_SIGNATURES} signatures")
        return cls(text + "\n", tuple(Signature.parse(line) for line in lines))


def open_note(note: str | bytes, trusted: Iterable[Verifier]) -> str:
    """Check a note and return its text.

    Args:
        note: the whole note.
        trusted: the keys that count; one good signature is needed.

    Raises:
        InvalidInput: it is not a note.
        VerificationFailed: no trusted key signed it, or a trusted key's signature is bad.
    """
    parsed = Note.parse(note)
    by_id = {(v.name, v.id): v for v in trusted}
    good = False
    for signature in parsed.signatures:
        verifier = by_id.get((signature.name, signature.key_id))
        if verifier is None:
            continue
        try:
            verifier.key.verify(signature.payload, parsed.text.encode())
        except VerificationFailed as error:
            raise VerificationFailed(f"a note carries a bad signature of {verifier.name}") from error
        good = True
    if not good:
        raise VerificationFailed("no trusted key has signed this note")
    return parsed.text
