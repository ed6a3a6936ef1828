"""Holding a folder against its record: md5, SHA-256, v2 roots, and the v1 info-hash over all of it.

Every file is read once. Whatever differs is named: wrong, missing, or extra.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from seedkeep.core.errors import InvalidInput, NotFound
from seedkeep.core.manifest import Manifest
from seedkeep.core.metainfo import info_v1, infohash_v1_of
from seedkeep.core.paths import printable
from seedkeep.file_digests import Wanted, digest_files, enter_pieces
from seedkeep.ingest.plan import PieceTable

DIGESTS = ("md5", "sha256", "root")


@dataclass(frozen=True, slots=True)
class Wrong:
    """A file that is not what the manifest says; ``problem`` in words."""

    path: str
    problem: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a folder is, against its record.

    Args:
        infohash_v1: from the bytes read, or "" when files are wrong or missing, so that it means nothing.
    """

    files: int
    bytes: int
    wrong: tuple[Wrong, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    infohash_v1: str

    @property
    def ok(self) -> bool:
        """Exactly these files with exactly these bytes."""
        return not (self.wrong or self.missing or self.extra)


async def verify_folder(
    root: Path, manifest: Manifest, infohash_v1: str, *, advance: Callable[[int], None]
) -> Verdict:
    """Read all files of ``root`` and compare.

    Args:
        root: the dataset's directory, or the file of a single-file dataset; its own name does not matter.
        infohash_v1: what the record says.
        advance: is told how many bytes were read, in the event loop.

    Raises:
        NotFound: there is nothing at ``root``.
    """
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def tell(count: int) -> None:
        loop.call_soon_threadsafe(advance, count)

    try:
        return await asyncio.to_thread(_verify, root, manifest, infohash_v1, stop, tell)
    finally:
        stop.set()


def _verify(
    root: Path, manifest: Manifest, infohash_v1: str, stop: threading.Event, advance: Callable[[int], None]
) -> Verdict:
    single = manifest.is_single_file
    if not root.exists():
        raise NotFound(f"there is no {printable(str(root))}", hint="Give the directory that was fetched.")
    if single and root.is_dir() and (root / manifest.name).is_file():
        root = root / manifest.name
        extra: list[str] = []
    else:
        extra = [] if single else sorted(set(_files_below(root)) - {f.path for f in manifest.files})
    start, wanted = 0, []
    for file in manifest.files:
        wanted.append(Wanted(file.path, root if single else root / file.path, file.size, start))
        start += file.size
    table = PieceTable(manifest.bytes, manifest.piece_length)
    wrong: list[Wrong] = []
    missing: list[str] = []
    found = digest_files(wanted, manifest.piece_length, stop=stop, advance=advance)
    for file, got in zip(manifest.files, found, strict=True):
        if got.problem == "is missing":
            missing.append(file.path)
        elif got.problem:
            wrong.append(Wrong(file.path, got.problem))
        elif names := [n for n in DIGESTS if getattr(got, n) != getattr(file, n)]:
            wrong.append(Wrong(file.path, f"differs in {', '.join(names)}"))
        enter_pieces(table, got)
    computed = ""
    if not wrong and not missing:
        computed = infohash_v1_of(info_v1(manifest, table.hashes()))
        if computed != infohash_v1:
            wrong.append(Wrong("", f"the v1 info-hash is {computed}, the record says {infohash_v1}"))
    return Verdict(len(manifest.files), manifest.bytes, tuple(wrong), tuple(missing), tuple(extra), computed)


def _files_below(root: Path) -> Iterator[str]:
    """Everything below ``root`` that is no directory, by its path with ``/``."""

    def failed(error: OSError) -> None:
        raise InvalidInput(f"{error.filename} cannot be read: {error.strerror}")

    for folder, directories, names in os.walk(root, onerror=failed):
        below = Path(folder).relative_to(root)
        links = [d for d in directories if (Path(folder) / d).is_symlink()]
        for name in [*names, *links]:
            yield (below / name).as_posix()


def whole(verdict: Verdict, name: str) -> str:
    """The verdict in words, with the first few offenders."""
    parts = []
    for what, paths in (
        ("wrong", [f"{printable(w.path)} {w.problem}" if w.path else w.problem for w in verdict.wrong]),
        ("missing", [printable(p) for p in verdict.missing]),
        ("extra", [printable(p) for p in verdict.extra]),
    ):
        if paths:
            more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
            parts.append(f"{what}: {', '.join(paths[:5])}{more}")
    return f"{printable(name)} is not what its record says; " + "; ".join(parts)
