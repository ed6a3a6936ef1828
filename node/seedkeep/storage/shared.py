"""Seeding a sharer's folder in place, until told to stop.

The folder belongs to the sharer: nothing in it is ever written or removed, and it is not part of the pledge.
It is seeded only while every file has the size and the time of change it was shared with; the first look
that finds another one ends the seeding, so that nobody is served, or repairs, what the sharer is editing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from seedkeep.core.errors import Error, InvalidInput, NotFound, Tainted, UsageError
from seedkeep.core.manifest import Manifest
from seedkeep.core.metainfo import check_layers, info_v1, infohash_v1_of, torrent_v2
from seedkeep.engine.model import TorrentSpec
from seedkeep.storage.companions import Companions, Source
from seedkeep.storage.documents import Papers
from seedkeep.storage.layout import place_of
from seedkeep.storage.model import Phase, SharedFolder
from seedkeep.storage.rooms import Rooms


class SharedFolders:
    """The folders that are seeded in place."""

    def __init__(self, rooms: Rooms, companions: Companions) -> None:
        self._rooms = rooms
        self._companions = companions
        self._infohashes: dict[str, str] = {}

    async def restore(self) -> None:
        """Go on seeding after a start; lists that a crash has left without their folder go."""
        await asyncio.to_thread(self._rooms.layout.sweep_shared, frozenset(self._rooms.state.shared))
        for folder in list(self._rooms.state.shared.values()):
            with contextlib.suppress(Error):
                await self._seed(folder)

    async def seed(
        self,
        root: Path,
        *,
        manifest: bytes,
        layers: bytes,
        pieces: bytes,
        rid: str = "",
        trackers: Sequence[str] = (),
        web_seeds: Sequence[str] = (),
    ) -> str:
        """Begin to seed ``root`` (the folder, or single file, that was shared); gives its content id.

        Raises:
            InvalidInput: the manifest, layers or pieces do not fit each other.
            UsageError: the folder is not the one they describe, or cannot be read.
            Tainted: it must not be served.
        """
        found = await asyncio.to_thread(Manifest.parse, manifest)
        await asyncio.to_thread(check_layers, found, layers)
        await asyncio.to_thread(info_v1, found, pieces)
        cid = found.content_id()
        if root.name != found.name:
            raise UsageError(f"{root} is not called {found.name!r}, as the dataset is")
        standing = self._rooms.taints.standing(cid, [rid] if rid else [], (f.root for f in found.files))
        if standing:
            raise Tainted(f"{found.name} is tainted: {standing[0].entry.reason}")
        held = self._rooms.state.holdings.get(cid)
        if held is not None and held.phase is Phase.COMPLETE:
            return cid
        save_path = await asyncio.to_thread(lambda: root.resolve().parent)
        stamps = await asyncio.to_thread(_stamps, save_path, found)
        if any(size != file.size for (size, _), file in zip(stamps, found.files, strict=True)):
            raise UsageError(f"files in {root} have other sizes than the manifest says")
        size = len(manifest) + len(layers) + len(pieces) + 5 * 4096
        async with self._rooms.pledge.turn:
            await asyncio.to_thread(self._rooms.pledge.require, size, f"the lists of {found.name}")
            await self._rooms.documents.store_shared(cid, Papers(found, layers), pieces)
        folder = SharedFolder(cid, save_path, stamps, rid, tuple(trackers), tuple(web_seeds))
        await self._rooms.state.put_shared(folder)
        await self._seed(folder)
        return cid

    async def unseed(self, cid: str) -> bool:
        """Stop seeding a folder and forget it; False when it was not seeded."""
        if cid not in self._rooms.state.shared:
            return False
        await self._companions.drop(cid)
        held = self._rooms.state.holdings.get(cid)
        if held is None or held.phase is not Phase.COMPLETE:
            await self._rooms.engine.remove(cid)
        await self._rooms.state.drop_shared(cid)
        await asyncio.to_thread(self._rooms.layout.remove_shared, cid)
        self._rooms.documents.forget(cid)
        self._rooms.problems.clear(f"folder {cid}")
        return True

    def source(self, cid: str) -> Source | None:
        """For the companion of a folder that is being seeded."""
        folder = self._rooms.state.shared.get(cid)
        if folder is None or folder.problem or cid not in self._infohashes:
            return None
        return Source(self._infohashes[cid], folder.save_path, folder.trackers, shared=True)

    async def look_after(self) -> None:
        """Stop what has changed on the disk, or is tainted."""
        for cid, folder in list(self._rooms.state.shared.items()):
            if folder.problem:
                continue
            with contextlib.suppress(Error):
                papers = await self._rooms.documents.load_shared(cid)
                rids = [folder.rid] if folder.rid else []
                roots = (f.root for f in papers.manifest.files)
                if found := self._rooms.taints.standing(cid, rids, roots):
                    await self._stop(folder, f"it is tainted: {found[0].entry.reason}")
                elif await self._changed(folder, papers.manifest):
                    await self._stop(folder, "a file in it has changed since it was shared")
                elif cid not in self._rooms.state.holdings and not self._is_loaded(cid):
                    await self._add(folder, papers)

    def _is_loaded(self, cid: str) -> bool:
        try:
            return self._rooms.engine.status(cid).state != "failed"
        except NotFound:
            return False

    async def _changed(self, folder: SharedFolder, manifest: Manifest) -> bool:
        try:
            return await asyncio.to_thread(_stamps, folder.save_path, manifest) != folder.stamps
        except UsageError:
            return True

    async def _stop(self, folder: SharedFolder, why: str) -> None:
        cid, name = folder.content_id, folder.save_path
        await self._companions.drop(cid)
        await self._rooms.engine.remove(cid)
        await self._rooms.state.put_shared(replace(folder, problem=why))
        self._rooms.problems.tell(
            f"folder {cid}", f"A folder in {name} is not seeded any more: {why}. Share it again if it is new."
        )

    async def _seed(self, folder: SharedFolder) -> None:
        cid = folder.content_id
        held = self._rooms.state.holdings.get(cid)
        if folder.problem or (held is not None and held.phase is Phase.COMPLETE):
            return
        papers = await self._rooms.documents.load_shared(cid)
        if await self._changed(folder, papers.manifest):
            await self._stop(folder, "a file in it has changed since it was shared")
            return
        place = self._rooms.layout.shared_document(cid, "pieces")

        def infohash() -> str:
            return infohash_v1_of(info_v1(papers.manifest, place.read_bytes()))

        with contextlib.suppress(OSError, InvalidInput):
            self._infohashes[cid] = await asyncio.to_thread(infohash)
        await self._add(folder, papers)

    async def _add(self, folder: SharedFolder, papers: Papers) -> None:
        await self._rooms.engine.add(
            TorrentSpec(
                metainfo=await asyncio.to_thread(torrent_v2, papers.manifest, papers.layers),
                save_path=folder.save_path,
                key=folder.content_id,
                trackers=folder.trackers,
                complete=True,
                read_only=True,
            )
        )


def _stamps(save_path: Path, manifest: Manifest) -> tuple[tuple[int, int], ...]:
    """(size, mtime in ns) of every file.

    Raises:
        UsageError: one is not there, or is not a plain file.
    """
    found = []
    for file in manifest.files:
        place = save_path / place_of(manifest, file)
        try:
            status = place.lstat()
        except OSError as error:
            raise UsageError(
                f"{place} cannot be read by the node: {error.strerror}",
                hint="The node must run on this machine, as a user that may read the folder.",
            ) from error
        if place.is_symlink() or not place.is_file():
            raise UsageError(f"{place} is not a plain file")
        found.append((status.st_size, status.st_mtime_ns))
    return tuple(found)
