"""What a node holds, moved towards what it should hold.

In the layout we want: every dataset with a lease is complete, verified and served; nothing is on the disk
that is tainted or has no lease; nothing is begun that the pledge has no room for; the neediest comes first.
So, for each dataset:

1. An offer is taken, in the order given, if a download place and room are free and no taint stands on it.
   Room is reserved before the claim is asked for.
2. From there :class:`seedkeep.storage.way.Way` leads it on. What may pass (a registrar that is down) is tried
   again, with growing pauses; what lasts (refused, tainted, no room, wrong bytes) ends in its removal.
   What once was complete is not removed for a fault of this machine or a lack of sources: it may be the
   last copy.
3. A lease that is not renewed is asked for once more; the bytes are kept for a while, should it have been
   an accident, and removed then. A dataset with claims of several registrars stays until the last is gone.
4. What a taint forbids is not served any more at once; see :mod:`seedkeep.storage.obedience`.
5. Removal is announced in the state first, so that it goes on after a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

from seedkeep.core.errors import Error, NoSpace, Unreachable
from seedkeep.core.placement import footprint
from seedkeep.core.statements import Action
from seedkeep.core.taints.trusted import Freshness
from seedkeep.core.units import print_size
from seedkeep.registrar_messages import Lease, Offer
from seedkeep.storage.homes import keep_home
from seedkeep.storage.model import Claim, Errand, Holding, Letter, Phase, receipt_fields
from seedkeep.storage.obedience import Obedience
from seedkeep.storage.rooms import Rooms
from seedkeep.storage.way import Way, attest_fields, is_lasting, is_worth_keeping

log = logging.getLogger(__name__)

_DECLINED_FOR = 60.0
_DECLINED_MOST = 86_400.0
#: so many refusals are remembered, and so many offers of one heartbeat are looked at
_DECLINED_KEPT = 10_000
_OFFERS = 200
#: how often an error of the disk is tried again
_TRIES = 5


class Manager:
    """The datasets of one node.

    Args:
        on_change: called when registrars should hear something soon: a place or room has become free.
        before_removal: called with a content id before its files go.
    """

    def __init__(
        self,
        rooms: Rooms,
        *,
        on_change: Callable[[], None],
        before_removal: Callable[[str], Awaitable[None]],
    ) -> None:
        self._rooms = rooms
        self._on_change = on_change
        self._before_removal = before_removal
        self._ways: dict[str, asyncio.Task[None]] = {}
        self._removals: dict[str, asyncio.Task[None]] = {}
        self._declined: dict[str, tuple[float, float]] = {}
        self._muted: set[str] = set()
        self._started = 0.0
        self.way = Way(rooms)
        self.obedience = Obedience(rooms, self)

    # --- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Go on with every dataset where it was; taints come first."""
        self._started = time.monotonic()
        await self.obedience.obey()
        for cid, holding in list(self._rooms.state.holdings.items()):
            if holding.phase is Phase.REMOVING:
                self._finish_removal(cid)
            else:
                self.go_on(cid)

    async def close(self) -> None:
        """Stop all work; nothing is lost. Idempotent."""
        tasks = [*self._ways.values(), *self._removals.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _own(self, tasks: dict[str, asyncio.Task[None]], cid: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks[cid] = task

        def done(_: asyncio.Task[None]) -> None:
            if tasks.get(cid) is task:
                del tasks[cid]

        task.add_done_callback(done)

    def go_on(self, cid: str) -> None:
        """Lead a dataset on from where it is, unless a taint forbids it."""
        if cid not in self._ways and not self.obedience.forbids(cid):
            self._own(self._ways, cid, self._walk(cid))

    async def _walk(self, cid: str) -> None:
        """Step by step until it is served or given up."""
        pause, tries = self._rooms.patience.retry, 0
        while holding := self._rooms.state.holdings.get(cid):
            try:
                if not await self.way.step(holding):
                    self._on_change()
                    return
                pause, tries = self._rooms.patience.retry, 0
                continue
            except Error as error:
                tries += not isinstance(error, Unreachable)
                lasting = is_lasting(error) or tries >= _TRIES
                if lasting and not is_worth_keeping(holding, error):
                    if await self._give_up(holding, error):
                        return
                else:
                    self._tell(holding, str(error))
                    pause = self._rooms.patience.retry_most if lasting else pause
            except Exception:
                log.exception("dataset %s…", cid[:12])
                self._tell(holding, "it met a fault of this program")
                pause = self._rooms.patience.retry_most
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(2 * pause, self._rooms.patience.retry_most)

    def _tell(self, holding: Holding, what: str) -> None:
        name = holding.name or f"{holding.content_id[:12]}…"
        self._rooms.problems.tell(f"dataset {holding.content_id}", f"{name}: {what}")

    async def _give_up(self, holding: Holding, error: Error) -> bool:
        """Begin its removal; False when not even that can be written down now."""
        self._decline(holding.content_id)
        try:
            if isinstance(error, NoSpace) and holding.phase is not Phase.COMPLETE:
                # On a full disk its own bytes must go first, or the removal cannot even be written down.
                await self.way.start_over(holding.content_id)
            await self.remove(holding.content_id, str(error))
        except Error as worse:
            self._tell(holding, str(worse))
            return False
        name = holding.name or f"{holding.content_id[:12]}…"
        self._rooms.problems.tell(f"gave up {holding.content_id}", f"{name} was given up: {error}")
        return True

    def _decline(self, cid: str) -> None:
        """Do not take this offer again for a while, longer each time."""
        _, before = self._declined.get(cid, (0.0, _DECLINED_FOR / 2))
        pause = min(2 * before, _DECLINED_MOST)
        self._declined.pop(cid, None)
        self._declined[cid] = (time.monotonic() + pause, pause)
        while len(self._declined) > _DECLINED_KEPT:
            del self._declined[next(iter(self._declined))]

    # --- offers ----------------------------------------------------------------------------------------

    def fetching(self) -> list[Holding]:
        """Datasets on their way that take a download place."""
        return [
            h
            for h in self._rooms.state.holdings.values()
            if h.phase not in (Phase.COMPLETE, Phase.REMOVING)
            and h.content_id not in self.way.stalled
            and h.content_id not in self.obedience.stopped
        ]

    async def offered(self, registrar: str, offers: Iterable[Offer]) -> int:
        """Take what can be taken, in the order given; returns how many were taken."""
        if self._rooms.taints.freshness(registrar) >= Freshness.NO_CLAIMS:
            return 0
        taken = 0
        for offer in itertools.islice(offers, _OFFERS):
            held = self._rooms.state.holdings.get(offer.content_id)
            until, _ = self._declined.get(offer.content_id, (0.0, 0.0))
            if until > time.monotonic():
                continue
            if self._rooms.taints.duty(offer.content_id, rids=[offer.rid]).stop:
                continue
            if held is not None:
                taken += await self._claim_too(registrar, held, offer)
            elif len(self.fetching()) < self._rooms.settings.downloads:
                taken += await self._reserve(registrar, offer)
        return taken

    async def _reserve(self, registrar: str, offer: Offer) -> bool:
        need = footprint(offer.bytes, offer.files)
        async with self._rooms.pledge.turn:
            try:
                await asyncio.to_thread(self._rooms.pledge.require, need, f"dataset {offer.content_id[:12]}…")
            except NoSpace as error:
                log.info("%s", error)
                self._decline(offer.content_id)
                return False
            await self._rooms.state.reserve(
                Holding(
                    offer.content_id,
                    Phase.RESERVED,
                    need,
                    offer.bytes,
                    offer.files,
                    since=self._rooms.now(),
                ),
                Claim(offer.content_id, registrar, offer.rid),
            )
        self._rooms.problems.clear(f"gave up {offer.content_id}")
        self.go_on(offer.content_id)
        return True

    async def _claim_too(self, registrar: str, held: Holding, offer: Offer) -> bool:
        """Another registrar offers what is held: the same bytes serve it as well."""
        if held.phase is not Phase.COMPLETE or self._rooms.state.claim(held.content_id, registrar):
            return False
        client = self._rooms.clients[registrar]
        try:
            record = await client.record(offer.rid)
            if await keep_home(self._rooms.state, record):
                await self.obedience.obey()
            lease = await client.claim(held.content_id)
            trackers = (*record.trackers, *(await client.info()).trackers)
        except Error as error:
            log.info("%s", error)
            self._decline(held.content_id)
            return False
        claim = Claim(
            held.content_id,
            registrar,
            offer.rid,
            lease.expires,
            0.0,
            tuple(dict.fromkeys(trackers)),
            record.web_seeds,
            record.state.home,
        )
        attest = attest_fields(held.manifest, held.infohash_v1)
        letter = Letter(registrar, Errand.ATTEST, held.content_id, attest)
        await self._rooms.state.put_claims([claim], letters=[letter])
        self.go_on(held.content_id)  # it is announced at that registrar's tracker as well
        return True

    # --- leases ----------------------------------------------------------------------------------------

    async def renewed(self, registrar: str, named: frozenset[str], leases: Iterable[Lease]) -> None:
        """Look at the leases that answer a heartbeat in which the ``named`` claims stood."""
        given = {lease.content_id for lease in leases}
        claims = {c.content_id: c for c in self._rooms.state.claims_by(registrar)}
        found = [replace(c, lost=0.0) for cid, c in claims.items() if c.lost and cid in given]
        if found:
            await self._rooms.state.put_claims(found)
        for cid in named - given:
            if claim := claims.get(cid):
                await self._missed(claim)

    async def _missed(self, claim: Claim) -> None:
        over = claim.lost and self._rooms.now() - claim.lost > self._rooms.patience.lost
        if (claim.lost and not over) or claim.content_id in self.obedience.stopped:
            return
        try:
            await self._rooms.clients[claim.registrar].claim(claim.content_id)
        except Unreachable:
            return
        except Error as error:
            if over:
                await self.release(claim.registrar, claim.content_id, "the lease was not renewed")
            else:
                log.info("lease of %s… at %s is lost: %s", claim.content_id[:12], claim.registrar, error)
                await self._rooms.state.put_claims([replace(claim, lost=self._rooms.now())])
            return
        await self._rooms.state.put_claims([replace(claim, lost=0.0)])

    async def release(self, registrar: str, cid: str, reason: str) -> None:
        """Give one registrar's claim up; remove the dataset when it was the last one."""
        claims = self._rooms.state.claims_on(cid)
        if not any(c.registrar == registrar for c in claims):
            return
        if len(claims) > 1:
            letter = Letter(registrar, Errand.RELEASE, cid, {"reason": reason})
            await self._rooms.state.drop_claim(cid, registrar, letters=[letter])
        else:
            await self.remove(cid, reason)

    # --- removal ---------------------------------------------------------------------------------------

    async def remove(self, cid: str, reason: str, *, receipts: tuple[tuple[str, str], ...] = ()) -> None:
        """Begin to remove a dataset: when this returns, it will be gone, whatever happens."""
        await self._end_way(cid)
        holding = self._rooms.state.holdings.get(cid)
        if holding is None:
            return
        if holding.phase is not Phase.REMOVING:
            await self._rooms.state.move(cid, Phase.REMOVING, reason=reason, receipts=receipts)
        elif set(receipts) - set(holding.receipts):
            await self._rooms.state.amend(cid, receipts=tuple(dict.fromkeys((*holding.receipts, *receipts))))
        self._finish_removal(cid)

    async def halt(self, cid: str) -> None:
        """End what is being done for a dataset, and unload it; on return no file of it is open."""
        await self._end_way(cid)
        await self._before_removal(cid)
        await self._rooms.engine.remove(cid)
        self._muted.discard(cid)

    async def _end_way(self, cid: str) -> None:
        """End what is being done for a dataset, unless it is the caller's own doing."""
        walking = self._ways.get(cid)
        if walking is not None and walking is not asyncio.current_task():
            walking.cancel()
            await asyncio.wait([walking])

    def _finish_removal(self, cid: str) -> None:
        if cid not in self._removals:
            self._own(self._removals, cid, self._clear_away(cid))

    async def _clear_away(self, cid: str) -> None:
        rooms = self._rooms
        await self._before_removal(cid)
        await rooms.engine.remove(cid)
        freed = await asyncio.to_thread(rooms.layout.taken_by, cid)
        try:
            await asyncio.to_thread(rooms.layout.remove, cid)
        except Error as error:
            rooms.problems.tell(f"removal of {cid}", f"{error} {error.hint}")
            return
        rooms.documents.forget(cid)
        holding = rooms.state.holdings[cid]
        receipts = [
            Letter(url, Errand.RECEIPT, cid, receipt_fields(taint, Action.REMOVED, freed, rooms.now()))
            for url, taint in holding.receipts
        ]
        told = {url for url, _ in holding.receipts}
        releases = [
            Letter(claim.registrar, Errand.RELEASE, cid, {"reason": holding.reason})
            for claim in rooms.state.claims_on(cid)
            if claim.registrar not in told
        ]
        await rooms.state.gone(cid, letters=[*receipts, *releases])
        self.way.forget(cid)
        self.obedience.forget(cid)
        self._muted.discard(cid)
        for thing in ("removal of", "dataset"):
            rooms.problems.clear(f"{thing} {cid}")
        log.info("removed %s… (%s), %s freed", cid[:12], holding.reason, print_size(freed))
        self._on_change()

    # --- upkeep ----------------------------------------------------------------------------------------

    async def repair(self, cid: str, why: str) -> None:
        """Bytes of a complete dataset are wrong: serve it no more until they are fetched again."""
        holding = self._rooms.state.holdings.get(cid)
        if holding is None or holding.phase is not Phase.COMPLETE:
            return
        self._rooms.problems.tell(f"dataset {cid}", f"{holding.name}: {why}; it is fetched again.")
        await self.halt(cid)
        await self.way.unserve(cid)
        with contextlib.suppress(Error):
            await self._rooms.state.move(cid, Phase.DOWNLOADING)
            self.go_on(cid)

    async def look_after(self) -> None:
        """What has to be done every few seconds."""
        state, engine = self._rooms.state, self._rooms.engine
        if not self.obedience.done:
            await self.obedience.obey()
        for cid, holding in list(state.holdings.items()):
            if holding.phase is Phase.REMOVING:
                self._finish_removal(cid)
            elif holding.phase is not Phase.COMPLETE:
                # Whoever put it where it is may have been cancelled before it could go on.
                self.go_on(cid)
        for status in engine.statuses():
            held = state.holdings.get(status.key)
            if held is None or held.phase is not Phase.COMPLETE or status.key in self._ways:
                continue
            if status.state in ("downloading", "failed"):
                await self.repair(status.key, status.error or "the engine found a piece of it wrong")
        await self._mute()
        await self._shrink()

    async def _mute(self) -> None:
        """Do not serve what only registrars vouch for that have been silent for too long."""
        state, engine, taints = self._rooms.state, self._rooms.engine, self._rooms.taints
        silent = {u for u in state.registrar_urls() if taints.watch_age(u) is Freshness.NO_SERVING}
        if not silent and not self._muted:
            return
        for cid, holding in list(state.holdings.items()):
            claims = state.claims_on(cid)
            mute = bool(claims) and all(c.registrar in silent for c in claims)
            loaded = holding.phase is Phase.COMPLETE and not self.obedience.forbids(cid)
            if loaded and mute != (cid in self._muted):
                with contextlib.suppress(Error):
                    await (engine.pause(cid) if mute else engine.resume(cid))
                    (self._muted.add if mute else self._muted.discard)(cid)
                if mute:
                    await self._before_removal(cid)

    async def _shrink(self) -> None:
        """The pledge was lowered below what is held: give back what is on its way, later the newest."""
        pledge = self._rooms.pledge
        if pledge.account().free >= 0:
            self._rooms.problems.clear("shrink")
            return
        held = [h for h in self._rooms.state.holdings.values() if h.phase is not Phase.REMOVING]
        going = sum(h.reserved for h in self._rooms.state.holdings.values() if h.phase is Phase.REMOVING)
        self._rooms.problems.tell(
            "shrink",
            f"More is held than the pledge of {print_size(pledge.limit)}; the newest are given back.",
        )
        patient = time.monotonic() - self._started < self._rooms.patience.shrink
        newest = sorted(held, key=lambda h: (h.phase is Phase.COMPLETE, -h.since))
        over = -pledge.account().free - going
        for holding in newest:
            if over <= 0 or (patient and holding.phase is Phase.COMPLETE):
                return
            await self.remove(holding.content_id, "the pledge was lowered")
            over -= holding.reserved
