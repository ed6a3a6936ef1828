"""What the processes of one registrar tell each other, and the listeners of this process.

A signal says that something *may* have changed; the truth is in the database. Two ways to send one:

* :func:`announce`, inside a transaction: it is heard, here and elsewhere, if and only if the transaction
  becomes durable, and here before the writer's caller goes on;
* :meth:`Signals.tell`, afterwards, to the other processes only. It is lost with this process.

Signals may be lost while the database is away; then :meth:`Signals.on_resync` is called, and whoever waits
falls back to a limit of its own. With SQLite there is one process, and nobody else to tell.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sqlalchemy import Connection

_LOG = logging.getLogger(__name__)
_PENDING = "signals of this transaction"
#: PostgreSQL takes less than 8000 bytes
MAX_TEXT = 7900


class Kind(StrEnum):
    """What a signal is about, and what its text is."""

    HEAD = "head"  # the signed note of the taint list's new head
    CHECKPOINT = "checkpoint"  # size and root (hex) of this registrar's own log
    REGISTERED = "registered"  # rid, content id and v1 info-hash of a new record
    WAKE = "wake"  # a node with something new to hear, or "" for all of them
    COMPANION = "companion"  # a content id whose companion somebody asks for
    PEERS = "peers"  # what peers said to one tracker
    PEERS_WANTED = "peers-wanted"  # a process that knows no peers yet
    PEERS_COMING = "peers-coming"  # that process is being answered
    FEDERATION = "federation"  # id of another registrar whose state has changed
    MIRRORED = "mirrored"  # number of a log of which new events wait to be applied
    PEER_TAINTS = "peer-taints"  # id of another registrar whose taint head was stored


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal."""

    kind: Kind
    text: str = ""


class Link(Protocol):
    """The way to the other processes."""

    @property
    def leading(self) -> bool:
        """Whether this process does what only one of them may do at a time."""
        ...

    def tell(self, signal: Signal) -> None:
        """Send it, soon."""
        ...


class Alone:
    """There is no other process."""

    leading = True

    def tell(self, signal: Signal) -> None:
        """Nobody hears it."""


def announce(connection: Connection, kind: Kind, text: str = "") -> None:
    """Tell all processes once the transaction of this connection (the writing one) is durable."""
    connection.info.setdefault(_PENDING, {})[Signal(kind, text)] = None


def take(connection: Connection) -> list[Signal]:
    """What was announced since the last call, each once; for the owner of the transaction."""
    return list(connection.info.pop(_PENDING, {}))


class Signals:
    """Listeners are plain functions, called on the event loop."""

    def __init__(self, link: Link | None = None) -> None:
        """To be made on the event loop on which the listeners are to be called."""
        self._link: Link = link or Alone()
        self._loop = asyncio.get_running_loop()
        self._listeners: dict[Kind, list[Callable[[str], None]]] = {kind: [] for kind in Kind}
        self._resyncs: list[Callable[[], Awaitable[None]]] = []

    @property
    def leading(self) -> bool:
        """Whether this process does what only one may do at a time: housekeeping, sending mails again, …

        For a moment there may be none, or a second one that does not know yet that it has lost the lead; so
        every such job has to bear being done twice.
        """
        return self._link.leading

    def on(self, kind: Kind, listener: Callable[[str], None]) -> None:
        """Call ``listener`` with the text of every such signal, of this process and of others."""
        self._listeners[kind].append(listener)

    def on_resync(self, listener: Callable[[], Awaitable[None]]) -> None:
        """Await ``listener`` when signals may have been lost."""
        self._resyncs.append(listener)

    def tell(self, kind: Kind, text: str = "") -> None:
        """Tell the other processes."""
        self._link.tell(Signal(kind, text))

    def committed(self, signals: Sequence[Signal]) -> None:
        """What this process announced is durable; called from the writing thread."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self.hear, signals)

    def hear(self, signals: Sequence[Signal]) -> None:
        """Call the listeners."""
        for signal in signals:
            for listener in self._listeners[signal.kind]:
                try:
                    listener(signal.text)
                except Exception:
                    _LOG.exception("signal %s: a listener failed", signal.kind)

    async def resync(self) -> None:
        """Signals may have been lost: everybody looks at the database again."""
        for listener in self._resyncs:
            try:
                await listener()
            except Exception:
                _LOG.exception("a listener could not look at the database again")
