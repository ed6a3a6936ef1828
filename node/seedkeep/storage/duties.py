"""What taints oblige this node to, dataset by dataset.

Which of the files that taints are about a dataset has is looked up in its manifest once, when the taint or
the manifest is new; after that, asking costs nothing.
"""

from __future__ import annotations

from seedkeep.core.manifest import Manifest
from seedkeep.core.taints.duty import Duty
from seedkeep.storage.documents import Documents
from seedkeep.storage.state import State
from seedkeep.storage.taints import Taints


class Duties:
    """See :mod:`seedkeep.core.taints.duty` for what counts."""

    def __init__(self, state: State, documents: Documents, taints: Taints) -> None:
        self._state = state
        self._documents = documents
        self._taints = taints
        self._marked: dict[str, tuple[frozenset[str], int]] = {}
        self._looked: frozenset[str] = frozenset()

    async def look(self) -> None:
        """Find the files that the newest lists are about, in what is held."""
        roots = self._taints.roots
        fresh = roots - self._looked
        for cid in list(self._state.holdings):
            if fresh if cid in self._marked else roots:
                mine = await self._documents.roots(cid)
                before, _ = self._marked.get(cid, (frozenset(), 0))
                if mine:
                    self._marked[cid] = (before | (mine & roots), len(mine))
        self._looked = roots

    def learn(self, cid: str, manifest: Manifest) -> None:
        """The manifest of a dataset is there."""
        mine = {file.root for file in manifest.files if file.root}
        self._marked[cid] = (frozenset(mine & self._taints.roots), len(mine))

    def of(self, cid: str) -> Duty:
        """What is to be done with a dataset now."""
        marked, roots = self._marked.get(cid, (frozenset(), 0))
        return self._taints.duty(cid, claims=self._state.claims_on(cid), marked=marked, roots=roots)

    def forget(self, cid: str) -> None:
        """The dataset is gone."""
        self._marked.pop(cid, None)
