"""The hashing workers: starting them, handing out jobs, and ending all of them whatever happens."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType

import seedkeep
from seedkeep.core.errors import Error, InvalidInput
from seedkeep.ingest.jobs import (
    Failed,
    PartDone,
    PiecesDone,
    PiecesJob,
    Read,
    RunDone,
    RunJob,
    Setup,
    Stop,
    Stopped,
)
from seedkeep.ingest.worker import serve

Message = Read | PartDone | RunDone | PiecesDone

# A worker leaves a large file within about a second; one that hangs in a read (a dead mount) is killed.
_GRACE_SECONDS = 3.0


class StopSignal:
    """Set from any thread; :meth:`Pool.run` wakes up from it."""

    def __init__(self) -> None:
        self._reader, self._writer = Pipe(duplex=False)
        self._set = threading.Event()

    def set(self) -> None:
        """Ask for an end; may be repeated."""
        if not self._set.is_set():
            self._set.set()
            self._writer.send(None)

    def is_set(self) -> bool:
        """Whether an end was asked for."""
        return self._set.is_set()

    @property
    def connection(self) -> Connection:
        """Becomes readable when set."""
        return self._reader

    def close(self) -> None:
        """Free the descriptors."""
        self._reader.close()
        self._writer.close()


class StoppedEarly(Exception):
    """The stop signal ended the run; everything reported until then counts."""


class Pool:
    """Workers for one ingest; use as a context manager.

    Args:
        setup: what every worker has to know.
        count: how many.
        processes: whether they are processes; else they are threads, for very small datasets.
    """

    def __init__(self, setup: Setup, count: int, *, processes: bool) -> None:
        self._idle: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        try:
            for _ in range(count):
                ours = self._start_process() if processes else self._start_thread()
                self._idle.append(ours)
                ours.send(setup)
        except OSError as error:
            self.close()
            raise Error(f"cannot start a hashing process: {error.strerror}") from error

    def _start_process(self) -> Connection:
        ours, theirs = Pipe()
        with theirs:
            # Without site and with our own path first: starts in a tenth of the time, and cannot pick up
            # another module of the same name from the directory that happens to be the current one.
            home = str(Path(seedkeep.__file__).parents[1])
            command = [sys.executable, "-S", "-P", "-m", "seedkeep.ingest.worker", str(theirs.fileno())]
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": home},
            )
        self._processes.append(process)
        return ours

    def _start_thread(self) -> Connection:
        ours, theirs = Pipe()

        def work() -> None:
            with theirs:
                serve(theirs)

        thread = threading.Thread(target=work, name="hashing", daemon=True)
        thread.start()
        self._threads.append(thread)
        return ours

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all workers, and wait for them."""
        for connection in (*self._idle, *self._busy):
            connection.close()
        for process in self._processes:
            # Whatever a worker still knows was either reported or is not wanted.
            process.kill()
            process.wait()
        for thread in self._threads:
            thread.join()

    def run(
        self,
        jobs: Iterable[RunJob | PiecesJob],
        on_message: Callable[[Message], None],
        on_idle: Callable[[], None],
        stop: StopSignal,
    ) -> None:
        """Have all jobs done, in the order given, as many at a time as there are workers.

        Args:
            jobs: what to do.
            on_message: called with every message of a worker, in the calling thread.
            on_idle: called at least ten times a second.
            stop: ends it early.

        Raises:
            InvalidInput: a file cannot be hashed; names it.
            Error: a worker died.
            StoppedEarly: because of ``stop``.
        """
        todo = deque(jobs)
        while todo or self._busy:
            while todo and self._idle and not stop.is_set():
                worker = self._idle.popleft()
                self._busy.add(worker)
                self._send(worker, todo.popleft())
            if stop.is_set():
                self._leave(on_message)
                raise StoppedEarly
            for ready in wait([*self._busy, stop.connection], 0.1):
                if isinstance(ready, Connection) and ready is not stop.connection:
                    self._take(ready, on_message)
            on_idle()

    def _send(self, worker: Connection, message: RunJob | PiecesJob | Stop) -> None:
        # A worker that is gone shows itself when its answer is read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            worker.send(message)

    def _take(self, worker: Connection, on_message: Callable[[Message], None]) -> None:
        try:
            message = worker.recv()
        except (EOFError, OSError) as error:
            raise Error(
                "a hashing process ended unexpectedly; perhaps it was killed, or the memory ran out",
                hint="Run it again: what was done is kept.",
            ) from error
        if isinstance(message, Failed):
            raise InvalidInput(message.what, hint=message.hint)
        if isinstance(message, RunDone | PiecesDone | Stopped):
            self._busy.discard(worker)
            self._idle.append(worker)
        if not isinstance(message, Stopped):
            on_message(message)

    def _leave(self, on_message: Callable[[Message], None]) -> None:
        """Ask the busy workers to stop, and take in what they still report."""
        for worker in self._busy:
            self._send(worker, Stop())
        end = time.monotonic() + _GRACE_SECONDS
        while self._busy and (left := end - time.monotonic()) > 0:
            for ready in wait(list(self._busy), left):
                assert isinstance(ready, Connection)
                try:
                    self._take(ready, on_message)
                except Error:
                    self._busy.discard(ready)
                    ready.close()
