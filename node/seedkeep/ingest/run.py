"""One ingest from beginning to end: scan, keep what is known, hash the rest, put it together."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seedkeep.core.errors import UsageError
from seedkeep.core.manifest import FileEntry, Manifest, piece_length
from seedkeep.core.metainfo import check_layers
from seedkeep.core.paths import printable
from seedkeep.ingest import checkpoint as journal
from seedkeep.ingest.jobs import Hashed, PartDone, PiecesJob, Read, RunDone, RunJob, Setup
from seedkeep.ingest.plan import PieceTable, plan_pieces, plan_runs
from seedkeep.ingest.pool import Message, Pool, StoppedEarly, StopSignal
from seedkeep.ingest.scan import Scan, scan

# Below this, starting processes takes longer than they save.
_THREADS_BYTES = 16 << 20
_THREADS_FILES = 500
_REPORT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one read of the bytes gave.

    Attributes:
        root: the directory or the single file, absolute.
        manifest: its files with all their digests.
        layers: v2 piece layers of all files larger than a piece, in manifest order, end to end.
        pieces_v1: SHA-1 of each v1 piece, 20 bytes each.
    """

    root: Path
    manifest: Manifest
    layers: bytes
    pieces_v1: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest has come.

    Attributes:
        phase: ``scanning``, ``hashing``, ``pieces`` (v1 pieces beside files that were kept), ``done``.
        bytes_done, bytes_total: of the whole dataset; bytes kept from an earlier run count as done.
        files_done, files_total: likewise.
        path: the file read last.
        seconds: since the beginning.
        bytes_kept: how many of ``bytes_done`` did not have to be read now (leave them out of the rate).
    """

    phase: str
    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int
    path: str
    seconds: float
    bytes_kept: int = 0


async def ingest(
    root: Path,
    *,
    name: str | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    workers: int | None = None,
) -> Ingested:
    """Hash a directory or a file for sharing, reading every byte once.

    Cancelling it ends it within about a second and leaves a checkpoint to go on from.

    Args:
        root: what to share; nothing in it may change meanwhile.
        name: of the dataset; the last part of ``root`` by default.
        checkpoint: a file of our own that remembers what was hashed, so that an interrupted ingest goes
            on and a later one reads only what changed. Must not lie inside ``root``.
        progress: called in the event loop, at most ten times a second and once at the end.
        workers: hashing processes; one per core by default.

    Raises:
        InvalidInput: something there cannot be shared or changed while it was read; names it.
        UsageError: the checkpoint lies inside ``root``.
        Error: the checkpoint cannot be written, or a hashing process died.
    """
    loop = asyncio.get_running_loop()

    def report(state: Progress) -> None:
        if progress is not None and not loop.is_closed():
            loop.call_soon_threadsafe(progress, state)

    stop = StopSignal()
    work = asyncio.create_task(
        asyncio.to_thread(_Run(root, name, checkpoint, workers or os.cpu_count() or 1, report, stop).run)
    )
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # it was asked to end; how it did no longer matters
        raise
    finally:
        if work.done():
            stop.close()


class _Run:
    """The coordinator; lives in a thread of its own."""

    def __init__(
        self,
        root: Path,
        name: str | None,
        checkpoint: Path | None,
        workers: int,
        report: Callable[[Progress], None],
        stop: StopSignal,
    ) -> None:
        self._root = root
        self._name = name
        self._checkpoint = checkpoint
        self._workers = workers
        self._report = report
        self._stop = stop
        self._started = self._reported = time.monotonic()
        self._hashed: dict[str, Hashed] = {}
        self._phase = "scanning"
        self._bytes = self._files = self._kept_bytes = 0
        self._path = ""

    def run(self) -> Ingested:
        """All of it.

        Raises:
            StoppedEarly: by the stop signal.
        """
        self._tell(None)
        if self._checkpoint is not None and self._checkpoint.resolve().is_relative_to(self._root.resolve()):
            raise UsageError(
                f"the checkpoint {printable(str(self._checkpoint))} lies inside the data",
                hint="Choose a place for it outside.",
            )
        found = scan(self._root, self._name, stopped=self._stop.is_set)
        if self._stop.is_set():
            raise StoppedEarly
        length = piece_length(found.bytes, len(found.files))
        kept = journal.Kept()
        if self._checkpoint is not None:
            kept = journal.load(self._checkpoint, found.files, length)
        table = PieceTable(found.bytes, length)
        for pieces in kept.pieces:
            table.add(pieces)
        self._hashed = dict(kept.files)
        sizes = {file.path: file.size for file in found.files}
        self._files = len(kept.files)
        self._bytes = sum(sizes[path] for path in kept.files) + sum(
            part.offset for part in kept.parts.values()
        )
        self._kept_bytes = self._bytes
        with journal.Writer(self._checkpoint, found.files, length, kept) as writer:
            self._hash(found, length, kept, table, writer)
        result = self._put_together(found, table)
        self._phase = "done"
        self._tell(found)
        return result

    def _hash(
        self, found: Scan, length: int, kept: journal.Kept, table: PieceTable, writer: journal.Writer
    ) -> None:
        def take(message: Message) -> None:
            if isinstance(message, Read):
                self._path = message.path
                if self._phase == "hashing":
                    self._bytes += message.count
                    self._files += message.files
            elif isinstance(message, PartDone):
                table.add(message.pieces)
                writer.part(message.part, message.pieces)
            elif isinstance(message, RunDone):
                self._hashed.update((each.path, each) for each in message.files)
                table.add(message.pieces)
                writer.files(message.files, message.pieces)
                for fragment in message.fragments:
                    joined = table.join(fragment)
                    if joined is not None:
                        writer.pieces(joined)
            else:
                table.add(message.pieces)
                writer.pieces(message.pieces)

        def idle() -> None:
            if time.monotonic() - self._reported >= _REPORT_SECONDS:
                self._tell(found)

        def do(phase: str, jobs: Sequence[RunJob | PiecesJob]) -> None:
            if not jobs:
                return
            self._phase = phase
            count = min(self._workers, len(jobs))
            files = sum(len(job.files) for job in jobs)
            size = sum(job.files[-1].end - job.files[0].start for job in jobs)
            # One job keeps its lanes busy in this process as well as in another one.
            processes = count > 1 and (size > _THREADS_BYTES or files > _THREADS_FILES)
            with Pool(setup, count, processes=processes) as pool:
                pool.run(jobs, take, idle, self._stop)

        setup = Setup(str(found.root), length, found.single)
        done = kept.files.keys()
        do("hashing", plan_runs(found.files, done, kept.parts, piece_length=length, workers=self._workers))
        do("pieces", plan_pieces(found.files, table, total=found.bytes, piece_length=length))

    def _put_together(self, found: Scan, table: PieceTable) -> Ingested:
        entries = []
        layers = []
        for file in found.files:
            hashed = self._hashed[file.path]
            entries.append(FileEntry(file.path, file.size, hashed.md5, hashed.sha256, hashed.root))
            layers.append(hashed.layer)
        manifest = Manifest.of(found.name, entries)
        whole = b"".join(layers)
        check_layers(manifest, whole)
        return Ingested(found.root, manifest, whole, table.hashes())

    def _tell(self, found: Scan | None) -> None:
        self._reported = now = time.monotonic()
        total, files = (found.bytes, len(found.files)) if found else (0, 0)
        state = Progress(
            self._phase,
            min(self._bytes, total),
            total,
            min(self._files, files),
            files,
            self._path,
            now - self._started,
            self._kept_bytes,
        )
        self._report(state)
