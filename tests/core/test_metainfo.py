from __future__ import annotations

import contextlib
import hashlib
import itertools
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedkeep.core import merkle
from seedkeep.core.bencode import Limits, encode
from seedkeep.core.errors import HostileMetainfo, InvalidInput, VerificationFailed
from seedkeep.core.manifest import FileEntry, Manifest
from seedkeep.core.metainfo import (
    check_layers,
    content_id_of,
    info_v1,
    info_v2,
    infohash_v1_of,
    layer_of,
    layers_length,
    magnet_v1,
    magnet_v2,
    read_metainfo,
    torrent_v1,
    torrent_v2,
)
from seedkeep.core.paths import MAX_PARTS
from tests.support.datasets import dataset_of

KIB = 1024
Tree = Mapping[str, bytes]
counter = itertools.count()


def content(size: int, seed: int = 0) -> bytes:
    return random.Random(size * 31 + seed).randbytes(size)


def manifest_of(name: str, tree: Tree) -> Manifest:
    return Manifest.of(name, [file_entry(path, data) for path, data in tree.items()])


def file_entry(path: str, data: bytes) -> FileEntry:
    root = merkle.root_of(merkle.leaf_hashes(data), size=len(data)).hex() if data else ""
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return FileEntry(path, len(data), md5, hashlib.sha256(data).hexdigest(), root)


def layers_of(m: Manifest, tree: Tree) -> bytes:
    large = [tree[file.path] for file in m.files if file.size > m.piece_length]
    layers = [merkle.layer_of_leaves(merkle.leaf_hashes(data), m.piece_length) for data in large]
    return b"".join(node for layer in layers for node in layer)


def pieces_of(m: Manifest, tree: Tree) -> bytes:
    data = b"".join(tree[file.path] for file in m.files)
    length = m.piece_length
    return b"".join(hashlib.sha1(data[at : at + length]).digest() for at in range(0, len(data), length))


def write(root: Path, name: str, tree: Tree) -> None:
    for path, data in tree.items():
        target = root / name if path == name and len(tree) == 1 else root / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def libtorrents_own(root: Path, m: Manifest, flags: int) -> dict[bytes, Any]:
    paths = [m.name if m.is_single_file else f"{m.name}/{file.path}" for file in m.files]
    files = [lt.create_file_entry(path, file.size) for path, file in zip(paths, m.files, strict=True)]
    creator = lt.create_torrent(files, m.piece_length, flags)
    lt.set_piece_hashes(creator, str(root))
    made: dict[bytes, Any] = creator.generate()
    return made


def assert_equal_to_libtorrent(root: Path, name: str, tree: Tree) -> None:
    write(root, name, tree)
    m = manifest_of(name, tree)
    layers, pieces = layers_of(m, tree), pieces_of(m, tree)
    v2 = libtorrents_own(root, m, lt.create_torrent.v2_only)
    assert info_v2(m) == lt.bencode(v2[b"info"])
    assert lt.bdecode(torrent_v2(m, layers)).get(b"piece layers") == v2[b"piece layers"]
    assert info_v1(m, pieces) == lt.bencode(libtorrents_own(root, m, lt.create_torrent.v1_only)[b"info"])

    loaded_v2 = lt.load_torrent_buffer(torrent_v2(m, layers)).ti
    assert str(loaded_v2.info_hashes().v2) == m.content_id() == content_id_of(info_v2(m))
    assert not loaded_v2.info_hashes().has_v1()
    loaded_v1 = lt.load_torrent_buffer(torrent_v1(m, pieces)).ti
    assert str(loaded_v1.info_hashes().v1) == infohash_v1_of(info_v1(m, pieces))
    assert not loaded_v1.info_hashes().has_v2()
    for loaded in (loaded_v1, loaded_v2):
        layout = loaded.layout()
        # libtorrent lists the gaps between files of a v2 torrent as padding of its own.
        real = [
            i for i in range(layout.num_files()) if not layout.file_flags(i) & lt.file_storage.flag_pad_file
        ]
        listed = [layout.file_path(index) for index in real]
        assert listed == [m.name if m.is_single_file else f"{m.name}/{file.path}" for file in m.files]

    check_layers(m, layers)
    read_v2, read_v1 = read_metainfo(torrent_v2(m, layers)), read_metainfo(torrent_v1(m, pieces))
    assert (read_v2.version, read_v2.info_hash, read_v2.layers) == (2, m.content_id(), layers)
    assert (read_v1.version, read_v1.pieces) == (1, pieces)
    assert [(file.path, file.size, file.root or "") for file in read_v2.files] == [
        (file.path, file.size, file.root) for file in m.files
    ]
    assert [(file.path, file.size) for file in read_v1.files] == [(file.path, file.size) for file in m.files]


