"""Puts the files and folders of a manifest into the database, slice by slice, each in a transaction.

Nothing is named by it until the record is; an index that was interrupted goes on where it was.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy import Connection

from seedkeep.core.manifest import FileEntry
from seedkeep.core.record import Dataset
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.folder_tree import Folder, FolderTree
from seedkeep_registrar.store import files, folders
from seedkeep_registrar.verification import FileReader

#: files indexed in one transaction
SLICE = 2000


@dataclass(frozen=True, slots=True)
class Slice:
    """Files from number ``first`` on, and the folders that are known since then."""

    first: int
    entries: list[FileEntry]
    folders: list[Folder]


async def index_all_but_last(registrar: Registrar, dataset: Dataset, entries: list[FileEntry]) -> Slice:
    """Index a dataset but for the last slice, which belongs into the record's transaction.

    Args:
        entries: its first files, at most ``SLICE``.
    """
    tree = FolderTree()
    if dataset.files <= SLICE:
        return Slice(0, entries, [*tree.feed(entries), *tree.close()])
    manifest_id, indexed = await registrar.db.write(
        files.begin_manifest, dataset.manifest, dataset.content_id, registrar.clock()
    )
    reader = FileReader(registrar.objects.path(dataset.manifest))
    while True:
        if tree.files > indexed:
            tree = FolderTree()
        while tree.files < indexed:  # by an earlier attempt or somebody else, and so are their folders
            await asyncio.to_thread(_read, reader, tree, tree.files, min(SLICE, indexed - tree.files))
        some = await asyncio.to_thread(_read, reader, tree, indexed, SLICE)
        if tree.files >= dataset.files:
            return Slice(some.first, some.entries, [*some.folders, *tree.close()])
        indexed = await registrar.db.write(index_slice, manifest_id, some)


def _read(reader: FileReader, tree: FolderTree, first: int, count: int) -> Slice:
    entries = reader.read(first, count)
    return Slice(first, entries, tree.feed(entries))


def index_slice(connection: Connection, manifest_id: int, some: Slice) -> int:
    """Index one slice, unless that was done meanwhile; how many files are indexed then."""
    indexed = files.add(connection, manifest_id, some.first, some.entries)
    if indexed == some.first + len(some.entries):
        folders.add(connection, manifest_id, some.folders)
    return indexed
