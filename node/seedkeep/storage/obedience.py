"""Obeying taints on what a node holds.

* *remove*: the dataset is removed, as the manager removes; so is what was quarantined when its time is over.
* *quarantine*, *hide*: its torrent leaves the engine at once, so that no peer gets a byte of it; bytes and
  pledge stay. When nothing demands it any more (lifted, expired), it is served again.
* on a file: the torrent is loaded anew without it. What is to be deleted is, and its room is free; what is
  only hidden lies out of the engine's reach. The rest of the dataset is served, scrubbed and audited.

For each a signed receipt goes into the outbox, with what was done. What is demanded follows from the stored
taint lists and the clock alone, so nothing is forgotten by a restart; a timer wakes at the moment when
something ends or is to be deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from seedkeep.core.errors import Error, NoSpace
from seedkeep.core.manifest import Manifest
from seedkeep.core.statements import Action
from seedkeep.core.taints.duty import Duty
from seedkeep.engine.waiting import set_within
from seedkeep.storage.homes import Homes
from seedkeep.storage.model import Errand, Letter, Phase, receipt_fields
from seedkeep.storage.rooms import Rooms

#: datasets that are worked on at the same time
AT_ONCE = 16
_WITH_FILES = (Phase.DOWNLOADING, Phase.VERIFYING, Phase.COMPLETE)
_Files = tuple[frozenset[str], frozenset[str]]
_ALL_IN_PLACE: _Files = (frozenset(), frozenset())


class Hands(Protocol):
    """What the manager does for it."""

    async def halt(self, cid: str) -> None:
        """End what is being done for a dataset, and unload it; on return no file of it is open."""

    def go_on(self, cid: str) -> None:
        """Lead it on from where it is."""

    def remove(self, cid: str, reason: str, *, receipts: tuple[tuple[str, str], ...]) -> Awaitable[None]:
        """Begin to remove it."""


class Obedience:
    """Keeps every dataset as taints demand."""

    def __init__(self, rooms: Rooms, hands: Hands) -> None:
        self._rooms = rooms
        self._hands = hands
        self._turn = asyncio.Lock()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._arranged: dict[str, _Files] = {}
        self._moving: set[str] = set()
        self._next: float | None = None
        #: asks whether what does not bind yet has to
        self.homes = Homes(rooms, self.obey)
        self._changed = asyncio.Event()
        #: datasets that are not served
        self.stopped: set[str] = set()
        #: whether all was done at the last try
        self.done = True

    def forbids(self, cid: str) -> bool:
        """Whether nothing is to be done for a dataset now but what is done here."""
        return cid in self.stopped or cid in self._moving

    def forget(self, cid: str) -> None:
        """The dataset is gone."""
        self.stopped.discard(cid)
        self._arranged.pop(cid, None)
        self.homes.advised(cid, ())
        self._rooms.duties.forget(cid)

    async def run(self) -> None:
        """Obey again whenever something ends or is to be deleted; to be cancelled."""
        while True:
            self._changed.clear()
            left = None if self._next is None else self._next - self._rooms.now()
            if left is not None and left <= 0:
                await self.obey()
            else:
                # Not longer: the clock may be set.
                look = self._rooms.patience.clock
                await set_within(self._changed, look if left is None else min(left, look))

    async def obey(self) -> None:
        """Bring every dataset into line; what fails is told, and :attr:`done` is False."""
        async with self._turn:
            self.done, self._next = False, None
            await self._rooms.duties.look()
            cids = list(self._rooms.state.holdings)
            failed = await asyncio.gather(*map(self._obey, cids), return_exceptions=True)
            for cid, error in zip(cids, failed, strict=True):
                if isinstance(error, Error):
                    self._rooms.problems.tell(f"taint on {cid}", f"A taint is not obeyed yet: {error}")
                elif error is not None:
                    raise error
                else:
                    self._rooms.problems.clear(f"taint on {cid}")
            self.done = not any(failed)
            self._changed.set()

    def _wake_at(self, moment: float | None) -> None:
        if moment is not None and (self._next is None or moment < self._next):
            self._next = moment

    async def _obey(self, cid: str) -> None:
        duty = self._rooms.duties.of(cid)
        self.homes.advised(cid, duty.advice)
        self._wake_at(duty.until)
        async with self._places:
            holding = self._rooms.state.holdings.get(cid)
            if holding is None:
                return
            if duty.wipe or holding.phase is Phase.REMOVING:
                if duty.binding:
                    await self._remove(cid, duty)
                return
            if duty.stop and cid not in self.stopped:
                self.stopped.add(cid)
                await self._hands.halt(cid)
            if holding.phase in _WITH_FILES:
                await self._arrange(cid, duty)
            await self._tell(cid, duty, 0)
            if not duty.stop and cid in self.stopped:
                self.stopped.discard(cid)
                self._hands.go_on(cid)

    async def _remove(self, cid: str, duty: Duty) -> None:
        claims, reason = self._rooms.state.claims_on(cid), duty.binding[0].entry.reason
        receipts = [
            (url, told.entry.id)
            for told in duty.binding
            for url in self._rooms.taints.receivers(told.origin, claims)
        ]
        await self._hands.remove(cid, f"tainted: {reason}", receipts=tuple(dict.fromkeys(receipts)))

    # --- files -----------------------------------------------------------------------------------------

    async def _arrange(self, cid: str, duty: Duty) -> None:
        """Put the files of a dataset where they belong."""
        rooms, holding = self._rooms, self._rooms.state.holdings[cid]
        before = self._arranged.get(cid, None if holding.withheld else _ALL_IN_PLACE)
        if before == (duty.hidden, duty.wiped):
            return
        manifest = (await rooms.documents.load(cid)).manifest
        wiped = duty.wiped | await self._without_room(cid, manifest, set(holding.withheld) - duty.withheld)
        if before == (duty.hidden, wiped):
            return
        self._moving.add(cid)
        try:
            await self._hands.halt(cid)
            holding = rooms.state.holdings[cid]
            # Announced before it is made, so that after a crash nobody looks for what is gone.
            announced = sorted({*holding.withheld, *duty.withheld})
            if announced != list(holding.withheld):
                await rooms.state.amend(cid, withheld=tuple(announced))
            taken = await asyncio.to_thread(rooms.layout.taken_by, cid)
            await asyncio.to_thread(rooms.layout.withhold, cid, manifest, duty.hidden, wiped)
            left = await asyncio.to_thread(rooms.layout.taken_by, cid)
            holding = rooms.state.holdings[cid]
            # What comes back keeps the room that it was given until it is there and measured.
            shrinks = holding.phase is Phase.COMPLETE and not set(announced) - duty.withheld
            withheld = tuple(sorted(duty.hidden | wiped))
            await rooms.state.amend(
                cid, withheld=withheld, reserved=min(left, holding.reserved) if shrinks else holding.reserved
            )
            await self._tell(cid, duty, max(taken - left, 0))
            if not withheld and not holding.infohash_v1 and holding.phase is Phase.COMPLETE:
                # Not all of it was there when it was verified.
                await rooms.state.move(cid, Phase.DOWNLOADING)
            self._arranged[cid] = (duty.hidden, frozenset(wiped))
        finally:
            self._moving.discard(cid)
        self._hands.go_on(cid)

    async def _without_room(self, cid: str, manifest: Manifest, back: set[str]) -> set[str]:
        """Reserve the room of the files that come back; those for which there is none stay away a while."""
        rooms, holding = self._rooms, self._rooms.state.holdings[cid]
        lost = {
            file.root
            for number, file in enumerate(manifest.files)
            if file.root in back and not await asyncio.to_thread(rooms.layout.is_aside, cid, number)
        }
        whole = rooms.layout.footprint(manifest)
        if not lost or whole <= holding.reserved:
            return set()
        try:
            async with rooms.pledge.turn:
                await asyncio.to_thread(
                    rooms.pledge.require, whole, manifest.name, instead_of=holding.reserved
                )
                await rooms.state.amend(cid, reserved=whole)
        except NoSpace as error:
            rooms.problems.tell(
                f"room for {cid}", f"Files of {manifest.name} are not withheld any more, but {error}"
            )
            self._wake_at(rooms.now() + rooms.patience.retry_most)
            return lost
        rooms.problems.clear(f"room for {cid}")
        return set()

    # --- receipts --------------------------------------------------------------------------------------

    async def _tell(self, cid: str, duty: Duty, freed: int) -> None:
        """Put the receipts for what was done into the outbox, each once."""
        rooms = self._rooms
        now, claims, holding = rooms.now(), rooms.state.claims_on(cid), rooms.state.holdings[cid]
        done = {
            (url, told.entry.id, told.action(now).value)
            for told in duty.binding
            for url in rooms.taints.receivers(told.origin, claims)
        }
        new = sorted(done - set(holding.obeyed))
        if not new:
            return
        letters = [
            Letter(
                url,
                Errand.RECEIPT,
                cid,
                receipt_fields(taint, Action(action), freed if action == Action.REMOVED else 0, now),
            )
            for url, taint, action in new
        ]
        standing = {told.entry.id for told in duty.binding}
        kept = {one for one in holding.obeyed if one[1] in standing}
        await rooms.state.amend(cid, letters=letters, obeyed=tuple(sorted(kept | set(new))))
