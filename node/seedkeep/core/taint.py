"""The client's view of one registrar's taints: a state machine without I/O (decision 8).

A registrar publishes a signed *head* and the *list* it commits to. :class:`TrustedTaints` keeps what is
trusted and takes nothing that breaks a rule:

1. A head is loadable only if the registrar's pinned key signed it and it names that registrar's origin.
2. A head never goes back: its version and its log size are at least those trusted; the same version
   means the same list and log size.
3. A head must not be expired at the time it is loaded, nor be valid for longer than 48 h.
4. A list is loadable only after its head, and only if it has the size limit and digest that head names.
5. An entry never changes and never vanishes: every id trusted before is in the new list, unchanged or
   lifted; a lift stays lifted.
6. Head and list replace the old ones together, or not at all.

Time works against a registrar that is silenced: see :meth:`TrustedTaints.freshness`.

Example::

    taints = TrustedTaints(verifier)
    if taints.load_head(head_note, now=now):        # True: the list has changed, fetch it
        taints.load_list(list_bytes)
    for entry in taints.standing(content_id=cid, rids=[rid], roots=roots): ...
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum, IntEnum
from typing import Any

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier, open_note, sign_note

HEADER = "seedkeep.taints/v1"
HEAD_LIFETIME_S = 24 * 3600
MAX_LIFETIME_S = 48 * 3600
STOP_CLAIMS_AFTER_S = 24 * 3600
STOP_SERVING_AFTER_S = 7 * 24 * 3600
MAX_LIST_BYTES = 64 * 1024 * 1024
MAX_ENTRY_BYTES = 8192
#: an entry with the longest reason still has room for the keys of 60 curators
MAX_REASON_BYTES = 4096
CATEGORIES = (
    "court-order",
    "data-protection",
    "retraction",
    "consent-withdrawn",
    "copyright",
    "malware",
    "other",
)
_HEX64 = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")


class SubjectKind(Enum):
    """What a taint can be about."""

    RECORD = "record"
    CONTENT = "content"
    ROOT = "root"


@dataclass(frozen=True, slots=True)
class Subject:
    """``record`` (a rid), ``content`` (a content id) or ``root`` (one file's pieces root), 64 hex."""

    kind: SubjectKind
    value: str

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.value}"

    @classmethod
    def parse(cls, text: str) -> Subject:
        """
        Raises:
            InvalidInput: it is not ``kind:64 hex digits``.
        """
        kind, _, value = text.partition(":")
        if kind not in {k.value for k in SubjectKind} or not _HEX64.fullmatch(value):
            raise InvalidInput(f"{text[:100]!r} is not a taint's subject")
        return cls(SubjectKind(kind), value)


def _check_reason(what: str, reason: str) -> None:
    # a taint's reason goes into the published list, whose entries are limited for every reader
    if not 0 < len(reason.strip()) <= 2000 or len(jcs.dumps(reason)) > MAX_REASON_BYTES or "\x00" in reason:
        raise InvalidInput(f"a {what} needs a reason of 1 to 2000 characters and at most 4000 bytes")


@dataclass(frozen=True, slots=True)
class TaintBody:
    """The body of a ``taint`` event: what must be removed, and why."""

    subject: Subject
    category: str
    reason: str

    def encode(self) -> bytes:
        """The canonical bytes that the event names by digest."""
        return jcs.dumps(
            {"v": 1, "subject": str(self.subject), "category": self.category, "reason": self.reason}
        )

    @classmethod
    def parse(cls, data: bytes | Mapping[str, Any]) -> TaintBody:
        """
        Raises:
            InvalidInput: a field is missing, unknown or malformed.
        """
        fields = data if isinstance(data, Mapping) else jcs.loads(data)
        if not isinstance(fields, Mapping) or set(fields) != {"v", "subject", "category", "reason"}:
            raise InvalidInput("a taint has exactly the fields v, subject, category, reason")
        if fields["v"] != 1 or not all(isinstance(fields[k], str) for k in ("subject", "category", "reason")):
            raise InvalidInput("a taint's fields have the wrong type")
        if fields["category"] not in CATEGORIES:
            raise InvalidInput(
                f"{fields['category'][:40]!r} is not a category of taint",
                hint=f"Use one of {', '.join(CATEGORIES)}.",
            )
        _check_reason("taint", fields["reason"])
        return cls(Subject.parse(fields["subject"]), fields["category"], fields["reason"])


