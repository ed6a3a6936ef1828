"""Writes the answers of the tracker (BEP 3, 7, 23, 48); pure.

The compact answer is written by hand, since it is most of what a tracker does; keys stand in the order
of their raw bytes, as bencode wants.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seedkeep.core.bencode import Writable, encode

_MAX_REASON = 300


@dataclass(frozen=True, slots=True)
class Counts:
    """How many peers a swarm has: seeds, others, and downloads completed since the tracker started."""

    seeds: int = 0
    leechers: int = 0
    completed: int = 0


def endpoint(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bytes:
    """The compact form: 4 or 16 bytes of address and two of port. A mapped IPv4 address becomes IPv4."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.packed + port.to_bytes(2, "big")


def announce_answer(
    counts: Counts, *, interval: int, min_interval: int, peers: bytes, peers6: bytes
) -> bytes:
    """The compact answer (BEP 23, BEP 7).

    Args:
        interval, min_interval: seconds.
        peers, peers6: compact endpoints, joined.
    """
    answer = b"d8:completei%de10:incompletei%de8:intervali%de12:min intervali%de5:peers%d:%b" % (
        counts.seeds,
        counts.leechers,
        interval,
        min_interval,
        len(peers),
        peers,
    )
    if peers6:
        answer += b"6:peers6%d:%b" % (len(peers6), peers6)
    return answer + b"e"


def long_answer(
    counts: Counts,
    *,
    interval: int,
    min_interval: int,
    peers: Sequence[tuple[bytes, bytes]],
) -> bytes:
    """The list of dictionaries of BEP 3, for ``compact=0``.

    Args:
        peers: pairs of compact endpoint and peer id (empty: left out).
    """
    listed: list[Writable] = []
    for where, peer_id in peers:
        peer: dict[bytes, Writable] = {
            b"ip": str(ipaddress.ip_address(where[:-2])).encode(),
            b"port": int.from_bytes(where[-2:], "big"),
        }
        if peer_id:
            peer[b"peer id"] = peer_id
        listed.append(peer)
    return encode(
        {
            b"complete": counts.seeds,
            b"incomplete": counts.leechers,
            b"interval": interval,
            b"min interval": min_interval,
            b"peers": listed,
        }
    )


def scrape_answer(files: Iterable[tuple[bytes, Counts]]) -> bytes:
    """The answer of BEP 48."""
    return encode(
        {
            b"files": {
                info_hash: {
                    b"complete": c.seeds,
                    b"downloaded": c.completed,
                    b"incomplete": c.leechers,
                }
                for info_hash, c in files
            }
        }
    )


def failure(reason: str) -> bytes:
    """A failure that a client shows to its user."""
    return encode({b"failure reason": reason[:_MAX_REASON].encode("utf-8", "replace")})
