from __future__ import annotations

import random
import unicodedata

import libtorrent as lt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.errors import InvalidInput
from seedkeep.core.paths import check_name, check_path, check_tree, torrent_order


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a/b/c",
        "Größe.txt",
        "данные/файл 1.csv",
        "...",
        "..a",
        ".hidden",
        "a b",
        "x" * 240,
        "-",
        "日本語",
        "a:b?",
    ],
)
def test_ordinary_names_pass(path: str) -> None:
    check_path(path)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "has the part ''"),
        ("/etc/passwd", "absolute"),
        ("a//b", "has the part ''"),
        ("a/", "has the part ''"),
        (".", "has the part '.'"),
        ("a/./b", "has the part '.'"),
        ("..", "has the part '..'"),
        ("a/../../b", "has the part '..'"),
        ("a\0b", "U\\+0000"),
        ("a\nb", "U\\+000A"),
        ("a\x7fb", "U\\+007F"),
        ("a\x9bb", "U\\+009B"),
        ("a\u202egpj.exe", "U\\+202E"),
        ("a\u200bb", "U\\+200B"),
        ("a\\b", "a backslash"),
        (unicodedata.normalize("NFD", "é"), "NFC"),
        ("x" * 241, "longer than 240 bytes"),
        ("é" * 121, "longer than 240 bytes"),
        ("x" * 10_000, "longer than"),
        ("/".join(["x" * 200] * 21), "longer than 4096 bytes"),
        ("/".join(["x"] * 29), "deeper than 28"),
        ("caf\udce9", "not UTF-8"),
        ("\ud800", "not UTF-8"),
    ],
)
def test_bad_names_are_refused_with_the_reason(path: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as caught:
        check_path(path)
    caught.value.diagnostics().encode()
    assert len(caught.value.diagnostics()) < 500
    assert caught.value.hint


def test_a_name_that_is_not_utf8_is_shown_in_readable_form() -> None:
    with pytest.raises(InvalidInput, match=r"'caf\\udce9\.txt' is not UTF-8"):
        check_path(b"caf\xe9.txt".decode(errors="surrogateescape"))


def test_a_dataset_name_is_one_part() -> None:
    check_name("hello.world")
    for name in ("a/b", "..", ""):
        with pytest.raises(InvalidInput):
            check_name(name)


@pytest.mark.parametrize(
    ("paths", "shown"),
    [
        (["a", "a"], "'a'"),
        (["Data.csv", "data.csv"], "'Data.csv' and 'data.csv'"),
        (["x/Data/1", "x/data/2"], "'x/Data' and 'x/data/2'"),
        (["straße", "STRASSE"], "'STRASSE' and 'straße'"),
        (["Ångström", "ångström"], "'Ångström' and 'ångström'"),
        (["a/b", "a"], "'a' is both"),
        (["a", "a-b", "a/b"], "'a' is both"),
        (["x/a", "x/a/b/c"], "'x/a' is both"),
        (["A", "a/b"], "'A' and 'a/b'"),
    ],
)
def test_clashes_are_refused_with_both_names(paths: list[str], shown: str) -> None:
    for order in (paths, paths[::-1]):
        with pytest.raises(InvalidInput, match=shown):
            check_tree(order)


def test_equal_names_in_different_directories_are_no_clash() -> None:
    check_tree(["a/Data", "b/data", "c/A/x", "d/a/x", "b/c/data", "Data"])


names = st.text(st.sampled_from("abAB-.é ß"), min_size=1, max_size=3).filter(
    lambda name: name not in (".", "..")
)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


@given(st.lists(paths, max_size=12))
def test_a_tree_passes_exactly_when_a_case_insensitive_disk_could_hold_it(listed: list[str]) -> None:
    listed = [path for path in listed if unicodedata.is_normalized("NFC", path)]
    disk: dict[str, tuple[str, bool]] = {}
    fits = len(set(listed)) == len(listed)
    for path in listed:
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            here = "/".join(parts[:depth])
            entry = (here, depth < len(parts))
            fits &= disk.setdefault(here.casefold(), entry) == entry
    try:
        check_tree(listed)
    except InvalidInput:
        assert not fits
    else:
        assert fits


@given(st.lists(paths, unique=True, max_size=12))
def test_the_order_is_that_of_nested_dictionaries_with_sorted_keys(listed: list[str]) -> None:
    by_parts = sorted(listed, key=lambda path: [part.encode() for part in path.split("/")])
    assert sorted(listed, key=torrent_order) == by_parts


def libtorrent_keeps(name: str) -> bool:
    entry = {b"length": 5, b"path": [name.encode()]}
    info = {b"name": b"d", b"piece length": 16384, b"pieces": bytes(20), b"files": [entry]}
    loaded = lt.load_torrent_buffer(lt.bencode({b"info": info})).ti
    return bool(loaded.layout().file_path(0) == f"d/{name}")


def test_libtorrent_keeps_every_name_we_allow() -> None:
    chosen = random.Random(1)
    characters = [*range(0x3000), 0xFEFF, 0xFFFD, 0xFFFE, 0x1F600, 0xE0001, 0x10FFFF]
    characters += [chosen.randrange(0x3000, 0x110000) for _ in range(3000)]
    allowed = 0
    for code in characters:
        name = f"a{chr(code)}b"
        try:
            check_name(name)
        except InvalidInput:
            continue
        allowed += 1
        assert libtorrent_keeps(name), hex(code)
    assert allowed > 10_000
    for name in ("x" * 240, "é" * 120, "a.", "a ", " a", "...", "~", "con"):
        check_name(name)
        assert libtorrent_keeps(name), name
