"""What of a dataset is on a node's disk: the demonstration looks for itself instead of asking the node."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seedkeep.core.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Source:
    """The files to be shared, as they are at the sharer.

    Args:
        root: directory or file.
        sizes: path of each file relative to the root's parent → its size in bytes.
    """

    root: Path
    sizes: dict[str, int]

    @classmethod
    def scan(cls, root: Path) -> Source:
        """
        Raises:
            InvalidInput: there is nothing at ``root``, or nothing in it.
        """
        root = root.resolve()
        files = [root] if root.is_file() else list(_files(root))
        if not files:
            raise InvalidInput(
                f"there is no file at {root}", hint="Name a file, or a directory with files in it."
            )
        return cls(root, {f.relative_to(root.parent).as_posix(): f.lstat().st_size for f in files})

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(self.sizes.values())

    def held_in(self, directory: Path) -> dict[str, int]:
        """The files that lie below ``directory`` under their own names and with their sizes, with these."""
        return {name: size for name, size in _named(directory) if self.sizes.get(name) == size}

    def bytes_in(self, directory: Path) -> int:
        """Allocated bytes of everything below ``directory``."""
        return sum(_allocated(path) for path in _files(directory))

    def traces_in(self, directory: Path) -> list[Path]:
        """Files below ``directory`` with a name or the very bytes of one of ours, empty files aside."""
        return [path for path in _files(directory) if self._is_trace(path, directory)]

    def _is_trace(self, path: Path, directory: Path) -> bool:
        if any(self.sizes.get(name) for name in _endings(path, directory)):
            return True
        try:
            size = path.lstat().st_size
            twins = [name for name, ours in self.sizes.items() if ours == size > 0]
            return bool(twins) and _sha256(path) in {_sha256(self.root.parent / name) for name in twins}
        except FileNotFoundError:  # the node is just removing it
            return False


def _files(directory: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(directory):
        for name in names:
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                yield path


def _allocated(path: Path) -> int:
    try:
        return path.lstat().st_blocks * 512
    except FileNotFoundError:  # the node is at work on it
        return 0


def _endings(path: Path, directory: Path) -> list[str]:
    """``c``, ``b/c``, ``a/b/c`` of directory/a/b/c."""
    parts = path.relative_to(directory).parts
    return ["/".join(parts[n:]) for n in range(len(parts))]


def _named(directory: Path) -> Iterator[tuple[str, int]]:
    for path in _files(directory):
        try:
            size = path.lstat().st_size
        except FileNotFoundError:
            continue
        for name in _endings(path, directory):
            yield name, size


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
