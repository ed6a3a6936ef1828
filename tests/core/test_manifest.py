from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput
from seedkeep.core.manifest import (
    EMPTY_MD5,
    EMPTY_SHA256,
    MAX_PIECE_LENGTH,
    MAX_PIECES,
    FileEntry,
    Manifest,
    piece_length,
)
from seedkeep.core.metainfo import content_id_of, info_v2

KIB, MIB = 1 << 10, 1 << 20


def entry(path: str, size: int = 5) -> FileEntry:
    if not size:
        return FileEntry(path, 0, EMPTY_MD5, EMPTY_SHA256, "")
    digest = hashlib.sha256(f"{path} {size}".encode()).hexdigest()
    return FileEntry(path, size, digest[:32], digest, digest)


names = st.text(st.sampled_from("ab-.é \"'日😀"), min_size=1, max_size=4).filter(
    lambda name: name not in (".", "..")
)
trees = st.dictionaries(
    st.lists(names, min_size=1, max_size=3).map(lambda parts: "/".join(["d", *parts[:-1], f"{parts[-1]}.f"])),
    st.integers(0, 1 << 40),
    min_size=1,
    max_size=8,
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    files = [entry(path, size) for path, size in draw(trees).items()]
    try:
        return Manifest.of(draw(names), [*files, entry("last", 1)])
    except InvalidInput:  # a name that is both file and directory
        return Manifest.of("last", [entry("last", 1)])


@given(manifests())
def test_an_encoded_manifest_is_read_back_whole_or_in_any_chunks(manifest: Manifest) -> None:
    encoded = manifest.encode()
    assert Manifest.parse(encoded) == manifest
    assert Manifest.parse(encoded[at : at + 7] for at in range(0, len(encoded), 7)) == manifest
    assert manifest.digest() == hashlib.sha256(encoded).hexdigest()
    assert manifest.content_id() == content_id_of(info_v2(manifest))


@given(manifests())
def test_every_line_is_canonical_json(manifest: Manifest) -> None:
    for line in manifest.encode().decode().splitlines():
        assert jcs.dumps(json.loads(line)).decode() == line


@given(manifests(), st.data())
def test_a_damaged_manifest_is_refused_or_is_another_canonical_one(
    manifest: Manifest, data: st.DataObject
) -> None:
    encoded = bytearray(manifest.encode())
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] = data.draw(st.integers(0, 255))
    try:
        found = Manifest.parse(bytes(encoded))
    except InvalidInput:
        return
    assert found.encode() == bytes(encoded)


@given(manifests(), st.integers(0, 400))
def test_a_cut_manifest_is_refused(manifest: Manifest, cut: int) -> None:
    encoded = manifest.encode()
    with pytest.raises(InvalidInput):
        Manifest.parse(encoded[: max(0, len(encoded) - 1 - cut)])


def sample(**header: Any) -> list[dict[str, Any]]:
    manifest = Manifest.of("data", [entry("a"), entry("b/c", 20_000), entry("empty", 0)])
    lines = [json.loads(line) for line in manifest.encode().splitlines()]
    lines[0].update(header)
    return lines


