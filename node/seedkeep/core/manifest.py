"""The manifest: what a dataset is, file by file, in canonical JSON Lines.

The first line is the header, then follows one line per file in torrent order (the order of BEP 52's
file tree). Every line is canonical JSON (RFC 8785) and ends in ``\\n``, so a manifest has exactly one
encoding, one digest, and one content id::

    {"bytes":5,"files":1,"name":"d","piece_length":32768,"type":"seedkeep/manifest","v":1}
    {"md5":"5d41…","path":"hello.txt","root":"2cf2…","sha256":"2cf2…","size":5}

A manifest of one file without a directory is a *single file* dataset; its name is the file's. (A v2
torrent cannot say "a directory with one file in it": libtorrent reads that as the bare file.)
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any

from seedkeep.core.errors import InvalidInput
from seedkeep.core.filetree import encode_info
from seedkeep.core.paths import TreeChecker, check_name, printable, torrent_order

TYPE = "seedkeep/manifest"
VERSION = 1
#: libtorrent loads no torrent with more pieces than this
MAX_PIECES = 2_097_152
#: two blocks: with one, libtorrent 2.1 crashes when a peer refuses the block hashes of a failed piece
MIN_PIECE_LENGTH = 32 << 10
MAX_PIECE_LENGTH = 64 << 20
#: I-JSON integers end here
MAX_BYTES = (1 << 53) - 1
EMPTY_MD5 = hashlib.md5(b"", usedforsecurity=False).hexdigest()
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

# A path has at most 4096 bytes, doubled at worst by escaping; the rest of a line is about 230 bytes.
_MAX_LINE = 16_384
_HEADER_KEYS = {"bytes", "files", "name", "piece_length", "type", "v"}
_FILE_KEYS = {"md5", "path", "root", "sha256", "size"}
_DIGESTS = re.compile(r"[0-9a-f]{32} [0-9a-f]{64} (?:[0-9a-f]{64})?")


def piece_length(total_bytes: int, files: int) -> int:
    """The piece length, in bytes, of every dataset with this total size and number of files.

    The smallest power of two from 32 KiB to 64 MiB that is at least 8 · √total, so that pieces and
    their number grow together; doubled while there would be more than 262,144 pieces (8 MiB of v2
    layers) or, with every file rounded up to a piece, more than libtorrent's 2,097,152.
    18 MB: 64 KiB; 500 MB: 256 KiB; 300 GB: 8 MiB; 10 TB: 64 MiB.
    """
    length = MIN_PIECE_LENGTH
    while length < MAX_PIECE_LENGTH and (
        length * length < 64 * total_bytes
        or total_bytes > length << 18
        or (total_bytes // length + files > MAX_PIECES and total_bytes > length)
    ):
        length *= 2
    return length


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a dataset.

    Attributes:
        path: relative to the dataset's root, parts joined by ``/``.
        size: in bytes.
        md5: 32 lower-case hex digits.
        sha256: 64 lower-case hex digits.
        root: BEP 52 pieces root, 64 lower-case hex digits; empty for an empty file.
    """

    path: str
    size: int
    md5: str
    sha256: str
    root: str

    def encode(self) -> bytes:
        """The file's line of the manifest."""
        return (
            f'{{"md5":"{self.md5}","path":{encode_basestring(self.path)},"root":"{self.root}",'
            f'"sha256":"{self.sha256}","size":{self.size}}}\n'
        ).encode()


@dataclass(frozen=True, slots=True)
class Manifest:
    """A dataset's name and files, in torrent order; make one with :meth:`of` or :meth:`parse`."""

    name: str
    piece_length: int
    files: tuple[FileEntry, ...]

    @classmethod
    def of(cls, name: str, files: Iterable[FileEntry]) -> Manifest:
        """The manifest of these files, given in any order.

        Raises:
            InvalidInput: a name or a digest is bad, or there are no bytes at all.
        """
        ordered = tuple(sorted(files, key=lambda file: torrent_order(file.path)))
        length = piece_length(sum(file.size for file in ordered), len(ordered))
        checker = _Checker(name, length)
        for file in ordered:
            checker.add(file)
        checker.finish()
        return cls(name, length, ordered)

    @property
    def bytes(self) -> int:
        """Total size of all files, in bytes."""
        return sum(file.size for file in self.files)

    @property
    def is_single_file(self) -> bool:
        """Whether the dataset is one bare file rather than a directory."""
        return len(self.files) == 1 and self.files[0].path == self.name

    def lines(self) -> Iterator[bytes]:  # type: ignore[valid-type]  # the property above hides the builtin
        """The lines of :meth:`encode`, one by one."""
        yield (
            f'{{"bytes":{self.bytes},"files":{len(self.files)},"name":{encode_basestring(self.name)},'
            f'"piece_length":{self.piece_length},"type":"{TYPE}","v":{VERSION}}}\n'
        ).encode()
        for file in self.files:
            yield file.encode()

    def encode(self) -> bytes:  # type: ignore[valid-type]
        """The canonical encoding."""
        return b"".join(self.lines())

    def digest(self) -> str:
        """SHA-256 of the canonical encoding, 64 lower-case hex digits."""
        digest = hashlib.sha256()
        for line in self.lines():
            digest.update(line)
        return digest.hexdigest()

    def content_id(self) -> str:
        """The v2 info-hash that these files give, 64 lower-case hex digits."""
        files = ((file.path, file.size, file.root) for file in self.files)
        return hashlib.sha256(encode_info(self.name, self.piece_length, files)).hexdigest()

    @classmethod
    def parse(cls, data: bytes | Iterable[bytes]) -> Manifest:  # type: ignore[valid-type]
        """The manifest that ``data`` encodes: all of it, or chunks of any length, read as a stream.

        Raises:
            InvalidInput: not the canonical encoding of a manifest; names the line or the path.
        """
        lines = _lines([data] if isinstance(data, bytes) else data)
        first = next(lines, None)
        if first is None:
            raise InvalidInput("the manifest is empty")
        header = _object(first, 1, _HEADER_KEYS)
        if header["type"] != TYPE or type(header["v"]) is not int or header["v"] != VERSION:
            raise InvalidInput(f"line 1 is not the header of a {TYPE} of version {VERSION}")
        name, length, declared = header["name"], header["piece_length"], (header["bytes"], header["files"])
        if not isinstance(name, str) or any(type(number) is not int for number in (length, *declared)):
            raise InvalidInput("the manifest's header has a value of the wrong type")
        if length != piece_length(max(declared[0], 0), max(declared[1], 0)):
            raise InvalidInput(f"the manifest's piece length {length} is not the one for its size")
        checker = _Checker(name, length)
        files: list[FileEntry] = []
        for number, line in enumerate(lines, 2):
            if len(files) == declared[1]:
                raise InvalidInput(f"the manifest has more than the {declared[1]} files it declares")
            file = _file(line, number)
            checker.add(file)
            files.append(file)
        checker.finish()
        found = cls(name, length, tuple(files))
        if (found.bytes, len(files)) != declared:
            raise InvalidInput(
                f"the manifest declares {declared[1]} files of {declared[0]} bytes,"
                f" and lists {len(files)} files of {found.bytes} bytes"
            )
        if next(found.lines()) != first + b"\n":
            raise InvalidInput("line 1 of the manifest is not canonical JSON")
        return found


