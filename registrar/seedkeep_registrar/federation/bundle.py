"""Many small objects in one answer: each as a line ``<sha256> <bytes>``, then its bytes; others left out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from seedkeep.core.errors import InvalidInput, VerificationFailed

#: digests in one question
MOST = 256
#: bytes of one object, and of a whole answer; what does not fit is left out
LARGEST, MAX_BYTES = 1 << 20, 8 << 20
#: of a whole answer as it is sent
MAX_ANSWER = MAX_BYTES + 100 * MOST
_HEAD = re.compile(rb"([0-9a-f]{64}) (0|[1-9][0-9]{0,7})\n")


def encode(some: Mapping[str, bytes]) -> bytes:
    """The answer, of objects by their SHA-256."""
    return b"".join(b"%s %d\n%s" % (name.encode(), len(data), data) for name, data in some.items())


def parse(answer: bytes, wanted: Iterable[str]) -> dict[str, bytes]:
    """The objects of an answer.

    Args:
        wanted: what was asked for.

    Raises:
        InvalidInput: it is malformed, or has something that nobody asked for.
        VerificationFailed: an object has another digest than it is said to have.
    """
    left, found, at = set(wanted), dict[str, bytes](), 0
    while at < len(answer):
        head = _HEAD.match(answer, at)
        if head is None:
            raise InvalidInput("a bundle of objects is malformed")
        name, size, at = head[1].decode(), int(head[2]), head.end()
        data = answer[at : at + size]
        if name not in left or len(data) != size:
            raise InvalidInput("a bundle of objects has something else than was asked for")
        if hashlib.sha256(data).hexdigest() != name:
            raise VerificationFailed(f"the object {name[:12]}… of a bundle is not what its name says")
        left.discard(name)
        found[name] = data
        at += size
    return found
