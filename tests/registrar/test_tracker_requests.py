"""What the tracker understands, and that it answers anything at all with a valid dictionary."""

from __future__ import annotations

import ipaddress
from random import Random
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.bencode import decode
from seedkeep.core.errors import InvalidInput
from seedkeep_registrar.store.datasets import Tracked
from seedkeep_registrar.tracker.requests import (
    DEFAULT_PEERS,
    MAX_PEERS,
    MAX_SCRAPE,
    Announce,
    Happening,
    parse_announce,
    parse_scrape,
)
from seedkeep_registrar.tracker.service import Pace, Tracker

HASH = bytes(range(120, 140))
PEER = b"-SK0100-abcdefghijkl"
HERE = ipaddress.ip_address("192.0.2.7")

hashes = st.binary(min_size=20, max_size=20)
announces = st.builds(
    Announce,
    info_hash=hashes,
    peer_id=hashes,
    port=st.integers(0, 65535),
    left=st.integers(0, 2**60),
    happening=st.sampled_from(Happening),
    numwant=st.integers(0, MAX_PEERS),
    compact=st.booleans(),
    no_peer_id=st.booleans(),
)


def query(**changes: Any) -> str:
    fields: dict[str, Any] = {"info_hash": HASH, "peer_id": PEER, "port": 6881, "left": 0, **changes}
    return urlencode({k: v for k, v in fields.items() if v is not None})


def tracker(content: Tracked | None = Tracked("c" * 64, companion=False, servable=True)) -> Tracker:  # noqa: B008
    async def look_up(info_hash: bytes) -> Tracked | None:
        return content

    async def want(content_id: str) -> None:
        raise AssertionError("no companion is in this test")

    return Tracker(look_up, want, pace=Pace(), clock=lambda: 0.0, random=Random(1))


@given(announces, st.booleans())
def test_what_a_client_writes_is_what_is_read(asked: Announce, form_encoded: bool) -> None:
    fields: dict[str, Any] = {
        "info_hash": asked.info_hash,
        "peer_id": asked.peer_id,
        "port": asked.port,
        "left": asked.left,
        "event": asked.happening.value,
        "numwant": asked.numwant,
        "compact": int(asked.compact),
        "no_peer_id": int(asked.no_peer_id),
    }
    if form_encoded:
        written = urlencode(fields)
    else:
        written = "&".join(
            f"{k}={quote_from_bytes(v, safe='') if isinstance(v, bytes) else v}" for k, v in fields.items()
        )
    assert parse_announce(written) == asked


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"info_hash": None}, "info_hash is missing"),
        ({"info_hash": HASH[:19]}, "info_hash must have 20 bytes, it has 19"),
        ({"info_hash": b"c" * 40}, "info_hash must have 20 bytes, it has 40"),
        ({"peer_id": None}, "peer_id is missing"),
        ({"peer_id": b""}, "peer_id must have 20 bytes"),
        ({"port": 65536}, "port is not a number from 0 to 65535"),
        ({"port": "6881x"}, "port is not a number"),
        ({"port": "²"}, "port is not a number"),
        ({"port": None}, "port is missing"),
        ({"left": None}, "left is missing"),
        ({"left": -1}, "left is not a number"),
        ({"left": "9" * 40}, "left is not a number"),
        ({"event": "exploded"}, "event must be"),
        ({"numwant": "many"}, "numwant is not a number"),
    ],
)
def test_a_malformed_announce_is_refused_by_the_name_of_the_field(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        parse_announce(query(**changes))


def test_a_repeated_field_is_refused_unless_it_says_the_same() -> None:
    assert parse_announce(query() + "&port=6881").port == 6881
    with pytest.raises(InvalidInput, match="port is given twice"):
        parse_announce(query() + "&port=6882")


@pytest.mark.parametrize(
    ("numwant", "peers"), [(None, DEFAULT_PEERS), ("", DEFAULT_PEERS), (-1, DEFAULT_PEERS), (0, 0), (7, 7)]
)
def test_numwant(numwant: object, peers: int) -> None:
    assert parse_announce(query(numwant=numwant)).numwant == peers


def test_nobody_gets_more_than_the_limit_of_peers() -> None:
    assert parse_announce(query(numwant=10**9)).numwant == MAX_PEERS


def test_a_scrape_names_its_torrents() -> None:
    first, second = bytes(20), HASH
    asked = "&".join(f"info_hash={quote_from_bytes(h)}" for h in (first, second, first))
    assert parse_scrape(asked) == [first, second]
    with pytest.raises(InvalidInput, match="must name the torrents"):
        parse_scrape("")
    many = "&".join(f"info_hash={quote_from_bytes(bytes([n]) * 20)}" for n in range(MAX_SCRAPE + 1))
    with pytest.raises(InvalidInput, match=f"{MAX_SCRAPE} torrents at most"):
        parse_scrape(many)


names = st.sampled_from(
    ["info_hash", "peer_id", "port", "left", "event", "numwant", "compact", "no_peer_id", "ip", "key"]
)
values = st.one_of(
    hashes.map(quote_from_bytes),
    st.integers(-3, 70000).map(str),
    st.sampled_from(["started", "stopped", "completed", "%", "%zz", "+", "\udcff", "\ud800"]),
    st.text(max_size=30),
)
anything = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=200),
    st.lists(st.tuples(names, values), max_size=14).map(lambda ps: "&".join(f"{n}={v}" for n, v in ps)),
    announces.map(lambda a: query(info_hash=a.info_hash, port=a.port, left=a.left, compact=int(a.compact))),
)


@given(anything, st.ip_addresses())
async def test_any_query_gets_a_valid_dictionary(
    text: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> None:
    serving = tracker()
    for answer in (await serving.announce(text, address), await serving.scrape(text)):
        said = decode(answer)  # our reader takes canonical bencode only
        assert isinstance(said, dict)
        reason = said.get(b"failure reason")
        if reason is not None:
            assert isinstance(reason, bytes)
            assert set(said) == {b"failure reason"}
            assert reason.decode()


async def test_a_failure_reason_is_never_longer_than_a_client_shows() -> None:
    said = decode(await tracker().announce("x" * 9000, HERE))
    assert isinstance(said, dict)
    reason = said[b"failure reason"]
    assert isinstance(reason, bytes)
    assert len(reason) <= 300
