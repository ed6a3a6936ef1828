"""The client's view of one registrar's taints: a state machine without I/O, written like TUF's client.

A registrar publishes a signed *head* and the *list* it commits to. :class:`TrustedTaints` keeps what is
trusted and takes nothing that breaks a rule:

1. A head is loadable only if the registrar's present key signed it and it names that registrar's origin.
2. A head never goes back: its version and its log size are at least those trusted; the same version
   means the same list. (Rollback, replay.)
3. A head must not be expired at the time it is loaded, nor be valid for longer than 48 h. (Freeze.)
4. A version is at most the log size, for a list changes by nothing but an event in the log. (Fast-forward
   to a version after which there is none; see also rule 8.)
5. A list is loadable only after its head, and only if it has the size limit and digest that head names.
   (Flood, mix and match.)
6. An entry never changes and never vanishes: every id trusted before is in the new list, unchanged or
   lifted; a lift stays lifted. When it ends by itself is part of the entry. (Dropped, rewritten entry.)
7. Head and list replace the old ones together, or not at all.
8. When the registrar's key was rotated (:meth:`TrustedTaints.rotate`; see :mod:`seedkeep.core.keyring` for
   who may), what the old key signed stays in force until the first head and list under the new key, which
   rules 2 and 6 do not hold against what the old one signed: whoever had stolen it bound no client for ever.

Time works against a registrar that is silenced: see :meth:`TrustedTaints.freshness`. One time is used
throughout one update; what was loaded is to be stored (:meth:`TrustedTaints.dump`) after each step.

Example::

    taints = TrustedTaints(verifier)
    if taints.load_head(head_note, now=now):        # True: the list has changed, fetch it
        taints.load_list(list_bytes)
    for entry in taints.standing(content_id=cid, rids=[rid], roots=roots, now=now): ...
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import replace
from enum import IntEnum

from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.notes import Verifier
from seedkeep.core.taints.body import Subject, SubjectKind
from seedkeep.core.taints.entry import MAX_LIST_BYTES, Entry, encode_list, parse_list
from seedkeep.core.taints.head import Head

MAX_LIFETIME_S = 48 * 3600
STOP_CLAIMS_AFTER_S = 24 * 3600
STOP_SERVING_AFTER_S = 7 * 24 * 3600


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
        # what is trusted was signed by a key that is not the present one
        self._rotated = False

    @property
    def head(self) -> Head | None:
        """The trusted head, or None before the first one."""
        return self._head

    @property
    def entries(self) -> Collection[Entry]:
        """All trusted entries, those included that are lifted or past their time."""
        return self._entries.values()

    def dump(self) -> tuple[str, bytes]:
        """Head note and list bytes, to be persisted and given to :meth:`restore`."""
        return self._note, encode_list(self._entries.values())

    @classmethod
    def restore(
        cls, verifier: Verifier, note: str, data: bytes, *, former: Iterable[Verifier] = ()
    ) -> TrustedTaints:
        """Take back what :meth:`dump` gave; an expired head is restored too, for its memory counts.

        Args:
            verifier: the registrar's present key.
            former: keys that it had before, by one of which the note may be signed.

        Raises:
            InvalidInput, VerificationFailed: the stored state was tampered with.
        """
        taints = cls(verifier)
        if note:
            head, signer = _open(note, (verifier, *former))
            taints._pending = (head, note)
            taints.load_list(data)
            taints._rotated = signer != verifier
        return taints

    def rotate(self, verifier: Verifier) -> None:
        """Trust another key from now on (rule 8); its rotation has been verified by the caller.

        Raises:
            InvalidInput: it is another registrar's.
        """
        if verifier.name != self._verifier.name:
            raise InvalidInput(f"{verifier.name!r} is not the registrar {self._verifier.name!r}")
        if verifier != self._verifier:
            self._verifier, self._pending = verifier, None
            self._rotated = self._head is not None

    def load_head(self, note: str | bytes, *, now: float) -> bool:
        """Take a newer head (rules 1 to 4).

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
        if head.version > head.log_size:
            raise VerificationFailed(
                f"the taint head of {head.origin} has version {head.version} after {head.log_size} events"
            )
        old = None if self._rotated else self._head
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
        """Take the list that the last loaded head names (rules 5 to 7).

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
        for known in () if self._rotated else self._entries.values():
            entry = entries.get(known.id)
            if entry is None:
                raise VerificationFailed(f"{head.origin} dropped taint {known.id[:12]}… without lifting it")
            if replace(entry, lifted=known.lifted) != known or known.lifted not in ("", entry.lifted):
                raise VerificationFailed(f"{head.origin} rewrote taint {known.id[:12]}…")
        self._head, self._note, self._entries, self._pending = head, note, entries, None
        self._rotated = False

    def standing(
        self, *, now: float, content_id: str = "", rids: Iterable[str] = (), roots: Iterable[str] = ()
    ) -> list[Entry]:
        """The taints in force on any of these subjects, oldest first.

        Args:
            now: Unix seconds.
        """
        names = {Subject(SubjectKind.CONTENT, content_id)} if content_id else set()
        names |= {Subject(SubjectKind.RECORD, r) for r in rids}
        names |= {Subject(SubjectKind.ROOT, r) for r in roots if r}
        found = [e for e in self._entries.values() if e.subject in names and e.stands(now)]
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


def _open(note: str, verifiers: tuple[Verifier, ...]) -> tuple[Head, Verifier]:
    """The head, and whose of these keys signed it."""
    for verifier in verifiers[:-1]:
        try:
            return Head.open(note, verifier), verifier
        except VerificationFailed:
            continue
    return Head.open(note, verifiers[-1]), verifiers[-1]
