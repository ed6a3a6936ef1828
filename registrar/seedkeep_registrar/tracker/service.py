"""The tracker without its HTTP: takes a query string and the peer's address, gives the answer's bytes."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from random import Random

from seedkeep.core.errors import InvalidInput
from seedkeep_registrar.recent import Recent
from seedkeep_registrar.store.datasets import Tracked
from seedkeep_registrar.tracker.answers import (
    announce_answer,
    endpoint,
    failure,
    long_answer,
    scrape_answer,
)
from seedkeep_registrar.tracker.companions import SeedWaiters
from seedkeep_registrar.tracker.peers import PeerStore, compact, long_form
from seedkeep_registrar.tracker.requests import Announce, Happening, parse_announce, parse_scrape
from seedkeep_registrar.tracker.sharing import Said, What

#: asks the store about the 20 bytes of an info-hash
LookUp = Callable[[bytes], Awaitable[Tracked | None]]
#: tells the nodes that hold this content to load its companion
Wanted = Callable[[str], Awaitable[None]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Pace:
    """How often peers come back, in seconds, and what the tracker keeps.

    Attributes:
        interval_s: between two announces of a peer of a healthy swarm.
        lonely_interval_s: the same while the swarm has no seed for it.
        hold_s: how long an announce waits for a companion to be loaded.
        max_held: announces that wait at once.
        max_peers: peers of all swarms together.
    """

    interval_s: int = 900
    lonely_interval_s: int = 10
    hold_s: float = 3.0
    max_held: int = 512
    max_peers: int = 500_000

    @property
    def ttl_s(self) -> float:
        """A peer may miss one announce, and be late with the next."""
        return self.interval_s * 2 + 60


class Tracker:
    """
    Args:
        look_up: asks the store what an info-hash stands for.
        wanted: called with a content id whose companion has no seed.
        tell: called with what peers say, for the trackers of other processes.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        look_up: LookUp,
        wanted: Wanted,
        *,
        pace: Pace,
        clock: Callable[[], float],
        random: Random,
        tell: Callable[[Said], None] = lambda said: None,
    ) -> None:
        self._wanted = wanted
        self._tell = tell
        self._pace = pace
        self._clock = clock
        self._peers = PeerStore(max_peers=pace.max_peers, ttl_s=pace.ttl_s, random=random)
        self._waiters = SeedWaiters(pace.max_held)
        #: what info-hashes stand for; to be told about new records and taints
        self.registered = Recent(look_up, clock)

    @property
    def peers(self) -> int:
        """Peers of all swarms."""
        return len(self._peers)

    def all_peers(self) -> Iterator[Said]:
        """Every peer, for a tracker that knows none yet."""
        for peer in self._peers:
            what = What.KNOWN_SEED if peer.seed else What.KNOWN_LEECHER
            yield Said(what, peer.info_hash, peer.peer_id, peer.endpoint)

    def heard(self, said: list[Said]) -> None:
        """Take in what peers said to the tracker of another process."""
        now = self._clock()
        for one in said:
            known = one.what in (What.KNOWN_SEED, What.KNOWN_LEECHER)
            if not (known and self._peers.knows(one.info_hash, one.endpoint)):
                self._take(one, now)

    async def announce(self, query: str, address: Address) -> bytes:
        """Answer an announce; whatever the query, the answer is a bencoded dictionary.

        Args:
            query: as it came, percent-encoded.
            address: where it came from; this and no other is registered.
        """
        try:
            asked = parse_announce(query)
        except InvalidInput as error:
            return failure(error.what)
        content = await self.registered.find(asked.info_hash)
        if content is None or not content.servable:
            return _refusal(content)
        where = endpoint(address, asked.port)
        self._note(asked, where)
        if self._must_wait(asked, content):
            await self._hold(asked.info_hash, content.content_id)
            content = await self.registered.find(asked.info_hash)
            if content is None or not content.servable:  # a taint may have come meanwhile
                return _refusal(content)
        return self._answer(asked, where)

    async def scrape(self, query: str) -> bytes:
        """Answer a scrape; unknown and tainted torrents are left out of it."""
        try:
            hashes = parse_scrape(query)
        except InvalidInput as error:
            return failure(error.what)
        self._peers.expire(self._clock())
        known = []
        for info_hash in hashes:
            content = await self.registered.find(info_hash)
            if content is not None and content.servable:
                known.append((info_hash, self._peers.counts(info_hash)))
        return scrape_answer(known)

    def _note(self, asked: Announce, where: bytes) -> None:
        now = self._clock()
        self._peers.expire(now)
        if asked.happening is Happening.STOPPED:
            whats = [What.STOPPED]
        else:
            whats = [What.COMPLETED] if asked.happening is Happening.COMPLETED and asked.left == 0 else []
            if asked.port:  # else it does not listen, so nobody can be sent there
                whats.append(What.SEEDS if asked.left == 0 else What.LEECHES)
        for what in whats:
            said = Said(what, asked.info_hash, asked.peer_id, where)
            self._take(said, now)
            self._tell(said)

    def _take(self, said: Said, now: float) -> None:
        if said.what is What.STOPPED:
            self._peers.drop(said.info_hash, said.endpoint)
        elif said.what is What.COMPLETED:
            self._peers.completed(said.info_hash, said.endpoint)
        else:
            seed = said.what in (What.SEEDS, What.KNOWN_SEED)
            kept = self._peers.put(said.info_hash, said.endpoint, said.peer_id, seed=seed, now=now)
            if kept and seed:
                self._waiters.seed_came(said.info_hash)

    async def _hold(self, info_hash: bytes, content_id: str) -> None:
        if not self._waiters.awaited(info_hash):  # else the nodes have been told just now
            await self._wanted(content_id)
        if not self._peers.counts(info_hash).seeds:
            await self._waiters.wait(info_hash, self._pace.hold_s)

    def _must_wait(self, asked: Announce, content: Tracked) -> bool:
        wants = asked.left > 0 and asked.numwant > 0 and asked.happening is not Happening.STOPPED
        return wants and content.companion and not self._peers.counts(asked.info_hash).seeds

    def _answer(self, asked: Announce, where: bytes) -> bytes:
        counts = self._peers.counts(asked.info_hash)
        lonely = asked.left > 0 and not counts.seeds and asked.happening is not Happening.STOPPED
        interval = self._pace.lonely_interval_s if lonely else self._pace.interval_s
        min_interval = max(1, interval // 2)
        wanted = 0 if asked.happening is Happening.STOPPED else asked.numwant
        found = self._peers.pick(asked.info_hash, wanted, besides=where, seeds=asked.left > 0)
        if not asked.compact:
            listed = long_form(found, peer_ids=not asked.no_peer_id)
            return long_answer(counts, interval=interval, min_interval=min_interval, peers=listed)
        peers, peers6 = compact(found)
        return announce_answer(
            counts, interval=interval, min_interval=min_interval, peers=peers, peers6=peers6
        )


def _refusal(content: Tracked | None) -> bytes:
    if content is None:
        return failure("this registrar has no record of this torrent")
    return failure("this dataset is tainted or withdrawn: it is not shared any more; see its page")
