"""Proof of possession in two rounds over BEP 52 trees (decision 10).

1. The registrar draws leaves (16 KiB blocks) of a dataset and a fresh nonce. The node answers with one
   *commitment* per leaf: SHA-256(domain ‖ nonce ‖ block).
2. The registrar, having the commitments, draws some of the leaves; the node *opens* them: the block and
   its Merkle proof up to the file's pieces root.

An opened leaf counts if the proof leads to the root in the manifest and the block gives the commitment.
What it proves: the bytes were retrievable within the deadline. Not: that they lie on a separate disk.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from seedkeep.core.errors import InvalidInput
from seedkeep.core.manifest import FileEntry
from seedkeep.core.merkle import verify_leaf

DOMAIN = b"seedkeep/audit/v1\n"
LEAVES = 8
OPENED = 2


class Outcome(Enum):
    """How an audit ended. Wrong bytes count at once, silence slowly."""

    SUCCESS = "success"
    FAILURE = "failure"
    OFFLINE = "offline"
    CONTAINED = "contained"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LeafAt:
    """One 16 KiB block: file by its index in the manifest, leaf by its index in the file."""

    file: int
    leaf: int


@dataclass(frozen=True, slots=True)
class Opening:
    """One opened leaf: the block (1 to 16,384 bytes) and its proof, siblings from leaf to root."""

    at: LeafAt
    data: bytes
    proof: tuple[bytes, ...]


def draw_numbers(seed: bytes, bound: int, count: int) -> list[int]:
    """``count`` distinct numbers below ``bound`` (all of them when there are fewer), from ``seed``."""
    if bound <= count:
        return list(range(bound))
    found: dict[int, None] = {}
    for i in itertools.count():
        digest = hashlib.sha256(seed + i.to_bytes(8, "big")).digest()
        found[int.from_bytes(digest, "big") % bound] = None
        if len(found) == count:
            break
    return list(found)


def commit(nonce: bytes, block: bytes) -> str:
    """The commitment to one block, hex."""
    return hashlib.sha256(DOMAIN + nonce + block).hexdigest()


def draw_opened(leaves: Sequence[LeafAt], seed: bytes, *, count: int = OPENED) -> list[LeafAt]:
    """Which of the committed leaves are to be opened; ``seed`` is drawn after the commitments came."""
    return [leaves[i] for i in draw_numbers(seed, len(leaves), count)]


def judge(
    files: Sequence[FileEntry] | Mapping[int, FileEntry],
    *,
    nonce: bytes,
    commitments: Mapping[LeafAt, str],
    asked: Sequence[LeafAt],
    openings: Sequence[Opening],
) -> tuple[Outcome, str]:
    """The verdict over one answer.

    Args:
        files: by their number in the manifest; those of the leaves asked for suffice.

    Returns:
        The outcome, and in words what was wrong (empty for a success).
    """
    by_leaf = {o.at: o for o in openings}
    if len(by_leaf) != len(openings) or set(by_leaf) != set(asked):
        return Outcome.FAILURE, "the node opened other leaves than it was asked for"
    for at in asked:
        opening, file = by_leaf[at], files[at.file]
        where = f"block {at.leaf} of {file.path}"
        try:
            good = verify_leaf(bytes.fromhex(file.root), file.size, at.leaf, opening.data, opening.proof)
        except InvalidInput:
            good = False
        if not good:
            return Outcome.FAILURE, f"{where} is not what the record says"
        if commit(nonce, opening.data) != commitments.get(at):
            return Outcome.FAILURE, f"{where} differs from what the node had committed to"
    return Outcome.SUCCESS, ""
