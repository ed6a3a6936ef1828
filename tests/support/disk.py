"""What a directory really takes on the disk."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType


def allocated_bytes(folder: Path) -> int:
    """Allocated blocks of ``folder`` and all below it, in bytes, as ``du`` counts them."""
    total, todo, seen = 0, [os.fspath(folder)], set()
    while todo:
        place = todo.pop()
        try:
            status = os.lstat(place)
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_blocks * 512
            if os.path.isdir(place) and not os.path.islink(place):  # noqa: PTH112, PTH114
                todo.extend(entry.path for entry in os.scandir(place))
        except FileNotFoundError:
            continue  # gone meanwhile
    return total


class Watch:
    """Looks at a directory as often as it can, from a thread, and keeps the largest figure seen."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.most = 0
        self.looks = 0

    def _look(self) -> None:
        while not self._over.wait(0.005):
            self.most = max(self.most, allocated_bytes(self._folder))
            self.looks += 1

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
