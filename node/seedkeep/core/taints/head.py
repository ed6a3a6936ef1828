"""The head of a taint list: a signed note (C2SP signed-note) of six lines.

seedkeep.taints/v1
<origin>
<version of the list>
<size of the registrar's log that it covers>
<SHA-256 of the list>
<expires, Unix seconds>
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier, open_note, sign_note

HEADER = "seedkeep.taints/v1"
#: how long a head is good for; it is signed anew long before
HEAD_LIFETIME_S = 24 * 3600
MAX_HEAD_BYTES = 16 * 1024
_HEX64 = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")


@dataclass(frozen=True, slots=True)
class Head:
    """The signed commitment to a list.

    Args:
        origin: the registrar.
        version: grows by one with every change of the list.
        log_size: number of events in the registrar's log that it covers.
        list_sha256: digest of the list.
        expires: Unix seconds; re-issued long before.
    """

    origin: str
    version: int
    log_size: int
    list_sha256: str
    expires: int

    def sign(self, key: PrivateKey) -> str:
        """The signed note, under the origin's name."""
        lines = (HEADER, self.origin, self.version, self.log_size, self.list_sha256, self.expires)
        return sign_note("".join(f"{line}\n" for line in lines), self.origin, key)

    @classmethod
    def open(cls, note: str | bytes, trusted: Verifier) -> Head:
        """
        Raises:
            InvalidInput: it is no head.
            VerificationFailed: another key signed it, or it is another registrar's.
        """
        if len(note) > MAX_HEAD_BYTES:
            raise InvalidInput(f"a taint head of {len(note)} bytes is over the limit of {MAX_HEAD_BYTES}")
        lines = open_note(note, [trusted]).split("\n")
        if len(lines) != 7 or lines[0] != HEADER or not _HEX64.fullmatch(lines[4]):
            raise InvalidInput("a taint head is malformed")
        if not all(_NUMBER.fullmatch(lines[i]) for i in (2, 3, 5)):
            raise InvalidInput("a taint head has a malformed number")
        if lines[1] != trusted.name:
            raise VerificationFailed(f"a taint head of {lines[1]!r} came where {trusted.name!r} was expected")
        return cls(lines[1], int(lines[2]), int(lines[3]), lines[4], int(lines[5]))
