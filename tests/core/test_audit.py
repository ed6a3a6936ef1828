"""Audits: honest nodes pass, every way to cheat fails."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedkeep.core.audit import LEAVES, LeafAt, Opening, Outcome, commit, draw_numbers, draw_opened, judge
from seedkeep.core.manifest import FileEntry, Manifest
from seedkeep.core.merkle import BLOCK, layer_of_leaves, leaf_hashes, prove_leaf, root_of
from tests.support.datasets import all_leaves

SIZES = (1, BLOCK, BLOCK + 1, 0, 5 * BLOCK + 7, 40 * BLOCK, 200 * BLOCK + 3)
NONCE = b"n" * 32


def content(size: int) -> bytes:
    return hashlib.shake_256(str(size).encode()).digest(size)


FILES = {f"f{i}": content(size) for i, size in enumerate(SIZES)}
MANIFEST = Manifest.of(
    "set",
    [
        FileEntry(
            path,
            len(data),
            hashlib.md5(data).hexdigest(),
            hashlib.sha256(data).hexdigest(),
            root_of(leaf_hashes(data), size=len(data)).hex() if data else "",
        )
        for path, data in FILES.items()
    ],
)


def block(at: LeafAt) -> bytes:
    return FILES[MANIFEST.files[at.file].path][at.leaf * BLOCK : (at.leaf + 1) * BLOCK]


def proof(at: LeafAt) -> tuple[bytes, ...]:
    data = FILES[MANIFEST.files[at.file].path]
    length, leaves = MANIFEST.piece_length, leaf_hashes(data)
    if len(data) <= length:
        return tuple(prove_leaf([], leaves, length, at.leaf, len(data)))
    per_piece = length // BLOCK
    piece = at.leaf // per_piece
    return tuple(
        prove_leaf(
            layer_of_leaves(leaves, length),
            leaves[piece * per_piece : (piece + 1) * per_piece],
            length,
            at.leaf,
            len(data),
        )
    )


def audited(asked: list[LeafAt], openings: list[Opening], nonce: bytes = NONCE) -> Outcome:
    commitments = {at: commit(nonce, block(at)) for at in asked}
    return judge(MANIFEST.files, nonce=NONCE, commitments=commitments, asked=asked, openings=openings)[0]


def honest(asked: list[LeafAt]) -> list[Opening]:
    return [Opening(at, block(at), proof(at)) for at in asked]


@settings(deadline=None, max_examples=40)
@given(st.binary(min_size=8, max_size=8))
def test_an_honest_node_passes_whatever_is_drawn(seed: bytes) -> None:
    every = all_leaves(MANIFEST)
    leaves = [every[n] for n in draw_numbers(seed, len(every), LEAVES)]
    asked = draw_opened(leaves, seed)
    assert len(set(leaves)) == 8
    assert set(asked) <= set(leaves)
    assert audited(asked, honest(asked)) is Outcome.SUCCESS


def test_every_leaf_can_be_drawn_and_no_other() -> None:
    assert draw_numbers(b"", 4, 100) == [0, 1, 2, 3]
    assert draw_numbers(b"", 0, 8) == []
    assert {n for i in range(300) for n in draw_numbers(i.to_bytes(2, "big"), 4, 1)} == {0, 1, 2, 3}


AT = LeafAt(5, 17)


@pytest.mark.parametrize("flip", [0, 100, BLOCK - 1])
def test_one_wrong_byte_fails(flip: int) -> None:
    data = bytearray(block(AT))
    data[flip] ^= 1
    assert audited([AT], [Opening(AT, bytes(data), proof(AT))]) is Outcome.FAILURE


def test_answering_with_another_block_fails() -> None:
    other = LeafAt(5, 18)
    assert audited([AT], [Opening(AT, block(other), proof(other))]) is Outcome.FAILURE
    assert audited([AT], honest([other])) is Outcome.FAILURE
    assert audited([AT], []) is Outcome.FAILURE
    assert audited([AT], honest([AT]) * 2) is Outcome.FAILURE


def test_hashes_kept_instead_of_the_bytes_fail() -> None:
    assert audited([AT], [Opening(AT, leaf_hashes(block(AT))[0], proof(AT))]) is Outcome.FAILURE


def test_fetching_the_bytes_only_after_the_commitment_fails() -> None:
    assert audited([AT], honest([AT]), nonce=b"an old nonce") is Outcome.FAILURE


@pytest.mark.parametrize("cut", [slice(1, None), slice(0, -1), slice(0, 0)])
def test_a_proof_of_another_length_fails(cut: slice) -> None:
    assert audited([AT], [Opening(AT, block(AT), proof(AT)[cut])]) is Outcome.FAILURE
    assert audited([AT], [Opening(AT, block(AT), (*proof(AT), b"\0" * 32))]) is Outcome.FAILURE
    assert audited([AT], [Opening(AT, block(AT), (b"short",))]) is Outcome.FAILURE
