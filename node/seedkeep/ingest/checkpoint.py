"""The checkpoint of an ingest: an append-only journal of what has been hashed.

Each line is a CRC-32, a space and a JSON object; a line that a crash cut off or garbled ends the
reading, what stands before it counts. A journal describes one layout (files, order, piece length): an
ingest starts by writing what is still true into a new journal beside the old one and renaming it, then
appends. So at every moment a valid journal is in place.

A file's digests are believed while its size, both times and its inode are the same, unless it had
changed so shortly before it was read that a second change could have left the same times.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from seedkeep.core import merkle
from seedkeep.core.errors import Error
from seedkeep.core.paths import printable
from seedkeep.ingest import digests
from seedkeep.ingest.jobs import Found, Hashed, Part, Pieces

_TYPE = "seedkeep/ingest-checkpoint"
_VERSION = 1
_SYNC_SECONDS = 5.0
# File times move in ticks of up to 10 ms.
_TICK_NS = 50_000_000
_FILES_PER_LINE = 2000
_MOST_LINE = 256 << 20


@dataclass(slots=True)
class Kept:
    """What an earlier ingest found that still holds for these files."""

    files: dict[str, Hashed] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    pieces: list[Pieces] = field(default_factory=list)


def load(path: Path, files: Sequence[Found], piece_length: int) -> Kept:
    """Read a journal, and keep of it what is true of ``files`` as they are now.

    A missing or unreadable journal keeps nothing. A file's digests are kept when it is unchanged; its
    layer too, or made for a larger piece length; v1 pieces where all files in them are unchanged and
    in the same place.
    """
    found = _Journal()
    with contextlib.suppress(OSError), path.open("rb") as stream:
        for record in _records(stream):
            if not found.add(record):
                break
    return found.kept(files, piece_length)


def _records(stream: io.BufferedReader) -> Iterator[dict[str, Any]]:
    while (line := stream.readline(_MOST_LINE)).endswith(b"\n"):
        crc, _, text = line[:-1].partition(b" ")
        if crc != b"%08x" % zlib.crc32(text):
            return
        try:
            yield json.loads(text)
        except ValueError:
            return


class _Journal:
    """The records of a journal, put together."""

    def __init__(self) -> None:
        self._piece_length = 0
        self._bytes = 0
        self._files: dict[str, tuple[Found, Hashed]] = {}
        self._parts: dict[str, tuple[Found, Part]] = {}
        self._pieces: list[Pieces] = []

    def add(self, record: dict[str, Any]) -> bool:
        """Take one record in; ``False`` when it makes no sense, which ends the reading."""
        try:
            if "type" in record:
                self._piece_length, self._bytes = record["piece_length"], record["bytes"]
                return bool(record["type"] == _TYPE and record["v"] == _VERSION)
            for row in record.get("files", []):
                found, (read_at, md5, sha256, root, layer) = Found(*row[:6]), row[6:]
                hashed = Hashed(
                    found.path, read_at, md5, sha256, root, base64.b64decode(layer) if layer else b""
                )
                self._files[found.path] = (found, hashed)
                self._parts.pop(found.path, None)
            if "part" in record:
                self._add_part(record["part"])
            if "pieces" in record:
                first, hashes = record["pieces"]
                self._pieces.append(Pieces(first, base64.b64decode(hashes)))
        except (KeyError, TypeError, ValueError):
            return False
        return self._piece_length > 0

    def _add_part(self, row: list[Any]) -> None:
        found = Found(*row[:6])
        read_at, offset, md5, sha256, tag, layer = row[6:]
        # A later part of a file holds only the nodes that the earlier ones do not.
        before = self._parts[found.path][1].layer if found.path in self._parts else b""
        whole = before + base64.b64decode(layer)
        part = Part(found.path, read_at, offset, base64.b64decode(md5), base64.b64decode(sha256), tag, whole)
        self._parts[found.path] = (found, part)

    def kept(self, files: Sequence[Found], piece_length: int) -> Kept:
        kept = Kept()
        same_length = self._piece_length == piece_length
        in_place: list[tuple[int, int]] = []
        for file in files:
            known = self._files.get(file.path) or self._parts.get(file.path)
            if known is None:
                continue
            before, result = known
            if before.identity != file.identity or not _settled(file, result.read_at_ns):
                continue
            if before.start == file.start and same_length:
                end = file.end if isinstance(result, Hashed) else file.start + result.offset
                in_place.append((file.start, end))
            if isinstance(result, Hashed):
                layered = _layered(file, result, self._piece_length, piece_length)
                if layered is not None:
                    kept.files[file.path] = layered
            elif same_length and result.tag == digests.platform_tag() and digests.portable():
                kept.parts[file.path] = result
        if same_length:
            # The short piece at the end is the same only if the stream ended there before.
            stream_end = self._bytes if files and files[-1].end == self._bytes else None
            kept.pieces = _covered(self._pieces, in_place, piece_length, stream_end)
        return kept


def _settled(file: Found, read_at_ns: int) -> bool:
    return max(file.mtime_ns, file.ctime_ns) + _TICK_NS < read_at_ns


def _layered(file: Found, hashed: Hashed, old_length: int, new_length: int) -> Hashed | None:
    """``hashed`` with the layer for the new piece length; ``None`` when that needs reading."""
    if file.size <= new_length:
        layer = b""
    elif old_length <= new_length:
        nodes = merkle.raise_layer(merkle.split_layer(hashed.layer), old_length, new_length)
        layer = b"".join(nodes)
    else:
        return None
    return Hashed(file.path, hashed.read_at_ns, hashed.md5, hashed.sha256, hashed.root, layer)


def _covered(
    pieces: Iterable[Pieces], ranges: Sequence[tuple[int, int]], piece_length: int, total: int | None
) -> list[Pieces]:
    """Those pieces that lie wholly within ``ranges``, which are sorted; neighbours are joined.

    ``total`` is where the short last piece ends, if that one may be kept.
    """
    joined: list[tuple[int, int]] = []
    for start, end in ranges:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        elif end > start:
            joined.append((start, end))
    whole: list[tuple[int, int]] = []
    for start, end in joined:
        last = -(-end // piece_length) if end == total else end // piece_length
        whole.append((-(-start // piece_length), last))
    known: dict[int, bytes] = {}
    for stretch in pieces:
        for index in range(len(stretch.hashes) // 20):
            known[stretch.first + index] = stretch.hashes[20 * index : 20 * index + 20]
    kept: list[Pieces] = []
    for first, last in whole:
        at = first
        while at < last:
            run = at
            while run < last and run in known:
                run += 1
            if run > at:
                kept.append(Pieces(at, b"".join(known[number] for number in range(at, run))))
            at = run + 1
    return kept


class Writer:
    """Appends to the journal at ``path``; use as a context manager. With ``path`` None it does nothing.

    Raises:
        Error: the journal cannot be written.
    """

    def __init__(self, path: Path | None, files: Sequence[Found], piece_length: int, kept: Kept) -> None:
        self._path = path
        self._files = {file.path: file for file in files}
        self._layers: dict[str, int] = {}
        self._synced = time.monotonic()
        self._stream: io.BufferedWriter | None = None
        if path is not None:
            self._start(path, piece_length, kept)

    def _start(self, path: Path, piece_length: int, kept: Kept) -> None:
        beside = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = beside.open("wb")
            total = sum(file.size for file in self._files.values())
            self._append({"type": _TYPE, "v": _VERSION, "piece_length": piece_length, "bytes": total})
            hashed = list(kept.files.values())
            for at in range(0, len(hashed), _FILES_PER_LINE):
                self.files(hashed[at : at + _FILES_PER_LINE])
            for part in kept.parts.values():
                self.part(part)
            for pieces in kept.pieces:
                self.pieces(pieces)
            self._sync()
            beside.rename(path)
        except OSError as error:
            self.close()
            with contextlib.suppress(OSError):
                beside.unlink()
            raise self._failed(error) from error

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._stream is not None:
                self._sync()
        except OSError as problem:
            if error is None:
                raise self._failed(problem) from problem
        finally:
            self.close()

    def close(self) -> None:
        """Close the journal without making sure that it is on disk."""
        if self._stream is not None:
            with contextlib.suppress(OSError):
                self._stream.close()
            self._stream = None

    def files(self, hashed: Sequence[Hashed], pieces: Pieces | None = None) -> None:
        """Note finished files, and the pieces found with them."""
        rows = []
        for each in hashed:
            file = self._files[each.path]
            layer = base64.b64encode(each.layer).decode()
            rows.append([*_place(file), each.read_at_ns, each.md5, each.sha256, each.root, layer])
        self._note({"files": rows}, pieces)

    def part(self, part: Part, pieces: Pieces | None = None) -> None:
        """Note a point from which a large file can be continued."""
        written = self._layers.get(part.path, 0)
        self._layers[part.path] = len(part.layer)
        row = [
            *_place(self._files[part.path]),
            part.read_at_ns,
            part.offset,
            base64.b64encode(part.md5).decode(),
            base64.b64encode(part.sha256).decode(),
            part.tag,
            base64.b64encode(part.layer[written:]).decode(),
        ]
        self._note({"part": row}, pieces)

    def pieces(self, pieces: Pieces) -> None:
        """Note pieces."""
        self._note({}, pieces)

    def _note(self, record: dict[str, Any], pieces: Pieces | None) -> None:
        if self._stream is None:
            return
        if pieces is not None and pieces.hashes:
            record["pieces"] = [pieces.first, base64.b64encode(pieces.hashes).decode()]
        try:
            self._append(record)
            if time.monotonic() - self._synced > _SYNC_SECONDS:
                self._sync()
        except OSError as error:
            raise self._failed(error) from error

    def _append(self, record: dict[str, Any]) -> None:
        assert self._stream is not None
        text = json.dumps(record, separators=(",", ":")).encode()
        self._stream.write(b"%08x %b\n" % (zlib.crc32(text), text))
        self._stream.flush()

    def _sync(self) -> None:
        assert self._stream is not None
        os.fsync(self._stream.fileno())
        self._synced = time.monotonic()

    def _failed(self, error: OSError) -> Error:
        return Error(
            f"cannot write the checkpoint {printable(str(self._path))}: {error.strerror}",
            hint="Make room or choose another place for it, then run it again.",
        )


def _place(file: Found) -> list[Any]:
    return [file.path, file.start, file.size, file.mtime_ns, file.ctime_ns, file.inode]
