"""What a registrar says, checked and typed; what a node says to it, as JSON. See ``docs/protocol.md``.

Everything read here comes from outside: a field that is missing, of the wrong type or out of range raises
InvalidInput and names the field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from seedkeep.core import jcs
from seedkeep.core.audit import LeafAt
from seedkeep.core.errors import InvalidInput, UsageError, VerificationFailed
from seedkeep.core.events import Event
from seedkeep.core.identifiers import DIGESTS, Identifier, Kind, mint_ark
from seedkeep.core.notes import Verifier
from seedkeep.core.origin import origin_of
from seedkeep.core.paths import check_path
from seedkeep.core.record import Dataset, Receipt, RecordBody, check_web_seed

T = TypeVar("T")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ARK_VALUE = re.compile(r"ark:/([0-9bcdfghjkmnpqrstvwxz]{5,9})/[0-9bcdfghjkmnpqrstvwxz]{3,40}")
_TRACKER = ("http", "https", "udp", "ws", "wss")


def when(text: str) -> float:
    """Unix seconds of a UTC time like ``2026-01-31T12:00:00Z``.

    Raises:
        InvalidInput: it is not one.
    """
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError as error:
        raise InvalidInput(f"{text[:40]!r} is not a time like 2026-01-31T12:00:00Z") from error
    return moment.replace(tzinfo=UTC).timestamp()


def utc(seconds: float) -> str:
    """Unix seconds as ``2026-01-31T12:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Fields:
    """Typed access to a JSON object from outside."""

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, Mapping):
            raise InvalidInput(f"{what} is not a JSON object")
        self._value = value
        self._what = what

    def _bad(self, name: str) -> InvalidInput:
        return InvalidInput(f"{self._what} has a bad or missing field {name!r}")

    def text(self, name: str, *, limit: int = 2000, default: str | None = None) -> str:
        value = self._value.get(name, default)
        if not isinstance(value, str) or len(value) > limit:
            raise self._bad(name)
        return value

    def hex64(self, name: str) -> str:
        value = self.text(name)
        if not _HEX64.fullmatch(value):
            raise self._bad(name)
        return value

    def count(self, name: str, *, default: int | None = None) -> int:
        value = self._value.get(name, default)
        if type(value) is not int or not 0 <= value < 2**53:
            raise self._bad(name)
        return value

    def seconds(self, name: str) -> float:
        value = self._value.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            raise self._bad(name)
        return float(value)

    def object(self, name: str) -> Mapping[str, Any]:
        value = self._value.get(name)
        if not isinstance(value, Mapping):
            raise self._bad(name)
        return value

    def time(self, name: str) -> float:
        return when(self.text(name, limit=40))

    def items(self, name: str, read: Callable[[Any], T], *, most: int = 200_000) -> tuple[T, ...]:
        value = self._value.get(name, [])
        if not isinstance(value, list) or len(value) > most:
            raise self._bad(name)
        return tuple(read(item) for item in value)


def _hex(value: Any) -> str:
    if not isinstance(value, str) or not _HEX64.fullmatch(value):
        raise InvalidInput("a list of content ids has an entry that is none")
    return value


def http_url(value: Any) -> str:
    """A plain http(s) URL without password, or InvalidInput."""
    if not is_url(value, ("http", "https")):
        raise InvalidInput(f"{str(value)[:120]!r} is not an http(s) URL")
    return str(value)


def _origin(public_url: str) -> str:
    try:
        return origin_of(public_url)
    except UsageError as error:
        raise InvalidInput(error.what) from error


def is_url(value: Any, schemes: tuple[str, ...]) -> bool:
    """Whether it is an absolute URL of one of these schemes that can be handed to others."""
    if not isinstance(value, str) or len(value) > 2000 or not value.isascii() or not value.isprintable():
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and parts.username is None and " " not in value


def usable_web_seed(value: Any) -> bool:
    """Whether it is an http(s) web seed."""
    try:
        check_web_seed(value if isinstance(value, str) else "")
    except InvalidInput:
        return False
    return str(value).startswith(("http://", "https://"))


def usable_tracker(value: Any) -> bool:
    """Whether it is a tracker's announce URL."""
    return is_url(value, _TRACKER)


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
    peers: tuple[str, ...]
    max_object_bytes: int
    now: float

    @classmethod
    def parse(cls, value: Any) -> RegistrarInfo:
        """
        Raises:
            InvalidInput: a field is missing or malformed.
            VerificationFailed: the key is not under the origin it claims.
        """
        f = _Fields(value, "the registrar's description of itself")
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
            peers=tuple(p for p in f.items("peers", str, most=200) if is_url(p, ("http", "https"))),
            max_object_bytes=f.count("max_object_bytes"),
            now=f.time("now"),
        )


@dataclass(frozen=True, slots=True)
class Copies:
    """How many copies of a dataset there are, by what is known of them."""

    wanted: int
    complete: int
    audited: int
    fetching: int

    @classmethod
    def parse(cls, value: Any) -> Copies:
        """Raises InvalidInput."""
        f = _Fields(value, "a record's copies")
        return cls(f.count("wanted"), f.count("complete"), f.count("audited"), f.count("fetching"))


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
        fields = _Fields(document, "a submission")
        page = fields.text("page", default="")
        return cls(fields.hex64("rid"), page if is_url(page, ("http", "https")) else "")


