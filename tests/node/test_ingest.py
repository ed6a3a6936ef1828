from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
import unicodedata
from collections.abc import Awaitable, Callable
from pathlib import Path

import libtorrent as lt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedkeep.core.errors import Error, InvalidInput, UsageError
from seedkeep.core.metainfo import check_layers, info_v1, info_v2
from seedkeep.ingest import checkpoint as checkpoint_module
from seedkeep.ingest import digests, hashing
from seedkeep.ingest import run as ingest_run
from seedkeep.ingest.run import Ingested, Progress, ingest
from seedkeep.ingest.scan import scan

KIB, MIB = 1 << 10, 1 << 20


def content(size: int, seed: int = 0) -> bytes:
    return random.Random(size * 31 + seed).randbytes(size)


def write(root: Path, tree: dict[str, int | bytes]) -> Path:
    for index, (path, what) in enumerate(tree.items()):
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(what if isinstance(what, bytes) else content(what, index))
    return root


def settle(root: Path) -> None:
    """Wait until the clock has left the last change well behind, as times of files move in ticks."""
    newest = max(path.lstat().st_ctime_ns for path in [root, *root.rglob("*")])
    while time.time_ns() < newest + 100_000_000:
        time.sleep(0.01)


def assert_right(found: Ingested) -> None:
    """Every digest is what the plain tools give, and both torrents are libtorrent's own."""
    m = found.manifest
    base = found.root.parent
    for file in m.files:
        data = (found.root if m.is_single_file else found.root / file.path).read_bytes()
        assert file.size == len(data)
        assert file.md5 == hashlib.md5(data).hexdigest()
        assert file.sha256 == hashlib.sha256(data).hexdigest()
    check_layers(m, found.layers)
    assert found.root.name == m.name
    paths = [m.name if m.is_single_file else f"{m.name}/{file.path}" for file in m.files]
    files = [lt.create_file_entry(path, file.size) for path, file in zip(paths, m.files, strict=True)]
    for flags, info in (
        (lt.create_torrent.v2_only, info_v2(m)),
        (lt.create_torrent.v1_only, info_v1(m, found.pieces_v1)),
    ):
        creator = lt.create_torrent(files, m.piece_length, flags)
        lt.set_piece_hashes(creator, str(base))
        assert lt.bencode(creator.generate()[b"info"]) == info


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(offset, bytes) of every read of a file in this process; worker processes are not used."""
    seen: list[tuple[int, int]] = []
    real = os.preadv

    def preadv(fd: int, buffers: list[memoryview], offset: int) -> int:
        count = real(fd, buffers, offset)
        seen.append((offset, count))
        return count

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(ingest_run, "_THREADS_BYTES", 1 << 40)
    monkeypatch.setattr(ingest_run, "_THREADS_FILES", 1 << 40)
    return seen


def total(reads: list[tuple[int, int]]) -> int:
    return sum(count for _, count in reads)


# What it gives


edge = st.sampled_from([0, 1, 5000, 16 * KIB, 32 * KIB, 64 * KIB, MIB, 2 * MIB])
sizes = st.builds(lambda size, off: max(0, size + off), edge, st.sampled_from([-1, 0, 1, 7]))
names = st.sampled_from(["a", "b", "Z", "é", "a b", "-", ".x", "0"])
trees = st.dictionaries(
    st.lists(names, min_size=1, max_size=3).map(
        lambda parts: "/".join([*(f"{p}d" for p in parts[:-1]), parts[-1]])
    ),
    sizes,
    min_size=1,
    max_size=10,
).filter(lambda tree: sum(tree.values()) > 0)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees, workers=st.integers(1, 3))
def test_any_tree_gives_the_digests_and_torrents_of_the_plain_tools(
    tmp_path: Path, tree: dict[str, int | bytes], workers: int
) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as made:
        root = write(Path(made) / "data", tree)
        assert_right(asyncio.run(ingest(root, workers=workers)))


async def test_many_files_in_several_processes(tmp_path: Path) -> None:
    chosen = random.Random(7)
    sizes = {f"d{i % 7}/f{i:04d}": chosen.choice([0, 10, 5000, 20_000, 200_000]) for i in range(700)}
    root = write(tmp_path / "data", {**sizes, "big": 33 * MIB})
    assert_right(await ingest(root, workers=3))


async def test_one_large_file(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {"reads.fq": 40 * MIB + 17})
    assert_right(await ingest(root / "reads.fq"))


async def test_every_byte_is_read_once(tmp_path: Path, reads: list[tuple[int, int]]) -> None:
    root = write(
        tmp_path / "data", {**{f"f{i}": 70_000 + i for i in range(300)}, "x": 34 * MIB, "y": 33 * MIB}
    )
    found = await ingest(root, workers=2)
    assert total(reads) == found.manifest.bytes
    assert_right(found)


async def test_a_single_file_keeps_its_name(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {"a.txt": 100, "b": 1})
    found = await ingest(root / "a.txt")
    assert (found.root, found.manifest.name, found.manifest.files[0].path) == (
        root / "a.txt",
        "a.txt",
        "a.txt",
    )
    assert (await ingest(root / "a.txt", name="other")).manifest.files[0].path == "other"


async def test_a_directory_with_one_file_is_that_file(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {"a.txt": 100})
    (root / "empty directory").mkdir()
    found = await ingest(root)
    assert found.root == root / "a.txt"
    assert found.manifest.is_single_file
    assert_right(found)


async def test_the_name_can_be_chosen_and_the_root_may_be_a_link(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {"a": 100, "b": 1})
    (tmp_path / "link").symlink_to(root)
    assert (await ingest(tmp_path / "link")).manifest.name == "link"
    assert (await ingest(root, name="chosen")).manifest.name == "chosen"
    with pytest.raises(InvalidInput, match="slash"):
        await ingest(root, name="../x")


# What it refuses


def a_pipe(root: Path) -> None:
    os.mkfifo(root / "pipe")


def a_socket(root: Path) -> None:
    here = Path.cwd()
    os.chdir(root)  # paths of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("sock")
    finally:
        os.chdir(here)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link to a file": (lambda root: (root / "x").symlink_to("a"), "'x' is a symbolic link"),
    "a link out of the tree": (lambda root: (root / "x").symlink_to("/etc"), "'x' is a symbolic link"),
    "a dangling link": (lambda root: (root / "x").symlink_to("nowhere"), "'x' is a symbolic link"),
    "a link in a directory": (
        lambda root: write(root, {"d/b": 1}) and (root / "d/x").symlink_to("b"),
        "'d/x' is",
    ),
    "a pipe": (a_pipe, "'pipe' is neither a file nor a directory"),
    "a socket": (a_socket, "'sock' is neither a file nor a directory"),
    "a name not UTF-8": (
        lambda root: os.mknod(os.fsencode(root) + b"/caf\xe9"),
        r"'caf\\udce9' is not UTF-8",
    ),
    "a line break": (
        lambda root: write(root, {"a\nb": 1}),
        r"'a\\nb' contains the invisible character U\+000A",
    ),
    "a backslash": (lambda root: write(root, {"a\\b": 1}), "a backslash"),
    "a long name": (lambda root: write(root, {"x" * 255: 1}), "longer than 240 bytes"),
    "a decomposed accent": (lambda root: write(root, {unicodedata.normalize("NFD", "é"): 1}), "NFC"),
    "case twins": (lambda root: write(root, {"A": 1}), "'A' and 'a' differ only by case"),
    "directory twins": (lambda root: write(root, {"D/x": 1, "d/y": 1}), "'D' and 'd/y' differ only by case"),
}


@pytest.mark.parametrize(("make", "why"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_cannot_be_shared_is_refused_by_name(
    tmp_path: Path, make: Callable[[Path], object], why: str
) -> None:
    root = write(tmp_path / "data", {"a": 10})
    make(root)
    with pytest.raises(InvalidInput, match=why) as caught:
        await ingest(root)
    assert caught.value.hint


async def test_all_offenders_are_named_at_once_up_to_twenty(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {"a": 10})
    for number in range(30):
        (root / f"link{number:02d}").symlink_to("a")
    with pytest.raises(InvalidInput, match="30 problems") as caught:
        await ingest(root)
    assert caught.value.what.count("is a symbolic link") == 20
    assert "and 10 more" in caught.value.what


@pytest.mark.parametrize("tree", [{}, {"d/empty": 0, "e": 0}])
async def test_nothing_to_share_is_said(tmp_path: Path, tree: dict[str, int | bytes]) -> None:
    (tmp_path / "data").mkdir()
    root = write(tmp_path / "data", tree)
    (root / "directory").mkdir()
    with pytest.raises(InvalidInput, match=r"'data' (contains no files|holds no bytes)"):
        await ingest(root)


async def test_a_missing_or_special_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No such file"):
        await ingest(tmp_path / "nothing")
    with pytest.raises(InvalidInput, match="neither a file nor a directory"):
        await ingest(Path("/dev/null"))


def as_nobody(job: Callable[[], str]) -> str:
    """What ``job`` returns in a process without special rights."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            os.write(writer, job().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as stream:  # noqa: PTH123 (a descriptor)
        said = stream.read()
    os.waitpid(pid, 0)
    return said


