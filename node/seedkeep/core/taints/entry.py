"""One line of a published taint list, and the list: JCS, a line each, ascending by id.

An entry is what the curators signed, when it came into force, who agreed, and the event that lifted it. It
never leaves the list: a lift is written into it, and whether it has expired is for its reader's clock.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput
from seedkeep.core.taints.body import Effect, Order, Subject, seconds

MAX_LIST_BYTES = 64 * 1024 * 1024
MAX_ENTRY_BYTES = 16 * 1024
#: what a lift adds to an entry
LIFT_BYTES = 64
_HEX64 = re.compile(r"[0-9a-f]{64}")
_OWN = frozenset({"id", "created", "approvers", "lifted"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list.

    Args:
        id: the hash of the taint event.
        order: as in its body.
        created: when it took effect, UTC as printed.
        approvers: the curators' keys, or ``account:ID`` of those for whom the registrar signed.
        lifted: hash of the lift event, or "" while the taint was not lifted.
    """

    id: str
    order: Order
    created: str
    approvers: tuple[str, ...]
    lifted: str = ""

    @property
    def subject(self) -> Subject:
        """What it is about."""
        return self.order.subject

    @property
    def effect(self) -> Effect:
        """What is to be done."""
        return self.order.effect

    @property
    def category(self) -> str:
        """One of :data:`seedkeep.core.taints.body.CATEGORIES`."""
        return self.order.category

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self.order.reason

    def stands(self, now: float) -> bool:
        """Whether it is in force: neither lifted nor past its time.

        Args:
            now: Unix seconds.
        """
        return not self.lifted and not self.order.ended(now)

    def wipes_at(self) -> float | None:
        """From when on the bytes are to be deleted, Unix seconds; None: they are kept."""
        after = self.effect.wipe_after_s
        return None if after is None else seconds(self.created) + after

    def encode(self) -> bytes:
        """The canonical line, without its newline."""
        own = {
            "id": self.id,
            "created": self.created,
            "approvers": list(self.approvers),
            "lifted": self.lifted,
        }
        return jcs.dumps({**self.order.fields(), **own})

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """
        Raises:
            InvalidInput: it is not the canonical form of an entry.
        """
        fields = jcs.loads(line, limit=MAX_ENTRY_BYTES)
        if not isinstance(fields, dict) or not set(fields) >= _OWN:
            raise InvalidInput("an entry of a taint list has wrong fields")
        approvers = fields["approvers"]
        texts = (fields["id"], fields["created"], fields["lifted"])
        if not isinstance(approvers, list) or not all(isinstance(t, str) for t in (*texts, *approvers)):
            raise InvalidInput("an entry of a taint list has a field of the wrong type")
        entry = cls(fields["id"], Order.read(fields), fields["created"], tuple(approvers), fields["lifted"])
        seconds(entry.created)
        good_lift = entry.lifted == "" or _HEX64.fullmatch(entry.lifted)
        # also: no field that is unknown, none that is empty and could be left out
        if not _HEX64.fullmatch(entry.id) or not good_lift or entry.encode() != line:
            raise InvalidInput("an entry of a taint list is not in canonical form")
        return entry


def encode_list(entries: Iterable[Entry]) -> bytes:
    """The list's bytes: one entry a line, by id."""
    return b"".join(e.encode() + b"\n" for e in sorted(entries, key=lambda e: e.id))


def parse_list(data: bytes) -> dict[str, Entry]:
    """
    Raises:
        InvalidInput: it is too long, a line is malformed, or ids are not unique and ascending.
    """
    if len(data) > MAX_LIST_BYTES:
        raise InvalidInput(f"a taint list of {len(data)} bytes is over the limit of {MAX_LIST_BYTES} bytes")
    if data and not data.endswith(b"\n"):
        raise InvalidInput("a taint list is cut short")
    entries = [Entry.parse(line) for line in data.split(b"\n")[:-1]]
    if any(a.id >= b.id for a, b in itertools.pairwise(entries)):
        raise InvalidInput("a taint list is not sorted by id")
    return {e.id: e for e in entries}
