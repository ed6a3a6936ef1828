"""One registrar as a node sees it: enrol, heartbeat without end, and the letters that must arrive.

A heartbeat is a long poll: the registrar holds its answer back until it has something to say. Of an answer
taints come first, offers last. A registrar that is down, refuses, or talks nonsense stops nothing: what is
held goes on being served, and the link tries again with growing, jittered pauses.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from seedkeep.core.errors import Error, Unreachable
from seedkeep.core.httpsig import Unauthenticated
from seedkeep.core.statements import Action
from seedkeep.engine.waiting import set_within
from seedkeep.registrar_http import NotAnAnswer
from seedkeep.registrar_messages import Heartbeat, NodeProfile, RegistrarInfo, Report
from seedkeep.storage.audits import Audits
from seedkeep.storage.companions import Companions
from seedkeep.storage.manager import Manager
from seedkeep.storage.model import Errand, Letter, Registrar
from seedkeep.storage.rooms import Rooms

log = logging.getLogger(__name__)

#: heartbeats are never closer than this, seconds
_LEAST_GAP = 0.05
#: nor further apart, and a registrar that was down is asked again after this long at the latest
_MOST_WAIT = 60.0


@dataclass(slots=True)
class LinkStatus:
    """How things stand with a registrar; Unix seconds.

    Args:
        last: when it last answered, 0 for never.
        since: when it began to answer, or fell silent.
    """

    url: str
    reachable: bool = False
    last: float = 0.0
    error: str = ""
    since: float = 0.0


class Link:
    """The connection to one registrar.

    Args:
        profile, report: what to tell it, made when it is told.
        may_take: whether the node takes offers now.
    """

    def __init__(
        self,
        client: Registrar,
        rooms: Rooms,
        manager: Manager,
        audits: Audits,
        companions: Companions,
        *,
        profile: Callable[[], NodeProfile],
        report: Callable[[str], Report],
        may_take: Callable[[], bool],
        on_taints: Callable[[], Awaitable[None]],
    ) -> None:
        self._client = client
        self._rooms = rooms
        self._manager = manager
        self._audits = audits
        self._companions = companions
        self._profile = profile
        self._report = report
        self._may_take = may_take
        self._on_taints = on_taints
        self._woken = asyncio.Event()
        self._post = asyncio.Event()
        self._post.set()
        self.status = LinkStatus(client.url, since=rooms.now())
        #: URLs of the registrars that mirror it, None before it has told
        self.mirrors: list[str] | None = None

    def wake(self) -> None:
        """Something changed that the registrar should hear of now."""
        self._woken.set()

    def post(self) -> None:
        """Something is in the outbox."""
        self._post.set()

    async def run(self) -> None:
        """Keep the link up for ever; to be cancelled."""
        pause = self._rooms.patience.retry
        while True:
            began = time.monotonic()
            try:
                interval = await self._introduce()
                # whatever broke the link may have made the registrar's tracker forget its peers
                await self._rooms.engine.announce_all()
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._beats(interval))
                    group.create_task(self._letters())
            except* Error as failed:
                error = failed.exceptions[0]
                while isinstance(error, BaseExceptionGroup):
                    error = error.exceptions[0]
                self._down(error)
            if time.monotonic() - began > 60:
                pause = self._rooms.patience.retry
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(2 * pause, self._rooms.patience.retry_most, _MOST_WAIT)

    def _down(self, error: BaseException) -> None:
        if self.status.reachable:
            self.status.since = self._rooms.now()
        self.status.reachable, self.status.error = False, str(error)
        hint = error.hint if isinstance(error, Error) else ""
        self._rooms.problems.tell(f"registrar {self._client.url}", f"{error} {hint}".strip())

    def _hear_of_mirrors(self, info: RegistrarInfo) -> None:
        self.mirrors = [peer.url for peer in info.peers if peer.key is not None]

    def _up(self) -> None:
        now = self._rooms.now()
        if not self.status.reachable:
            self.status.since = now
        self.status.reachable, self.status.error, self.status.last = True, "", now

    async def _introduce(self) -> float:
        """Meet and enrol; gives the seconds between heartbeats."""
        info = await self._client.info()
        await self._rooms.taints.meet(self._client.url, info.vkey, former=info.former)
        await self._rooms.taints.pin(peer.key for peer in info.peers if peer.key)
        await self._client.enrol(self._profile())
        self._hear_of_mirrors(info)
        interval = self._rooms.settings.heartbeat or info.heartbeat_s
        return min(max(interval, 0.1), _MOST_WAIT)

    async def _beats(self, interval: float) -> None:
        wait = 0.0
        while True:
            began = time.monotonic()
            self._woken.clear()
            report = self._report(self._client.url)
            answer = await self._beat(report, wait)
            if answer is None:
                # Much may change at once, such as at the end of a burst of downloads.
                await asyncio.sleep(min(interval / 10, 0.5))
                continue
            self._up()
            self._hear_of_mirrors(await self._client.info())
            self._rooms.problems.clear(f"registrar {self._client.url}")
            moved = await self._act(report, answer)
            wait = interval
            if not moved:
                # A registrar that answers at once with what cannot be done now must not be asked in a circle.
                left = interval - (time.monotonic() - began)
                await set_within(self._woken, max(left, _LEAST_GAP))
            await asyncio.sleep(_LEAST_GAP)

    async def _beat(self, report: Report, wait: float) -> Heartbeat | None:
        """One heartbeat; None when it was called off because there is news to report."""
        beat = asyncio.create_task(self._client.heartbeat(report, wait=wait))
        woken = asyncio.create_task(self._woken.wait())
        try:
            await asyncio.wait([beat, woken], return_when=asyncio.FIRST_COMPLETED)
            # The answer is not thrown away when it comes at the same moment.
            return beat.result() if beat.done() else None
        finally:
            for task in (beat, woken):
                task.cancel()
            await asyncio.gather(beat, woken, return_exceptions=True)

    async def _act(self, report: Report, answer: Heartbeat) -> bool:
        """Do what an answer asks for; whether anything came of it."""
        url, moved = self._client.url, False
        moved |= await self._take_taints(answer)
        for cid in answer.release:
            await self._manager.release(url, cid, "released by the registrar")
        # What is to be released may come again until the registrar has heard that it is gone.
        named = frozenset(c.content_id for c in report.claims) - set(answer.release)
        await self._manager.renewed(url, named, answer.leases)
        self._audits.take(self._client, answer.challenges)
        moved |= bool(await self._companions.want(answer.companions))
        if self._may_take():
            moved |= bool(await self._manager.offered(url, answer.offers))
        return moved

    async def _take_taints(self, answer: Heartbeat) -> bool:
        thing, changed = f"head of {self._client.url}", False
        try:
            changed = await self._rooms.taints.take(self._client, answer.taint_head)
        except Unreachable:
            raise
        except Error as error:
            self._rooms.problems.tell(thing, f"A taint head was not taken: {error}")
        else:
            self._rooms.problems.clear(thing)
            self._rooms.taints.watch_age(self._client.url)
        changed |= await self._rooms.taints.hear(self._client, answer.taint_heads)
        if changed:
            await self._on_taints()
        return changed

    async def _letters(self) -> None:
        """Deliver the outbox, oldest first."""
        while True:
            self._post.clear()
            letters = await self._rooms.state.letters(self._client.url)
            kept = 0
            for letter in letters:
                try:
                    await self._deliver(letter)
                except Unreachable:
                    raise
                except Error as error:
                    log.warning("%s did not take a letter (%s): %s", letter.registrar, letter.errand, error)
                    if not _is_final(error):
                        kept += 1
                        continue
                await self._rooms.state.delivered(letter.number)
            if kept == len(letters):
                await set_within(self._post, min(30.0, self._rooms.patience.retry_most))

    async def _deliver(self, letter: Letter) -> None:
        client, cid, fields = self._client, letter.content_id, letter.fields
        match letter.errand:
            case Errand.ATTEST:
                await client.attest(
                    content_id=cid, manifest=fields["manifest"], infohash_v1=fields["infohash_v1"]
                )
            case Errand.RELEASE:
                await client.release(cid, fields["reason"])
            case Errand.RECEIPT:
                await client.removal_receipt(
                    taint=fields["taint"],
                    content_id=cid,
                    action=Action(fields["action"]),
                    bytes=fields["bytes"],
                    at=fields["at"],
                )
            case Errand.WEB_SEED:
                await client.report_web_seed(
                    content_id=cid, web_seed=fields["web_seed"], reason=fields["reason"]
                )


def _is_final(error: Error) -> bool:
    """Whether the registrar has understood a request and does not want it, however often it is sent.

    A fault of its own, an answer by something else in its place, or a clock that is off do not mean that.
    """
    return type(error) is not Error and not isinstance(error, NotAnAnswer | Unauthenticated)