@pytest.mark.parametrize(
    ("victim", "why"),
    [("secret", "'secret' is not readable"), ("locked/file", "'locked' cannot be read: Perm")],
)
def test_what_may_not_be_read_is_refused_by_name(victim: str, why: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        root = write(Path(made) / "data", {"a": 10, victim: 10})
        locked = root / Path(victim).parts[0]
        locked.chmod(0)

        def job() -> str:
            try:
                scan(root)
            except InvalidInput as error:
                return error.what
            return "accepted"

        said = as_nobody(job)
        locked.chmod(0o755)
        assert why in said


# Changes while it reads


def grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.write(b"other")


def replace(path: Path) -> None:
    other = path.with_name("other")
    shutil.copy2(path, other)
    other.rename(path)


@pytest.mark.parametrize("change", [grow, shrink, overwrite, replace, Path.unlink])
@pytest.mark.parametrize("size", [3 * MIB, 40 * MIB])
async def test_a_file_that_changes_while_it_is_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], size: int
) -> None:
    root = write(tmp_path / "data", {"a": 10, "victim": size})
    settle(root)
    real = os.preadv
    changed = []

    def preadv(fd: int, buffers: list[memoryview], offset: int) -> int:
        count = real(fd, buffers, offset)
        if offset >= MIB and not changed:
            changed.append(True)
            change(root / "victim")
        return count

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(ingest_run, "_THREADS_BYTES", 1 << 40)
    with pytest.raises(InvalidInput, match="'victim' changed while it was being read"):
        await ingest(root)


