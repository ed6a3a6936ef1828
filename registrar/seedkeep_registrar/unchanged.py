"""Answers that hold until something is written, whatever it is; so none is ever older than the database.

Only where this process is the only one that writes, which is with SQLite: with PostgreSQL every question goes
to the database.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from seedkeep_registrar.database import Database

#: bytes of the largest answer that is kept
_LARGEST = 4096


class Unchanged:
    """The bodies of answers, by what was asked."""

    def __init__(self, db: Database, *, limit: int = 5000) -> None:
        """
        Args:
            limit: most answers kept.
        """
        self._db = db
        self._limit = limit
        self._written = -1
        self._answers: dict[str, bytes] = {}

    async def find(self, asked: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """What ``make`` has answered since the last write, or answers now.

        Raises:
            whatever ``make`` raises; that is not kept.
        """
        if self._db.shared:
            return await make()
        if self._written != self._db.written:
            self._answers.clear()
            self._written = self._db.written
        known = self._answers.get(asked)
        if known is not None:
            return known
        before = self._db.written
        made = await make()
        # what was written while it was made may not be in it
        if before == self._written == self._db.written and len(made) <= _LARGEST:
            if len(self._answers) >= self._limit:
                del self._answers[next(iter(self._answers))]
            self._answers[asked] = made
        return made