@dataclass(frozen=True, slots=True)
class LiftBody:
    """The body of a ``lift`` event, which follows the taint event in its chain."""

    reason: str

    def encode(self) -> bytes:
        """The canonical bytes that the event names by digest."""
        return jcs.dumps({"v": 1, "reason": self.reason})

    @classmethod
    def parse(cls, data: bytes | Mapping[str, Any]) -> LiftBody:
        """
        Raises:
            InvalidInput: a field is missing, unknown or malformed.
        """
        fields = data if isinstance(data, Mapping) else jcs.loads(data)
        if not isinstance(fields, Mapping) or set(fields) != {"v", "reason"} or fields["v"] != 1:
            raise InvalidInput("a lift has exactly the fields v, reason")
        if not isinstance(fields["reason"], str):
            raise InvalidInput("a lift needs a reason")
        _check_reason("lift", fields["reason"])
        return cls(fields["reason"])


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list.

    Args:
        id: the hash of the taint event.
        subject, category, reason: as in its body.
        created: when it took effect, UTC.
        approvers: the curators' keys.
        lifted: hash of the lift event, or "" while the taint stands.
    """

    id: str
    subject: Subject
    category: str
    reason: str
    created: str
    approvers: tuple[str, ...]
    lifted: str = ""

    def encode(self) -> bytes:
        """The canonical line, without its newline."""
        return jcs.dumps({**asdict(self), "subject": str(self.subject), "approvers": list(self.approvers)})

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """
        Raises:
            InvalidInput: it is not the canonical form of an entry.
        """
        fields = jcs.loads(line, limit=MAX_ENTRY_BYTES)
        if not isinstance(fields, dict) or set(fields) != set(cls.__slots__):
            raise InvalidInput("an entry of a taint list has wrong fields")
        approvers = fields.pop("approvers")
        texts_only = all(isinstance(v, str) for v in fields.values())
        if (
            not texts_only
            or not isinstance(approvers, list)
            or not all(isinstance(a, str) for a in approvers)
        ):
            raise InvalidInput("an entry of a taint list has a field of the wrong type")
        entry = cls(**{**fields, "subject": Subject.parse(fields["subject"]), "approvers": tuple(approvers)})
        good_lift = entry.lifted == "" or _HEX64.fullmatch(entry.lifted)
        if not _HEX64.fullmatch(entry.id) or not good_lift or entry.encode() != line:
            raise InvalidInput("an entry of a taint list is not in canonical form")
        return entry


def encode_list(entries: Iterable[Entry]) -> bytes:
    """The list's bytes: one entry a line, by id."""
    return b"".join(e.encode() + b"\n" for e in sorted(entries, key=lambda e: e.id))


def parse_list(data: bytes) -> dict[str, Entry]:
    """
    Raises:
        InvalidInput: a line is malformed, or ids are not unique and ascending.
    """
    if data and not data.endswith(b"\n"):
        raise InvalidInput("a taint list is cut short")
    entries = [Entry.parse(line) for line in data.split(b"\n")[:-1]]
    if any(a.id >= b.id for a, b in itertools.pairwise(entries)):
        raise InvalidInput("a taint list is not sorted by id")
    return {e.id: e for e in entries}


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
        lines = open_note(note, [trusted]).split("\n")
        if len(lines) != 7 or lines[0] != HEADER or not _HEX64.fullmatch(lines[4]):
            raise InvalidInput("a taint head is malformed")
        if not all(_NUMBER.fullmatch(lines[i]) for i in (2, 3, 5)):
            raise InvalidInput("a taint head has a malformed number")
        if lines[1] != trusted.name:
            raise VerificationFailed(f"a taint head of {lines[1]!r} came where {trusted.name!r} was expected")
        return cls(lines[1], int(lines[2]), int(lines[3]), lines[4], int(lines[5]))


class Freshness(IntEnum):
    """What a node may still do, by the age of its head."""

    FRESH = 0
    ALARM = 1
    NO_CLAIMS = 2
    NO_SERVING = 3