class _Checker:
    """Every rule on the files of one manifest, fed in torrent order."""

    def __init__(self, name: str, length: int) -> None:
        check_name(name)
        self._name = name
        self._length = length
        self._tree = TreeChecker()
        self._bytes = 0
        self._pieces = 0
        self._count = 0
        self._last = ""

    def add(self, file: FileEntry) -> None:
        self._tree.add(file.path)
        if not 0 <= file.size <= MAX_BYTES:
            raise InvalidInput(f"the size of {printable(file.path)} is out of range")
        if not _DIGESTS.fullmatch(f"{file.md5} {file.sha256} {file.root}") or bool(file.root) != bool(
            file.size
        ):
            raise InvalidInput(
                f"a digest of {printable(file.path)} is not lower-case hex of the right length"
            )
        if not file.size and (file.md5, file.sha256) != (EMPTY_MD5, EMPTY_SHA256):
            raise InvalidInput(f"{printable(file.path)} is empty, and its digests are not those of nothing")
        self._count += 1
        self._last = file.path
        self._bytes += file.size
        self._pieces += -(-file.size // self._length)

    def finish(self) -> None:
        if not self._bytes:
            raise InvalidInput(
                f"{printable(self._name)} holds no bytes: there is nothing to share",
                hint="A dataset needs at least one file that is not empty.",
            )
        if self._count == 1 and "/" not in self._last and self._last != self._name:
            raise InvalidInput(
                f"the single file {printable(self._last)} cannot be named {printable(self._name)}",
                hint="Name it as the file.",
            )
        if self._bytes > MAX_BYTES:
            raise InvalidInput(f"{printable(self._name)} is larger than {MAX_BYTES} bytes")
        if self._pieces > MAX_PIECES:
            raise InvalidInput(
                f"{printable(self._name)} has {self._pieces:,} pieces, more than BitTorrent clients load"
                f" ({MAX_PIECES:,})",
                hint="Pack small files into archives, or share it as several datasets.",
            )


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Complete lines without their newline."""
    rest = b""
    number = 0
    for chunk in chunks:
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            number += 1
            yield line
        if len(rest) > _MAX_LINE:
            raise InvalidInput(f"line {number + 1} of the manifest is longer than {_MAX_LINE} bytes")
    if rest:
        raise InvalidInput("the manifest does not end in a newline: it was cut off")


def _object(line: bytes, number: int, keys: set[str]) -> dict[str, Any]:
    if len(line) > _MAX_LINE:
        raise InvalidInput(f"line {number} of the manifest is longer than {_MAX_LINE} bytes")
    try:
        found = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"line {number} of the manifest is not JSON") from error
    if not isinstance(found, dict) or found.keys() != keys:
        raise InvalidInput(f"line {number} of the manifest does not have exactly the keys {sorted(keys)}")
    return found


def _file(line: bytes, number: int) -> FileEntry:
    found = _object(line, number, _FILE_KEYS)
    text = [found["path"], found["md5"], found["sha256"], found["root"]]
    if any(type(value) is not str for value in text) or type(found["size"]) is not int:
        raise InvalidInput(f"line {number} of the manifest has a value of the wrong type")
    path, md5, sha256, root = text
    file = FileEntry(path, found["size"], md5, sha256, root)
    try:
        canonical = file.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"line {number} of the manifest has a name that is not UTF-8") from error
    if canonical != line + b"\n":
        raise InvalidInput(f"line {number} of the manifest is not canonical JSON")
    return file
