"""Tells the parts of the registrar what has just become durable, in this process.

Example::

    registrar.changes.on_registered(lambda record: tracker.registered.registered(...))
    registrar.changes.on_taints(tracker.registered.taints_changed)
"""

from __future__ import annotations

from collections.abc import Callable

from seedkeep_registrar.store.records import Record


class Changes:
    """Listeners are plain functions, called on the event loop after the transaction is durable."""

    def __init__(self) -> None:
        self._registered: list[Callable[[Record], None]] = []
        self._taints: list[Callable[[], None]] = []

    def on_registered(self, listener: Callable[[Record], None]) -> None:
        """Call ``listener`` with every new record."""
        self._registered.append(listener)

    def on_taints(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever a taint or a lift has taken effect."""
        self._taints.append(listener)

    def registered(self, record: Record) -> None:
        """A record has been made."""
        for listener in self._registered:
            listener(record)

    def taints_changed(self) -> None:
        """A taint or a lift has taken effect."""
        for listener in self._taints:
            listener()
