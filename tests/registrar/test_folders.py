"""Folders of a dataset: the same however the manifest came in, and read a page at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.manifest import FileEntry
from seedkeep.core.paths import torrent_order
from seedkeep_registrar.folder_tree import Folder, FolderTree
from seedkeep_registrar.housekeeping import Housekeeping
from seedkeep_registrar.store import files, folders
from tests.support.registrar import RegistrarUnderTest, shareable

names = st.lists(st.sampled_from("ab"), min_size=1, max_size=5).map("/".join)


def entries_of(paths: list[str]) -> list[FileEntry]:
    ordered = sorted(paths, key=torrent_order)
    return [FileEntry(path, n + 1, "0" * 32, "0" * 64, "0" * 64) for n, path in enumerate(ordered)]


def plain(entries: list[FileEntry]) -> set[Folder]:
    """By the rule as it is written: what holds one folder and nothing else is not shown."""
    inside: dict[str, set[str]] = {}
    for entry in entries:
        parts = entry.path.split("/")
        for n in range(1, len(parts)):
            inside.setdefault("/".join(parts[:n]), set()).add("/".join(parts[: n + 1]))
    shown = {f for f, held in inside.items() if len(held) > 1 or not held <= inside.keys()}
    found = set()
    for folder in shown:
        below = [n for n, e in enumerate(entries) if e.path.startswith(folder + "/")]
        parent = max((o for o in shown if folder.startswith(o + "/")), key=len, default="")
        size = sum(entries[n].size for n in below)
        assert below == list(range(below[0], below[-1] + 1))
        found.add(Folder(folder, parent, below[0], len(below), size))
    return found


@given(st.lists(names, min_size=1, max_size=25, unique=True), st.integers(1, 30))
def test_folders_are_found_in_one_pass_however_it_is_sliced(paths: list[str], step: int) -> None:
    files_only = [p for p in paths if not any(o.startswith(p + "/") for o in paths)]
    entries = entries_of(files_only)
    tree = FolderTree()
    found = [f for at in range(0, len(entries), step) for f in tree.feed(entries[at : at + step])]
    found += tree.close()
    assert len(found) == len(set(found)) < 2 * len(entries)
    assert set(found) == plain(entries)


async def walk(running: RegistrarUnderTest, manifest_id: int, path: str = "", count: int = 7) -> list[str]:
    """Every file's path, by walking the folders as a reader would."""
    found: list[str] = []
    after: int | None = 0
    while after is not None:
        page = await running.context.db.read(folders.listing, manifest_id, path, after, count)
        assert page is not None
        assert 0 < len(page.entries) <= count
        for entry in page.entries:
            if isinstance(entry, Folder):
                inner = await walk(running, manifest_id, entry.path, count)
                assert len(inner) == entry.files
                found += inner
            else:
                found.append(entry.path)
        after = page.next
    return found


async def test_every_file_is_reached_through_the_folders(any_registrar: RegistrarUnderTest) -> None:
    paths = [f"d{i % 9}/e{i % 4}/f{i}" for i in range(120)] + [f"x{i}" for i in range(20)]
    paths += ["deep/er/and/deeper/one", "deep/er/and/deeper/two"]
    what = shareable("walked", {p: p.encode() for p in paths})
    document = await any_registrar.person().register(what)
    manifest_id, _ = await any_registrar.context.db.read(_manifest, document["rid"])
    assert await walk(any_registrar, manifest_id) == [f.path for f in what.data.manifest.files]
    deep = await any_registrar.context.db.read(folders.listing, manifest_id, "deep/er/and/deeper", 0, 10)
    assert deep is not None
    assert (deep.files, deep.above, deep.next) == (2, (), None)
    for missing in ("deep", "nothing", "d0/", "d0\x00", "x1"):
        assert await any_registrar.context.db.read(folders.listing, manifest_id, missing, 0, 10) is None


async def test_an_interrupted_index_leaves_no_folder_out(any_registrar: RegistrarUnderTest) -> None:
    what = shareable("cut", {f"d{i // 30}/e{i % 3}/f{i}": f"{i}".encode() for i in range(4100)})
    db, m = any_registrar.context.db, what.data.manifest
    number, _ = await db.write(files.begin_manifest, m.digest(), m.content_id(), any_registrar.clock())
    tree = FolderTree()
    await db.write(files.add, number, 0, m.files[:2001])
    await db.write(folders.add, number, tree.feed(m.files[:2001]))
    await any_registrar.person().register(what)
    assert await walk(any_registrar, number, count=100) == [f.path for f in m.files]


async def test_folders_of_an_index_that_nobody_names_are_dropped(any_registrar: RegistrarUnderTest) -> None:
    db = any_registrar.context.db
    m = shareable("orphan", {f"d{i}/f": b"1" for i in range(30)}).data.manifest
    number, _ = await db.write(files.begin_manifest, m.digest(), m.content_id(), any_registrar.clock())
    await db.write(files.add, number, 0, m.files)
    await db.write(folders.add, number, FolderTree().feed(m.files))
    any_registrar.clock.offset = 90_000
    await Housekeeping(any_registrar.context).drop_rubbish()
    assert await db.read(files.by_number, number, [0]) == {}


def _manifest(connection, rid: str) -> tuple[int, int]:  # type: ignore[no-untyped-def]
    from seedkeep_registrar.store import records

    record = records.by_rid(connection, rid)
    assert record is not None
    return record.manifest_id, record.files