@pytest.mark.parametrize(
    "size",
    [1, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 32 * KIB, 48 * KIB + 1, 5_000_000, 32 * 1024 * KIB + 3],
)
def test_a_single_file_gives_libtorrents_info_hashes(tmp_path: Path, size: int) -> None:
    assert_equal_to_libtorrent(tmp_path, "reads.bin", {"reads.bin": content(size)})


edge = st.sampled_from([0, 1, 5000, 16 * KIB, 32 * KIB, 48 * KIB, 64 * KIB])
sizes = st.builds(lambda size, off: max(0, size + off), edge, st.sampled_from([-1, 0, 1, 7]))
names = st.text(st.sampled_from("abZ-.é 日"), min_size=1, max_size=4).filter(
    lambda name: name not in (".", "..")
)
trees = st.dictionaries(
    st.lists(names, min_size=1, max_size=3).map(
        lambda parts: "/".join([*(f"{part}d" for part in parts[:-1]), parts[-1]])
    ),
    sizes,
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names, trees, st.booleans())
def test_any_tree_gives_libtorrents_info_hashes(
    tmp_path: Path, name: str, tree: dict[str, int], large: bool
) -> None:
    files = {path: content(size, index % 3) for index, (path, size) in enumerate(tree.items())}
    if large:  # enough bytes for a piece length above the smallest one
        files["zz"] = content(9_000_000)
    try:
        manifest_of(name, files)
    except InvalidInput:  # clashing names, no bytes, or a lone file of another name
        return
    assert_equal_to_libtorrent(tmp_path / str(next(counter)), name, files)


def test_equal_files_share_one_layer_and_keep_their_places() -> None:
    tree = {"a": content(40 * KIB), "b": b"x", "c": content(40 * KIB), "d": content(50 * KIB)}
    m = manifest_of("n", tree)
    layers = layers_of(m, tree)
    assert len(lt.bdecode(torrent_v2(m, layers))[b"piece layers"]) == 2
    assert read_metainfo(torrent_v2(m, layers)).layers == layers
    assert layer_of(m, layers, 0) == layer_of(m, layers, 2) == layers[:64]
    assert layer_of(m, layers, 1) == b""
    assert layer_of(m, layers, 3) == layers[128:]
    assert layers_length(m) == len(layers)


def test_layers_that_do_not_give_the_root_are_refused_naming_the_file() -> None:
    tree = {"a": content(40 * KIB), "b": content(50 * KIB)}
    m = manifest_of("n", tree)
    layers = bytearray(layers_of(m, tree))
    layers[100] ^= 1
    with pytest.raises(VerificationFailed, match="'b'"):
        check_layers(m, bytes(layers))
    with pytest.raises(InvalidInput):
        check_layers(m, bytes(layers[:-32]))
    with pytest.raises(InvalidInput):
        torrent_v2(m, bytes(layers[:-1]))
    with pytest.raises(InvalidInput):
        torrent_v1(m, bytes(20))


