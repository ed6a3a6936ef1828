"""The peers of all swarms, in memory; bounded, and every operation independent of their number.

Peers are kept twice: in one ordered map, the one seen longest ago first, for look-up, expiry and the
bound; and in their swarm in arrays, for picking some at random. A peer is its address and port, so an
announce can touch no entry but those of its own address.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from seedkeep_registrar.tracker.answers import Counts

#: peers one host may have in one swarm: enough for a lab behind one address, too few to flood it
MAX_PER_HOST = 128
_V4 = 6


def _host(endpoint: bytes) -> bytes:
    """Who is behind an endpoint: an IPv4 address, or the /64 network that an IPv6 host chooses from."""
    return endpoint[:4] if len(endpoint) == _V4 else endpoint[:8]


class Peer:
    """One peer of one swarm; ``slot`` is its place in its pool."""

    __slots__ = ("endpoint", "info_hash", "peer_id", "seed", "slot", "until")

    def __init__(
        self, info_hash: bytes, endpoint: bytes, peer_id: bytes, *, seed: bool, until: float
    ) -> None:
        self.info_hash = info_hash
        self.endpoint = endpoint
        self.peer_id = peer_id
        self.seed = seed
        self.until = until
        self.slot = 0


@dataclass(slots=True)
class _Swarm:
    seeds: list[Peer] = field(default_factory=list)
    leechers: list[Peer] = field(default_factory=list)
    hosts: dict[bytes, int] = field(default_factory=dict)

    def pool(self, *, seed: bool) -> list[Peer]:
        return self.seeds if seed else self.leechers

    def put(self, peer: Peer) -> None:
        pool = self.pool(seed=peer.seed)
        peer.slot = len(pool)
        pool.append(peer)

    def take(self, peer: Peer) -> None:
        pool = self.pool(seed=peer.seed)
        last = pool.pop()
        if last is not peer:  # the last one fills the gap
            pool[peer.slot] = last
            last.slot = peer.slot


class PeerStore:
    """
    Args:
        max_peers: most peers of all swarms together; beyond it the one seen longest ago goes.
        ttl_s: seconds after its last announce that a peer is forgotten.
        random: where picks come from.
    """

    def __init__(self, *, max_peers: int, ttl_s: float, random: Random) -> None:
        self._max_peers = max_peers
        self._ttl_s = ttl_s
        self._random = random
        self._peers: OrderedDict[bytes, Peer] = OrderedDict()
        self._swarms: dict[bytes, _Swarm] = {}
        self._completed: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def knows(self, info_hash: bytes, endpoint: bytes) -> bool:
        """Whether the peer is there."""
        return info_hash + endpoint in self._peers

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._peers.values())

    def put(self, info_hash: bytes, endpoint: bytes, peer_id: bytes, *, seed: bool, now: float) -> bool:
        """Add or refresh a peer.

        Args:
            endpoint: compact address and port (6 or 18 bytes).
            now: seconds on any clock that never goes back.

        Returns:
            False when its host has too many peers in this swarm; nothing was kept.
        """
        self.expire(now)
        key = info_hash + endpoint
        peer = self._peers.get(key)
        if peer is not None:
            peer.until, peer.peer_id = now + self._ttl_s, peer_id
            self._peers.move_to_end(key)
            if peer.seed is not seed:
                swarm = self._swarms[info_hash]
                swarm.take(peer)
                peer.seed = seed
                swarm.put(peer)
            return True
        swarm = self._swarms.get(info_hash) or self._swarms.setdefault(info_hash, _Swarm())
        host = _host(endpoint)
        listening = swarm.hosts.get(host, 0)
        if listening >= MAX_PER_HOST:
            return False
        swarm.hosts[host] = listening + 1
        peer = Peer(info_hash, endpoint, peer_id, seed=seed, until=now + self._ttl_s)
        swarm.put(peer)
        self._peers[key] = peer
        if len(self._peers) > self._max_peers:
            self._remove(next(iter(self._peers)))
        return True

    def drop(self, info_hash: bytes, endpoint: bytes) -> None:
        """Forget a peer that has stopped; unknown ones are fine."""
        if info_hash + endpoint in self._peers:
            self._remove(info_hash + endpoint)

    def completed(self, info_hash: bytes, endpoint: bytes) -> None:
        """Count a finished download of a peer that was known to lack something."""
        peer = self._peers.get(info_hash + endpoint)
        if peer is not None and not peer.seed:
            self._completed[info_hash] = self._completed.get(info_hash, 0) + 1

    def expire(self, now: float) -> None:
        """Forget all peers whose time is over."""
        peers = self._peers
        while peers:
            key = next(iter(peers))
            if peers[key].until > now:
                return
            self._remove(key)

    def _remove(self, key: bytes) -> None:
        peer = self._peers.pop(key)
        swarm = self._swarms[peer.info_hash]
        swarm.take(peer)
        host = _host(peer.endpoint)
        swarm.hosts[host] -= 1
        if not swarm.hosts[host]:
            del swarm.hosts[host]
        if not swarm.seeds and not swarm.leechers:
            del self._swarms[peer.info_hash]

    def counts(self, info_hash: bytes) -> Counts:
        """Seeds, others, and completed downloads of a swarm."""
        completed = self._completed.get(info_hash, 0)
        swarm = self._swarms.get(info_hash)
        if swarm is None:
            return Counts(completed=completed)
        return Counts(len(swarm.seeds), len(swarm.leechers), completed)

    def pick(self, info_hash: bytes, count: int, *, besides: bytes, seeds: bool) -> list[Peer]:
        """Up to ``count`` peers of a swarm at random, without the one at endpoint ``besides``.

        Args:
            seeds: whether seeds are wanted too; if so at least half of the answer, where there are so
                many, is seeds.
        """
        swarm = self._swarms.get(info_hash)
        if swarm is None or count <= 0:
            return []
        asking = self._peers.get(info_hash + besides)
        leechers = len(swarm.leechers) - (asking is not None and not asking.seed)
        room = max(count - leechers, (count + 1) // 2)
        picked = self._sample(swarm.seeds, room + 1) if seeds else []
        picked = [p for p in picked if p.endpoint != besides][:room]
        others = self._sample(swarm.leechers, count - len(picked) + 1)
        return [*picked, *(p for p in others if p.endpoint != besides)][:count]

    def _sample(self, pool: list[Peer], count: int) -> list[Peer]:
        return pool if count >= len(pool) else self._random.sample(pool, count)


def compact(peers: list[Peer]) -> tuple[bytes, bytes]:
    """The joined endpoints, IPv4 and IPv6."""
    endpoints = [p.endpoint for p in peers]
    v4 = b"".join([e for e in endpoints if len(e) == _V4])
    v6 = b"".join([e for e in endpoints if len(e) != _V4])
    return v4, v6


def long_form(peers: list[Peer], *, peer_ids: bool) -> list[tuple[bytes, bytes]]:
    """Endpoints with their peer ids, or without."""
    return [(p.endpoint, p.peer_id if peer_ids else b"") for p in peers]
