"""The current signed head of the taint list.

Version and list live in the database and change in the transaction of the taint's event; the head is
signed anew from there whenever they change and every ten minutes, so that its expiry moves on.
"""

from __future__ import annotations

from collections.abc import Callable

from seedkeep.core.keys import PrivateKey
from seedkeep.core.taint import HEAD_LIFETIME_S, Head
from seedkeep_registrar.database import Database
from seedkeep_registrar.store import events


class TaintHead:
    """Holds the note; :meth:`refresh` before the first use."""

    def __init__(self, db: Database, origin: str, key: PrivateKey, clock: Callable[[], float]) -> None:
        self._db = db
        self._origin = origin
        self._key = key
        self._clock = clock
        self._note = ""
        self._head: Head | None = None

    @property
    def note(self) -> str:
        """The signed note, see :class:`seedkeep.core.taint.Head`."""
        return self._note

    @property
    def version(self) -> int:
        """Version of the list."""
        return self._head.version if self._head else 0

    async def refresh(self) -> None:
        """Sign the present state of the database."""
        state = await self._db.read(events.log_state)
        head = Head(
            self._origin,
            state.taint_version,
            state.size,
            state.taint_list,
            int(self._clock()) + HEAD_LIFETIME_S,
        )
        if self._head is None or (head.version, head.log_size) >= (self._head.version, self._head.log_size):
            self._head, self._note = head, head.sign(self._key)
