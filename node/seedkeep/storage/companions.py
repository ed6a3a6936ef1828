"""The v1-only companions of complete datasets, seeded from the same bytes while somebody asks for them.

A companion is built from the checked manifest and the v1 pieces that were computed from the bytes on disk.
It is loaded when a registrar says that somebody asks, and unloaded when it was without peers for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from seedkeep.core.errors import Error
from seedkeep.engine.model import Engine, TorrentSpec
from seedkeep.storage.documents import Documents

MOST = 2000


@dataclass(frozen=True, slots=True)
class Source:
    """Where a companion's bytes lie; ``shared``: in a sharer's folder, seeded in place."""

    infohash_v1: str
    save_path: Path
    trackers: tuple[str, ...]
    shared: bool


class Companions:
    """Loads and unloads companions.

    Args:
        find: gives the source of a complete dataset, or None.
        idle: seconds without peers after which one is unloaded.
    """

    def __init__(
        self, engine: Engine, documents: Documents, find: Callable[[str], Source | None], *, idle: float
    ) -> None:
        self._engine = engine
        self._documents = documents
        self._find = find
        self._idle = idle
        self._loaded: dict[str, tuple[str, float]] = {}
        self._turn = asyncio.Lock()

    def loaded(self) -> tuple[str, ...]:
        """Content ids of all that are loaded."""
        return tuple(self._loaded)

    async def want(self, content_ids: Iterable[str]) -> int:
        """Load these, if they are held; returns how many were new."""
        new = 0
        async with self._turn:
            for cid in content_ids:
                if cid in self._loaded:
                    self._loaded[cid] = (self._loaded[cid][0], time.monotonic())
                elif len(self._loaded) < MOST and (source := self._find(cid)) is not None:
                    new += await self._load(cid, source)
        return new

    async def _load(self, cid: str, source: Source) -> bool:
        try:
            spec = TorrentSpec(
                metainfo=await self._documents.companion(cid, shared=source.shared),
                save_path=source.save_path,
                key=source.infohash_v1,
                trackers=source.trackers,
                complete=True,
                read_only=source.shared,
            )
            await self._engine.add(spec)
        except Error:
            # Whoever asks gets the dataset from other nodes; scrub and audit find what is wrong here.
            return False
        self._loaded[cid] = (source.infohash_v1, time.monotonic())
        return True

    async def drop(self, cid: str) -> None:
        """Unload one; on return no file of it is open. Idempotent."""
        async with self._turn:
            found = self._loaded.pop(cid, None)
            if found is not None:
                await self._engine.remove(found[0])

    async def unload_idle(self) -> None:
        """Unload those that nobody has used for a while."""
        now = time.monotonic()
        for cid, (key, used) in list(self._loaded.items()):
            try:
                status = self._engine.status(key)
            except Error:
                await self.drop(cid)
                continue
            if status.state in ("downloading", "failed"):
                await self.drop(cid)
            elif status.peers:
                self._loaded[cid] = (key, now)
            elif now - used > self._idle:
                await self.drop(cid)
