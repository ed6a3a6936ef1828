"""What curators sign: the bodies of ``taint`` and ``lift`` events.

    {"v":1, "subject", "effect", "category", "reason", ["basis"], ["jurisdiction"], ["evidence"], ["appeal"],
     ["expires"], ["editor"]}

What is empty of those in brackets is left out. A body without an ``effect`` has that of its category.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput
from seedkeep.core.record import Editor

#: an entry with the longest reason still has room for the keys of 60 curators
MAX_REASON_BYTES = 4096
MAX_BASIS = 300
MAX_JURISDICTION = 60
MAX_APPEAL = 300
#: a quarantine ends with the removal of the bytes
QUARANTINE_S = 14 * 24 * 3600
#: how long an order that one curator gave alone may stand
MAX_HOLD_S = 72 * 3600
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
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_NEEDED = frozenset({"v", "subject", "category", "reason"})
_MORE = ("basis", "jurisdiction", "evidence", "appeal", "expires")


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


class Effect(Enum):
    """What is to be done, the strongest first."""

    #: stop serving and delete the bytes now
    REMOVE = "remove"
    #: stop serving now, delete the bytes after :data:`QUARANTINE_S`
    QUARANTINE = "quarantine"
    #: stop serving and listing, keep the bytes
    HIDE = "hide"
    #: go on with everything, and say so wherever it is shown or fetched
    WARN = "warn"

    @property
    def withholds(self) -> bool:
        """Whether the data must not be passed on."""
        return self is not Effect.WARN

    @property
    def wipe_after_s(self) -> int | None:
        """Seconds from its beginning after which the bytes are deleted; None: they are kept."""
        return {Effect.REMOVE: 0, Effect.QUARANTINE: QUARANTINE_S}.get(self)

    @property
    def rank(self) -> int:
        """Larger is stronger."""
        return -list(Effect).index(self)


def usual_effect(category: str) -> Effect:
    """The effect of a category where a curator names none; a retraction may itself turn out to be wrong."""
    return Effect.QUARANTINE if category in ("retraction", "consent-withdrawn") else Effect.REMOVE


def printed(seconds: float) -> str:
    """Unix seconds as ``2026-01-31T12:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime(_TIME)


def seconds(moment: str) -> float:
    """
    Raises:
        InvalidInput: it is not a time like ``2026-01-31T12:00:00Z``.
    """
    try:
        found = datetime.strptime(moment, _TIME).replace(tzinfo=UTC)
    except ValueError:
        found = None
    if found is None or found.strftime(_TIME) != moment:
        raise InvalidInput(f"{moment[:40]!r} is not a time like 2026-01-31T12:00:00Z")
    return found.timestamp()


def check_reason(what: str, reason: Any) -> None:
    """
    Raises:
        InvalidInput: it is no text, empty, or too long for the published list.
    """
    good = isinstance(reason, str) and 0 < len(reason.strip()) <= 2000 and "\x00" not in reason
    if not good or len(jcs.dumps(reason)) > MAX_REASON_BYTES:
        raise InvalidInput(f"a {what} needs a reason of 1 to 2000 characters and at most 4000 bytes")


def _check_line(name: str, value: Any, limit: int) -> None:
    if not isinstance(value, str) or len(value) > limit or not (value.isprintable() or not value):
        raise InvalidInput(f"a taint's {name} is one line of at most {limit} characters")


