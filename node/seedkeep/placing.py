"""Putting fetched files where the person wants them: what is there already, room on the disk, and the move.

A file appears under its name whole and verified, or not at all; a differing file that is there already
stays as it is unless the caller says ``force``. Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from seedkeep.core.errors import Error, NoSpace, NotFound, Refused, UsageError
from seedkeep.core.manifest import Manifest
from seedkeep.core.metainfo import MetaFile
from seedkeep.core.paths import is_utf8, printable
from seedkeep.core.units import print_size
from seedkeep.durable import sync_folder
from seedkeep.file_digests import Wanted, digest_files, enter_pieces
from seedkeep.ingest.plan import PieceTable

#: up to so many files are flushed one by one, more of them by flushing everything
_FLUSH_EACH = 500
#: left free beyond what the files need, for directories and block rounding
_SPARE_BYTES = 8 << 20
_SHOWN = 5
#: what the names of the directories that fetches work in begin with
WORK = ".seedkeep-"


@dataclass(frozen=True, slots=True)
class Layout:
    """A dataset's files, in torrent order, and where they go.

    Args:
        name: of the dataset.
        files: all of its files.
        piece_length: in bytes.
        out: the directory the person named.
        manifest: None when only a torrent file is known.
        pieces_v1: SHA-1 of each piece when that is all that is known of the bytes, else empty.
    """

    name: str
    files: tuple[MetaFile, ...]
    piece_length: int
    out: Path
    manifest: Manifest | None
    pieces_v1: bytes = b""

    @property
    def single(self) -> bool:
        """Whether the dataset is one bare file."""
        return len(self.files) == 1 and self.files[0].path == self.name

    def place(self, index: int, folder: Path | None = None) -> Path:
        """Where a file lies below ``folder`` (the person's directory by default)."""
        root = (folder or self.out) / self.name
        return root if self.single else root / self.files[index].path

    def size(self, indexes: Iterable[int]) -> int:
        """Bytes of these files."""
        return sum(self.files[i].size for i in indexes)


def select(layout: Layout, path: str, include: Sequence[str], exclude: Sequence[str]) -> frozenset[int]:
    """Indexes of the files that are asked for.

    Args:
        path: a file or a directory of the dataset, or "".
        include, exclude: shell patterns over whole paths, in which ``*`` also matches ``/``.

    Raises:
        NotFound: there is no such file, or nothing is left.
    """
    files = list(enumerate(layout.files))
    if path:
        files = [(i, f) for i, f in files if f.path == path or f.path.startswith(f"{path}/")]
        if not files:
            raise NotFound(
                f"{printable(layout.name)} has no file {printable(path)}",
                hint="See `seedkeep info` for its files.",
            )
    if include:
        files = [(i, f) for i, f in files if any(fnmatchcase(f.path, p) for p in include)]
    files = [(i, f) for i, f in files if not any(fnmatchcase(f.path, p) for p in exclude)]
    if not files:
        raise NotFound(
            f"no file of {printable(layout.name)} is left to fetch",
            hint="Check the patterns of --include and --exclude.",
        )
    return frozenset(i for i, _ in files)


def already_there(
    layout: Layout,
    wanted: frozenset[int],
    *,
    force: bool,
    stop: threading.Event,
    advance: Callable[[int], None],
) -> frozenset[int]:
    """Which of the wanted files are in place, byte for byte.

    Raises:
        Refused: a differing file, or something that is no file, is in the way and ``force`` is not given;
            or the dataset has the name of a directory that fetches work in.
        UsageError: the directory's name is not UTF-8.
    """
    _check_names(layout)
    if not os.path.lexists(layout.out / layout.name) and layout.out.is_dir():
        # nothing to look through, which takes long for very many files
        return frozenset()
    present = sorted(i for i in wanted if os.path.lexists(layout.place(i)))
    if not present:
        _check_parents(layout, wanted)
        return frozenset()
    if layout.pieces_v1:
        same = _same_by_pieces(layout, present, stop, advance)
    else:
        same = _same_by_roots(layout, present, stop, advance)
    differing = [layout.files[i].path for i in present if i not in same]
    if differing and not force:
        more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
        shown = ", ".join(printable(p) for p in differing[:_SHOWN])
        raise Refused(
            f"{printable(str(layout.out / layout.name))} has other bytes than the dataset in {shown}{more}; "
            "nothing was changed",
            hint="Choose another directory with -o, or replace these files with --force.",
        )
    _check_parents(layout, wanted)
    return frozenset(same)


def _same_by_roots(
    layout: Layout, present: Sequence[int], stop: threading.Event, advance: Callable[[int], None]
) -> set[int]:
    wanted = [Wanted(str(i), layout.place(i), layout.files[i].size) for i in present]
    return {
        int(d.path)
        for d in digest_files(wanted, layout.piece_length, stop=stop, advance=advance)
        if not d.problem and d.root == (layout.files[int(d.path)].root or "")
    }


def _same_by_pieces(
    layout: Layout, present: Sequence[int], stop: threading.Event, advance: Callable[[int], None]
) -> set[int]:
    """All files or none: v1 pieces run across file borders."""
    if len(present) < len(layout.files):
        return set()
    start, wanted = 0, []
    for index, file in enumerate(layout.files):
        wanted.append(Wanted(file.path, layout.place(index), file.size, start))
        start += file.size
    table = PieceTable(start, layout.piece_length)
    for found in digest_files(wanted, layout.piece_length, stop=stop, advance=advance):
        if found.problem:
            return set()
        enter_pieces(table, found)
    return set(present) if table.hashes() == layout.pieces_v1 else set()


def _check_parents(layout: Layout, wanted: frozenset[int]) -> None:
    """Nothing but directories may stand where directories are needed."""
    seen: set[Path] = set()
    for index in wanted:
        for parent in layout.place(index).parents:
            if parent in seen or parent == layout.out.parent:
                break
            seen.add(parent)
            if os.path.lexists(parent) and not parent.is_dir():
                raise Refused(
                    f"{printable(str(parent))} is in the way: a directory is needed there",
                    hint="Choose another directory with -o.",
                )
    for index in wanted:
        if layout.place(index).is_dir():
            raise Refused(
                f"{printable(str(layout.place(index)))} is a directory; a file is to go there",
                hint="Choose another directory with -o.",
            )


def check_room(layout: Layout, missing: frozenset[int], work: Path) -> None:
    """
    Raises:
        NoSpace: the disk of ``work`` cannot take the missing files.
    """
    needed = layout.size(missing) + _SPARE_BYTES
    begun = os.path.lexists(work / layout.name)
    there = sum(_allocated(layout.place(i, work)) for i in missing) if begun else 0
    free = shutil.disk_usage(work).free
    if needed - there > free:
        raise NoSpace(
            f"{printable(layout.name)} needs {print_size(needed - there)} more, "
            f"and the disk of {printable(str(layout.out))} has {print_size(free)} free",
            hint="Make room, choose another directory with -o, or fetch a part with --include.",
        )


def _allocated(path: Path) -> int:
    with suppress(OSError):
        return path.lstat().st_blocks * 512
    return 0


@contextmanager
def work_directory(out: Path, label: str) -> Iterator[Path]:
    """``out/.seedkeep-<label>``, held by this process alone; what is in it survives for the next time.

    Raises:
        Refused: another fetch is at work there, or it is not this person's own. Error: it cannot be made.
    """
    work = out / f"{WORK}{label}"
    try:
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_own(work)
        lock = os.open(work / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Error(
            f"{printable(str(out))} cannot be written to: {error.strerror}",
            hint="Choose another directory with -o.",
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Refused(
                f"another `seedkeep fetch` is fetching this dataset into {printable(str(out))}",
                hint="Wait until it is done, or stop it.",
            ) from error
        yield work
    finally:
        os.close(lock)


def _check_own(work: Path) -> None:
    """In a directory that others may write to, somebody could have laid links for us to write through."""
    found = work.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise Refused(
            f"{printable(str(work))} is not a directory that only you may write to",
            hint="Somebody else may have put it there: remove it, or choose another directory with -o.",
        )


def _check_names(layout: Layout) -> None:
    if not is_utf8(str(layout.out)):
        raise UsageError(
            f"the name of {printable(str(layout.out))} is not UTF-8, which libtorrent cannot write to",
            hint="Rename it, or choose another directory with -o.",
        )
    if layout.name.startswith(WORK):
        raise Refused(
            f"{printable(layout.name)} is named like the directories that fetches work in",
            hint="It was not fetched; tell its registrar.",
        )


def put_in_place(layout: Layout, files: frozenset[int], work: Path, *, force: bool) -> None:
    """Move these files, which are whole below ``work``, to where they belong, and flush all of it to disk.

    Raises:
        Refused: somebody else has put something there meanwhile.
        Error: the disk says no.
    """
    try:
        _make_empty_files(layout, files, work)
        _flush([layout.place(i, work) for i in files], layout.out)
        target, source = layout.out / layout.name, work / layout.name
        if len(files) == len(layout.files) and not layout.single and not os.path.lexists(target):
            # one rename for the whole tree: it is there, or it is not
            source.rename(target)
        else:
            for index in sorted(files):
                place = layout.place(index)
                place.parent.mkdir(parents=True, exist_ok=True)
                _move(layout.place(index, work), place, force=force)
        _flush_directories(layout, files)
    except OSError as error:
        kind = NoSpace if error.errno in (errno.ENOSPC, errno.EDQUOT) else Error
        raise kind(
            f"{printable(str(error.filename))} cannot be put in place: {error.strerror}",
            hint="What was fetched is kept; run the same command again.",
        ) from error


def _make_empty_files(layout: Layout, files: frozenset[int], work: Path) -> None:
    for index in files:
        if not layout.files[index].size:
            place = layout.place(index, work)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()


def _flush(paths: Sequence[Path], out: Path) -> None:
    if len(paths) > _FLUSH_EACH:
        os.sync()
        return
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _flush_directories(layout: Layout, files: frozenset[int]) -> None:
    parents = {layout.out}
    for index in files:
        for parent in layout.place(index).parents:
            if parent in parents:
                break
            parents.add(parent)
    if len(parents) > _FLUSH_EACH:
        os.sync()
        return
    for parent in parents:
        sync_folder(parent)


def _move(source: Path, place: Path, *, force: bool) -> None:
    if force:
        source.replace(place)
        return
    try:
        # a link, unlike a rename, never replaces anything
        os.link(source, place)
    except FileExistsError as error:
        raise Refused(
            f"{printable(str(place))} has appeared meanwhile; it was left alone",
            hint="Move it away, then run the same command again; what was fetched is kept.",
        ) from error
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV, errno.ENOSYS):
            raise
        # a file system without hard links
        if os.path.lexists(place):
            raise Refused(f"{printable(str(place))} has appeared meanwhile; it was left alone") from error
        source.rename(place)
        return
    source.unlink()