def test_trackers_and_web_seeds_stand_outside_info() -> None:
    tree = {"a": content(40 * KIB), "b": b"x"}
    m = manifest_of("n", tree)
    trackers = ["http://t.example/announce", "wss://t.example/", "udp://u.example:6969/"]
    seeds = ["https://w.example/data/"]
    for build, extra in ((torrent_v2, layers_of(m, tree)), (torrent_v1, pieces_of(m, tree))):
        bare, dressed = build(m, extra), build(m, extra, trackers=trackers, web_seeds=seeds)
        found = read_metainfo(dressed)
        assert found.info_hash == read_metainfo(bare).info_hash
        assert found.trackers == tuple(trackers)
        assert found.web_seeds == tuple(seeds)
        loaded = lt.load_torrent_buffer(dressed)
        assert sorted(loaded.trackers) == sorted(trackers)
        assert list(loaded.url_seeds) == seeds
        assert build(m, extra, trackers=trackers, web_seeds=seeds) == dressed
        assert b"creation date" not in dressed


def test_magnets_are_understood_by_libtorrent() -> None:
    m = manifest_of("größe & co", {"a": b"1", "b": b"2"})
    trackers = ["http://t.example/announce?x=1&y=2"]
    v2 = lt.parse_magnet_uri(magnet_v2(m.content_id(), m.name, trackers, ["http://w.example/a b/"]))
    assert str(v2.info_hashes.v2) == m.content_id()
    assert (v2.name, v2.trackers, v2.url_seeds) == (m.name, trackers, ["http://w.example/a b/"])
    v1 = lt.parse_magnet_uri(magnet_v1("ab" * 20, m.name, trackers))
    assert (str(v1.info_hashes.v1), v1.name, v1.trackers) == ("ab" * 20, m.name, trackers)


# Foreign torrents: a good one of each version, and every way to spoil it.

V1_TREE = {"a": content(40 * KIB), "b/c": b"hello"}


def good_v1() -> dict[bytes, Any]:
    m = manifest_of("n", V1_TREE)
    made: dict[bytes, Any] = lt.bdecode(torrent_v1(m, pieces_of(m, V1_TREE)))
    return made


def good_v2() -> dict[bytes, Any]:
    m = manifest_of("n", V1_TREE)
    made: dict[bytes, Any] = lt.bdecode(torrent_v2(m, layers_of(m, V1_TREE)))
    return made


def put(*path: bytes | int, value: Any) -> Callable[[dict[bytes, Any]], None]:
    def change(torrent: Any) -> None:
        for key in path[:-1]:
            torrent = torrent[key]
        torrent[path[-1]] = value

    return change


def drop(*path: bytes | int) -> Callable[[dict[bytes, Any]], None]:
    def change(torrent: Any) -> None:
        for key in path[:-1]:
            torrent = torrent[key]
        del torrent[path[-1]]

    return change


