"""Verifying a folder: every digest is looked at, and every file that is wrong, missing or extra is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedkeep.core.errors import NotFound
from seedkeep.core.manifest import Manifest
from seedkeep.verify import Verdict, verify_folder, whole
from tests.support.registrar import Shareable, shareable


async def verdict(root: Path, what: Shareable, manifest: Manifest | None = None) -> Verdict:
    read = 0

    def advance(count: int) -> None:
        nonlocal read
        read += count

    infohash = what.dataset().infohash_v1
    return await verify_folder(root, manifest or what.data.manifest, infohash, advance=advance)


async def test_the_right_folder_is_right_whatever_it_is_called(tmp_path: Path) -> None:
    what = shareable()
    root = what.data.write(tmp_path)
    found = await verdict(root, what)
    assert found.ok
    assert found.infohash_v1 == what.dataset().infohash_v1
    assert (await verdict(root.rename(tmp_path / "renamed"), what)).ok


async def test_a_single_file_is_found_by_itself_or_in_its_folder(tmp_path: Path) -> None:
    what = shareable("genome.fa", {"genome.fa": b"ACGT" * 9000})
    what.data.write(tmp_path)
    assert (await verdict(tmp_path / "genome.fa", what)).ok
    assert (await verdict(tmp_path, what)).ok


async def test_everything_amiss_is_named(tmp_path: Path) -> None:
    what = shareable()
    root = what.data.write(tmp_path)
    data = bytearray((root / "big.bin").read_bytes())
    data[70_000] ^= 1
    (root / "big.bin").write_bytes(data)
    (root / "sub/small.txt").unlink()
    (root / "sub/notes.txt").write_text("mine")
    (root / "link").symlink_to(tmp_path)
    found = await verdict(root, what)
    assert not found.ok
    assert [w.path for w in found.wrong] == ["big.bin"]
    assert found.wrong[0].problem == "differs in md5, sha256, root"
    assert found.missing == ("sub/small.txt",)
    assert found.extra == ("link", "sub/notes.txt")
    text = whole(found, "sample")
    for word in ("wrong: 'big.bin'", "missing: 'sub/small.txt'", "extra: 'link'"):
        assert word in text


async def test_another_size_is_said_without_reading(tmp_path: Path) -> None:
    what = shareable()
    root = what.data.write(tmp_path)
    with (root / "sub/empty").open("wb") as file:
        file.write(b"x")
    found = await verdict(root, what)
    assert [(w.path, w.problem) for w in found.wrong] == [("sub/empty", "has 1 bytes instead of 0")]


@pytest.mark.parametrize("digest", ["md5", "sha256", "root"])
async def test_each_digest_alone_is_enough_to_find_a_lie(tmp_path: Path, digest: str) -> None:
    what = shareable()
    root = what.data.write(tmp_path)
    m = what.data.manifest
    files = tuple(
        dataclasses.replace(f, **{digest: "0" * len(getattr(f, digest))}) if f.path == "big.bin" else f
        for f in m.files
    )
    found = await verdict(root, what, Manifest(m.name, m.piece_length, files))
    assert [(w.path, w.problem) for w in found.wrong] == [("big.bin", f"differs in {digest}")]


async def test_the_fourth_digest_is_the_v1_info_hash(tmp_path: Path) -> None:
    what = shareable()
    root = what.data.write(tmp_path)
    found = await verify_folder(root, what.data.manifest, "0" * 40, advance=lambda n: None)
    assert not found.ok
    assert "v1 info-hash" in found.wrong[0].problem


async def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await verdict(tmp_path / "nothing", shareable())


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 70_000), min_size=2, max_size=6).filter(any),
    flip=st.integers(0, 10**6),
)
async def test_any_flipped_bit_is_found_and_the_right_file_blamed(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], flip: int
) -> None:
    what = shareable("d", {f"f{n}": bytes([n % 251]) * size for n, size in enumerate(sizes)})
    folder = tmp_path_factory.mktemp("flip")
    root = what.data.write(folder)
    assert (await verdict(root, what)).ok
    entries = [f for f in what.data.manifest.files if f.size]
    entry = entries[flip % len(entries)]
    place = root if what.data.manifest.is_single_file else root / entry.path
    data = bytearray(place.read_bytes())
    data[flip % len(data)] ^= 1 << flip % 8
    place.write_bytes(data)
    assert [w.path for w in (await verdict(root, what)).wrong] == [entry.path]
