"""The Merkle tree: compared with RFC 6962 word for word, and proofs that lie."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.log.tiles import (
    consistency_proof,
    inclusion_proof,
    root_of_tiles,
    tiles_of_consistency,
    tiles_of_inclusion,
    tiles_of_root,
)
from seedkeep.core.log.tree import (
    EMPTY_ROOT,
    leaf_hash,
    root_of_full,
    root_of_leaves,
    verify_consistency,
    verify_inclusion,
)
from tests.core.log import reference
from tests.core.log.reference import SmallLog

LEAVES = [f"entry {n}".encode() for n in range(700)]


def log_of(size: int) -> SmallLog:
    log = SmallLog()
    log.append(*LEAVES[:size])
    return log


BIG = log_of(700)


def test_an_empty_log_has_the_root_of_the_rfc() -> None:
    assert root_of_leaves([]) == EMPTY_ROOT == reference.mth([])


@settings(max_examples=50)
@given(st.integers(1, 700))
def test_a_root_is_that_of_the_rfc_from_leaves_and_from_tiles(size: int) -> None:
    want = reference.mth(LEAVES[:size])
    assert root_of_leaves(leaf_hash(leaf) for leaf in LEAVES[:size]) == want
    assert root_of_tiles(BIG.tiles, size) == want
    only = {tile: BIG.get(tile.path) for tile in tiles_of_root(size)}
    assert root_of_tiles(only, size) == want


@settings(max_examples=50)
@given(st.data())
def test_an_inclusion_proof_is_that_of_the_rfc_and_verifies(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 700))
    index = data.draw(st.integers(0, size - 1))
    only = {tile: BIG.get(tile.path) for tile in tiles_of_inclusion(index, size)}
    proof = inclusion_proof(only, index, size)
    assert proof == reference.path(index, LEAVES[:size])
    verify_inclusion(leaf_hash(LEAVES[index]), index, size, proof, root_of_tiles(BIG.tiles, size))


@settings(max_examples=50)
@given(st.data())
def test_a_consistency_proof_is_that_of_the_rfc_and_verifies(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 700))
    old = data.draw(st.integers(1, new))
    only = {tile: BIG.get(tile.path) for tile in tiles_of_consistency(old, new)}
    proof = consistency_proof(only, old, new)
    assert proof == reference.proof(old, LEAVES[:new])
    verify_consistency(old, root_of_tiles(BIG.tiles, old), new, root_of_tiles(BIG.tiles, new), proof)


def _spoil(data: st.DataObject, proof: list[bytes]) -> list[bytes]:
    """Another proof than ``proof``."""
    changed = list(proof)
    how = data.draw(st.sampled_from(["flip", "drop", "add", "swap"]))
    at = data.draw(st.integers(0, max(len(changed) - 1, 0)))
    if how == "add" or not changed:
        changed.insert(at, data.draw(st.binary(min_size=32, max_size=32)))
    elif how == "drop":
        del changed[at]
    elif how == "swap" and changed[at] != changed[0]:
        changed[0], changed[at] = changed[at], changed[0]
    else:
        changed[at] = bytes([changed[at][0] ^ 1]) + changed[at][1:]
    return changed


@given(st.data())
def test_no_spoilt_inclusion_proof_passes(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 40))
    index = data.draw(st.integers(0, size - 1))
    proof, root = reference.path(index, LEAVES[:size]), reference.mth(LEAVES[:size])
    leaf = leaf_hash(LEAVES[index])
    with pytest.raises(VerificationFailed):
        verify_inclusion(leaf, index, size, _spoil(data, proof), root)
    other = data.draw(st.integers(-1, size + 1))
    if other != index:
        with pytest.raises(VerificationFailed):
            verify_inclusion(leaf, other, size, proof, root)
    with pytest.raises(VerificationFailed):
        verify_inclusion(leaf_hash(b"another"), index, size, proof, root)


@given(st.data())
def test_no_spoilt_consistency_proof_passes(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 40))
    old = data.draw(st.integers(1, new))
    roots = reference.mth(LEAVES[:old]), reference.mth(LEAVES[:new])
    proof = reference.proof(old, LEAVES[:new])
    with pytest.raises(VerificationFailed):
        verify_consistency(old, roots[0], new, roots[1], _spoil(data, proof))
    with pytest.raises(VerificationFailed):
        verify_consistency(old, bytes(32), new, roots[1], proof)
    with pytest.raises(VerificationFailed):
        verify_consistency(old, roots[0], new, bytes(32), proof)
    if old < new:
        with pytest.raises(VerificationFailed):
            verify_consistency(new, roots[1], old, roots[0], proof)


def test_a_hash_of_another_length_is_none_even_where_the_bytes_are_the_same() -> None:
    leaf, (sibling,) = leaf_hash(LEAVES[0]), reference.path(0, LEAVES[:2])
    both, root = leaf + sibling, reference.mth(LEAVES[:2])
    verify_inclusion(both[:32], 0, 2, [both[32:]], root)
    with pytest.raises(VerificationFailed):
        verify_inclusion(both[:31], 0, 2, [both[31:]], root)


def test_every_log_grows_from_the_empty_one_and_from_itself() -> None:
    root = reference.mth(LEAVES[:5])
    verify_consistency(0, EMPTY_ROOT, 5, root, [])
    verify_consistency(5, root, 5, root, [])
    verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    with pytest.raises(VerificationFailed):
        verify_consistency(0, bytes(32), 5, root, [])
    with pytest.raises(VerificationFailed):
        verify_consistency(0, EMPTY_ROOT, 5, root, [root])
    with pytest.raises(VerificationFailed):
        verify_consistency(4, reference.mth(LEAVES[:4]), 5, root, [])


def test_an_odd_number_of_hashes_is_no_full_subtree() -> None:
    with pytest.raises(InvalidInput):
        root_of_full([bytes(32)] * 3)