def encoded(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(jcs.dumps(line) + b"\n" for line in lines)


def test_the_sample_itself_is_accepted() -> None:
    assert len(Manifest.parse(encoded(sample())).files) == 3


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"type": "other"}, "not the header"),
        ({"v": 2}, "not the header"),
        ({"v": True}, "not the header"),
        ({"files": 2}, "more than the 2 files"),
        ({"files": 4}, "declares 4 files"),
        ({"files": 10**15}, "piece length|declares"),
        ({"bytes": 20_006}, "declares"),
        ({"bytes": -1}, "declares"),
        ({"bytes": "20005"}, "wrong type"),
        ({"files": 3.5}, "wrong type"),
        ({"piece_length": 16384}, "piece length"),
        ({"piece_length": 65536}, "piece length"),
        ({"piece_length": 0}, "piece length"),
        ({"name": "a/b"}, "slash"),
        ({"name": ".."}, "has the part"),
        ({"name": 7}, "wrong type"),
        ({"extra": 1}, "exactly the keys"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(header: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        Manifest.parse(encoded(sample(**header)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"path": "../b"}, "has the part"),
        ({"path": "/b"}, "absolute"),
        ({"path": "A"}, "out of order"),
        ({"path": "a"}, "listed twice"),
        ({"path": "a/b"}, "both a file and a directory"),
        ({"path": 1}, "wrong type"),
        ({"size": -1}, "out of range"),
        ({"size": "20000"}, "wrong type"),
        ({"size": True}, "wrong type"),
        ({"size": 0}, "digest"),
        ({"md5": "0" * 31}, "digest"),
        ({"md5": "A" * 32}, "digest"),
        ({"sha256": "g" * 64}, "digest"),
        ({"sha256": None}, "wrong type"),
        ({"root": ""}, "digest"),
        ({"root": "0" * 40}, "digest"),
        ({"more": 1}, "exactly the keys"),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused(change: dict[str, Any], why: str) -> None:
    lines = sample()
    lines[2].update(change)
    with pytest.raises(InvalidInput, match=why):
        Manifest.parse(encoded(lines))


def test_an_empty_file_must_have_the_digests_of_nothing() -> None:
    lines = sample()
    lines[3]["md5"] = "0" * 32
    with pytest.raises(InvalidInput, match="'empty' is empty"):
        Manifest.parse(encoded(lines))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"[]\n",
        b"{}\n",
        b"null\n",
        b"\xff\n",
        b"[" * 15_000 + b"\n",
        b"1" * 15_000 + b"\n",
        b"{" * 20_000,
        encoded(sample())[:-1],
        encoded(sample()) + b"\n",
        encoded(sample()).replace(b"\n", b"\r\n"),
        encoded(sample()).replace(b'"size":5', b'"size": 5'),
        encoded(sample()).replace(b'"size":5', b'"size":5.0'),
        encoded(sample()).replace(b'"a"', b'"\\u0061"'),
        encoded(sample()).replace(b'"a"', b'"\\ud800"'),
        encoded(sample()).replace(b'"data"', b'"\\ud800"'),
        encoded(sample()).replace(b'"v":1', b'"v":1,"v":1'),
        encoded(sample()).replace(b'"size":5', b'"size":5,"size":5'),
        encoded(sample()).replace(b'"size":5', b'"size":NaN'),
    ],
)
def test_what_is_not_the_canonical_encoding_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        Manifest.parse(data)


def test_a_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1000
            yield b"x" * 1000

    with pytest.raises(InvalidInput, match="longer than"):
        Manifest.parse(endless())
    assert taken < 100_000


def test_a_dataset_without_bytes_is_refused() -> None:
    for files in ([], [entry("a", 0)]):
        with pytest.raises(InvalidInput, match="holds no bytes"):
            Manifest.of("d", files)


def test_files_are_put_into_torrent_order() -> None:
    manifest = Manifest.of("d", [entry(path) for path in ("b", "a/b", "a-c", "a/a/z", "Z")])
    assert [file.path for file in manifest.files] == ["Z", "a/a/z", "a/b", "a-c", "b"]


def test_a_single_file_cannot_have_another_name_than_the_dataset() -> None:
    with pytest.raises(InvalidInput, match=r"'a\.txt' cannot be named 'd'"):
        Manifest.of("d", [entry("a.txt")])


def test_only_a_file_with_the_name_of_the_dataset_is_a_single_file() -> None:
    assert Manifest.of("a.txt", [entry("a.txt")]).is_single_file
    assert not Manifest.of("d", [entry("a/d")]).is_single_file
    assert not Manifest.of("d", [entry("d"), entry("e")]).is_single_file


@pytest.mark.parametrize(
    ("total", "files", "expected"),
    [
        (1, 1, 32 * KIB),
        (48_502, 1, 32 * KIB),
        (18_000_000, 10, 64 * KIB),
        (500_000_000, 100_000, 256 * KIB),
        (1 << 30, 1, 256 * KIB),
        (300 * 10**9, 1000, 8 * MIB),
        (10**13, 1, 64 * MIB),
        (10**15, 1, 64 * MIB),
    ],
)
def test_piece_lengths_are_fixed_for_ever(total: int, files: int, expected: int) -> None:
    assert piece_length(total, files) == expected


@given(st.integers(0, 10**14), st.integers(1, 1_000_000))
def test_piece_lengths_keep_torrents_loadable(total: int, files: int) -> None:
    length = piece_length(total, files)
    assert length & (length - 1) == 0
    assert 16 * KIB <= length <= MAX_PIECE_LENGTH
    assert total // length + files <= MAX_PIECES
    if total <= 10**13:
        assert 32 * (total // length) <= 8 * MIB


def test_more_pieces_than_clients_load_are_refused() -> None:
    with pytest.raises(InvalidInput, match="pieces, more than"):
        Manifest.of("big", [entry("big", MAX_PIECE_LENGTH * (MAX_PIECES + 1))])
