"""What lies in one folder of a dataset: read a page at a time by indexes alone, however much lies there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, select

from seedkeep.core.manifest import FileEntry
from seedkeep_registrar.folder_tree import Folder
from seedkeep_registrar.store import files
from seedkeep_registrar.store.pages_tables import folders
from seedkeep_registrar.store.tables import manifests
from seedkeep_registrar.store.upserts import prepared

_INSERT = prepared(folders, lambda into: into.on_conflict_do_nothing())


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a folder, in the manifest's order.

    Attributes:
        path: of the folder, "" for the top.
        above: the folders around it that are shown, outermost first.
        entries: folders and files in it.
        after: number of the file from which this page was read; 0 is the first page.
        next: number of the file from which the next page is to be read, or None.
        files: how many there are in and below it.
    """

    path: str
    above: tuple[str, ...]
    entries: tuple[Folder | FileEntry, ...]
    after: int
    next: int | None
    files: int


def add(connection: Connection, manifest_id: int, found: Sequence[Folder]) -> None:
    """Write folders down; those that are there already are the same."""
    if not found:
        return
    rows = [
        {
            "manifest_id": manifest_id,
            "path_key": files.path_key(f.path),
            "parent_key": files.path_key(f.parent),
            "first": f.first,
            "files": f.files,
            "bytes": f.bytes,
            "path": f.path,
        }
        for f in found
    ]
    connection.execute(_INSERT[connection.dialect.name], rows)


def listing(connection: Connection, manifest_id: int, path: str, after: int, count: int) -> Listing | None:
    """A page of a folder; None when there is no such folder.

    Args:
        path: of the folder as shown; "" for the top.
        after: number of the file to begin with, as in :attr:`Listing.next`; 0 begins at the beginning.
        count: how many entries at most.
    """
    if path:
        around = _around(connection, manifest_id, path)
        if not around or around[-1].path != path:
            return None
        first, held = around[-1].first, around[-1].files
    else:
        around, first = [], 0
        held = connection.execute(
            select(manifests.c.indexed).where(manifests.c.id == manifest_id)
        ).scalar_one()
    end = first + held
    at = min(max(first, after), end)
    entries: list[Folder | int] = []
    for folder in [*_children(connection, manifest_id, path, at, count), None]:
        until = end if folder is None else folder.first
        numbers = range(at, min(until, at + count - len(entries)))
        entries += numbers
        at += len(numbers)
        if len(entries) == count:
            break
        if folder is not None:
            entries.append(folder)
            at = folder.first + folder.files
    of_file = files.by_number(connection, manifest_id, [e for e in entries if isinstance(e, int)])
    return Listing(
        path,
        tuple(f.path for f in around[:-1]),
        tuple(of_file[e] if isinstance(e, int) else e for e in entries),
        after,
        at if at < end else None,
        held,
    )


def _around(connection: Connection, manifest_id: int, path: str) -> list[Folder]:
    """The folder itself, and those shown around it; outermost first."""
    if "\x00" in path:  # PostgreSQL does not even compare it
        return []
    parts = path.split("/")
    outer = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
    rows = connection.execute(
        select(folders).where(
            folders.c.manifest_id == manifest_id, folders.c.path_key.in_([files.path_key(p) for p in outer])
        )
    )
    return sorted((_folder(row) for row in rows), key=lambda folder: len(folder.path))


def _children(connection: Connection, manifest_id: int, path: str, first: int, count: int) -> list[Folder]:
    rows = connection.execute(
        select(folders)
        .where(
            folders.c.manifest_id == manifest_id,
            folders.c.parent_key == files.path_key(path),
            folders.c.first >= first,
        )
        .order_by(folders.c.first)
        .limit(count)
    )
    return [_folder(row, path) for row in rows]


def _folder(row: Row[tuple[object, ...]], parent: str = "") -> Folder:
    return Folder(row.path, parent, row.first, row.files, row.bytes)
