"""The hashing worker: takes jobs from its connection, one at a time, until the connection closes.

Runs as a process of its own, so that many small files use all cores too (their hashing is mostly
Python, which one process runs on one core), or in a thread for a dataset too small to be worth a process.
"""

from __future__ import annotations

import signal
import sys
import time
from multiprocessing.connection import Connection

from seedkeep.ingest.hashing import Interrupted, Unusable, hash_pieces, hash_run
from seedkeep.ingest.jobs import Failed, PartDone, PiecesJob, Read, RunJob, Setup, Stop, Stopped

_REPORT_SECONDS = 0.05


class _Reporter:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._count = 0
        self._files = 0
        self._last = 0.0
        self._stopping = False

    def advance(self, count: int, files: int, path: str) -> None:
        self._files += files
        if self.tick(count, path):
            raise Interrupted

    def tick(self, count: int, path: str) -> bool:
        self._count += count
        now = time.monotonic()
        if now - self._last >= _REPORT_SECONDS:
            self._last = now
            self.flush(path)
            if self._connection.poll():
                self._stopping = isinstance(self._connection.recv(), Stop)
        return self._stopping

    def part(self, message: PartDone) -> None:
        self._connection.send(message)

    def flush(self, path: str) -> None:
        if self._count or self._files:
            self._connection.send(Read(self._count, self._files, path))
            self._count = self._files = 0


def serve(connection: Connection) -> None:
    """Answer every job on ``connection`` until the other end closes it or says stop."""
    try:
        setup = connection.recv()
        assert isinstance(setup, Setup)
        while True:
            job = connection.recv()
            if isinstance(job, Stop):
                connection.send(Stopped())
                return
            reporter = _Reporter(connection)
            try:
                assert isinstance(job, RunJob | PiecesJob)
                result = (
                    hash_run(setup, job, reporter)
                    if isinstance(job, RunJob)
                    else hash_pieces(setup, job, reporter)
                )
                reporter.flush(job.files[-1].path)
                connection.send(result)
            except Interrupted:
                connection.send(Stopped())
                return
            except Unusable as error:
                connection.send(Failed(error.what, error.hint))
            except MemoryError:
                connection.send(Failed("there is not enough memory for hashing", "Use fewer workers."))
    except (EOFError, OSError):
        return  # the coordinator is gone, and with it everybody who wanted to know


def main() -> None:
    """The process's entry: the connection is the descriptor named by the only argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator decides what an interrupt means
    serve(Connection(int(sys.argv[1])))


if __name__ == "__main__":
    main()
