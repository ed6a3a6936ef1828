"""Tells the parts of the registrar what has just become durable, whichever of its processes did it.

Example::

    registrar.changes.on_registered(lambda made: tracker.registered.forget(bytes.fromhex(made.infohash_v1)))
    registrar.changes.on_taints(tracker.registered.clear)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seedkeep_registrar.processes.signals import Kind, Signals
from seedkeep_registrar.store.records import Record
from seedkeep_registrar.taint_head import TaintHead


@dataclass(frozen=True, slots=True)
class Registered:
    """A record that was made."""

    rid: str
    content_id: str
    infohash_v1: str


class Changes:
    """Listeners are plain functions, called on the event loop after the transaction is durable."""

    def __init__(self, signals: Signals, taint_head: TaintHead) -> None:
        self._signals = signals
        self._taint_head = taint_head
        self._registered: list[Callable[[Registered], None]] = []
        self._taints: list[Callable[[], None]] = []
        signals.on(Kind.REGISTERED, lambda text: self._call(Registered(*text.split(" "))))
        signals.on_resync(self._look_again)
        taint_head.on_change(self._taints_changed)
        signals.on(Kind.PEER_TAINTS, lambda _: self._taints_changed())

    def on_registered(self, listener: Callable[[Registered], None]) -> None:
        """Call ``listener`` with every new record."""
        self._registered.append(listener)

    def on_taints(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when a taint or a lift has taken effect, and when one may have been missed."""
        self._taints.append(listener)

    def registered(self, record: Record) -> None:
        """A record has been made."""
        made = Registered(record.rid, record.content_id, record.infohash_v1)
        self._call(made)
        self._signals.tell(Kind.REGISTERED, f"{made.rid} {made.content_id} {made.infohash_v1}")

    def _call(self, made: Registered) -> None:
        for listener in self._registered:
            listener(made)

    def _taints_changed(self) -> None:
        for listener in self._taints:
            listener()

    async def _look_again(self) -> None:
        self._taints_changed()
