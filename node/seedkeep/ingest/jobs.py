"""What the coordinator and its hashing workers say to each other.

The files of a dataset laid end to end in torrent order form one stream. A *run* is a stretch of whole
files of it. Version 1 pieces lie across file ends, so a run gives the hashes of the pieces inside it and
the raw bytes at its two ends, which the coordinator joins with those of the neighbouring runs: every
byte is read once, and no run waits for another.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """A file as the scan saw it.

    Attributes:
        path: relative to the dataset's root.
        start: its first byte's place in the stream.
        size: in bytes.
        mtime_ns, ctime_ns: times of the last change of content and of inode.
        inode: its number.
    """

    path: str
    start: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @property
    def end(self) -> int:
        """The place in the stream after its last byte."""
        return self.start + self.size

    @property
    def identity(self) -> tuple[int, int, int, int]:
        """What changes when the content may have changed."""
        return (self.size, self.mtime_ns, self.ctime_ns, self.inode)


@dataclass(frozen=True, slots=True)
class Setup:
    """Sent first: ``root`` is the directory, or the file itself when ``single``."""

    root: str
    piece_length: int
    single: bool


@dataclass(frozen=True, slots=True)
class Part:
    """How far the hashing of one large file has come; ``offset`` is a multiple of the piece length.

    ``layer`` holds the nodes up to ``offset``. The states fit digests of the same ``tag`` only.
    """

    path: str
    read_at_ns: int
    offset: int
    md5: bytes
    sha256: bytes
    tag: str
    layer: bytes


@dataclass(frozen=True, slots=True)
class RunJob:
    """Hash these files, which lie next to each other in the stream; ``part`` continues the only one."""

    files: tuple[Found, ...]
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class PiecesJob:
    """Hash ``count`` v1 pieces from number ``first`` on, which lie in ``files``; nothing else."""

    first: int
    count: int
    files: tuple[Found, ...]
    end: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Leave the job: report a :class:`Part` if that takes no time, then :class:`Stopped`."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """All about one file; digests in lower-case hex, ``root`` empty for an empty file.

    ``layer`` is empty unless the file is larger than a piece. ``read_at_ns`` is the clock before reading.
    """

    path: str
    read_at_ns: int
    md5: str
    sha256: str
    root: str
    layer: bytes


@dataclass(frozen=True, slots=True)
class Pieces:
    """Consecutive v1 piece hashes, 20 bytes each."""

    first: int
    hashes: bytes


@dataclass(frozen=True, slots=True)
class Fragment:
    """Bytes of the stream that are part of one v1 piece; the rest lies in other runs."""

    start: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Read:
    """Progress: bytes read since the last message, and where."""

    count: int
    files: int
    path: str


@dataclass(frozen=True, slots=True)
class PartDone:
    """A point from which a large file can be continued, with all pieces since the last such point."""

    part: Part
    pieces: Pieces


@dataclass(frozen=True, slots=True)
class RunDone:
    """The result of a :class:`RunJob`."""

    files: tuple[Hashed, ...]
    pieces: Pieces
    fragments: tuple[Fragment, ...]


@dataclass(frozen=True, slots=True)
class PiecesDone:
    """The result of a :class:`PiecesJob`."""

    pieces: Pieces


@dataclass(frozen=True, slots=True)
class Stopped:
    """The job was left because of :class:`Stop`."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The job failed: text and hint for the person at the terminal."""

    what: str
    hint: str
