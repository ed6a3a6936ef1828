"""Events: signed, append-only facts, chained per record (decisions 5 and 6 of the design).

An event is a small JSON object (``leaf``, at most 4 KiB in JCS form) that names its body by SHA-256:

    {"v":1, "type":…, "rid":…, "seq":…, "prev":…, "body_sha256":…, "home":…, "by":…, "created":…, "sig":…}

* its *hash* is SHA-256 over the domain prefix and the JCS form without ``sig``;
* the first event of a record has ``seq`` 0 and empty ``rid`` and ``prev``; its hash *is* the rid;
* every later one carries that rid, ``seq`` one higher and ``prev`` = the hash of the one before;
* ``sig`` is Ed25519 by the key ``by`` over the same bytes that are hashed.

An event is good only if :meth:`Event.parse` and :meth:`Event.verify` accept it, its body has the
named digest, and :func:`check_successor` accepts it after its predecessor.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from seedkeep.core import jcs
from seedkeep.core.errors import Conflict, InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey, PublicKey

DOMAIN = b"seedkeep/event/v1\n"
MAX_LEAF_BYTES = 4096
MAX_BODY_BYTES = 256 * 1024
TYPES = frozenset({"record", "revision", "withdrawal", "rehome", "taint", "lift", "decision"})

_HEX64 = re.compile(r"[0-9a-f]{64}")
_CREATED = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)
_HOME = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")


def _want(condition: bool, problem: str) -> None:
    if not condition:
        raise InvalidInput(f"this event is malformed: {problem}")


@dataclass(frozen=True, slots=True)
class Event:
    """One fact; see the module's text for the fields."""

    type: str
    rid: str
    seq: int
    prev: str
    body_sha256: str
    home: str
    by: str
    created: str
    sig: str
    v: int = 1

    def unsigned(self) -> bytes:
        """The bytes that are hashed and signed: domain prefix, then JCS without ``sig``."""
        return DOMAIN + jcs.dumps({name: getattr(self, name) for name in _FIELDS if name != "sig"})

    def hash(self) -> str:
        """SHA-256 of :meth:`unsigned`, lower-case hex."""
        return hashlib.sha256(self.unsigned()).hexdigest()

    def leaf(self) -> bytes:
        """The JCS form with ``sig``, as it stands in the log."""
        return jcs.dumps({name: getattr(self, name) for name in _FIELDS})

    @property
    def record_id(self) -> str:
        """The rid of the record this event belongs to (its own hash when it is the first)."""
        return self.rid or self.hash()

    @classmethod
    def parse(cls, data: bytes | str | Mapping[str, Any]) -> Event:
        """Read an event; nothing is said yet about its signature.

        Raises:
            InvalidInput: a field is missing, unknown or malformed, or it is over 4 KiB.
        """
        fields = data if isinstance(data, Mapping) else jcs.loads(data, limit=MAX_LEAF_BYTES)
        _want(isinstance(fields, Mapping), "it is not an object")
        names = set(cls.__slots__)
        _want(set(fields) == names, f"its fields must be exactly {', '.join(sorted(names))}")
        for name in names - {"v", "seq"}:
            _want(isinstance(fields[name], str), f"{name} is not text")
        for name in ("v", "seq"):
            _want(type(fields[name]) is int, f"{name} is not a whole number")
        event = cls(**fields)
        _want(event.v == 1, f"version {event.v} is unknown")
        _want(event.type in TYPES, f"type {event.type[:40]!r} is unknown")
        first = event.seq == 0
        _want(0 <= event.seq < 2**31, "seq is out of range")
        for name, text in (("rid", event.rid), ("prev", event.prev)):
            good = text == "" if first else bool(_HEX64.fullmatch(text))
            _want(good, f"{name} must be {'empty' if first else '64 hex digits'} at seq {event.seq}")
        _want(bool(_HEX64.fullmatch(event.body_sha256)), "body_sha256 is not 64 hex digits")
        _want(bool(_CREATED.fullmatch(event.created)), "created is not like 2026-01-31T12:00:00Z")
        _want(bool(_HOME.fullmatch(event.home)), "home is not a registrar's origin")
        PublicKey.parse(event.by)
        _want(len(event.leaf()) <= MAX_LEAF_BYTES, f"it is over {MAX_LEAF_BYTES} bytes")
        return event

    def verify(self) -> None:
        """Check the signature against the key the event itself names.

        Raises:
            VerificationFailed: it does not match.
        """
        try:
            signature = base64.b64decode(self.sig, validate=True)
        except (binascii.Error, ValueError) as error:
            raise VerificationFailed("the signature of an event is not base64") from error
        if base64.b64encode(signature).decode() != self.sig:
            raise VerificationFailed("the signature of an event is not canonical base64")
        PublicKey.parse(self.by).verify(signature, self.unsigned())

    def check_body(self, body: bytes) -> None:
        """
        Raises:
            VerificationFailed: ``body`` is not the one this event names.
        """
        if hashlib.sha256(body).hexdigest() != self.body_sha256:
            raise VerificationFailed("the body of an event does not have the digest the event names")


_FIELDS = Event.__slots__


def sign_event(
    key: PrivateKey, *, type: str, body: bytes, home: str, created: str, after: Event | None = None
) -> Event:
    """Make and sign an event.

    Args:
        key: the author's key.
        type: one of :data:`TYPES`.
        body: the canonical body it names.
        home: the origin of the registrar it is addressed to.
        created: UTC, ``2026-01-31T12:00:00Z``.
        after: the record's present head, for every event but the first.
    """
    rid, seq, prev = (after.record_id, after.seq + 1, after.hash()) if after else ("", 0, "")
    return _signed(key, type=type, body=body, home=home, created=created, rid=rid, seq=seq, prev=prev)


def sign_second(key: PrivateKey, *, type: str, body: bytes, home: str, created: str, first: str) -> Event:
    """Make and sign the event that follows the first one of a chain, of which only the hash is known.

    Args:
        first: that hash, 64 hex digits; it is the chain's rid. The rest is as for :func:`sign_event`.
    """
    return _signed(key, type=type, body=body, home=home, created=created, rid=first, seq=1, prev=first)


def _signed(
    key: PrivateKey, *, type: str, body: bytes, home: str, created: str, rid: str, seq: int, prev: str
) -> Event:
    draft = Event(
        type=type,
        rid=rid,
        seq=seq,
        prev=prev,
        body_sha256=hashlib.sha256(body).hexdigest(),
        home=home,
        by=str(key.public),
        created=created,
        sig="",
    )
    sig = base64.b64encode(key.sign(draft.unsigned())).decode()
    return Event.parse({**asdict(draft), "sig": sig})


def check_successor(head: Event, event: Event) -> None:
    """Check that ``event`` directly follows ``head``.

    Raises:
        Conflict: the record has moved on since ``event`` was made.
        VerificationFailed: it belongs to another record.
    """
    if event.rid != head.record_id:
        raise VerificationFailed("this event belongs to another record")
    if event.seq != head.seq + 1 or event.prev != head.hash():
        raise Conflict(
            f"record {head.record_id[:12]}… has changed meanwhile (it is at revision {head.seq})",
            hint="Look at the current revision, then make the change again on top of it.",
        )
