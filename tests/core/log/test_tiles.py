"""Tiles: the paths of the specification, growing in any steps, and bundles of entries."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedkeep.core.errors import InvalidInput
from seedkeep.core.log.tiles import (
    ENTRIES,
    Places,
    Tile,
    consistency_proof,
    edge_of,
    encode_bundle,
    grow,
    inclusion_proof,
    parse_bundle,
    root_of_tiles,
    tiles_of_root,
)
from seedkeep.core.log.tree import leaf_hash, root_of_leaves, verify_consistency, verify_inclusion


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("tile/0/x001/x234/067", Tile(0, 1234067)),
        ("tile/0/x001/234.p/17", Tile(0, 1234, 17)),
        ("tile/63/000", Tile(63, 0)),
        ("tile/entries/999", Tile(ENTRIES, 999)),
        ("tile/entries/x001/000.p/255", Tile(ENTRIES, 1000, 255)),
    ],
)
def test_a_path_is_as_the_specification_prints_it(path: str, tile: Tile) -> None:
    assert Tile.parse(path) == tile
    assert tile.path == path


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "tile/0/",
            "tile/64/000",
            "tile/00/000",
            "tile/-1/000",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/x000/001",
        ),
        *(
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/01",
            "tile/0/001/002",
            "tile/0/../000",
            "tile/0/000\n",
        ),
        *("/tile/0/000", "tile/0/x001", "tile/entries/", "tile/٣/000", "tile/0/" + "x999/" * 6 + "999"),
    ],
)
def test_any_other_path_is_no_tile(path: str) -> None:
    with pytest.raises(InvalidInput):
        Tile.parse(path)


@given(st.integers(-1, 63), st.integers(0, 2**55 - 1), st.integers(1, 256))
def test_every_tile_comes_back_from_its_path(level: int, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert Tile.parse(tile.path) == tile


@given(st.text(max_size=40) | st.from_regex(r"tile/[0-9e]{1,2}/[x0-9/]{3,12}(\.p/[0-9]+)?", fullmatch=True))
def test_a_path_is_read_exactly_or_refused(path: str) -> None:
    try:
        tile = Tile.parse(path)
    except InvalidInput:
        return
    assert tile.path == path


def test_a_log_of_70000_has_the_tiles_that_the_specification_counts() -> None:
    places = grow(0, {}, [leaf_hash(str(n).encode()) for n in range(70_000)])
    widths = {place: len(data) // 32 for place, data in places.items()}
    assert sum(1 for (level, _), width in widths.items() if level == 0 and width == 256) == 273
    assert (widths[0, 273], widths[1, 0], widths[1, 1], widths[2, 0]) == (112, 256, 17, 1)
    assert edge_of(70_000) == [(0, 273), (1, 1), (2, 0)]
    proof = inclusion_proof(Places(places), 12_345, 70_000)
    root = root_of_tiles(Places(places), 70_000)
    verify_inclusion(leaf_hash(b"12345"), 12_345, 70_000, proof, root)
    for old in (1, 256, 65_536, 65_537, 69_999):
        grown = consistency_proof(Places(places), old, 70_000)
        verify_consistency(old, root_of_tiles(Places(places), old), 70_000, root, grown)


def test_a_log_of_256_has_a_full_tile_and_one_above_it() -> None:
    places = grow(0, {}, [bytes(32)] * 256)
    assert {place: len(data) // 32 for place, data in places.items()} == {(0, 0): 256, (1, 0): 1}
    assert tiles_of_root(256) == [Tile(1, 0, 1)]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 400), max_size=6))
def test_a_log_grows_to_the_same_tiles_in_any_steps(steps: list[int]) -> None:
    total = sum(steps)
    hashes = [hashlib.sha256(str(n).encode()).digest() for n in range(total)]
    stored: dict[tuple[int, int], bytes] = {}
    size = 0
    for step in steps:
        stored |= grow(size, {place: stored[place] for place in edge_of(size)}, hashes[size : size + step])
        size += step
        assert root_of_tiles(Places(stored), size) == root_of_leaves(hashes[:size])
    assert stored == grow(0, {}, hashes)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_entries_come_back_from_their_bundle(leaves: list[bytes]) -> None:
    assert parse_bundle(encode_bundle(leaves), len(leaves)) == leaves


@given(st.binary(max_size=60), st.integers(1, 5))
def test_a_bundle_is_read_exactly_or_refused(data: bytes, width: int) -> None:
    try:
        leaves = parse_bundle(data, width)
    except InvalidInput:
        return
    assert encode_bundle(leaves) == data
    assert len(leaves) == width


def test_an_entry_too_large_for_its_length_is_refused() -> None:
    assert parse_bundle(encode_bundle([b"x" * 65_535]), 1) == [b"x" * 65_535]
    with pytest.raises(InvalidInput):
        encode_bundle([b"x" * 65_536])


def test_a_tile_that_is_cut_short_gives_no_proof() -> None:
    places = grow(0, {}, [bytes(32)] * 10)
    with pytest.raises(InvalidInput):
        root_of_tiles(Places({(0, 0): places[0, 0][:-1]}), 10)


def test_a_tile_knows_how_large_it_may_be() -> None:
    assert Tile(3, 0, 17).max_bytes == 17 * 32
    assert Tile(ENTRIES, 0, 2).max_bytes == 2 * (4096 + 2)
    with pytest.raises(InvalidInput):
        Tile(0, 0, 257)
