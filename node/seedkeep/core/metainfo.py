"""Torrents: building a dataset's v2-only torrent and its v1-only companion, and reading foreign ones.

Built torrents carry nothing but content in ``info`` (trackers and web seeds stand outside, and no
dates, attributes or padding are written), so equal input gives equal bytes, and the info-hashes are
those that libtorrent's own ``create_torrent`` gives for the same tree without file attributes.

:func:`read_metainfo` accepts only what it fully understands: a v2-only or a v1-only torrent with plain
files under names that :mod:`seedkeep.core.paths` allows. It refuses hybrids, padding files, symbolic
links, odd encodings, and layers that do not give their root. Sources: BEP 3, 12, 19, 47, 52, 9.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

from seedkeep.core import merkle
from seedkeep.core.bencode import Limits, Value, Writable, decode, encode
from seedkeep.core.errors import HostileMetainfo, InvalidInput, VerificationFailed
from seedkeep.core.filetree import encode_info
from seedkeep.core.manifest import MAX_BYTES, MAX_PIECES, Manifest, piece_length
from seedkeep.core.paths import TreeChecker, check_name, check_tree, printable

__all__ = [
    "Limits",
    "MetaFile",
    "Metainfo",
    "check_layers",
    "content_id_of",
    "info_v1",
    "info_v2",
    "infohash_v1_of",
    "layer_of",
    "layers_length",
    "magnet_v1",
    "magnet_v2",
    "piece_length",
    "read_metainfo",
    "torrent_v1",
    "torrent_v2",
]

_TRACKER_SCHEMES = frozenset({"http", "https", "udp", "ws", "wss"})
_WEB_SEED_SCHEMES = frozenset({"http", "https"})
_MAX_URL = 4096
# libtorrent refuses longer pieces.
_MAX_FOREIGN_PIECE = 128 << 20


def info_v2(m: Manifest) -> bytes:
    """The bencoded ``info`` of the v2-only torrent; its SHA-256 is the content id."""
    return encode_info(m.name, m.piece_length, ((f.path, f.size, f.root) for f in m.files))


def info_v1(m: Manifest, pieces: bytes) -> bytes:
    """The bencoded ``info`` of the v1-only companion: same name, files and order, no padding.

    Args:
        m: the dataset.
        pieces: the SHA-1 of each piece of the files laid end to end, 20 bytes each.

    Raises:
        InvalidInput: the number of pieces does not fit the manifest.
    """
    if len(pieces) != 20 * -(-m.bytes // m.piece_length):
        raise InvalidInput(f"the v1 piece hashes of {printable(m.name)} do not fit its size")
    info: dict[bytes, Writable] = {
        b"name": m.name.encode(),
        b"piece length": m.piece_length,
        b"pieces": pieces,
    }
    if m.is_single_file:
        info[b"length"] = m.files[0].size
    else:
        info[b"files"] = [
            {b"length": f.size, b"path": [part.encode() for part in f.path.split("/")]} for f in m.files
        ]
    return encode(info)


def content_id_of(info: bytes) -> str:
    """The v2 info-hash of a bencoded ``info``, 64 lower-case hex digits."""
    return hashlib.sha256(info).hexdigest()


def infohash_v1_of(info: bytes) -> str:
    """The v1 info-hash of a bencoded ``info``, 40 lower-case hex digits."""
    return hashlib.sha1(info, usedforsecurity=False).hexdigest()


def _layer_sizes(m: Manifest) -> Iterable[tuple[int, int]]:
    """(file index, bytes of its layer) of the files that have one, in order."""
    for index, file in enumerate(m.files):
        if file.size > m.piece_length:
            yield index, 32 * -(-file.size // m.piece_length)


def layers_length(m: Manifest) -> int:
    """Bytes that the concatenated layers of this dataset must have."""
    return sum(size for _, size in _layer_sizes(m))


def layer_of(m: Manifest, layers: bytes, file_index: int) -> bytes:
    """The layer of one file, 32 bytes per piece; empty for a file no larger than a piece."""
    at = 0
    for index, size in _layer_sizes(m):
        if index == file_index:
            return layers[at : at + size]
        at += size
    return b""


def check_layers(m: Manifest, layers: bytes) -> None:
    """Check that each layer gives its file's root.

    Args:
        m: the dataset.
        layers: the layers of all files larger than a piece, in manifest order, end to end.

    Raises:
        InvalidInput: the length does not fit the manifest.
        VerificationFailed: a layer does not give the root; names the file.
    """
    if len(layers) != layers_length(m):
        raise InvalidInput(f"the piece layers of {printable(m.name)} do not have the length its files need")
    at = 0
    for index, size in _layer_sizes(m):
        nodes = merkle.split_layer(layers[at : at + size])
        if merkle.root_of_layer(nodes, m.piece_length).hex() != m.files[index].root:
            raise VerificationFailed(
                f"the piece layer of {printable(m.files[index].path)} does not give its root"
            )
        at += size


def torrent_v2(
    m: Manifest, layers: bytes, *, trackers: Sequence[str] = (), web_seeds: Sequence[str] = ()
) -> bytes:
    """The whole v2-only ``.torrent``.

    Raises:
        InvalidInput: the length of ``layers`` does not fit the manifest (see :func:`check_layers`).
    """
    if len(layers) != layers_length(m):
        raise InvalidInput(f"the piece layers of {printable(m.name)} do not have the length its files need")
    by_root: dict[bytes, Writable] = {}
    at = 0
    for index, size in _layer_sizes(m):
        by_root[bytes.fromhex(m.files[index].root)] = layers[at : at + size]
        at += size
    return _torrent(info_v2(m), encode(by_root), trackers, web_seeds)


def torrent_v1(
    m: Manifest, pieces: bytes, *, trackers: Sequence[str] = (), web_seeds: Sequence[str] = ()
) -> bytes:
    """The whole v1-only ``.torrent``.

    Raises:
        InvalidInput: the number of pieces does not fit the manifest.
    """
    return _torrent(info_v1(m, pieces), None, trackers, web_seeds)


def _torrent(info: bytes, layers: bytes | None, trackers: Sequence[str], web_seeds: Sequence[str]) -> bytes:
    out = [b"d"]
    if trackers:
        out.append(b"8:announce" + encode(trackers[0].encode()))
    if len(trackers) > 1:
        out.append(b"13:announce-list" + encode([[tracker.encode()] for tracker in trackers]))
    out.append(b"4:info" + info)
    if layers is not None:
        out.append(b"12:piece layers" + layers)
    if web_seeds:
        out.append(b"8:url-list" + encode([url.encode() for url in web_seeds]))
    out.append(b"e")
    return b"".join(out)


def carried_web_seeds(version: int, files: int, web_seeds: Sequence[str]) -> tuple[str, ...]:
    """The web seeds that a torrent or magnet for other clients may carry.

    None in a v2 one of several files: libtorrent 2.1.1, which is in most clients that know v2, spins for
    ever on those. The v1 companion carries them.
    """
    return () if version == 2 and files > 1 else tuple(web_seeds)


def magnet_v2(content_id: str, name: str, trackers: Sequence[str] = (), web_seeds: Sequence[str] = ()) -> str:
    """The magnet link of a v2 torrent (BEP 9, 52)."""
    return _magnet(f"urn:btmh:1220{content_id}", name, trackers, web_seeds)


def magnet_v1(infohash: str, name: str, trackers: Sequence[str] = (), web_seeds: Sequence[str] = ()) -> str:
    """The magnet link of a v1 torrent (BEP 9)."""
    return _magnet(f"urn:btih:{infohash}", name, trackers, web_seeds)


def _magnet(topic: str, name: str, trackers: Sequence[str], web_seeds: Sequence[str]) -> str:
    rest = [("dn", name), *(("tr", url) for url in trackers), *(("ws", url) for url in web_seeds)]
    return f"magnet:?xt={topic}" + "".join(f"&{key}={quote(value, safe='')}" for key, value in rest)


@dataclass(frozen=True, slots=True)
class MetaFile:
    """A file of a foreign torrent; ``root`` is hex, and ``None`` in v1 torrents and for empty files."""

    path: str
    size: int
    root: str | None


@dataclass(frozen=True, slots=True)
class Metainfo:
    """A torrent that somebody else made, checked.

    Attributes:
        version: 1 or 2, never both.
        info_hash: 40 or 64 lower-case hex digits.
        name: of the directory or the single file.
        piece_length: in bytes.
        files: in torrent order; a single file has its path equal to ``name``.
        trackers: announce URLs without repetition.
        web_seeds: BEP 19 URLs.
        layers: v2: layers of all files larger than a piece, in order of ``files``; checked against the roots.
        pieces: v1: SHA-1 of each piece, 20 bytes each.
    """

    version: Literal[1, 2]
    info_hash: str
    name: str
    piece_length: int
    files: tuple[MetaFile, ...]
    trackers: tuple[str, ...] = ()
    web_seeds: tuple[str, ...] = ()
    layers: bytes = b""
    pieces: bytes = b""


def read_metainfo(data: bytes, *, limits: Limits = Limits()) -> Metainfo:  # noqa: B008 (immutable)
    """The torrent in ``data``, which may come from anyone.

    Raises:
        HostileMetainfo: it breaks a rule or a limit; says which, and names the file.
    """
    try:
        return _read(data, limits)
    except HostileMetainfo:
        raise
    except InvalidInput as error:
        raise HostileMetainfo(f"this torrent is refused: {error.what}") from error


def _read(data: bytes, limits: Limits) -> Metainfo:
    top = decode(data, limits=limits)
    if not isinstance(top, dict):
        raise HostileMetainfo("this is not a torrent")
    info = top.get(b"info")
    if not isinstance(info, dict):
        raise HostileMetainfo("this torrent has no info dictionary")
    name = _text(info.get(b"name"), "name")
    if info.get(b"name.utf-8", info[b"name"]) != info[b"name"]:
        raise HostileMetainfo("this torrent has two different names")
    check_name(name)
    length = _number(info.get(b"piece length"), "piece length", 1, _MAX_FOREIGN_PIECE)
    encoded = encode(info)
    trackers, web_seeds = _trackers(top), _web_seeds(top)
    if b"meta version" in info:
        if info[b"meta version"] != 2:
            raise HostileMetainfo("this torrent has an unknown meta version")
        if info.keys() & {b"pieces", b"files", b"length"}:
            raise HostileMetainfo(
                "this torrent is a hybrid of v1 and v2: which of its two file lists is meant?"
            )
        files, layers = _read_v2(info, top, length)
        if len(files) == 1 and "/" not in files[0].path:
            name = files[0].path  # what clients call a single file; the name beside it is advice
        return Metainfo(2, content_id_of(encoded), name, length, files, trackers, web_seeds, layers=layers)
    files_v1, pieces = _read_v1(info, name, length)
    return Metainfo(1, infohash_v1_of(encoded), name, length, files_v1, trackers, web_seeds, pieces=pieces)


def _text(value: Value | None, what: str) -> str:
    if not isinstance(value, bytes):
        raise HostileMetainfo(f"the {what} of this torrent is missing or not a string")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        shown = printable(value.decode(errors="surrogateescape"))
        raise HostileMetainfo(f"the {what} {shown} of this torrent is not UTF-8") from error


def _number(value: Value | None, what: str, low: int, high: int) -> int:
    if not isinstance(value, int) or not low <= value <= high:
        raise HostileMetainfo(f"the {what} of this torrent is missing or out of range")
    return value


def _plain_file(entry: Mapping[bytes, Value], path: str) -> int:
    """The size of a file entry that is neither padding nor a link (BEP 47)."""
    attributes = entry.get(b"attr", b"")
    if not isinstance(attributes, bytes) or b"p" in attributes:
        raise HostileMetainfo(f"the file {printable(path)} of this torrent is padding")
    if b"l" in attributes or b"symlink path" in entry:
        raise HostileMetainfo(f"the file {printable(path)} of this torrent is a symbolic link")
    return _number(entry.get(b"length"), f"size of {printable(path)}", 0, MAX_BYTES)


def _read_v2(
    info: Mapping[bytes, Value], top: Mapping[bytes, Value], length: int
) -> tuple[tuple[MetaFile, ...], bytes]:
    if length < merkle.BLOCK or length & (length - 1):
        raise HostileMetainfo("the piece length of this torrent is not a power of two from 16 KiB")
    tree, given = info.get(b"file tree"), top.get(b"piece layers", {})
    if not isinstance(tree, dict) or not isinstance(given, dict):
        raise HostileMetainfo("this v2 torrent lacks a file tree or piece layers")
    files = tuple(_walk(tree))
    _count_pieces([file.size for file in files], length, per_file=True)
    layers: list[bytes] = []
    used: set[bytes] = set()
    for file in files:
        if file.size <= length:
            continue
        root = bytes.fromhex(file.root or "")
        layer = given.get(root)
        if not isinstance(layer, bytes) or len(layer) != 32 * -(-file.size // length):
            raise HostileMetainfo(
                f"the piece layer of {printable(file.path)} is missing or has the wrong length"
            )
        if root not in used and merkle.root_of_layer(merkle.split_layer(layer), length) != root:
            raise HostileMetainfo(f"the piece layer of {printable(file.path)} does not give its root")
        used.add(root)
        layers.append(layer)
    if used != given.keys():
        raise HostileMetainfo("this torrent has piece layers that belong to no file")
    return files, b"".join(layers)


def _walk(tree: dict[bytes, Value]) -> Iterable[MetaFile]:
    """The files of a BEP 52 file tree, depth first."""
    checker = TreeChecker()
    todo: list[tuple[str, Value]] = [("", tree)]
    while todo:
        path, node = todo.pop()
        if not isinstance(node, dict) or not node:
            raise HostileMetainfo(
                f"{printable(path)} in this torrent is neither a file nor a directory with files"
            )
        if b"" not in node:
            for key in reversed(node):
                part = _text(key, "file name")
                check_name(part)
                todo.append((f"{path}/{part}" if path else part, node[key]))
            continue
        entry = node[b""]
        if len(node) != 1 or not isinstance(entry, dict) or not path:
            raise HostileMetainfo(f"{printable(path)} in this torrent is both a file and a directory")
        checker.add(path)
        size = _plain_file(entry, path)
        root = entry.get(b"pieces root")
        if (size and (not isinstance(root, bytes) or len(root) != 32)) or (not size and root is not None):
            raise HostileMetainfo(f"the pieces root of {printable(path)} is missing or wrong")
        yield MetaFile(path, size, root.hex() if isinstance(root, bytes) else None)


def _read_v1(info: Mapping[bytes, Value], name: str, length: int) -> tuple[tuple[MetaFile, ...], bytes]:
    if b"file tree" in info:
        raise HostileMetainfo("this torrent has a v2 file tree without a meta version")
    listed = info.get(b"files")
    files: list[MetaFile] = []
    if listed is None:
        files.append(MetaFile(name, _plain_file(info, name), None))
    elif not isinstance(listed, list) or b"length" in info:
        raise HostileMetainfo("the file list of this torrent is not a list, or stands beside a length")
    else:
        for entry in listed:
            if not isinstance(entry, dict):
                raise HostileMetainfo("the file list of this torrent is malformed")
            parts = entry.get(b"path")
            if not isinstance(parts, list) or not parts or entry.get(b"path.utf-8", parts) != parts:
                raise HostileMetainfo("a file of this torrent has no path, or two")
            names = [_text(part, "file name") for part in parts]
            for part in names:
                check_name(part)
            path = "/".join(names)
            files.append(MetaFile(path, _plain_file(entry, path), None))
        check_tree(file.path for file in files)
    count = _count_pieces([file.size for file in files], length, per_file=False)
    pieces = info.get(b"pieces")
    if not isinstance(pieces, bytes) or len(pieces) != 20 * count:
        raise HostileMetainfo("the piece hashes of this torrent do not fit its size")
    return tuple(files), pieces


def _count_pieces(sizes: Sequence[int], length: int, *, per_file: bool) -> int:
    total = sum(sizes)
    if not 0 < total <= MAX_BYTES:
        raise HostileMetainfo("this torrent holds no bytes, or impossibly many")
    count = sum(-(-size // length) for size in sizes) if per_file else -(-total // length)
    if count > MAX_PIECES:
        raise HostileMetainfo(f"this torrent has {count:,} pieces, more than {MAX_PIECES:,}")
    return count


def _urls(values: Iterable[Value], what: str, schemes: frozenset[str]) -> tuple[str, ...]:
    """The URLs with one of ``schemes``, without repetition; others are of no use to us, and harmless."""
    found: dict[str, None] = {}
    for value in values:
        url = _text(value, what)
        try:
            parsed = urlsplit(url)
            usable = parsed.scheme in schemes and bool(parsed.hostname) and parsed.port != 0
        except ValueError as error:
            raise HostileMetainfo(f"the {what} {printable(url)} of this torrent is not a URL") from error
        if len(url) > _MAX_URL or " " in url or not url.isprintable():
            raise HostileMetainfo(f"the {what} {printable(url)} of this torrent is not a URL")
        if usable:
            found[url] = None
    return tuple(found)


def _trackers(top: Mapping[bytes, Value]) -> tuple[str, ...]:
    found = [top[b"announce"]] if b"announce" in top else []
    tiers = top.get(b"announce-list", [])
    if not isinstance(tiers, list):
        raise HostileMetainfo("the tracker list of this torrent is malformed")
    for tier in tiers:
        if not isinstance(tier, list):
            raise HostileMetainfo("the tracker list of this torrent is malformed")
        found.extend(tier)
    return _urls(found, "tracker", _TRACKER_SCHEMES)


def _web_seeds(top: Mapping[bytes, Value]) -> tuple[str, ...]:
    listed = top.get(b"url-list", [])
    if isinstance(listed, bytes):
        listed = [listed] if listed else []
    if not isinstance(listed, list):
        raise HostileMetainfo("the web seed list of this torrent is malformed")
    return _urls(listed, "web seed", _WEB_SEED_SCHEMES)