INFO, FILES, TREE = b"info", (b"info", b"files"), (b"info", b"file tree")
SPOILED_V1 = {
    "no info": drop(INFO),
    "info a list": put(INFO, value=[]),
    "no name": drop(INFO, b"name"),
    "name a number": put(INFO, b"name", value=3),
    "name with a slash": put(INFO, b"name", value=b"../n"),
    "name of two dots": put(INFO, b"name", value=b".."),
    "empty name": put(INFO, b"name", value=b""),
    "absolute name": put(INFO, b"name", value=b"/etc"),
    "name not UTF-8": put(INFO, b"name", value=b"\xff\xfe"),
    "a second name": put(INFO, b"name.utf-8", value=b"other"),
    "piece length 0": put(INFO, b"piece length", value=0),
    "negative piece length": put(INFO, b"piece length", value=-16384),
    "huge piece length": put(INFO, b"piece length", value=1 << 40),
    "tiny pieces": put(INFO, b"piece length", value=1),
    "no pieces": drop(INFO, b"pieces"),
    "too few pieces": put(INFO, b"pieces", value=bytes(20)),
    "pieces cut": put(INFO, b"pieces", value=bytes(59)),
    "hybrid": put(INFO, b"meta version", value=2),
    "future version": put(INFO, b"meta version", value=3),
    "file tree without version": put(*TREE, value={b"a": {b"": {b"length": 1}}}),
    "no files": put(*FILES, value=[]),
    "files not a list": put(*FILES, value={}),
    "files and length": put(INFO, b"length", value=5),
    "file not a dictionary": put(*FILES, 0, value=b"a"),
    "file without path": drop(*FILES, 0, b"path"),
    "empty path": put(*FILES, 0, b"path", value=[]),
    "path a string": put(*FILES, 0, b"path", value=b"a"),
    "path with a number": put(*FILES, 0, b"path", value=[7]),
    "traversal": put(*FILES, 0, b"path", value=[b"..", b"a"]),
    "dot": put(*FILES, 0, b"path", value=[b".", b"a"]),
    "empty part": put(*FILES, 0, b"path", value=[b"", b"a"]),
    "slash in a part": put(*FILES, 0, b"path", value=[b"x/../../a"]),
    "backslash": put(*FILES, 0, b"path", value=[b"..\\a"]),
    "NUL": put(*FILES, 0, b"path", value=[b"a\0"]),
    "newline": put(*FILES, 0, b"path", value=[b"a\n"]),
    "right-to-left override": put(*FILES, 0, b"path", value=["a\u202eb".encode()]),
    "decomposed accent": put(*FILES, 0, b"path", value=["e\u0301".encode()]),
    "long name": put(*FILES, 0, b"path", value=[b"x" * 10_000]),
    "deep path": put(*FILES, 0, b"path", value=[b"x"] * 100),
    "not UTF-8": put(*FILES, 0, b"path", value=[b"caf\xe9"]),
    "another path in UTF-8": put(*FILES, 0, b"path.utf-8", value=[b"z"]),
    "listed twice": put(*FILES, 0, b"path", value=[b"b", b"c"]),
    "case twins": put(*FILES, 0, b"path", value=[b"B", b"c"]),
    "file and directory": put(*FILES, 0, b"path", value=[b"b"]),
    "padding": put(*FILES, 0, b"attr", value=b"p"),
    "symbolic link": put(*FILES, 0, b"attr", value=b"l"),
    "symbolic link target": put(*FILES, 0, b"symlink path", value=[b"etc"]),
    "attributes a number": put(*FILES, 0, b"attr", value=1),
    "negative size": put(*FILES, 0, b"length", value=-1),
    "no size": drop(*FILES, 0, b"length"),
    "size a string": put(*FILES, 0, b"length", value=b"5"),
    "enormous size": put(*FILES, 0, b"length", value=(1 << 63) - 1),
    "no bytes": put(*FILES, value=[{b"length": 0, b"path": [b"a"]}]),
    "tracker a number": put(b"announce", value=3),
    "tracker with a line break": put(b"announce", value=b"http://a/\r\nHost: b"),
    "tracker with a bad port": put(b"announce", value=b"http://a:99999999/"),
    "tracker not UTF-8": put(b"announce", value=b"http://\xff/"),
    "tracker list malformed": put(b"announce-list", value=b"http://a/"),
    "tracker tier malformed": put(b"announce-list", value=[b"http://a/"]),
    "web seeds malformed": put(b"url-list", value={}),
    "web seed a list": put(b"url-list", value=[[]]),
    "web seed with a space": put(b"url-list", value=b"http://a/ b"),
    "endless web seed": put(b"url-list", value=b"http://a/" + b"x" * 5000),
}
SPOILED_V2 = {
    "no version": drop(INFO, b"meta version"),
    "hybrid": put(INFO, b"pieces", value=bytes(60)),
    "hybrid files": put(*FILES, value=[]),
    "piece length no power of two": put(INFO, b"piece length", value=16384 * 3),
    "piece length too small": put(INFO, b"piece length", value=8192),
    "no tree": drop(*TREE),
    "tree a list": put(*TREE, value=[]),
    "empty tree": put(*TREE, value={}),
    "empty directory": put(*TREE, b"d", value={}),
    "file at the root": put(*TREE, b"", value={b"length": 1, b"pieces root": bytes(32)}),
    "only a file at the root": put(*TREE, value={b"": {b"length": 1, b"pieces root": bytes(32)}}),
    "file and directory": put(*TREE, b"a", b"x", value={b"": {b"length": 0}}),
    "entry a string": put(*TREE, b"a", b"", value=b"x"),
    "node a string": put(*TREE, b"a", value=b"x"),
    "traversal": put(*TREE, b"..", value={b"x": {b"": {b"length": 0}}}),
    "slash": put(*TREE, b"x/y", value={b"": {b"length": 0}}),
    "not UTF-8": put(*TREE, b"\xff", value={b"": {b"length": 0}}),
    "case twins": put(*TREE, b"A", value={b"": {b"length": 0}}),
    "directory twins": put(*TREE, b"B", value={b"x": {b"": {b"length": 0}}}),
    "padding": put(*TREE, b"a", b"", b"attr", value=b"p"),
    "symbolic link": put(*TREE, b"a", b"", b"attr", value=b"xl"),
    "no size": drop(*TREE, b"a", b"", b"length"),
    "negative size": put(*TREE, b"a", b"", b"length", value=-5),
    "no root": drop(*TREE, b"a", b"", b"pieces root"),
    "short root": put(*TREE, b"a", b"", b"pieces root", value=bytes(20)),
    "another root": put(*TREE, b"a", b"", b"pieces root", value=bytes(32)),
    "root of an empty file": put(*TREE, b"a", b"", b"length", value=0),
    "another size": put(*TREE, b"a", b"", b"length", value=70 * KIB),
    "smaller than its layer": put(*TREE, b"a", b"", b"length", value=10),
    "impossible number of pieces": put(*TREE, b"a", b"", b"length", value=1 << 50),
    "no layers": drop(b"piece layers"),
    "layers a list": put(b"piece layers", value=[]),
    "empty layers": put(b"piece layers", value={}),
    "layer of no file": put(b"piece layers", bytes(32), value=bytes(64)),
    "layer spoiled": lambda torrent: torrent[b"piece layers"].update(
        {root: bytes(len(layer)) for root, layer in torrent[b"piece layers"].items()}
    ),
    "layer cut": lambda torrent: torrent[b"piece layers"].update(
        {root: layer[:-32] for root, layer in torrent[b"piece layers"].items()}
    ),
}


