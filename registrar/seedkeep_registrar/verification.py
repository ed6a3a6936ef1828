"""Checks that the three objects of a dataset give exactly what its record says. Pure work over files.

Runs in a worker process for large manifests, so everything here is a module-level function of plain values.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from seedkeep.core.errors import InvalidInput, VerificationFailed
from seedkeep.core.manifest import FileEntry, Manifest
from seedkeep.core.metainfo import check_layers, info_v1, infohash_v1_of, torrent_v1, torrent_v2
from seedkeep.core.record import Dataset

_CHUNK = 1 << 20


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def check_dataset(
    dataset: Dataset, manifest_path: Path, layers_path: Path, pieces_path: Path, first: int
) -> list[FileEntry]:
    """Check a dataset against its manifest, v2 piece layers and v1 pieces.

    Returns:
        The first ``first`` files of the manifest.

    Raises:
        InvalidInput, VerificationFailed: one of them is malformed or gives something else than it says.
    """
    manifest = Manifest.parse(_chunks(manifest_path))
    for what, said, found in (
        ("name", dataset.name, manifest.name),
        ("number of files", dataset.files, len(manifest.files)),
        ("size", dataset.bytes, manifest.bytes),
        ("piece length", dataset.piece_length, manifest.piece_length),
    ):
        if said != found:
            raise InvalidInput(f"the record says that its {what} is {said}, the manifest says {found}")
    if manifest.content_id() != dataset.content_id:
        raise VerificationFailed("the manifest does not give the content id that the record names")
    check_layers(manifest, layers_path.read_bytes())
    if infohash_v1_of(info_v1(manifest, pieces_path.read_bytes())) != dataset.infohash_v1:
        raise VerificationFailed("the v1 pieces do not give the v1 info-hash that the record names")
    return list(manifest.files[:first])


def read_files(manifest_path: Path, first: int, count: int) -> list[FileEntry]:
    """A slice of a manifest that :func:`check_dataset` has accepted.

    Args:
        first: number of its first file, from 0.
        count: how many at most.
    """
    with manifest_path.open("rb") as lines:
        return [
            FileEntry(**json.loads(line)) for line in itertools.islice(lines, first + 1, first + 1 + count)
        ]


def build_torrent(
    version: int,
    manifest_path: Path,
    hashes_path: Path,
    trackers: tuple[str, ...],
    web_seeds: tuple[str, ...],
) -> bytes:
    """The ``.torrent`` of a registered dataset.

    Args:
        version: 2 for the v2-only torrent, 1 for the companion.
        hashes_path: the v2 piece layers, or the v1 pieces.
    """
    manifest = Manifest.parse(_chunks(manifest_path))
    build = torrent_v2 if version == 2 else torrent_v1
    return build(manifest, hashes_path.read_bytes(), trackers=trackers, web_seeds=web_seeds)