def may_be(document: Mapping[str, Any], name: Identifier) -> bool:
    """Whether a record document may be the one that ``name`` means; digests of files may mean any."""
    if name.kind in DIGESTS or name.bare:
        return True
    if name.kind is Kind.DOI:
        metadata = document.get("metadata")
        dois = metadata.get("dois") if isinstance(metadata, dict) else None
        return isinstance(dois, list) and name.value in dois
    if name.kind is Kind.LSID:
        return str(document.get("ark")).rpartition("/")[2] == name.value.rpartition(":")[2]
    mine = str(document.get(name.kind.value))
    return (mine.removeprefix("ark:/") if name.kind is Kind.ARK else mine) == name.value


@dataclass(frozen=True, slots=True)
class Record:
    """A record whose event, body and receipt were verified; ``document`` is the whole answer.

    What a registrar merely tells about the dataset (copies, trackers, web seeds) is in ``document`` and
    typed by the properties; it is not signed by anybody.
    """

    document: Mapping[str, Any]
    event: Event
    body: RecordBody
    receipt: Receipt
    note: str
    ark: str

    @property
    def rid(self) -> str:
        """Hash of the first event, 64 hex."""
        return self.event.record_id

    @property
    def dataset(self) -> Dataset:
        """What was shared."""
        return self.body.dataset

    @property
    def content_id(self) -> str:
        """The v2 info-hash, 64 hex."""
        return self.body.dataset.content_id

    @property
    def copies(self) -> Copies:
        """Copies as the registrar counts them; raises InvalidInput."""
        return Copies.parse(self.document.get("copies"))

    @property
    def trackers(self) -> tuple[str, ...]:
        """Announce URLs; malformed ones are left out."""
        return self._urls("trackers", usable_tracker)

    @property
    def web_seeds(self) -> tuple[str, ...]:
        """http(s) web seeds a client can use; malformed ones are left out."""
        return self._urls("web_seeds", usable_web_seed)

    def text(self, name: str) -> str:
        """A text of the document such as ``magnet`` or ``landing_page``, or ""."""
        value = self.document.get(name)
        return value if isinstance(value, str) and value.isprintable() else ""

    def _urls(self, name: str, good: Callable[[Any], bool]) -> tuple[str, ...]:
        told = self.document.get(name)
        return tuple(dict.fromkeys(u for u in told[:100] if good(u))) if isinstance(told, list) else ()

    @classmethod
    def parse(cls, document: Any, registrar: Verifier) -> Record:
        """Verify a record document.

        Args:
            registrar: the key that must have signed the receipt.

        Raises:
            InvalidInput: it is malformed.
            VerificationFailed: a signature, digest or name does not hold.
        """
        f = _Fields(document, "a record")
        event, note = Event.parse(f.object("event")), f.text("receipt", limit=10_000)
        event.verify()
        event.check_body(jcs.dumps(f.object("body")))
        body = RecordBody.parse(f.object("body"))
        receipt = Receipt.open(note, registrar)
        receipt.check(event)
        if receipt.origin != registrar.name or event.home != registrar.name or event.type != "record":
            raise VerificationFailed(f"record {event.record_id[:12]}… was not made for {registrar.name}")
        ark = f.text("ark", limit=80)
        found = _ARK_VALUE.fullmatch(ark)
        if not found or ark != f"ark:/{mint_ark(found[1], event.record_id)}":
            raise VerificationFailed(f"{ark!r} is not the ARK of record {event.record_id[:12]}…")
        told = (f.text("rid"), f.text("content_id"), f.text("infohash_v1"), f.text("name"))
        dataset = body.dataset
        if told != (event.record_id, dataset.content_id, dataset.infohash_v1, dataset.name):
            raise VerificationFailed(f"the document of record {event.record_id[:12]}… contradicts its body")
        return cls(dict(document), event, body, receipt, note, ark)

    def check_name(self, name: Identifier) -> None:
        """Check that this is the record asked for; names of single files are the manifest's business.

        Raises:
            VerificationFailed: the registrar answered with another record.
        """
        if not may_be(self.document, name):
            raise VerificationFailed(
                f"asked for {name}, the registrar answered with {self.ark}, which is another dataset"
            )


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
        f = _Fields(value, "a match")
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
        f = _Fields(value, "an offer")
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
        f = _Fields(value, "a lease")
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
        f = _Fields(value, "an audit")
        try:
            nonce = bytes.fromhex(f.text("nonce", limit=200))
        except ValueError as error:
            raise InvalidInput("the nonce of an audit is not hex") from error
        leaves = f.items("leaves", leaf_at, most=1000)
        return cls(audit_id(f.text("id")), f.hex64("content_id"), nonce, leaves, f.seconds("deadline_s"))


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The registrar's answer to a heartbeat; ``now`` is its clock (Unix)."""

    now: float
    taint_head: str
    offers: tuple[Offer, ...]
    leases: tuple[Lease, ...]
    release: tuple[str, ...]
    challenges: tuple[Challenge, ...]
    companions: tuple[str, ...]

    @classmethod
    def parse(cls, value: Any) -> Heartbeat:
        """Raises InvalidInput."""
        f = _Fields(value, "the answer to a heartbeat")
        return cls(
            now=f.time("now"),
            taint_head=f.text("taint_head", limit=64 * 1024),
            offers=f.items("offers", Offer.parse),
            leases=f.items("leases", Lease.parse),
            release=f.items("release", _hex),
            challenges=f.items("challenges", Challenge.parse, most=10_000),
            companions=f.items("companions", _hex),
        )


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