class TrustedTaints:
    """What a client trusts of one registrar's taints; see the module's text for the rules."""

    def __init__(self, verifier: Verifier) -> None:
        """
        Args:
            verifier: the registrar's pinned name and key.
        """
        self._verifier = verifier
        self._head: Head | None = None
        self._note = ""
        self._entries: dict[str, Entry] = {}
        self._pending: tuple[Head, str] | None = None

    @property
    def head(self) -> Head | None:
        """The trusted head, or None before the first one."""
        return self._head

    @property
    def entries(self) -> Collection[Entry]:
        """All trusted entries, lifted ones included."""
        return self._entries.values()

    def dump(self) -> tuple[str, bytes]:
        """Head note and list bytes, to be persisted and given to :meth:`restore`."""
        return self._note, encode_list(self._entries.values())

    @classmethod
    def restore(cls, verifier: Verifier, note: str, data: bytes) -> TrustedTaints:
        """Take back what :meth:`dump` gave; an expired head is restored too, for its memory counts.

        Raises:
            InvalidInput, VerificationFailed: the stored state was tampered with.
        """
        taints = cls(verifier)
        if note:
            head = Head.open(note, verifier)
            taints._pending = (head, note)
            taints.load_list(data)
        return taints

    def load_head(self, note: str | bytes, *, now: float) -> bool:
        """Take a newer head (rules 1 to 3).

        Returns:
            True when its list must be loaded now; False when the trusted list still holds.

        Raises:
            InvalidInput, VerificationFailed: a rule does not hold; nothing has changed.
        """
        text = note.decode("utf-8", errors="replace") if isinstance(note, bytes) else note
        head = Head.open(note, self._verifier)
        if head.expires <= now:
            raise VerificationFailed(
                f"the taint head of {head.origin} has expired: it is being withheld or frozen"
            )
        if head.expires > now + MAX_LIFETIME_S:
            raise VerificationFailed(f"the taint head of {head.origin} is valid for too long")
        old = self._head
        if old is not None:
            if head.version < old.version or head.log_size < old.log_size:
                raise VerificationFailed(
                    f"the taint head of {head.origin} went back from version {old.version} to {head.version}"
                )
            if head.version == old.version:
                if head.list_sha256 != old.list_sha256:
                    raise VerificationFailed(
                        f"{head.origin} signed two different taint lists as version {head.version}"
                    )
                if head.expires > old.expires:
                    self._head, self._note = head, text
                self._pending = None
                return False
            if head.list_sha256 == old.list_sha256:
                self._head, self._note, self._pending = head, text, None
                return False
        self._pending = (head, text)
        return True

    def load_list(self, data: bytes) -> None:
        """Take the list that the last loaded head names (rules 4 to 6).

        Raises:
            InvalidInput, VerificationFailed: a rule does not hold; nothing has changed.
        """
        if self._pending is None:
            raise InvalidInput("a taint list came without its head")
        head, note = self._pending
        if len(data) > MAX_LIST_BYTES:
            raise InvalidInput(f"the taint list of {head.origin} is over {MAX_LIST_BYTES} bytes")
        if hashlib.sha256(data).hexdigest() != head.list_sha256:
            raise VerificationFailed(f"the taint list of {head.origin} is not the one its head names")
        entries = parse_list(data)
        for known in self._entries.values():
            entry = entries.get(known.id)
            if entry is None:
                raise VerificationFailed(f"{head.origin} dropped taint {known.id[:12]}… without lifting it")
            if replace(entry, lifted=known.lifted) != known or (known.lifted and not entry.lifted):
                raise VerificationFailed(f"{head.origin} rewrote taint {known.id[:12]}…")
        self._head, self._note, self._entries, self._pending = head, note, entries, None

    def standing(
        self, *, content_id: str = "", rids: Iterable[str] = (), roots: Iterable[str] = ()
    ) -> list[Entry]:
        """The taints in force on any of these subjects, oldest first."""
        names = {Subject(SubjectKind.CONTENT, content_id)} if content_id else set()
        names |= {Subject(SubjectKind.RECORD, r) for r in rids}
        names |= {Subject(SubjectKind.ROOT, r) for r in roots if r}
        found = [e for e in self._entries.values() if not e.lifted and e.subject in names]
        return sorted(found, key=lambda e: (e.created, e.id))

    def freshness(self, *, now: float) -> Freshness:
        """What the age of the head still allows; no head yet means no claims."""
        if self._head is None:
            return Freshness.NO_CLAIMS
        late = now - self._head.expires
        if late < 0:
            return Freshness.FRESH
        if late < STOP_CLAIMS_AFTER_S:
            return Freshness.ALARM
        return Freshness.NO_CLAIMS if late < STOP_SERVING_AFTER_S else Freshness.NO_SERVING
