"""Ends the waiting of long-polled heartbeats as soon as there is something to say.

Also remembers which v1 companions somebody asks for, so that the nodes that hold the data load them.
Wake-ups and wishes reach the nodes that wait at other processes of the registrar too. All of it is in
memory: a node that misses a wake-up learns the same at its next heartbeat. What a node was told is known to
the process that told it; another one may tell it once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from seedkeep_registrar.processes.signals import Kind, Signals

COMPANION_WANTED_S = 900.0
_TOLD_NODES = 50_000


class Wakeups:
    """One waiting place per node; used from the event loop only."""

    def __init__(self, clock: Callable[[], float], signals: Signals) -> None:
        self._clock = clock
        self._signals = signals
        self._waiting: dict[str, asyncio.Event] = {}
        self._companions: dict[str, float] = {}
        self._told: dict[str, frozenset[str]] = {}
        #: the registrar shuts down: nobody is to be held back any more
        self.closing = False
        signals.on(Kind.WAKE, self._woken)
        signals.on(Kind.COMPANION, self._wish)
        signals.on_resync(self._look_again)

    @contextmanager
    def waiting(self, node: str) -> Iterator[asyncio.Event]:
        """A fresh event that :meth:`wake` of this node sets; enter *before* looking at the state.

        A node has one heartbeat at a time: a newer one ends the older one's waiting (see :meth:`is_newest`).
        """
        event = asyncio.Event()
        if older := self._waiting.get(node):
            older.set()
        self._waiting[node] = event
        try:
            yield event
        finally:
            if self.is_newest(node, event):
                del self._waiting[node]

    def is_newest(self, node: str, event: asyncio.Event) -> bool:
        """Whether no newer heartbeat of this node has come; else nobody reads the answer to this one."""
        return self._waiting.get(node) is event

    @property
    def nodes_waiting(self) -> frozenset[str]:
        """Keys of the nodes whose heartbeats are being held back."""
        return frozenset(self._waiting)

    def wake(self, nodes: Iterable[str]) -> None:
        """Let these nodes look again at what there is for them."""
        for node in nodes:
            self._woken(node)
            self._signals.tell(Kind.WAKE, node)

    def wake_all(self) -> None:
        """Let every waiting node look again."""
        self.wake_here()
        self._signals.tell(Kind.WAKE)

    def wake_here(self) -> None:
        """The same for the nodes that wait at this process: the others know already."""
        self._woken("")

    def _woken(self, node: str) -> None:
        for one in [node] if node else list(self._waiting):
            if event := self._waiting.get(one):
                event.set()

    async def _look_again(self) -> None:
        self.wake_here()

    def news(self, node: str, items: frozenset[str]) -> bool:
        """Whether one of these was not in the node's last answer."""
        return bool(items - self._told.get(node, frozenset()))

    def tell(self, node: str, items: frozenset[str]) -> None:
        """Remember what the node's answer says."""
        if len(self._told) >= _TOLD_NODES:
            self._told.clear()
        self._told[node] = items

    def close(self) -> None:
        """Answer everybody now."""
        self.closing = True
        self.wake_here()

    def companion_wanted(self, content_id: str, holders: Iterable[str] = ()) -> None:
        """Somebody asks for the v1 companion of ``content_id``: wake its holders and tell them.

        The wish stands for 15 minutes from the last call, so that a node that comes later hears it too.

        Args:
            holders: the nodes with a complete copy (see ``store.claims.holders``).
        """
        self._wish(content_id)
        self._signals.tell(Kind.COMPANION, content_id)  # before the wake-ups: it is heard before them
        self.wake(holders)

    def _wish(self, content_id: str) -> None:
        self._companions[content_id] = self._clock() + COMPANION_WANTED_S

    def companions(self) -> set[str]:
        """Content ids whose companion is wanted now."""
        now = self._clock()
        self._companions = {c: until for c, until in self._companions.items() if until > now}
        return set(self._companions)