def test_the_unspoiled_torrents_are_accepted() -> None:
    assert read_metainfo(encode(good_v1())).version == 1
    assert read_metainfo(encode(good_v2())).version == 2


@pytest.mark.parametrize("change", SPOILED_V1.values(), ids=SPOILED_V1.keys())
def test_a_hostile_v1_torrent_is_refused(change: Callable[[dict[bytes, Any]], None]) -> None:
    torrent = good_v1()
    change(torrent)
    with pytest.raises(HostileMetainfo) as caught:
        read_metainfo(encode(torrent))
    assert len(caught.value.what) < 500
    assert caught.value.what.isprintable()


@pytest.mark.parametrize("change", SPOILED_V2.values(), ids=SPOILED_V2.keys())
def test_a_hostile_v2_torrent_is_refused(change: Callable[[dict[bytes, Any]], None]) -> None:
    torrent = good_v2()
    change(torrent)
    with pytest.raises(HostileMetainfo) as caught:
        read_metainfo(encode(torrent))
    assert caught.value.what.isprintable()


@pytest.mark.parametrize(
    "data", [b"", b"le", b"i1e", b"de", b"d4:infoi1ee", b"d4:infodee", b"<html>", b"d4:info", b"\xff" * 100]
)
def test_what_is_no_torrent_is_refused(data: bytes) -> None:
    with pytest.raises(HostileMetainfo):
        read_metainfo(data)


