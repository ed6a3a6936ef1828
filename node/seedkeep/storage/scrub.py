"""Reading every held byte again, the longest unread first, within a budget of bytes per second.

A piece that went bad is not noticed by seeding alone. What is found is repaired by the manager; what taints
withhold is left alone. Where the scrub was is remembered, so that a restart goes on from there.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

from seedkeep.core.errors import Error
from seedkeep.core.manifest import Manifest
from seedkeep.storage.checking import Stopped, check_file
from seedkeep.storage.model import Holding, Phase
from seedkeep.storage.rooms import Rooms

_LOOK_AGAIN = 60.0
#: files are counted off in the state after so many bytes
_REMEMBER_BYTES = 1 << 30


class Scrub:
    """Re-hashes what is complete.

    Args:
        repair: told the content id and what is wrong.
    """

    def __init__(self, rooms: Rooms, repair: Callable[[str, str], Awaitable[None]]) -> None:
        self._rooms = rooms
        self._repair = repair
        self.bytes_read = 0
        self.found = 0
        self.now: str = ""

    def next_due(self) -> tuple[float, str] | None:
        """(Unix seconds, content id) of what is to be read next."""
        every = self._rooms.settings.scrub_every
        complete = [
            h
            for h in self._rooms.state.holdings.values()
            if h.phase is Phase.COMPLETE and not self._rooms.duties.of(h.content_id).stop
        ]
        return min(((h.scrubbed + every, h.content_id) for h in complete), default=None)

    async def run(self) -> None:
        """Scrub for ever; to be cancelled."""
        while self._rooms.settings.scrub_rate > 0:
            due = self.next_due()
            wait = self._rooms.patience.tick if due is None else due[0] - self._rooms.now()
            if due is None or wait > 0:
                await asyncio.sleep(min(max(wait, 0.05), _LOOK_AGAIN))
                continue
            await self.scrub(due[1])

    async def scrub(self, cid: str) -> bool:
        """Read one dataset; True when all of it is right. What is wrong goes to ``repair``."""
        rooms, self.now = self._rooms, cid
        try:
            manifest = (await rooms.documents.load(cid)).manifest
            folder = rooms.layout.save_path(cid)
            begun, first = rooms.state.fact("scrub").split() if rooms.state.fact("scrub") else ("", "0")
            since = 0
            for index in range(int(first) if begun == cid else 0, len(manifest.files)):
                if not self._still_complete(cid):
                    return False
                if self._is_withheld(cid, manifest, index):
                    continue

                def read(stop: threading.Event, index: int = index) -> bool:
                    return check_file(folder, manifest, index, stop, self._pacer(stop))

                if not await rooms.in_thread(read) and not self._is_withheld(cid, manifest, index):
                    self.found += 1
                    await self._repair(cid, f"{manifest.files[index].path} has changed on the disk")
                    return False
                since += manifest.files[index].size
                if since > _REMEMBER_BYTES:
                    since = 0
                    await rooms.state.put_fact("scrub", f"{cid} {index + 1}")
            if self._still_complete(cid):
                await rooms.state.amend(cid, scrubbed=rooms.now())
        except Stopped:
            return False
        except Error as error:
            await self._repair(cid, str(error))
            return False
        finally:
            self.now = ""
        return True

    def _is_withheld(self, cid: str, manifest: Manifest, index: int) -> bool:
        held = self._rooms.state.holdings.get(cid)
        return held is not None and manifest.files[index].root in held.withheld

    def _still_complete(self, cid: str) -> bool:
        held: Holding | None = self._rooms.state.holdings.get(cid)
        return held is not None and held.phase is Phase.COMPLETE

    def _pacer(self, stop: threading.Event) -> Callable[[int], None]:
        """Blocks the reading thread so that the budget holds; a scrub that was asked for needs none."""
        rate, began, done = self._rooms.settings.scrub_rate, time.monotonic(), 0

        def pace(count: int) -> None:
            nonlocal done
            done += count
            self.bytes_read += count
            ahead = done / rate - (time.monotonic() - began) if rate else 0.0
            if ahead > 0:
                stop.wait(ahead)

        return pace
