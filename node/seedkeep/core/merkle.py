"""The Merkle trees of BitTorrent v2 (BEP 52): leaves, roots, layers, and proofs for single blocks.

A file is cut into blocks of 16 KiB (the last one may be shorter, and is hashed as it is); the leaves
are the SHA-256 of the blocks, padded with zero hashes up to a power of two; a node is the SHA-256 of
its two children. The *layer* of a file larger than one piece is the row of nodes that each cover one
piece, without the padding; a file no larger than a piece has no layer, and its root covers only as
many leaves as it needs. An empty file has no root.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

#: bytes under one leaf
BLOCK = 16384
_ZERO = bytes(32)


@functools.cache
def _padding(level: int) -> bytes:
    """The root of a subtree of ``2**level`` zero leaves."""
    if level == 0:
        return _ZERO
    below = _padding(level - 1)
    return hashlib.sha256(below + below).digest()


def blocks_of(size: int) -> int:
    """Number of leaves of a file of ``size`` bytes."""
    return -(-size // BLOCK)


def _levels(count: int) -> int:
    """Levels above ``count`` nodes once padded to a power of two."""
    return (count - 1).bit_length() if count > 1 else 0


def _parents(nodes: Sequence[bytes], level: int) -> list[bytes]:
    sha256 = hashlib.sha256
    above = [sha256(nodes[i] + nodes[i + 1]).digest() for i in range(0, len(nodes) - 1, 2)]
    if len(nodes) % 2:
        above.append(sha256(nodes[-1] + _padding(level)).digest())
    return above


def _climb(nodes: Sequence[bytes], start: int, levels: int) -> bytes:
    """The root ``levels`` above ``nodes``, which stand ``start`` levels above the leaves."""
    for level in range(start, start + levels):
        nodes = _parents(nodes, level)
    return nodes[0]


def leaf_hashes(data: bytes | bytearray | memoryview) -> list[bytes]:
    """The leaves of ``data``, which starts at a block boundary of its file: 32 bytes each."""
    sha256 = hashlib.sha256
    view = memoryview(data)
    return [sha256(view[at : at + BLOCK]).digest() for at in range(0, len(view), BLOCK)]


def root_of(leaves: Sequence[bytes], *, size: int) -> bytes:
    """The pieces root of a file of ``size`` bytes whose leaves are all given.

    Raises:
        ValueError: the file is empty, or the number of leaves does not fit ``size``.
    """
    if size <= 0 or len(leaves) != blocks_of(size):
        raise ValueError("the number of leaves does not fit the size")
    return _climb(leaves, 0, _levels(len(leaves)))


def piece_hash(leaves: Sequence[bytes], piece_length: int) -> bytes:
    """The layer's node over the leaves of one piece of a file that is larger than a piece.

    The last piece of a file may have fewer leaves; they are padded to the whole piece.
    """
    return _climb(leaves, 0, _levels(piece_length // BLOCK))


def layer_of_leaves(leaves: Sequence[bytes], piece_length: int) -> list[bytes]:
    """The layer over ``leaves``, which start at a piece boundary of a file larger than a piece."""
    step = piece_length // BLOCK
    return [piece_hash(leaves[at : at + step], piece_length) for at in range(0, len(leaves), step)]


def root_of_layer(layer: Sequence[bytes], piece_length: int) -> bytes:
    """The pieces root of a file larger than a piece, from its layer.

    Raises:
        ValueError: the layer has fewer than two nodes.
    """
    if len(layer) < 2:
        raise ValueError("a file larger than a piece has at least two pieces")
    return _climb(layer, _levels(piece_length // BLOCK), _levels(len(layer)))


def raise_layer(layer: Sequence[bytes], piece_length: int, new_piece_length: int) -> list[bytes]:
    """The layer for a larger piece length, from the one for ``piece_length`` of the same file."""
    nodes = list(layer)
    for level in range(_levels(piece_length // BLOCK), _levels(new_piece_length // BLOCK)):
        nodes = _parents(nodes, level)
    return nodes


def split_layer(layer: bytes) -> list[bytes]:
    """The 32-byte nodes of a layer as it stands in ``piece layers``."""
    return [layer[at : at + 32] for at in range(0, len(layer), 32)]


def _siblings(nodes: Sequence[bytes], index: int, start: int, levels: int) -> list[bytes]:
    found: list[bytes] = []
    for level in range(start, start + levels):
        beside = index ^ 1
        found.append(nodes[beside] if beside < len(nodes) else _padding(level))
        nodes = _parents(nodes, level)
        index >>= 1
    return found


def prove_leaf(
    layer: Sequence[bytes],
    piece_leaves: Sequence[bytes],
    piece_length: int,
    leaf_index: int,
    file_size: int,
) -> list[bytes]:
    """The proof that one leaf stands at its place under its file's root.

    Args:
        layer: the file's layer; empty for a file no larger than ``piece_length``.
        piece_leaves: all leaves of the piece that holds the leaf (of the file, if it has no layer).
        piece_length: bytes under one node of the layer.
        leaf_index: the leaf's number in the file, from 0.
        file_size: bytes in the file.

    Returns:
        The siblings on the way from the leaf to the root, 32 bytes each.

    Raises:
        ValueError: leaf, leaves or layer do not fit the file's size.
    """
    if not 0 <= leaf_index < blocks_of(file_size):
        raise ValueError("the file has no such leaf")
    if file_size <= piece_length:
        if layer or len(piece_leaves) != blocks_of(file_size):
            raise ValueError("layer or leaves do not fit the file's size")
        return _siblings(piece_leaves, leaf_index, 0, _levels(len(piece_leaves)))
    per_piece = piece_length // BLOCK
    piece, within = divmod(leaf_index, per_piece)
    if len(layer) != -(-file_size // piece_length):
        raise ValueError("the layer does not fit the file's size")
    if len(piece_leaves) != min(per_piece, blocks_of(file_size) - piece * per_piece):
        raise ValueError("the leaves do not fit the piece")
    height = _levels(per_piece)
    below = _siblings(piece_leaves, within, 0, height)
    return below + _siblings(layer, piece, height, _levels(len(layer)))


def verify_leaf(root: bytes, file_size: int, leaf_index: int, data: bytes, proof: Sequence[bytes]) -> bool:
    """Whether ``data`` is block ``leaf_index`` of the file with this root and size.

    Needs no piece length: BEP 52's padding makes the tree the same for all. ``data`` must have the
    block's exact length; ``proof`` comes from :func:`prove_leaf`. Hostile input gives ``False``.
    """
    blocks = blocks_of(file_size)
    if not 0 <= leaf_index < blocks or len(data) != min(BLOCK, file_size - leaf_index * BLOCK):
        return False
    if any(len(node) != 32 for node in proof) or len(proof) != _levels(blocks):
        return False
    node = hashlib.sha256(data).digest()
    for level, beside in enumerate(proof):
        right = leaf_index >> level & 1
        node = hashlib.sha256(beside + node if right else node + beside).digest()
    return node == root