def test_the_limits_are_kept_and_can_be_raised() -> None:
    torrent = good_v1()
    torrent[b"comment"] = bytes(10_000_000)
    with pytest.raises(HostileMetainfo, match="limit"):
        read_metainfo(encode(torrent))
    assert read_metainfo(encode(torrent), limits=Limits(size=20_000_000)).version == 1


def test_a_hybrid_made_by_libtorrent_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "n", V1_TREE)
    hybrid = libtorrents_own(tmp_path, manifest_of("n", V1_TREE), 0)
    with pytest.raises(HostileMetainfo, match="hybrid"):
        read_metainfo(lt.bencode(hybrid))


def test_the_deepest_tree_that_can_be_shared_is_read_back_within_the_usual_limits() -> None:
    deepest = dataset_of("deep", {"/".join(["d"] * MAX_PARTS): b"far down", "top": b"near"})
    assert len(read_metainfo(torrent_v2(deepest.manifest, deepest.layers)).files) == 2


def test_a_lone_file_of_a_v2_torrent_is_called_what_clients_call_it() -> None:
    torrent = good_v2()
    del torrent[INFO][b"file tree"][b"b"]
    found = read_metainfo(encode(torrent))
    layout = lt.load_torrent_buffer(encode(torrent)).ti.layout()
    assert found.name == found.files[0].path == layout.file_path(0) == "a"


def test_harmless_extras_and_executable_files_are_accepted() -> None:
    for torrent in (good_v1(), good_v2()):
        torrent[b"comment"] = b"hello"
        torrent[b"creation date"] = 1
        torrent[b"announce"] = b"dht://x"
        torrent[b"url-list"] = [b"ftp://a/", b"https://b/", b"https://b/", b""]
        torrent[INFO][b"source"] = b"elsewhere"
        found = read_metainfo(encode(torrent))
        assert found.web_seeds == ("https://b/",)
        assert found.trackers == ()
    torrent = good_v1()
    torrent[INFO][b"files"][0][b"attr"] = b"x"
    assert read_metainfo(encode(torrent)).files[0].path == "a"


bencodable = st.recursive(
    st.integers(-5, 1 << 62) | st.binary(max_size=40) | st.sampled_from([b"a", b"..", b"/", bytes(32)]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([b"", b"a", b"length", b"path", b"pieces root", b"attr"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
KEYS = [b"name", b"piece length", b"pieces", b"files", b"length", b"file tree", b"meta version", b"private"]


@settings(max_examples=400)
@given(
    st.booleans(),
    st.dictionaries(st.sampled_from(KEYS), bencodable, max_size=3),
    st.dictionaries(
        st.sampled_from([b"announce", b"announce-list", b"url-list", b"piece layers"]), bencodable, max_size=2
    ),
)
def test_whatever_a_torrent_holds_it_is_accepted_or_refused_as_hostile(
    second: bool, info: dict[bytes, Any], top: dict[bytes, Any]
) -> None:
    torrent = good_v2() if second else good_v1()
    torrent[INFO].update(info)
    torrent.update(top)
    try:
        read_metainfo(encode(torrent))
    except HostileMetainfo as error:
        assert error.what.isprintable()


@settings(max_examples=400)
@given(st.booleans(), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_torrent_with_flipped_bytes_is_accepted_or_refused_as_hostile(
    second: bool, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(encode(good_v2() if second else good_v1()))
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    with contextlib.suppress(HostileMetainfo):
        read_metainfo(bytes(data))


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_as_hostile(data: bytes) -> None:
    with pytest.raises(HostileMetainfo):
        read_metainfo(data)
