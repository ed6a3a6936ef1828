"""Checkpoints (C2SP tlog-checkpoint): a log's signed head, ``origin``, ``size`` and ``root``, a line each."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.tree import HASH_BYTES, MAX_SIZE
from seedkeep.core.notes import Note, Verifier, open_note, sign_note

#: largest checkpoint note that is read from outside, with all its cosignatures
MAX_CHECKPOINT_BYTES = 16 * 1024
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


def parse_number(what: str, text: str) -> int:
    """A size, an index or a time: decimal, without leading zeroes, up to 2^63 - 1.

    Raises:
        InvalidInput: it is not that.
    """
    if not _NUMBER.fullmatch(text) or int(text) > MAX_SIZE:
        raise InvalidInput(f"{what} is not a number: {text[:40]!r}")
    return int(text)


def parse_hash(what: str, text: str) -> bytes:
    """32 bytes in canonical base64.

    Raises:
        InvalidInput: it is not that.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"{what} is not base64: {text[:60]!r}") from error
    if len(raw) != HASH_BYTES or print_hash(raw) != text:
        raise InvalidInput(f"{what} is not a hash: {text[:60]!r}")
    return raw


def print_hash(value: bytes) -> str:
    """The base64 form that :func:`parse_hash` reads."""
    return base64.b64encode(value).decode()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself.

    Args:
        origin: the log's name.
        size: number of entries.
        root: the tree's root, 32 bytes.
        extensions: further lines, without meaning here; kept, for they are signed too.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The note's text."""
        lines = (self.origin, str(self.size), print_hash(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a note's text; whose it is must have been checked, see :meth:`open`.

        Raises:
            InvalidInput: it is no checkpoint.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() or not all(lines):
            raise InvalidInput("this is not a checkpoint: origin, size and root, a line each")
        origin, size, root, *extensions = lines
        number, hash_ = parse_number("a checkpoint's size", size), parse_hash("a checkpoint's root", root)
        return cls(origin, number, hash_, tuple(extensions))

    def sign(self, key: PrivateKey) -> str:
        """The note, signed under the origin's name."""
        return sign_note(self.text, self.origin, key)

    @classmethod
    def open(cls, note: str | bytes, verifier: Verifier) -> Checkpoint:
        """Read a note that the log's own key must have signed.

        Raises:
            InvalidInput: it is no checkpoint.
            VerificationFailed: the log has not signed it, or it is another log's.
        """
        checkpoint = cls.parse(open_note(note, [verifier]))
        if checkpoint.origin != verifier.name:
            raise VerificationFailed(
                f"a checkpoint of {checkpoint.origin[:200]!r} came where {verifier.name!r} was expected"
            )
        return checkpoint


def signed_by(note: str, verifier: Verifier) -> bool:
    """Whether a note has a signature line of this key; what it says is not checked.

    Raises:
        InvalidInput: it is no note.
    """
    return any((s.name, s.key_id) == (verifier.name, verifier.id) for s in Note.parse(note).signatures)


def bare(note: str, verifier: Verifier) -> str:
    """A note that :meth:`Checkpoint.open` took, with one signature line, the log's own."""
    parsed = Note.parse(note)
    own = next(s for s in parsed.signatures if (s.name, s.key_id) == (verifier.name, verifier.id))
    return str(Note(parsed.text, (own,)))