@dataclass(frozen=True, slots=True)
class Order:
    """What a taint says, in its body and in every list.

    Args:
        basis: the law, ruling or policy it rests on, such as ``GDPR Art. 17``.
        jurisdiction: where that holds, such as ``DE`` or ``EU``.
        evidence: SHA-256 of a document that shows it, 64 hex.
        appeal: how somebody can object: an address or a sentence.
        expires: when it ends by itself, as printed; "": never.
    """

    subject: Subject
    category: str
    reason: str
    effect: Effect
    basis: str = ""
    jurisdiction: str = ""
    evidence: str = ""
    appeal: str = ""
    expires: str = ""

    def fields(self) -> dict[str, Any]:
        """The JSON form, without what is empty."""
        more = {name: getattr(self, name) for name in _MORE if getattr(self, name)}
        said = {"subject": str(self.subject), "category": self.category, "reason": self.reason}
        return {**said, "effect": self.effect.value, **more}

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Order:
        """Read :meth:`fields`; other fields are the caller's.

        Raises:
            InvalidInput: a field is of the wrong type or out of range.
        """
        for name in ("subject", "category"):
            if not isinstance(fields.get(name), str):
                raise InvalidInput(f"a taint's {name} is missing or no text")
        category = fields["category"]
        if category not in CATEGORIES:
            raise InvalidInput(
                f"{category[:40]!r} is not a category of taint", hint=f"Use one of {', '.join(CATEGORIES)}."
            )
        effect = fields.get("effect", usual_effect(category).value)
        if effect not in [e.value for e in Effect]:
            raise InvalidInput(
                f"{str(effect)[:40]!r} is not an effect of a taint",
                hint=f"Use one of {', '.join(e.value for e in Effect)}.",
            )
        check_reason("taint", fields.get("reason"))
        more = {name: fields.get(name, "") for name in _MORE}
        for name, limit in (("basis", MAX_BASIS), ("jurisdiction", MAX_JURISDICTION), ("appeal", MAX_APPEAL)):
            _check_line(name, more[name], limit)
        for name in ("evidence", "expires"):
            _check_line(name, more[name], 64)
        if more["evidence"] and not _HEX64.fullmatch(more["evidence"]):
            raise InvalidInput("a taint's evidence is named by its SHA-256, 64 hex digits")
        if more["expires"]:
            seconds(more["expires"])
        return cls(Subject.parse(fields["subject"]), category, fields["reason"], Effect(effect), **more)

    def ended(self, now: float) -> bool:
        """Whether its time is over.

        Args:
            now: Unix seconds.
        """
        return bool(self.expires) and self.expires <= printed(now)

    def is_hold(self, since: str) -> bool:
        """Whether it only hides or warns, for 72 hours at most: what one curator may order alone.

        Args:
            since: when it was signed, as printed.
        """
        gentle = self.effect in (Effect.HIDE, Effect.WARN)
        return gentle and bool(self.expires) and seconds(self.expires) - seconds(since) <= MAX_HOLD_S


@dataclass(frozen=True, slots=True)
class TaintBody:
    """The body of a ``taint`` event.

    Args:
        editor: the curator for whom the registrar signed; left out of the JSON when there is none.
    """

    order: Order
    editor: Editor | None = None

    def encode(self) -> bytes:
        """The canonical bytes that the event names by digest."""
        editor = {"editor": self.editor.encode()} if self.editor else {}
        return jcs.dumps({"v": 1, **self.order.fields(), **editor})

    @classmethod
    def parse(cls, data: bytes | Mapping[str, Any]) -> TaintBody:
        """
        Raises:
            InvalidInput: a field is missing, unknown or malformed.
        """
        fields = data if isinstance(data, Mapping) else jcs.loads(data)
        known = {*_NEEDED, *_MORE, "effect", "editor"}
        if not isinstance(fields, Mapping) or not _NEEDED <= set(fields) <= known:
            raise InvalidInput("a taint has the fields v, subject, category, reason, and no unknown ones")
        if fields["v"] != 1:
            raise InvalidInput("this version of taints is unknown")
        editor = Editor.parse(fields["editor"]) if "editor" in fields else None
        return cls(Order.read(fields), editor)


@dataclass(frozen=True, slots=True)
class LiftBody:
    """The body of a ``lift`` event, which follows the taint event in its chain.

    Args:
        editor: as in :class:`TaintBody`.
    """

    reason: str
    editor: Editor | None = None

    def encode(self) -> bytes:
        """The canonical bytes that the event names by digest."""
        editor = {"editor": self.editor.encode()} if self.editor else {}
        return jcs.dumps({"v": 1, "reason": self.reason, **editor})

    @classmethod
    def parse(cls, data: bytes | Mapping[str, Any]) -> LiftBody:
        """
        Raises:
            InvalidInput: a field is missing, unknown or malformed.
        """
        fields = data if isinstance(data, Mapping) else jcs.loads(data)
        if not isinstance(fields, Mapping) or not {"v", "reason"} <= set(fields) <= {"v", "reason", "editor"}:
            raise InvalidInput("a lift has the fields v, reason, and no unknown ones")
        if fields["v"] != 1:
            raise InvalidInput("this version of lifts is unknown")
        check_reason("lift", fields["reason"])
        return cls(fields["reason"], Editor.parse(fields["editor"]) if "editor" in fields else None)
