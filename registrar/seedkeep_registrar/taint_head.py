"""The current signed head of the taint list.

Version and list live in the database and change in the transaction of the taint's event; the head is signed
in the same transaction, and anew every ten minutes by the leading process, so that its expiry moves on. It is
stored there too: every process serves the same one, and none that is older than another it has served.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier
from seedkeep.core.taints.head import HEAD_LIFETIME_S, Head
from seedkeep_registrar.database import Database, Unavailable
from seedkeep_registrar.processes.signals import Kind, Signals, announce
from seedkeep_registrar.store import events, taint_heads


def _age(head: Head) -> tuple[int, int, int]:
    return head.version, head.log_size, head.expires


class TaintHead:
    """Holds the newest note this process has seen; :meth:`refresh` before the first use."""

    def __init__(
        self, db: Database, signals: Signals, origin: str, key: PrivateKey, clock: Callable[[], float]
    ) -> None:
        self._db = db
        self._origin = origin
        self._key = key
        self._clock = clock
        self._verifier = Verifier(origin, key.public)
        self._note = ""
        self._head: Head | None = None
        self._changed: list[Callable[[], None]] = []
        signals.on(Kind.HEAD, self._take)
        signals.on_resync(self.load)

    @property
    def note(self) -> str:
        """The signed note, see :class:`seedkeep.core.taints.head.Head`."""
        return self._note

    @property
    def version(self) -> int:
        """Version of the list."""
        return self._head.version if self._head else 0

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` on the event loop when there is a new version of the list."""
        self._changed.append(listener)

    async def newest(self) -> str:
        """The stored note, whichever process signed it; the last one known while the database is away."""
        try:
            await self.load()
        except Unavailable:
            if not self._note:
                raise
        return self._note

    async def load(self) -> None:
        """Take over what is stored.

        Raises:
            Unavailable: the database does not answer.
        """
        self._take(await self._db.read(taint_heads.current))

    async def refresh(self) -> None:
        """Sign the present state of the database."""
        self._take(await self._db.write(self.issue))

    def issue(self, connection: Connection) -> str:
        """Sign the state that this transaction makes, and tell every process when it is durable.

        Returns:
            The stored note, which is an older one where the clock has gone back, or the log.
        """
        state = events.lock(connection)
        expires = int(self._clock()) + HEAD_LIFETIME_S
        head = Head(self._origin, state.taint_version, state.size, state.taint_list, expires)
        stored = taint_heads.current(connection)
        if stored:
            last = Head.open(stored, self._verifier)
            if _age(head) <= _age(last) or events.is_set_back(connection, state):
                return stored
        note = head.sign(self._key)
        taint_heads.put(connection, note)
        announce(connection, Kind.HEAD, note)
        return note

    def _take(self, note: str) -> None:
        if not note or note == self._note:
            return
        head = Head.open(note, self._verifier)
        if self._head is not None and _age(head) < _age(self._head):
            return
        newer = self._head is not None and head.version > self._head.version
        self._head, self._note = head, note
        if newer:
            for listener in self._changed:
                listener()
