"""Lets the trackers of several processes know the same peers, so that whoever announces anywhere is found.

What a peer says to one tracker is told to the others within :data:`GATHER_S`, many peers in one signal. A
process that has just started, or missed something, asks; one of the others tells it all peers that it knows.
Peers are hints with a short life: what is lost on the way comes back with the peer's next announce.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum

from seedkeep_registrar.processes.signals import MAX_TEXT, Kind, Signals

GATHER_S = 0.05
#: peers that wait to be told; beyond it the newest are not
_MAX_WAITING = 50_000
_IDS = 40
_ENDPOINTS = (6, 18)
_LONGEST = 2 + _IDS + max(_ENDPOINTS)
#: bytes of base64 are a third more
_ROOM = MAX_TEXT // 4 * 3 - _LONGEST


class What(IntEnum):
    """What became of a peer."""

    LEECHES = 0
    SEEDS = 1
    STOPPED = 2
    COMPLETED = 3
    #: told to somebody who may know better by now
    KNOWN_LEECHER = 4
    KNOWN_SEED = 5


_WHATS = frozenset(int(what) for what in What)


@dataclass(frozen=True, slots=True)
class Said:
    """What one peer said.

    Args:
        endpoint: compact address and port, 6 or 18 bytes.
    """

    what: What
    info_hash: bytes
    peer_id: bytes
    endpoint: bytes


def encode(said: Iterable[Said]) -> Iterator[str]:
    """As many signals' texts as it takes."""
    text = bytearray()
    for one in said:
        text += bytes((one.what, len(one.endpoint))) + one.info_hash + one.peer_id + one.endpoint
        if len(text) > _ROOM:
            yield base64.b64encode(text).decode()
            text.clear()
    if text:
        yield base64.b64encode(text).decode()


def decode(text: str) -> list[Said]:
    """What :func:`encode` made; nothing at all of what is malformed, or of another version."""
    found: list[Said] = []
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return []
    at = 0
    while at < len(data):
        head = data[at : at + 2]
        if len(head) < 2 or head[0] not in _WHATS or head[1] not in _ENDPOINTS:
            return []
        end = at + 2 + _IDS + head[1]
        if end > len(data):
            return []
        found.append(
            Said(
                What(head[0]),
                data[at + 2 : at + 22],
                data[at + 22 : at + 2 + _IDS],
                data[at + 2 + _IDS : end],
            )
        )
        at = end
    return found


class Sharing:
    """
    Args:
        process: names this process among the others.
        heard: takes what peers said elsewhere.
        all_peers: every peer that is known here, as ``KNOWN_…``.
        jitter: seconds to hold back an answer, so that one process answers and not all.
    """

    def __init__(
        self,
        signals: Signals,
        process: str,
        *,
        heard: Callable[[list[Said]], None],
        all_peers: Callable[[], Iterable[Said]],
        jitter: Callable[[], float],
    ) -> None:
        self._signals = signals
        self._process = process
        self._all_peers = all_peers
        self._jitter = jitter
        self._waiting: list[Said] = []
        self._something = asyncio.Event()
        self._asked: set[str] = set()
        self._answers: set[asyncio.Task[None]] = set()
        signals.on(Kind.PEERS, lambda text: heard(decode(text)))
        signals.on(Kind.PEERS_WANTED, self._wanted)
        signals.on(Kind.PEERS_COMING, self._asked.discard)
        signals.on_resync(self._ask)

    def tell(self, said: Said) -> None:
        """Tell the other processes what a peer has said here."""
        if len(self._waiting) < _MAX_WAITING:
            self._waiting.append(said)
            self._something.set()

    async def running(self, _app: object) -> AsyncIterator[None]:
        """A ``cleanup_ctx`` of the application."""
        task = asyncio.create_task(self._send())
        await self._ask()
        yield
        for one in (task, *self._answers):
            one.cancel()
            with suppress(asyncio.CancelledError):
                await one

    async def _ask(self) -> None:
        self._signals.tell(Kind.PEERS_WANTED, self._process)

    async def _send(self) -> None:
        while True:
            await self._something.wait()
            await asyncio.sleep(GATHER_S)
            self._something.clear()
            said, self._waiting = self._waiting, []
            for text in encode(said):
                self._signals.tell(Kind.PEERS, text)

    def _wanted(self, process: str) -> None:
        if process != self._process and process not in self._asked:
            self._asked.add(process)
            task = asyncio.create_task(self._answer(process))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

    async def _answer(self, process: str) -> None:
        await asyncio.sleep(self._jitter())
        if process not in self._asked:  # another one is at it
            return
        self._asked.discard(process)
        said = list(self._all_peers())
        if not said:
            return
        self._signals.tell(Kind.PEERS_COMING, process)
        for text in encode(said):
            self._signals.tell(Kind.PEERS, text)
            await asyncio.sleep(0.001)  # announces are answered meanwhile
