"""Seeding a sharer's folder in place, until told to stop.

The folder belongs to the sharer: nothing in it is ever written or removed, and it is not part of the pledge.
It is seeded only while every file has the size and the time of change it was shared with; the first look
that finds another one ends the seeding, so that nobody is served, or repairs, what the sharer is editing.
What taints withhold is not seeded while they stand: the folder, or files in it.
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
from seedkeep.core.taints.duty import Duty
from seedkeep.engine.model import TorrentSpec
from seedkeep.storage.companions import Companions, Source
from seedkeep.storage.documents import Papers
from seedkeep.storage.layout import place_of
from seedkeep.storage.model import Phase, SharedFolder
from seedkeep.storage.rooms import Rooms
from seedkeep.storage.way import wanted_without


class SharedFolders:
    """The folders that are seeded in place."""

    def __init__(self, rooms: Rooms, companions: Companions) -> None:
        self._rooms = rooms
        self._companions = companions
        self._infohashes: dict[str, str] = {}
        self._withheld: dict[str, frozenset[str]] = {}
        #: why a folder is not seeded for the time being, by content id
        self.tainted: dict[str, str] = {}

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
        duty = self._duty(cid, rid, found)
        if duty.stop:
            raise Tainted(f"{found.name} is tainted: {duty.binding[0].entry.reason}")
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
        self._withheld.pop(cid, None)
        self.tainted.pop(cid, None)
        return True

    def source(self, cid: str) -> Source | None:
        """For the companion of a folder that is being seeded."""
        folder = self._rooms.state.shared.get(cid)
        if folder is None or folder.problem or cid not in self._infohashes:
            return None
        if cid in self.tainted or self._withheld.get(cid):
            return None
        return Source(self._infohashes[cid], folder.save_path, folder.trackers, shared=True)

    async def look_after(self) -> None:
        """Stop what has changed on the disk, or is tainted; seed again what is not tainted any more."""
        for cid, folder in list(self._rooms.state.shared.items()):
            if folder.problem:
                continue
            with contextlib.suppress(Error):
                papers = await self._rooms.documents.load_shared(cid)
                if await self._is_stopped(folder, papers.manifest):
                    continue
                if await self._changed(folder, papers.manifest):
                    await self._stop(folder, "a file in it has changed since it was shared")
                elif cid not in self._rooms.state.holdings and not self._is_loaded(cid):
                    await self._add(folder, papers)

    def _duty(self, cid: str, rid: str, manifest: Manifest) -> Duty:
        roots = {f.root for f in manifest.files if f.root}
        rids = [rid] if rid else []
        return self._rooms.taints.duty(cid, rids=rids, marked=roots, roots=len(roots))

    async def _is_stopped(self, folder: SharedFolder, manifest: Manifest) -> bool:
        """Whether taints withhold the folder; it is unloaded when they withhold other files than before."""
        cid, thing = folder.content_id, f"folder {folder.content_id}"
        duty = self._duty(cid, folder.rid, manifest)
        if duty.stop:
            if cid not in self.tainted:
                self.tainted[cid] = f"it is tainted: {duty.binding[0].entry.reason}"
                await self._unload(cid)
                self._rooms.problems.tell(
                    thing, f"A folder in {folder.save_path} is not seeded: {self.tainted[cid]}."
                )
            return True
        if self.tainted.pop(cid, None):
            self._rooms.problems.clear(thing)
        if duty.withheld != self._withheld.get(cid, frozenset()):
            self._withheld[cid] = duty.withheld
            await self._unload(cid)
        return False

    async def _unload(self, cid: str) -> None:
        await self._companions.drop(cid)
        if cid not in self._rooms.state.holdings:
            await self._rooms.engine.remove(cid)

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
        if await self._is_stopped(folder, papers.manifest):
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
                wanted=wanted_without(papers.manifest, self._withheld.get(folder.content_id, ())),
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
