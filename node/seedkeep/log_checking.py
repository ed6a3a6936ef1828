"""A whole log, re-computed from outside: its tree, its signed head, every event and every chain of events.

Nothing is taken from the server but bytes: the entries have to give the root that the pinned key has signed,
each has to be an event of that registrar with a good signature, and every event but a first one has to
follow the one before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from seedkeep.core.errors import VerificationFailed
from seedkeep.core.log.checkpoint import MAX_CHECKPOINT_BYTES, Checkpoint
from seedkeep.core.log.sync import Entry, Fetch, Recall, Store, follow
from seedkeep.core.log.trusted_log import TrustedLog
from seedkeep.core.notes import Verifier
from seedkeep.core.revision import REHOME

#: gets a file of the log by its path, such as ``checkpoint``; at most that many bytes
Get = Callable[[str, int], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Checked:
    """A log that holds.

    Args:
        note: its signed head.
        kinds: how many events there are of each type.
        bytes: of all entries.
    """

    checkpoint: Checkpoint
    note: str
    kinds: dict[str, int]
    bytes: int


class _Chains:
    """The last event of every chain."""

    def __init__(self) -> None:
        self._heads: dict[str, tuple[int, str]] = {}

    def take(self, index: int, entry: Entry) -> None:
        event = entry.event
        rid = event.rid or entry.hash
        seq, head = self._heads.get(rid, (-1, ""))
        follows = (event.seq, event.prev) == (seq + 1, head)
        # of a record that comes from another registrar the events before are in the log of that one
        if not follows and not (event.type == REHOME and event.seq > seq):
            raise VerificationFailed(
                f"entry {index}, event {event.seq} of record {rid[:12]}…, does not follow the one before it"
            )
        self._heads[rid] = event.seq, entry.hash


async def check_log(get: Get, verifier: Verifier, *, advance: Callable[[int, int, int], None]) -> Checked:
    """Check the whole log of ``verifier``.

    Args:
        advance: is told how many entries were checked, how many there are, and the bytes so far.

    Raises:
        InvalidInput, VerificationFailed: something does not hold.
        Misbehaviour: it does not, and the registrar itself has signed it.
        NotFound, Unreachable: a file of the log cannot be had.
    """
    note = (await get("checkpoint", MAX_CHECKPOINT_BYTES)).decode("utf-8", "replace")
    trusted, chains = TrustedLog(verifier), _Chains()
    kinds: dict[str, int] = {}
    size = 0
    steps = follow(trusted, note, 0, {})
    answer: list[bytes] | None = None
    try:
        while True:
            step = steps.send(answer)
            answer = None
            if isinstance(step, Fetch):
                answer = await asyncio.gather(*(get(tile.path, tile.max_bytes) for tile in step.tiles))
            elif isinstance(step, Store):
                for index, entry in enumerate(step.entries, step.start):
                    chains.take(index, entry)
                    kinds[entry.event.type] = kinds.get(entry.event.type, 0) + 1
                    size += len(entry.leaf)
                advance(step.start + len(step.entries), trusted.checkpoint.size, size)
            else:
                assert not isinstance(step, Recall)  # nothing was trusted before
    except StopIteration:
        return Checked(trusted.checkpoint, trusted.note or note, kinds, size)
