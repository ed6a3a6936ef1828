"""Manifest and layers of the datasets that are held: written once, checked whenever they are read.

The few that were used last stay in memory, for audits, scrubs and companions ask for them again and again.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seedkeep.core.errors import Error, VerificationFailed
from seedkeep.core.manifest import Manifest
from seedkeep.core.metainfo import check_layers, torrent_v1, torrent_v2
from seedkeep.storage.layout import Layout, write_durably

_ROOT = re.compile(rb'"root":"([0-9a-f]{64})"')
_KEPT = 16
_KEPT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Papers:
    """A dataset's manifest, and the concatenated piece layers."""

    manifest: Manifest
    layers: bytes


class Documents:
    """Papers of held datasets and of folders that are seeded in place."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._cache: OrderedDict[str, tuple[Papers, int]] = OrderedDict()

    async def store(self, content_id: str, papers: Papers) -> None:
        """Write them durably.

        Raises:
            NoSpace, Error.
        """
        await asyncio.to_thread(_store, lambda kind: self._layout.document(content_id, kind), papers)

    async def store_shared(self, content_id: str, papers: Papers, pieces: bytes) -> None:
        """The same for a folder that is seeded in place, whose v1 pieces are known already."""

        def work() -> None:
            _store(lambda kind: self._layout.shared_document(content_id, kind), papers)
            write_durably(self._layout.shared_document(content_id, "pieces"), pieces)

        await asyncio.to_thread(work)

    async def load(self, content_id: str) -> Papers:
        """
        Raises:
            Error: they are not there, or damaged.
        """
        return await self._load(content_id, lambda kind: self._layout.document(content_id, kind))

    async def load_shared(self, content_id: str) -> Papers:
        """The same for a folder that is seeded in place."""
        return await self._load(content_id, lambda kind: self._layout.shared_document(content_id, kind))

    async def _load(self, content_id: str, place: Callable[[str], Path]) -> Papers:
        found = self._cache.get(content_id)
        if found is not None:
            self._cache.move_to_end(content_id)
            return found[0]
        papers, size = await asyncio.to_thread(_read, content_id, place)
        self._cache[content_id] = (papers, size)
        while len(self._cache) > _KEPT or (
            len(self._cache) > 1 and sum(s for _, s in self._cache.values()) > _KEPT_BYTES
        ):
            self._cache.popitem(last=False)
        return papers

    def forget(self, content_id: str) -> None:
        """The dataset is gone."""
        self._cache.pop(content_id, None)

    async def torrent(self, content_id: str) -> bytes:
        """The v2 torrent, made from the checked papers."""
        papers = await self.load(content_id)
        return await asyncio.to_thread(torrent_v2, papers.manifest, papers.layers)

    async def companion(self, content_id: str, *, shared: bool) -> bytes:
        """The v1 torrent, made from the checked manifest and the v1 pieces as computed from the bytes."""
        papers = await (self.load_shared(content_id) if shared else self.load(content_id))
        place = self._layout.shared_document if shared else self._layout.document

        def work() -> bytes:
            return torrent_v1(papers.manifest, place(content_id, "pieces").read_bytes())

        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise Error(f"the v1 pieces of {content_id[:12]}… cannot be read: {error.strerror}") from error

    async def roots(self, content_id: str) -> frozenset[str]:
        """The pieces roots of all files of a dataset; none while its manifest is not there."""

        def work() -> frozenset[str]:
            try:
                data = self._layout.document(content_id, "manifest").read_bytes()
            except OSError:
                return frozenset()
            return frozenset(found.decode() for found in _ROOT.findall(data))

        return await asyncio.to_thread(work)


def _store(place: Callable[[str], Path], papers: Papers) -> None:
    write_durably(place("layers"), papers.layers)
    write_durably(place("manifest"), papers.manifest.encode())


def _read(content_id: str, place: Callable[[str], Path]) -> tuple[Papers, int]:
    try:
        data, layers = place("manifest").read_bytes(), place("layers").read_bytes()
    except OSError as error:
        raise Error(f"the manifest of {content_id[:12]}… cannot be read: {error.strerror}") from error
    manifest = Manifest.parse(data)
    if manifest.content_id() != content_id:
        raise VerificationFailed(f"the stored manifest of {content_id[:12]}… is damaged")
    check_layers(manifest, layers)
    return Papers(manifest, layers), 10 * len(data) + len(layers)
