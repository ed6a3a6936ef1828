"""Small datasets in memory, hashed by the plain rules of BEP 52."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seedkeep.core.audit import LeafAt
from seedkeep.core.manifest import FileEntry, Manifest
from seedkeep.core.merkle import blocks_of, layer_of_leaves, leaf_hashes, root_of


@dataclass(frozen=True)
class Dataset:
    """A manifest, its layers, and the bytes by path."""

    manifest: Manifest
    layers: bytes
    content: Mapping[str, bytes]

    def write(self, folder: Path) -> Path:
        """Put the files on disk below ``folder``; gives the dataset's root (the file, if it is only one)."""
        root = folder / self.manifest.name
        for path, data in self.content.items():
            place = root if self.manifest.is_single_file else root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        return root


def dataset_of(name: str, content: Mapping[str, bytes]) -> Dataset:
    """The dataset of these files."""
    leaves = {path: leaf_hashes(data) for path, data in content.items()}
    manifest = Manifest.of(
        name,
        [
            FileEntry(
                path,
                len(data),
                hashlib.md5(data).hexdigest(),
                hashlib.sha256(data).hexdigest(),
                root_of(leaves[path], size=len(data)).hex() if data else "",
            )
            for path, data in content.items()
        ],
    )
    layers = b"".join(
        b"".join(layer_of_leaves(leaves[entry.path], manifest.piece_length))
        for entry in manifest.files
        if entry.size > manifest.piece_length
    )
    return Dataset(manifest, layers, content)


def all_leaves(manifest: Manifest) -> list[LeafAt]:
    """Every 16 KiB block of a dataset, in order."""
    return [LeafAt(i, leaf) for i, file in enumerate(manifest.files) for leaf in range(blocks_of(file.size))]
