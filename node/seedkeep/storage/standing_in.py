"""While a registrar is silent, one of its mirrors stands in for it: offers, audits and leases go on there.

* A registrar that has said nothing for the setting ``takeover`` is stood in for by one of the mirrors it has
  named: the first in an order that is the same for all nodes, so that they meet at the same one and it sees
  all copies. A mirror that is silent as well is followed by the next.
* The node enrols there and claims what it holds for the silent one, without moving a byte. Offers of other
  datasets are taken only after the same time once more: first all copies that exist are to be counted.
* When the registrar has been back for a while, what it has a claim on is given back at the mirror; what was
  taken in meanwhile is offered to it, and kept for it if it wants that. Then the link to the mirror ends.

Who stands in for whom is in the node's state, so that a restart goes on with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from seedkeep.core.errors import Error
from seedkeep.registrar_messages import Offer
from seedkeep.storage.link import Link
from seedkeep.storage.manager import Manager
from seedkeep.storage.model import Claim, Phase, Registrar
from seedkeep.storage.rooms import Rooms

log = logging.getLogger(__name__)

_FACT = "stand-ins"
#: mirrors of one registrar that are remembered
_MOST_MIRRORS = 20
#: datasets claimed at a mirror before it is looked around again
_AT_ONCE = 100


@dataclass
class StandIn:
    """A mirror that stands in. ``registrars``: URLs of those that it stands in for; none while it leaves."""

    link: Link
    task: asyncio.Task[None]
    since: float
    registrars: list[str] = field(default_factory=list)


class StandIns:
    """All of them.

    Args:
        links: to the registrars that this node serves.
        clients: where the manager finds the clients of those that stand in.
        connect: makes a client for a mirror's URL, held to the key with which it was named; None for no
            stand-ins.
        link_to: makes a link that takes offers when it is told that it may.
        keep_up: runs a link until it is cancelled.
        after: seconds of silence after which a mirror stands in; 0 for never.
    """

    def __init__(
        self,
        rooms: Rooms,
        manager: Manager,
        links: Sequence[Link],
        *,
        clients: MutableMapping[str, Registrar],
        connect: Callable[[str], Registrar] | None,
        link_to: Callable[[Registrar, Callable[[], bool]], Link],
        keep_up: Callable[[Link], asyncio.Task[None]],
        after: float,
    ) -> None:
        self._rooms = rooms
        self._manager = manager
        self._served = {link.status.url: link for link in links}
        self._clients = clients
        self._connect = connect
        self._link_to = link_to
        self._keep_up = keep_up
        self._after = after
        self._all: dict[str, StandIn] = {}

    @property
    def links(self) -> list[Link]:
        """The links to mirrors that stand in."""
        return [one.link for one in self._all.values()]

    def stands_in_for(self, url: str) -> list[str]:
        """The registrars that a mirror stands in for."""
        return list(self._all[url].registrars) if url in self._all else []

    def of(self, url: str) -> list[str]:
        """The mirrors that stand in for a registrar."""
        return [mirror for mirror, one in self._all.items() if url in one.registrars]

    async def restore(self) -> None:
        """Go on with those of the last run."""
        stored = json.loads(self._rooms.state.fact(_FACT, "{}")) if self._connect else {}
        for mirror, registrars in stored.items():
            self._begin(mirror, [url for url in registrars if url in self._served])

    async def close(self) -> None:
        """End all links; nothing is given back. Idempotent."""
        tasks = [one.task for one in self._all.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def run(self) -> None:
        """Look after them for ever; to be cancelled."""
        while True:
            await asyncio.sleep(self._rooms.patience.tick)
            await self.look_after()

    async def look_after(self) -> None:
        """Send in, report, and let go, as things stand."""
        before = self._names()
        for url, link in self._served.items():
            await self._remember_mirrors(link)
            if self._connect is not None and self._silent_for(link) > self._after > 0:
                self._send_in(url)
            elif self._answering_for(link) > self._rooms.patience.settle:
                await self._hand_back(url, link)
        for mirror, one in list(self._all.items()):
            if one.link.status.reachable:
                await self._report(mirror, one.registrars)
            if not one.registrars:
                await self._let_go(mirror, one)
        if self._names() != before:
            await self._rooms.state.put_fact(_FACT, json.dumps(self._names()))

    def _names(self) -> dict[str, list[str]]:
        return {mirror: list(one.registrars) for mirror, one in self._all.items()}

    def _silent_for(self, link: Link) -> float:
        return 0.0 if link.status.reachable else self._rooms.now() - link.status.since

    def _answering_for(self, link: Link) -> float:
        return self._rooms.now() - link.status.since if link.status.reachable else 0.0

    # --- mirrors ---------------------------------------------------------------------------------------

    async def _remember_mirrors(self, link: Link) -> None:
        if link.mirrors is None:
            return
        name, told = f"mirrors of {link.status.url}", json.dumps(link.mirrors[:_MOST_MIRRORS])
        if self._rooms.state.fact(name) != told:
            await self._rooms.state.put_fact(name, told)

    def _mirrors(self, url: str) -> list[str]:
        """The mirrors of a registrar, in the order in which all nodes try them."""
        named = json.loads(self._rooms.state.fact(f"mirrors of {url}", "[]"))
        mirrors = [mirror for mirror in named if mirror != url]
        return sorted(mirrors, key=lambda mirror: hashlib.sha256(f"{url} {mirror}".encode()).digest())

    def _send_in(self, url: str) -> None:
        for mirror in self._mirrors(url):
            if served := self._served.get(mirror):
                link = served  # it is told of everything as it is
            else:
                one = self._all.get(mirror) or self._begin(mirror, [])
                link = one.link
                if url not in one.registrars:
                    one.registrars.append(url)
                    log.warning("%s is silent; its mirror %s stands in for it", url, mirror)
            if self._silent_for(link) <= self._after:
                return

    def _begin(self, mirror: str, registrars: Iterable[str]) -> StandIn:
        assert self._connect is not None
        client, since = self._connect(mirror), self._rooms.now()
        self._clients[mirror] = client
        link = self._link_to(client, lambda: self._rooms.now() - since > self._after)
        one = self._all[mirror] = StandIn(link, self._keep_up(link), since, list(registrars))
        return one

    # --- what they are told ----------------------------------------------------------------------------

    async def _report(self, mirror: str, registrars: Iterable[str]) -> None:
        """Claim at a mirror what is held for those that it stands in for."""
        for url in registrars:
            await self._offer(mirror, self._lacking(mirror, self._rooms.state.claims_by(url)))

    def _lacking(self, url: str, claims: Iterable[Claim]) -> list[Claim]:
        """The claims on whole datasets that this registrar has none on."""
        state = self._rooms.state
        whole = [c for c in claims if state.holdings[c.content_id].phase is Phase.COMPLETE]
        return [c for c in whole if state.claim(c.content_id, url) is None]

    async def _offer(self, url: str, claims: Sequence[Claim]) -> None:
        """Let a registrar have claims on what is held, as if it had offered it."""
        held = self._rooms.state.holdings
        offers = [
            Offer(c.content_id, c.rid, held[c.content_id].bytes, held[c.content_id].files)
            for c in claims[:_AT_ONCE]
        ]
        await self._manager.offered(url, offers)

    # --- the way back ----------------------------------------------------------------------------------

    async def _hand_back(self, url: str, link: Link) -> None:
        """A registrar is back: it has the say again over what it has a claim on, and may have the rest."""
        state = self._rooms.state
        for mirror in self.of(url):
            one = self._all[mirror]
            others = len(one.registrars) > 1
            if not others:
                await self._offer(url, self._lacking(url, state.claims_by(mirror)))
            for claim in state.claims_by(mirror):
                if state.claim(claim.content_id, url) is not None:
                    await self._give_back(mirror, claim)
            # what it does not want within the same time is not for it
            over = self._answering_for(link) > self._rooms.patience.settle + self._after
            if others or over or not state.claims_by(mirror):
                one.registrars.remove(url)

    async def _give_back(self, mirror: str, claim: Claim) -> None:
        with suppress(Error):
            await self._manager.release(mirror, claim.content_id, "its home registrar is back")

    async def _let_go(self, mirror: str, one: StandIn) -> None:
        """Give back all that is left, and end the link when the mirror has heard of it."""
        state = self._rooms.state
        for claim in state.claims_by(mirror):
            await self._give_back(mirror, claim)
        if state.claims_by(mirror) or await state.letters(mirror):
            return
        one.task.cancel()
        await asyncio.gather(one.task, return_exceptions=True)
        del self._all[mirror], self._clients[mirror]
        await state.drop_registrar(mirror)
        self._rooms.problems.clear(f"registrar {mirror}")
        log.warning("%s stands in no more", mirror)
