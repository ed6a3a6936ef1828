"""Finding the files of a dataset, and refusing early whatever cannot be shared.

Nothing is skipped in silence: symbolic links, sockets, devices, unreadable files and directories, and
names that other systems would change are refused by name, up to twenty of them in one message.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seedkeep.core.errors import InvalidInput
from seedkeep.core.paths import TreeChecker, check_name, check_path, printable, torrent_order
from seedkeep.ingest.jobs import Found

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Scan:
    """What is there.

    Attributes:
        root: the directory, or the file when ``single``; absolute.
        name: of the dataset.
        single: whether it is one bare file.
        files: in torrent order.
        bytes: of all files.
    """

    root: Path
    name: str
    single: bool
    files: tuple[Found, ...]
    bytes: int


def scan(root: Path, name: str | None = None, *, stopped: Callable[[], bool] = lambda: False) -> Scan:
    """Scan a directory or a single file.

    Args:
        root: may itself be a symbolic link; nothing below it may. A directory with nothing but one file
            directly in it is taken as that file, as torrents cannot tell the two apart.
        name: of the dataset (and of a single file in it); the last part of ``root`` by default.
        stopped: asked now and then; when true, the scan ends early and what it returns is of no use.

    Raises:
        InvalidInput: there is nothing to share, or something that cannot be shared; names the offenders.
    """
    # Not resolved: the name the person typed is the one they mean, also when it is a link.
    root = Path(os.path.abspath(root))  # noqa: PTH100
    try:
        status = root.stat()
    except OSError as error:
        raise InvalidInput(f"cannot read {printable(str(root))}: {error.strerror}") from error
    problems = _Problems()
    single = stat.S_ISREG(status.st_mode)
    if single:
        stats = {root.name: status}
        if not os.access(root, os.R_OK):
            problems.add(root.name, "is not readable")
    elif stat.S_ISDIR(status.st_mode):
        stats = _walk(root, problems, stopped)
    else:
        raise InvalidInput(f"{printable(str(root))} is neither a file nor a directory")
    if not single and len(stats) == 1 and "/" not in (only := next(iter(stats))):
        root, single = root / only, True
    if single:
        stats = {name or root.name: next(iter(stats.values()))}
    name = name or root.name
    check_name(name)
    files = _ordered(stats, problems)
    problems.finish(name)
    total = files[-1].end if files else 0
    if not stopped():
        _check_content(name, files, total)
    return Scan(root, name, single, files, total)


def _check_content(name: str, files: tuple[Found, ...], total: int) -> None:
    if not files:
        raise InvalidInput(f"{printable(name)} contains no files", hint="Put the data into it first.")
    if not total:
        raise InvalidInput(
            f"{printable(name)} holds no bytes: all its files are empty",
            hint="A dataset needs at least one file that is not empty.",
        )


class _Problems:
    """Collects what is wrong, so that all of it can be put right at once."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._count = 0

    def add(self, path: str, what: str) -> None:
        self.add_text(f"{printable(path)} {what}")

    def add_text(self, text: str) -> None:
        self._count += 1
        if len(self._texts) < _SHOWN:
            self._texts.append(text)

    def finish(self, name: str) -> None:
        if not self._count:
            return
        hint = "Rename, remove or make readable what is named above, then run it again."
        if self._count == 1:
            raise InvalidInput(f"cannot share {printable(name)}: {self._texts[0]}", hint=hint)
        listed = "".join(f"\n  {text}" for text in self._texts)
        more = f"\n  … and {self._count - len(self._texts):,} more" if self._count > len(self._texts) else ""
        raise InvalidInput(
            f"cannot share {printable(name)}: {self._count:,} problems{listed}{more}", hint=hint
        )


def _walk(root: Path, problems: _Problems, stopped: Callable[[], bool]) -> dict[str, os.stat_result]:
    """The regular files below ``root`` by relative path; everything else becomes a problem."""
    found: dict[str, os.stat_result] = {}
    todo = [""]
    while todo and not stopped():
        directory = todo.pop()
        try:
            with os.scandir(root / directory if directory else root) as entries:
                for entry in entries:
                    path = f"{directory}/{entry.name}" if directory else entry.name
                    if entry.is_symlink():
                        problems.add(path, "is a symbolic link")
                    elif entry.is_dir(follow_symlinks=False):
                        todo.append(path)
                    elif not entry.is_file(follow_symlinks=False):
                        problems.add(path, "is neither a file nor a directory")
                    else:
                        found[path] = entry.stat(follow_symlinks=False)
                        if not os.access(entry.path, os.R_OK):
                            problems.add(path, "is not readable")
        except OSError as error:
            problems.add(directory or str(root), f"cannot be read: {error.strerror}")
    return found


def _ordered(stats: dict[str, os.stat_result], problems: _Problems) -> tuple[Found, ...]:
    good: list[str] = []
    for path in stats:
        try:
            check_path(path)
            good.append(path)
        except InvalidInput as error:
            problems.add_text(error.what)
    good.sort(key=torrent_order)
    checker = TreeChecker()
    files: list[Found] = []
    start = 0
    for path in good:
        try:
            checker.add(path)
        except InvalidInput as error:
            problems.add_text(error.what)
        status = stats[path]
        files.append(
            Found(path, start, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        )
        start += status.st_size
    return tuple(files)
