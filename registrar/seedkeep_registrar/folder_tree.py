"""The folders of a manifest as a page shows them; pure, one pass over the files in the manifest's order.

A folder that holds one folder and nothing else is not shown; the inner one stands in its place, as
``a/b/c``. So there are less than twice as many folders as files, however deep the paths, and no reader clicks
through empty levels. The files of a folder lie in a row in the manifest (BEP 52's order is depth first), so
two numbers name them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from seedkeep.core.manifest import FileEntry


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder that is shown.

    Attributes:
        path: the whole of it, without a slash at its end.
        parent: path of the folder in whose list it is shown; "" is the top.
        first: number of its first file in the manifest.
        files, bytes: of all files in and below it.
    """

    path: str
    parent: str
    first: int
    files: int
    bytes: int


@dataclass(slots=True)
class _Open:
    path: str
    first: int
    bytes: int = 0
    shown: bool = False
    waiting: list[Folder] = field(default_factory=list)


class FolderTree:
    """Takes a manifest's files slice by slice; :meth:`feed` gives the folders that are known since then.

    What has come out after n files depends on these n files alone, not on how they were sliced.
    """

    def __init__(self) -> None:
        self._open = [_Open("", 0, shown=True)]
        #: how many files have been taken
        self.files = 0

    def feed(self, entries: Sequence[FileEntry]) -> list[Folder]:
        """Take the next files."""
        found: list[Folder] = []
        for entry in entries:
            folder = entry.path.rpartition("/")[0]
            while not self._holds(folder):
                self._close(found)
            self._descend(folder)
            self._show(self._open[-1], found)
            for level in self._open:
                level.bytes += entry.size
            self.files += 1
        return found

    def close(self) -> list[Folder]:
        """There are no more files."""
        found: list[Folder] = []
        while len(self._open) > 1:
            self._close(found)
        return found

    def _holds(self, folder: str) -> bool:
        path = self._open[-1].path
        return not path or folder == path or folder.startswith(f"{path}/")

    def _descend(self, folder: str) -> None:
        path = self._open[-1].path
        if folder == path:
            return
        for name in folder[len(path) + 1 if path else 0 :].split("/"):
            path = f"{path}/{name}" if path else name
            self._open.append(_Open(path, self.files))

    def _close(self, found: list[Folder]) -> None:
        level = self._open.pop()
        if level.shown:
            folder = Folder(level.path, "", level.first, self.files - level.first, level.bytes)
        else:
            (folder,) = level.waiting  # its only content stands in its place
        above = self._open[-1]
        if above.waiting and not above.shown:
            self._show(above, found)
        if above.shown:
            found.append(replace(folder, parent=above.path))
        else:
            above.waiting.append(folder)

    def _show(self, level: _Open, found: list[Folder]) -> None:
        level.shown = True
        found += [replace(folder, parent=level.path) for folder in level.waiting]
        level.waiting.clear()