async def test_a_file_that_changes_between_scan_and_reading_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path / "data", {"a": 3 * MIB, "gone": 10, "z": 10})
    real = os.preadv

    def preadv(fd: int, buffers: list[memoryview], offset: int) -> int:
        (root / "gone").unlink(missing_ok=True)
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    with pytest.raises(InvalidInput, match="cannot read 'gone': No such file"):
        await ingest(root, workers=1)


# Checkpoints


async def test_sharing_again_reads_nothing(tmp_path: Path, reads: list[tuple[int, int]]) -> None:
    root = write(tmp_path / "data", {"a": 100_000, "b": 34 * MIB, "c": 0, "d/e": 5})
    settle(root)
    first = await ingest(root, checkpoint=tmp_path / "cp")
    reads.clear()
    seen: list[Progress] = []
    assert await ingest(root, checkpoint=tmp_path / "cp", progress=seen.append) == first
    assert not reads
    assert seen[-1].bytes_kept == seen[-1].bytes_done == seen[-1].bytes_total == first.manifest.bytes


async def test_only_a_changed_file_and_the_pieces_beside_it_are_read_again(
    tmp_path: Path, reads: list[tuple[int, int]]
) -> None:
    root = write(tmp_path / "data", {f"f{i}": 300_000 for i in range(20)})
    settle(root)
    first = await ingest(root, checkpoint=tmp_path / "cp")
    (root / "f7").write_bytes(content(300_000, 99))
    settle(root)
    reads.clear()
    found = await ingest(root, checkpoint=tmp_path / "cp")
    assert_right(found)
    assert found.manifest != first.manifest
    assert 300_000 < total(reads) <= 300_000 + 2 * found.manifest.piece_length


