"""What a registrar says, checked and typed; what a node says to it, as JSON. See ``docs/protocol.md``.

Everything read here comes from outside: a field that is missing, of the wrong type or out of range raises
InvalidInput and names the field. Records are in :mod:`seedkeep.record_document`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from seedkeep.core import jcs
from seedkeep.core.audit import LeafAt, Opening
from seedkeep.core.errors import Error, InvalidInput, UsageError, VerificationFailed
from seedkeep.core.events import MAX_BODY_BYTES, Event
from seedkeep.core.notes import Verifier
from seedkeep.core.origin import origin_of
from seedkeep.core.paths import check_path
from seedkeep.core.taints.head import MAX_HEAD_BYTES
from seedkeep.message_fields import HEX64, Fields, http_url, is_url, usable_tracker
from seedkeep.registrar_http import normal_url

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")


def _origin(public_url: str) -> str:
    try:
        return origin_of(public_url)
    except UsageError as error:
        raise InvalidInput(error.what) from error


def _as_it_is(value: Any) -> Any:
    return value


def _hex(value: Any) -> str:
    if not isinstance(value, str) or not HEX64.fullmatch(value):
        raise InvalidInput("a list of content ids has an entry that is none")
    return value


def signed_event(event: Event, body: bytes) -> dict[str, Any]:
    """An event and its body, as they are sent."""
    return {"event": jcs.loads(event.leaf()), "body": jcs.loads(body, limit=MAX_BODY_BYTES)}


def opened(opening: Opening) -> dict[str, Any]:
    """A block of a file that an audit asked for, as it is sent."""
    proof = [step.hex() for step in opening.proof]
    data = base64.b64encode(opening.data).decode()
    return {"file": opening.at.file, "leaf": opening.at.leaf, "data": data, "proof": proof}


@dataclass(frozen=True, slots=True)
class Peer:
    """A registrar that mirrors and countersigns another's log; ``key`` is None where only its URL is told."""

    url: str
    key: Verifier | None = None

    @classmethod
    def parse_all(cls, told: Sequence[Any]) -> tuple[Peer, ...]:
        """The peers a registrar names, as ``{"url", "origin", "vkey"}`` or a URL; malformed ones are left
        out."""
        found: dict[str, Peer] = {}
        for item in told:
            fields = item if isinstance(item, Mapping) else {"url": item}
            with suppress(Error):
                url = normal_url(http_url(fields.get("url")))
                key = Verifier.parse(str(fields["vkey"])) if fields.get("vkey") else None
                if key is None or fields.get("origin", key.name) == key.name:
                    found.setdefault(url, cls(url, key))
        return tuple(found.values())


@dataclass(frozen=True, slots=True)
class RegistrarInfo:
    """``/.well-known/seedkeep``; times in seconds, ``now`` is the registrar's clock (Unix)."""

    origin: str
    public_url: str
    vkey: Verifier
    naan: str
    version: str
    trackers: tuple[str, ...]
    heartbeat_s: float
    registration: str
    peers: tuple[Peer, ...]
    max_object_bytes: int
    now: float
    #: of its key ring, see :mod:`seedkeep.core.keyring`
    key_version: int = 0
    #: keys that it had before, as the client has verified
    former: tuple[Verifier, ...] = ()

    @classmethod
    def parse(cls, value: Any) -> RegistrarInfo:
        """
        Raises:
            InvalidInput: a field is missing or malformed.
            VerificationFailed: the key is not under the origin it claims.
        """
        f = Fields(value, "the registrar's description of itself")
        vkey, origin = Verifier.parse(f.text("vkey")), f.text("origin", limit=500)
        public_url = http_url(f.text("public_url")).rstrip("/")
        # Requests are signed for the public URL: were it another registrar's, that one would take them.
        if vkey.name != origin or _origin(public_url) != origin:
            raise VerificationFailed(
                f"the registrar {origin!r} shows a key of {vkey.name!r} and the public URL {public_url!r},"
                " which do not belong together"
            )
        return cls(
            origin=origin,
            public_url=public_url,
            vkey=vkey,
            naan=f.text("naan", limit=9),
            version=f.text("version", limit=60, default=""),
            trackers=tuple(t for t in f.items("trackers", str, most=50) if usable_tracker(t)),
            heartbeat_s=f.seconds("heartbeat_s"),
            registration=f.text("registration", limit=40, default="open"),
            peers=Peer.parse_all(f.items("peers", _as_it_is, most=200)),
            max_object_bytes=f.count("max_object_bytes"),
            now=f.time("now"),
            key_version=f.count("key_version", default=0),
        )


@dataclass(frozen=True, slots=True)
class Queued:
    """A dataset that a curator has to approve before there is a record of it.

    Args:
        rid: of the record if it is made.
        page: where the submission can be looked at, or "".
    """

    rid: str
    page: str

    @classmethod
    def parse(cls, document: Any) -> Queued:
        """
        Raises:
            InvalidInput: it is malformed.
        """
        fields = Fields(document, "a submission")
        page = fields.text("page", default="")
        return cls(fields.hex64("rid"), page if is_url(page, ("http", "https")) else "")


