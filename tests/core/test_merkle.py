from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.merkle import (
    BLOCK,
    layer_of_leaves,
    leaf_hashes,
    prove_leaf,
    raise_layer,
    root_of,
    root_of_layer,
    verify_leaf,
)

# Enough for every shape of tree: below, at and above each power of two of blocks and pieces.
sizes = st.one_of(
    st.integers(1, 20 * BLOCK),
    st.builds(
        lambda blocks, off: max(1, blocks * BLOCK + off), st.integers(0, 40), st.sampled_from([-1, 0, 1])
    ),
)
piece_lengths = st.sampled_from([BLOCK, 2 * BLOCK, 4 * BLOCK, 8 * BLOCK])


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def plain_root(data: bytes) -> bytes:
    """BEP 52 word for word: pad the leaves with zeros to a power of two, then hash pairs."""
    row = [hashlib.sha256(data[at : at + BLOCK]).digest() for at in range(0, len(data), BLOCK)]
    while len(row) & (len(row) - 1):
        row.append(bytes(32))
    while len(row) > 1:
        row = [hashlib.sha256(row[i] + row[i + 1]).digest() for i in range(0, len(row), 2)]
    return row[0]


@given(sizes)
def test_the_root_is_that_of_bep_52(size: int) -> None:
    data = content(size)
    assert root_of(leaf_hashes(data), size=size) == plain_root(data)


@given(sizes, piece_lengths)
def test_the_layer_gives_the_same_root(size: int, piece_length: int) -> None:
    if size <= piece_length:
        return
    data = content(size)
    layer = layer_of_leaves(leaf_hashes(data), piece_length)
    assert len(layer) == -(-size // piece_length)
    assert root_of_layer(layer, piece_length) == plain_root(data)


@given(sizes, piece_lengths, piece_lengths)
def test_a_layer_can_be_raised_to_a_larger_piece_length(size: int, low: int, high: int) -> None:
    low, high = min(low, high), max(low, high)
    if size <= high:
        return
    leaves = leaf_hashes(content(size))
    assert raise_layer(layer_of_leaves(leaves, low), low, high) == layer_of_leaves(leaves, high)


def prove(data: bytes, piece_length: int, leaf: int) -> list[bytes]:
    leaves = leaf_hashes(data)
    if len(data) <= piece_length:
        return prove_leaf([], leaves, piece_length, leaf, len(data))
    per_piece = piece_length // BLOCK
    first = leaf // per_piece * per_piece
    layer = layer_of_leaves(leaves, piece_length)
    return prove_leaf(layer, leaves[first : first + per_piece], piece_length, leaf, len(data))


@given(sizes, piece_lengths, st.data())
def test_every_leaf_can_be_proved_and_no_other_place_or_byte_passes(
    size: int, piece_length: int, draw: st.DataObject
) -> None:
    data = content(size)
    root = plain_root(data)
    count = -(-size // BLOCK)
    leaf = draw.draw(st.integers(0, count - 1))
    block = data[leaf * BLOCK : (leaf + 1) * BLOCK]
    proof = prove(data, piece_length, leaf)
    assert verify_leaf(root, size, leaf, block, proof)

    flipped = bytearray(block)
    flipped[draw.draw(st.integers(0, len(block) - 1))] ^= 1
    assert not verify_leaf(root, size, leaf, bytes(flipped), proof)
    assert not verify_leaf(root, size, leaf, block[:-1], proof)
    assert not verify_leaf(root, size, leaf, block + b"\0", proof)
    assert not verify_leaf(bytes(32), size, leaf, block, proof)
    assert not verify_leaf(root, size, leaf, block, [*proof, bytes(32)])
    for other in (-1, leaf - 1, leaf + 1, leaf + count, 1 << 60):
        assert not verify_leaf(root, size, other, block, proof)
    if proof:
        at = draw.draw(st.integers(0, len(proof) - 1))
        assert not verify_leaf(root, size, leaf, block, proof[:at] + proof[at + 1 :])
        assert not verify_leaf(root, size, leaf, block, [*proof[:at], bytes(31), *proof[at + 1 :]])
        assert not verify_leaf(root, size, leaf, block, [*proof[:at], bytes(32), *proof[at + 1 :]]) or (
            proof[at] == bytes(32)
        )


def test_padding_cannot_be_passed_off_as_data() -> None:
    data = content(3 * BLOCK)
    leaves = leaf_hashes(data)
    pair = hashlib.sha256(leaves[0] + leaves[1]).digest()
    assert not verify_leaf(plain_root(data), len(data), 3, b"", [leaves[2], pair])


def test_two_inner_nodes_cannot_be_passed_off_as_a_short_last_block() -> None:
    data = content(3 * BLOCK + 64)
    leaves = leaf_hashes(data)
    pairs = [hashlib.sha256(leaves[at] + leaves[at + 1]).digest() for at in (0, 2)]
    forged = pairs[0] + pairs[1]
    assert hashlib.sha256(forged).digest() == plain_root(data)
    assert not verify_leaf(plain_root(data), len(data), 3, forged, [])


@pytest.mark.parametrize(
    ("layer", "leaves", "index", "size"),
    [
        ([], [], 0, BLOCK),
        ([bytes(32)], [bytes(32)], 0, BLOCK),
        ([], [bytes(32)], 1, BLOCK),
        ([], [bytes(32)], -1, BLOCK),
        ([bytes(32)], [bytes(32)], 0, 2 * BLOCK),
        ([bytes(32)] * 2, [bytes(32)] * 2, 0, 2 * BLOCK),
    ],
)
def test_a_proof_from_pieces_that_do_not_fit_is_not_made(
    layer: list[bytes], leaves: list[bytes], index: int, size: int
) -> None:
    with pytest.raises(ValueError):
        prove_leaf(layer, leaves, BLOCK, index, size)


def test_roots_of_nothing_are_not_made() -> None:
    with pytest.raises(ValueError):
        root_of([], size=0)
    with pytest.raises(ValueError):
        root_of([bytes(32)], size=BLOCK + 1)
    with pytest.raises(ValueError):
        root_of_layer([bytes(32)], BLOCK)
