"""The checkpoint that was acknowledged last, kept beside the database in ``acknowledged.note``.

Whatever tool brings an old database back (a snapshot of ours, PostgreSQL's own, a copied file): if its log is
shorter than this note says, or another one, the registrar does not start. Otherwise it would give events the
positions of others that it has signed already. The note is at most a second behind, never ahead.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection

from seedkeep.core.errors import InvalidInput, UsageError
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.tiles import Places, root_of_tiles, tiles_of_root
from seedkeep.core.notes import Verifier
from seedkeep_registrar import durable
from seedkeep_registrar.database import Database
from seedkeep_registrar.processes.signals import Signals
from seedkeep_registrar.store import trees
from seedkeep_registrar.store.events import OWN, log_state
from seedkeep_registrar.store.trees import Signed

_LOG = logging.getLogger(__name__)
FILE = "acknowledged.note"
_EVERY_S = 1.0


class Acknowledged:
    """Keeps the note of one data folder."""

    def __init__(self, db: Database, signals: Signals, data: Path) -> None:
        """
        Args:
            signals: tell whether this process is the one that writes the note.
        """
        self._db = db
        self._signals = signals
        self._place = data / FILE
        self._size = -1
        # a write that was cancelled goes on in its thread, while the last one begins
        self._writing = threading.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self, verifier: Verifier) -> None:
        """Check the database against the note, then keep it.

        Raises:
            UsageError: the database's log is not the one that was acknowledged, or a part of it.
            InvalidInput, VerificationFailed: the note is not this registrar's.
        """
        try:
            note = await asyncio.to_thread(self._place.read_bytes)
        except FileNotFoundError:
            note = b""
        if note:
            await self._db.read(_require, Checkpoint.open(note, verifier), self._place)
        await self.keep()
        self._task = asyncio.create_task(self._repeat())

    async def stop(self) -> None:
        """Write it a last time."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            await self.keep()

    async def keep(self) -> None:
        """Bring the note up to date."""
        if not self._signals.leading:
            return
        newest = await self._db.read(_newest)
        if newest is not None and newest.size > self._size:
            await asyncio.to_thread(self._write, newest.note.encode(), newest.size)

    def _write(self, note: bytes, size: int) -> None:
        with self._writing:
            if size <= self._size:
                return
            durable.replace(self._place, note)
            self._size = size

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self.keep()
            except Exception:
                _LOG.exception("%s could not be written", self._place)


def _newest(connection: Connection) -> Signed | None:
    """What was signed last of what is here; a claimed checkpoint may wait for entries that were lost."""
    return trees.newest_up_to(connection, OWN, log_state(connection).size)


def _require(connection: Connection, acknowledged: Checkpoint, place: Path) -> None:
    size = log_state(connection).size
    if size >= acknowledged.size:
        tiles = trees.tiles(connection, OWN, [tile.place for tile in tiles_of_root(acknowledged.size)])
        with suppress(KeyError, InvalidInput):
            if root_of_tiles(Places(tiles), acknowledged.size) == acknowledged.root:
                return
    missing = acknowledged.size - size
    what = (
        f"{missing} events that were acknowledged are missing"
        if missing > 0
        else "its log is another one than was acknowledged"
    )
    raise UsageError(
        f"the database is older than this registrar's last answers: {what}",
        hint=f"Restore a newer copy of it: {place} knows of {acknowledged.size} events, it of {size}.",
    )
