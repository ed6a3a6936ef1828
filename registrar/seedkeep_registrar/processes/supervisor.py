"""Several processes of one registrar under one parent, which listens for all of them.

The parent opens the socket and the processes accept from it, so that no connection is lost when one of them
dies: another one takes it. A process that dies is started again; one that cannot even start ends them all,
since the next would not do better.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

_LOG = logging.getLogger(__name__)
#: a process that dies is started again after this long, in seconds
_PAUSE_S = 1.0

#: runs one process: its number, the socket it accepts from, and where it says something once it is ready
Work = Callable[[int, socket.socket, Connection], None]


@dataclass
class _Child:
    number: int
    process: BaseProcess
    said: Connection
    ready: bool = False

    def look(self) -> bytes:
        """What it has said since; "" when it has not, or has ended."""
        with suppress(EOFError, OSError):
            if self.said.poll():
                return self.said.recv_bytes()
        return b""


class Supervisor:
    """
    Args:
        work: a picklable function that runs one process until SIGTERM, and leaves with its exit code.
        listening: the socket that all of them accept from.
        ready: called once, with what the first process said that is ready.
    """

    def __init__(self, work: Work, listening: socket.socket, ready: Callable[[bytes], None]) -> None:
        self._work = work
        self._listening = listening
        self._ready = ready
        self._context = multiprocessing.get_context("spawn")
        self._children: list[_Child] = []
        self._answers = False
        self._code: int | None = None

    def run(self, count: int) -> int:
        """Keep ``count`` processes running until SIGTERM or SIGINT.

        Returns:
            The exit code: 0 after SIGTERM, 130 after SIGINT, that of a process that could not start.
        """
        for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
            signal.signal(number, lambda *_, code=code: self._stop(code))
        self._children = [self._start(number) for number in range(count)]
        while self._code is None:
            self._look()
        for child in self._children:
            with suppress(ProcessLookupError, ValueError):
                child.process.terminate()
        for child in self._children:
            child.process.join()
        return self._code

    def _stop(self, code: int) -> None:
        if self._code is None:
            self._code = code

    def _start(self, number: int) -> _Child:
        said, say = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=self._work, args=(number, self._listening, say), name=f"registrar-{number}"
        )
        process.start()
        say.close()
        return _Child(number, process, said)

    def _look(self) -> None:
        """Wait a little for a process that is ready, or has ended."""
        waiting = {child.process.sentinel: child for child in self._children}
        waiting |= {child.said.fileno(): child for child in self._children if not child.ready}
        for one in wait(list(waiting), timeout=0.5):
            assert isinstance(one, int)
            child = waiting[one]
            if not child.ready and (said := child.look()):
                child.ready = True
                if not self._answers:
                    self._answers = True
                    self._ready(said)
            if child.process.exitcode is not None:
                self._ended(child)

    def _ended(self, child: _Child) -> None:
        if self._code is not None or child not in self._children:
            return
        code = child.process.exitcode or 0
        if not child.ready and code > 0:
            self._stop(code)
            return
        _LOG.error("process %d of the registrar has ended (%d); it is started again", child.number, code)
        self._children.remove(child)
        child.said.close()
        time.sleep(_PAUSE_S)
        self._children.append(self._start(child.number))