async def test_a_change_that_keeps_size_and_time_is_noticed(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {"a": 1000, "b": 1000})
    settle(root)
    await ingest(root, checkpoint=tmp_path / "cp")
    before = (root / "a").stat()
    (root / "a").write_bytes(content(1000, 5))
    os.utime(root / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert_right(await ingest(root, checkpoint=tmp_path / "cp"))


async def test_another_directory_put_in_place_is_noticed(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {"d/a": 100_000, "e": 1000})
    other = write(tmp_path / "other", {"a": content(100_000, 77)})
    settle(tmp_path)
    await ingest(root, checkpoint=tmp_path / "cp")
    (root / "d").rename(tmp_path / "aside")
    other.rename(root / "d")  # leaves all times of the file in it as they were
    assert_right(await ingest(root, checkpoint=tmp_path / "cp"))


async def test_a_file_put_before_the_others_moves_all_pieces_and_rereads_only_for_them(
    tmp_path: Path, reads: list[tuple[int, int]]
) -> None:
    root = write(tmp_path / "data", {"b": 300_000, "c": 400_000})
    settle(root)
    await ingest(root, checkpoint=tmp_path / "cp")
    write(root, {"a": 1000})
    seen: list[Progress] = []
    found = await ingest(root, checkpoint=tmp_path / "cp", progress=seen.append)
    assert_right(found)
    assert seen[-1].bytes_kept == 700_000


async def test_a_removed_last_file_leaves_no_trace_in_the_last_piece(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {"a": 20_000, "b": 1000, "z": 20_000})
    settle(root)
    await ingest(root, checkpoint=tmp_path / "cp")
    (root / "z").unlink()
    assert_right(await ingest(root, checkpoint=tmp_path / "cp"))


async def test_a_file_written_just_before_it_was_read_is_not_believed_later(
    tmp_path: Path, reads: list[tuple[int, int]]
) -> None:
    root = write(tmp_path / "data", {"a": 1000, "b": 1000})
    await ingest(root, checkpoint=tmp_path / "cp")
    reads.clear()
    settle(root)
    await ingest(root, checkpoint=tmp_path / "cp")
    assert total(reads) == 2000


@pytest.fixture
def believing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files written just now are believed too, so that a test need not wait until they are old."""
    monkeypatch.setattr(checkpoint_module, "_TICK_NS", 0)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tree=trees,
    changes=st.lists(st.dictionaries(names, sizes | st.none(), max_size=3), min_size=1, max_size=3),
    cut=st.floats(0, 1),
    garble=st.booleans(),
)
def test_whatever_changed_and_however_the_checkpoint_was_damaged_the_result_is_right(
    tmp_path: Path,
    tree: dict[str, int | bytes],
    changes: list[dict[str, int | None]],
    cut: float,
    garble: bool,
) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as made:
        root = write(Path(made) / "data", {**tree, "keep": 200_000, "keep2": 70_000})
        checkpoint = Path(made) / "cp"
        asyncio.run(ingest(root, checkpoint=checkpoint))
        for number, change in enumerate(changes):
            for path, size in change.items():
                if size is None:
                    (root / path).unlink(missing_ok=True)
                else:
                    (root / path).write_bytes(content(size, number))
            if number == len(changes) - 1:
                data = bytearray(checkpoint.read_bytes())
                at = int(cut * (len(data) - 1))
                data[at:] = bytes([data[at] ^ 1]) + data[at + 1 :] if garble else b""
                checkpoint.write_bytes(data)
            assert_right(asyncio.run(ingest(root, checkpoint=checkpoint, workers=2)))


@pytest.mark.parametrize("junk", [b"", b"\0" * 100, b"00000000 {}\n", b"x" * 10_000, b'{"v":1}\n'])
async def test_a_checkpoint_that_is_none_is_replaced(tmp_path: Path, junk: bytes) -> None:
    root = write(tmp_path / "data", {"a": 1000, "b": 1000})
    (tmp_path / "cp").write_bytes(junk)
    assert_right(await ingest(root, checkpoint=tmp_path / "cp"))


async def test_a_checkpoint_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {"a": 1000, "b": 1000})
    (tmp_path / "file").touch()
    with pytest.raises(Error, match=r"cannot write the checkpoint .*/file/cp"):
        await ingest(root, checkpoint=tmp_path / "file" / "cp")


async def test_a_checkpoint_inside_the_data_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {"a": 1000, "b": 1000})
    with pytest.raises(UsageError, match="lies inside the data"):
        await ingest(root, checkpoint=root / "d" / "cp")


async def test_other_sizes_that_lead_to_other_piece_lengths_keep_the_digests(
    tmp_path: Path, reads: list[tuple[int, int]]
) -> None:
    root = write(tmp_path / "data", {"a": 400_000, "b": 3 * MIB})
    settle(root)
    small = await ingest(root, checkpoint=tmp_path / "cp")
    write(root, {"z": 20 * MIB})
    settle(root)
    reads.clear()
    large = await ingest(root, checkpoint=tmp_path / "cp")
    assert large.manifest.piece_length > small.manifest.piece_length
    assert_right(large)
    (root / "z").unlink()
    assert_right(await ingest(root, checkpoint=tmp_path / "cp"))


# Interruptions


async def interrupt_at(
    share: float, start: Callable[[Callable[[Progress], None]], Awaitable[Ingested]]
) -> float:
    """Cancel an ingest when this share of the bytes is done; the seconds it took to end."""
    reached = asyncio.Event()

    def progress(state: Progress) -> None:
        if state.bytes_total and state.bytes_done >= share * state.bytes_total:
            reached.set()

    task = asyncio.ensure_future(start(progress))
    waiting = asyncio.create_task(reached.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await waiting
    return time.monotonic() - began


def children() -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(fields[1]) == os.getpid() and b"seedkeep.ingest.worker" in command:
                found.add(int(entry.name))
    return found


async def test_cancelled_among_many_files_it_goes_on_where_it_was(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {f"f{i:03d}": MIB for i in range(150)})
    settle(root)
    cp = tmp_path / "cp"
    seconds = await interrupt_at(
        0.4, lambda progress: ingest(root, checkpoint=cp, progress=progress, workers=2)
    )
    assert seconds < 15
    assert not children()
    seen: list[Progress] = []
    found = await ingest(root, checkpoint=cp, progress=seen.append)
    assert seen[-1].bytes_kept > 0.2 * found.manifest.bytes
    assert_right(found)


async def test_cancelled_within_a_large_file_it_goes_on_where_it_was(
    tmp_path: Path, reads: list[tuple[int, int]]
) -> None:
    assert digests.portable(), "no libcrypto here that lets its state be kept"
    root = write(tmp_path / "data", {"a": 300_001, "big": 150 * MIB})
    settle(root)
    cp = tmp_path / "cp"
    await interrupt_at(0.4, lambda progress: ingest(root, checkpoint=cp, progress=progress))
    before = total(reads)
    assert before < 140 * MIB
    reads.clear()
    seen: list[Progress] = []
    found = await ingest(root, checkpoint=cp, progress=seen.append)
    assert seen[-1].bytes_kept > 0.35 * found.manifest.bytes
    assert before + total(reads) < found.manifest.bytes + 16 * MIB
    assert_right(found)


async def test_a_large_file_that_changed_after_the_interruption_starts_over(
    tmp_path: Path, reads: list[tuple[int, int]]
) -> None:
    root = write(tmp_path / "data", {"a": 300_001, "big": 60 * MIB})
    settle(root)
    cp = tmp_path / "cp"
    await interrupt_at(0.3, lambda progress: ingest(root, checkpoint=cp, progress=progress))
    overwrite(root / "big")
    assert_right(await ingest(root, checkpoint=cp))


async def test_without_portable_states_an_interrupted_large_file_starts_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[tuple[int, int]]
) -> None:
    monkeypatch.setattr(digests, "_libcrypto", lambda: None)
    root = write(tmp_path / "data", {"a": 300_001, "big": 60 * MIB})
    settle(root)
    cp = tmp_path / "cp"
    await interrupt_at(0.3, lambda progress: ingest(root, checkpoint=cp, progress=progress))
    assert_right(await ingest(root, checkpoint=cp))


async def test_points_to_continue_from_are_kept_while_a_large_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[tuple[int, int]]
) -> None:
    monkeypatch.setattr(hashing, "_PART_SECONDS", 0.0)
    root = write(tmp_path / "data", {"a": 300_001, "big": 40 * MIB})
    found = await ingest(root, checkpoint=tmp_path / "cp")
    assert_right(found)
    assert (tmp_path / "cp").read_bytes().count(b'"part"') >= 20


async def test_killed_at_any_moment_it_goes_on_where_it_was(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {**{f"f{i:03d}": 600_000 for i in range(100)}, "big": 70 * MIB})
    settle(root)
    cp = tmp_path / "cp"
    script = (
        "import asyncio, sys; from pathlib import Path; from seedkeep.ingest.run import ingest\n"
        "say = lambda state: print(state.bytes_done, flush=True)\n"
        "asyncio.run(ingest(Path(sys.argv[1]), checkpoint=Path(sys.argv[2]), progress=say, workers=2))\n"
    )
    for share in (0.3, 0.6):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(root), str(cp), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        async for line in process.stdout:
            if int(line) > share * 130_000_000:
                break
        process.kill()
        await process.wait()
    seen: list[Progress] = []
    found = await ingest(root, checkpoint=cp, progress=seen.append, workers=2)
    assert seen[-1].bytes_kept > 0
    assert_right(found)


async def test_interrupted_at_the_terminal_it_ends_at_once_and_goes_on_later(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {f"f{i:03d}": MIB for i in range(500)})
    settle(root)
    cp = tmp_path / "cp"
    # it interrupts itself, as a terminal does, workers and all: whoever watches it may be too late
    script = (
        "import asyncio, os, signal, sys, time\n"
        "from pathlib import Path\n"
        "from seedkeep.ingest.run import ingest\n"
        "began = []\n"
        "def say(state):\n"
        "    if state.bytes_done > 40 << 20 and not began:\n"
        "        began.append(time.monotonic())\n"
        "        os.killpg(0, signal.SIGINT)\n"
        "try: asyncio.run(ingest(Path(sys.argv[1]), checkpoint=Path(sys.argv[2]), progress=say, workers=2))\n"
        "except KeyboardInterrupt:\n"
        "    print(time.monotonic() - began[0])\n"
        "    sys.exit(130)\n"
    )
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(root), str(cp), stdout=pipe, stderr=pipe, start_new_session=True
    )
    said, complaints = await process.communicate()
    assert (process.returncode, complaints) == (130, b"")
    assert float(said) < 15
    seen: list[Progress] = []
    assert_right(await ingest(root, checkpoint=cp, progress=seen.append))
    assert seen[-1].bytes_kept > 5 * MIB


async def test_a_worker_that_dies_is_an_error_and_what_was_done_is_kept(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {f"f{i:03d}": MIB for i in range(100)})
    settle(root)

    def progress(state: Progress) -> None:
        if state.bytes_done > 20 * MIB:
            for pid in children():
                os.kill(pid, signal.SIGKILL)

    with pytest.raises(Error, match="ended unexpectedly"):
        await ingest(root, checkpoint=tmp_path / "cp", progress=progress, workers=2)
    assert not children()
    assert_right(await ingest(root, checkpoint=tmp_path / "cp"))


async def test_progress_comes_at_most_ten_times_a_second_and_only_grows(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {f"f{i:03d}": MIB for i in range(150)})
    seen: list[Progress] = []
    found = await ingest(root, progress=seen.append)
    assert seen[-1].phase == "done"
    assert (seen[-1].bytes_done, seen[-1].files_done) == (found.manifest.bytes, 150)
    assert [state.bytes_done for state in seen] == sorted(state.bytes_done for state in seen)
    between = [after.seconds - before.seconds for before, after in itertools.pairwise(seen[:-1])]
    assert all(gap >= 0.099 for gap in between)
    assert len(seen) <= 3 + 10 * seen[-1].seconds
