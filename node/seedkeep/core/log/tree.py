"""The Merkle tree of RFC 6962: hashes of leaves and nodes, roots, and the checking of proofs.

A leaf hashes to SHA-256(0x00 ‖ leaf), a node to SHA-256(0x01 ‖ left ‖ right); the left part of a tree is its
largest full subtree. Proofs are checked as in RFC 9162, 2.1.3.2 and 2.1.4.2; all hashes are 32 raw bytes.
Proofs are made in :mod:`seedkeep.core.log.tiles`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from seedkeep.core.errors import InvalidInput, VerificationFailed

HASH_BYTES = 32
#: the root of a tree without leaves
EMPTY_ROOT = hashlib.sha256(b"").digest()
#: no tree is larger, so no proof is longer than 63 hashes
MAX_SIZE = 2**63 - 1
MAX_PROOF = 63


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of_full(hashes: Sequence[bytes]) -> bytes:
    """The root over 2^n hashes of one height.

    Raises:
        InvalidInput: their number is no power of two.
    """
    if len(hashes).bit_count() != 1:
        raise InvalidInput(f"{len(hashes)} hashes are no full subtree")
    sha256 = hashlib.sha256
    while len(hashes) > 1:
        hashes = [sha256(b"\x01" + hashes[i] + hashes[i + 1]).digest() for i in range(0, len(hashes), 2)]
    return hashes[0]


def join(subtrees: Sequence[bytes]) -> bytes:
    """The root of a tree that consists of full subtrees, given from the largest (left) to the smallest."""
    if not subtrees:
        return EMPTY_ROOT
    root = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        root = node_hash(left, root)
    return root


def root_of_leaves(hashes: Iterable[bytes]) -> bytes:
    """The root over leaf hashes, in one pass that keeps no more than one hash a level."""
    stack: list[bytes] = []
    for count, leaf in enumerate(hashes, 1):
        done = leaf
        for _ in range((count & -count).bit_length() - 1):
            done = node_hash(stack.pop(), done)
        stack.append(done)
    return join(stack)


def _check_hashes(what: str, hashes: Iterable[bytes]) -> None:
    if any(len(h) != HASH_BYTES for h in hashes):
        raise VerificationFailed(f"{what} holds a hash that is not of 32 bytes")


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the tree of ``size`` leaves with ``root`` has the leaf hash ``leaf`` at ``index``.

    Args:
        proof: the siblings from the leaf up to the root's child.

    Raises:
        VerificationFailed: it is not so, or the proof does not show it.
    """
    what = f"the proof that entry {index} is in a log of {size}"
    if not 0 <= index < size <= MAX_SIZE:
        raise VerificationFailed(f"{what} names an entry outside the log")
    _check_hashes(what, (leaf, root, *proof))
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise VerificationFailed(f"{what} is too long")
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise VerificationFailed(f"{what} is too short")
    if found != root:
        raise VerificationFailed(f"{what} leads to another root")


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the first ``old_size`` leaves of the new tree are the old tree.

    Args:
        proof: as RFC 6962, 2.1.2; empty when the old tree is empty or the new one is of the same size.

    Raises:
        VerificationFailed: it is not so, or the proof does not show it.
    """
    what = f"the proof that a log of {old_size} grew to {new_size}"
    if not 0 <= old_size <= new_size <= MAX_SIZE:
        raise VerificationFailed(f"{what} goes backwards")
    _check_hashes(what, (old_root, new_root, *proof))
    for size, root in ((old_size, old_root), (new_size, new_root)):
        if size == 0 and root != EMPTY_ROOT:
            raise VerificationFailed("a log without entries has a root that is not the empty tree's")
    if old_size in (0, new_size):
        if proof:
            raise VerificationFailed(f"{what} is too long")
        if old_size == new_size and old_root != new_root:
            raise VerificationFailed(f"two logs of {new_size} entries have different roots")
        return
    path = list(proof) if old_size.bit_count() > 1 else [old_root, *proof]
    old, new = roots_of_path(old_size, new_size, path)
    if old != old_root or new != new_root:
        raise VerificationFailed(f"{what} does not hold: what was there before has been changed")


def roots_of_path(old_size: int, new_size: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Both roots that a consistency proof leads to.

    Args:
        old_size, new_size: 0 < old < new.
        path: the proof; here its first hash is never left out, as RFC 6962 does when the old size is a power
            of two. Whoever finds ``new`` to be a signed root knows that ``old`` is the root of what that tree
            begins with.

    Raises:
        VerificationFailed: its length does not fit.
    """
    what = f"the proof that a log of {old_size} grew to {new_size}"
    if not path:
        raise VerificationFailed(f"{what} is too short")
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for other in path[1:]:
        if last == 0:
            raise VerificationFailed(f"{what} is too long")
        if at & 1 or at == last:
            old, new = node_hash(other, old), node_hash(other, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, other)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise VerificationFailed(f"{what} is too short")
    return old, new
