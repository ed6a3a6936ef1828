"""Where things lie: bounds that hold on a real disk, and links that lead nowhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedkeep.core.errors import Error, InvalidInput, UsageError
from seedkeep.storage.layout import Layout, allocated, open_below, write_durably
from tests.support.datasets import dataset_of
from tests.support.registrar_simulator import pieces_of

names = st.text("abcdefgh", min_size=1, max_size=60)
paths = st.lists(names, min_size=1, max_size=8).map("/".join)
trees = st.dictionaries(paths, st.integers(0, 70_000), min_size=1, max_size=25)


def _is_tree(sizes: dict[str, int]) -> bool:
    parents = {"/".join(p.split("/")[:i]) for p in sizes for i in range(1, p.count("/") + 1)}
    # one bare file is a dataset of its own name
    folder = len(sizes) > 1 or "/" in next(iter(sizes))
    return folder and any(sizes.values()) and not parents & set(sizes)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(sizes=trees.filter(_is_tree))
def test_a_dataset_never_allocates_more_than_its_footprint(tmp_path: Path, sizes: dict[str, int]) -> None:
    layout = Layout(tmp_path / "node")
    dataset = dataset_of("data", {path: os.urandom(size) for path, size in sizes.items()})
    cid = dataset.manifest.content_id()
    layout.prepare(cid)
    dataset.write(layout.save_path(cid))
    write_durably(layout.document(cid, "manifest"), dataset.manifest.encode())
    write_durably(layout.document(cid, "layers"), dataset.layers)
    write_durably(layout.document(cid, "pieces"), pieces_of(dataset))
    for kind in ("resume", "resume.new"):
        write_durably(layout.document(cid, kind), bytes(layout.resume_limit(dataset.manifest)))
    os.sync()
    assert 0 < layout.taken_by(cid) <= layout.footprint(dataset.manifest)
    layout.remove(cid)
    assert layout.taken_by(cid) == 0
    layout.remove(cid)


def test_many_names_in_one_directory_stay_within_the_footprint(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "node")
    dataset = dataset_of("data", {f"{i:05}-{'x' * 150}": b"." for i in range(3000)})
    cid = dataset.manifest.content_id()
    layout.prepare(cid)
    dataset.write(layout.save_path(cid))
    assert layout.taken_by(cid) <= layout.footprint(dataset.manifest)


def test_removal_does_not_follow_links_out_of_the_data_directory(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "node")
    outside = tmp_path / "outside"
    (outside / "precious").mkdir(parents=True)
    (outside / "precious" / "file").write_bytes(b"keep me")
    inner, whole = "1" * 64, "2" * 64
    layout.prepare(inner)
    (layout.save_path(inner) / "link").symlink_to(outside / "precious")
    layout.save_path(whole).symlink_to(outside / "precious")
    layout.remove(inner)
    layout.remove(whole)
    assert (outside / "precious" / "file").read_bytes() == b"keep me"
    assert not list((layout.root / "data").iterdir())


@pytest.mark.parametrize("bad", ["../../etc", "a" * 63, "A" * 64, "", "a" * 64 + "/x"])
def test_only_content_ids_name_places(tmp_path: Path, bad: str) -> None:
    layout = Layout(tmp_path / "node")
    for place in (layout.save_path, layout.remove, layout.taint_list):
        with pytest.raises(InvalidInput):
            place(bad)


def test_reading_follows_no_links_and_opens_only_plain_files(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "d")
    (tmp_path / "d" / "link").symlink_to(tmp_path / "d" / "file")
    os.mkfifo(tmp_path / "d" / "pipe")
    os.close(open_below(tmp_path, "d/file"))
    for path in ("link/file", "d/link", "d/pipe", "d", "d/missing"):
        with pytest.raises(OSError):
            open_below(tmp_path, path)


def test_data_that_lie_behind_a_link_are_refused(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "node" / "data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Error, match="symbolic link"):
        Layout(tmp_path / "node")


def test_allocated_counts_blocks_not_lengths(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(10**9)
    assert allocated(sparse) < 10**6
    assert allocated(tmp_path / "missing") == 0


def test_a_data_directory_whose_name_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not UTF-8"):
        Layout(tmp_path / os.fsdecode(b"M\xfcller"))
    assert list(tmp_path.iterdir()) == []
