"""The entries of a log: events in their canonical form, read fast.

A registrar's log holds events that are addressed to it, each as :meth:`Event.leaf` prints it: so the text
alone says whether an entry is well formed, and what was signed is the text without ``sig``. An event of a
type that is not known here is no fault of the log; whoever applies events leaves it alone.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re

from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.events import DOMAIN, MAX_LEAF_BYTES, Event
from seedkeep.core.keys import PublicKey

_HEX64 = "[0-9a-f]{64}"
_ENTRY = re.compile(
    rf'{{"body_sha256":"({_HEX64})","by":"(ed25519:[A-Za-z0-9_-]{{43}})",'
    r'"created":"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z)",'
    r'"home":"([a-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?)",'
    rf'"prev":"((?:{_HEX64})?)","rid":"((?:{_HEX64})?)","seq":(0|[1-9][0-9]{{0,9}})'
    r'(,"sig":"([A-Za-z0-9+/]{86}==)"),"type":"([a-z][a-z-]{0,31})","v":1}',
    re.ASCII,
)


class WrongHome(VerificationFailed):
    """An event stands in the log of a registrar that it is not addressed to."""


@functools.lru_cache(maxsize=1024)
def _key(text: str) -> PublicKey:
    return PublicKey.parse(text)


def read_entry(leaf: bytes, origin: str) -> tuple[str, Event]:
    """Read one entry of the log of ``origin``, and check its signature.

    Returns:
        The event's hash (as :meth:`Event.hash` gives it) and the event, of any type.

    Raises:
        InvalidInput: it is no event in canonical form.
        VerificationFailed: its signature is bad.
        WrongHome: it is addressed to another registrar.
    """
    try:
        found = _ENTRY.fullmatch(leaf.decode("ascii")) if len(leaf) <= MAX_LEAF_BYTES else None
    except UnicodeDecodeError:
        found = None
    if found is None:
        raise InvalidInput("an entry of a log is no event in canonical form")
    body, by, created, home, prev, rid, digits, _, sig, type_ = found.groups()
    seq = int(digits)
    if (seq == 0) != (rid == "") or (seq == 0) != (prev == "") or seq >= 2**31:
        raise InvalidInput("an entry of a log is no event: seq, rid and prev do not go together")
    signature = base64.b64decode(sig)
    if base64.b64encode(signature).decode() != sig:
        raise InvalidInput("an entry of a log has a signature that is not canonical base64")
    start, end = found.span(8)
    unsigned = DOMAIN + leaf[:start] + leaf[end:]
    _key(by).verify(signature, unsigned)
    if home != origin:
        raise WrongHome(f"the log of {origin} holds an event that is addressed to {home}")
    event = Event(type_, rid, seq, prev, body, home, by, created, sig)
    return hashlib.sha256(unsigned).hexdigest(), event
