"""Checks that the three objects of a dataset give exactly what its record says. Pure work over files.

Runs in a worker process for large manifests, so everything here is a module-level function of plain values.
"""

from __future__ import annotations

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


class FileReader:
    """Reads the files of a manifest that :func:`check_dataset` has accepted, slice after slice."""

    def __init__(self, manifest_path: Path) -> None:
        self._path = manifest_path
        self._number = 0
        self._offset = 0

    def read(self, first: int, count: int) -> list[FileEntry]:
        """Files from number ``first`` on, at most ``count``; quick when they follow the last ones read."""
        with self._path.open("rb") as lines:
            if first < self._number or not self._offset:
                self._number, self._offset = 0, len(lines.readline())
            lines.seek(self._offset)
            while self._number < first and (line := lines.readline()):
                self._number, self._offset = self._number + 1, self._offset + len(line)
            found: list[FileEntry] = []
            while len(found) < count and (line := lines.readline()):
                found.append(FileEntry(**json.loads(line)))
                self._offset += len(line)
            self._number += len(found)
            return found


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