@dataclass(frozen=True, slots=True)
class Match:
    """One dataset that a name may mean; ``path`` when it names a file in it."""

    rid: str
    ark: str
    content_id: str
    name: str
    path: str

    @classmethod
    def parse(cls, value: Any) -> Match:
        """Raises InvalidInput."""
        f = Fields(value, "a match")
        path = f.text("path", limit=5000, default="") if value.get("path") else ""
        if path:
            check_path(path)
        return cls(f.hex64("rid"), f.text("ark"), f.hex64("content_id"), f.text("name"), path)


@dataclass(frozen=True, slots=True)
class NodeProfile:
    """What a node tells about itself; ``pledge`` in bytes."""

    pledge: int
    port: int
    operator: str = ""
    institution: str = ""
    country: str = ""
    subjects: tuple[str, ...] = ()
    software: str = ""


@dataclass(frozen=True, slots=True)
class ClaimReport:
    """One claim in a heartbeat; ``state``: downloading, complete, failed."""

    content_id: str
    state: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Report:
    """A heartbeat. ``state``: active, paused, draining; ``taints``: (version, log size) of the head."""

    state: str
    pledge: int
    used: int
    reserved: int
    port: int
    claims: tuple[ClaimReport, ...] = ()
    taints: tuple[int, int] | None = None
    problems: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()

    def fields(self) -> dict[str, Any]:
        """As JSON."""
        taints = {"version": self.taints[0], "log_size": self.taints[1]} if self.taints else None
        return {
            "state": self.state,
            "pledge": self.pledge,
            "used": self.used,
            "reserved": self.reserved,
            "port": self.port,
            "claims": [{"content_id": c.content_id, "state": c.state, "bytes": c.bytes} for c in self.claims],
            "taints": taints,
            "problems": [p[:500] for p in self.problems],
            "companions": list(self.companions),
        }


@dataclass(frozen=True, slots=True)
class Offer:
    """A dataset the registrar would like this node to take."""

    content_id: str
    rid: str
    bytes: int
    files: int

    @classmethod
    def parse(cls, value: Any) -> Offer:
        """Raises InvalidInput."""
        f = Fields(value, "an offer")
        return cls(f.hex64("content_id"), f.hex64("rid"), f.count("bytes"), f.count("files"))


@dataclass(frozen=True, slots=True)
class Lease:
    """A claim holds until ``expires`` (Unix seconds)."""

    content_id: str
    expires: float
    rid: str = ""

    @classmethod
    def parse(cls, value: Any) -> Lease:
        """Raises InvalidInput."""
        f = Fields(value, "a lease")
        return cls(f.hex64("content_id"), f.time("expires"), f.text("rid", limit=64, default=""))


@dataclass(frozen=True, slots=True)
class Challenge:
    """An audit to be answered within ``deadline_s`` seconds."""

    id: str
    content_id: str
    nonce: bytes
    leaves: tuple[LeafAt, ...]
    deadline_s: float

    @classmethod
    def parse(cls, value: Any) -> Challenge:
        """Raises InvalidInput."""
        f = Fields(value, "an audit")
        try:
            nonce = bytes.fromhex(f.text("nonce", limit=200))
        except ValueError as error:
            raise InvalidInput("the nonce of an audit is not hex") from error
        leaves = f.items("leaves", leaf_at, most=1000)
        return cls(audit_id(f.text("id")), f.hex64("content_id"), nonce, leaves, f.seconds("deadline_s"))


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The registrar's answer to a heartbeat; ``now`` is its clock (Unix), ``taint_heads`` are those of other
    registrars, as it has them."""

    now: float
    taint_head: str
    offers: tuple[Offer, ...]
    leases: tuple[Lease, ...]
    release: tuple[str, ...]
    challenges: tuple[Challenge, ...]
    companions: tuple[str, ...]
    taint_heads: tuple[str, ...] = ()

    @classmethod
    def parse(cls, value: Any) -> Heartbeat:
        """Raises InvalidInput."""
        f = Fields(value, "the answer to a heartbeat")
        return cls(
            now=f.time("now"),
            taint_head=f.text("taint_head", limit=64 * 1024),
            offers=f.items("offers", Offer.parse),
            leases=f.items("leases", Lease.parse),
            release=f.items("release", _hex),
            challenges=f.items("challenges", Challenge.parse, most=10_000),
            companions=f.items("companions", _hex),
            taint_heads=f.items("taint_heads", _note, most=200) if "taint_heads" in f else (),
        )


def _note(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_HEAD_BYTES:
        raise InvalidInput("a list of taint heads has an entry that is none")
    return value


def leaf_at(value: Any) -> LeafAt:
    """``[file, leaf]``; raises InvalidInput."""
    good = isinstance(value, list) and len(value) == 2
    if not good or not all(type(n) is int and 0 <= n < 2**53 for n in value):
        raise InvalidInput("an audit names a block that is none")
    return LeafAt(value[0], value[1])


def audit_id(text: str) -> str:
    """An id that can stand in a path; raises InvalidInput."""
    if not _NAME.fullmatch(text):
        raise InvalidInput(f"{text[:60]!r} is not the id of an audit")
    return text
