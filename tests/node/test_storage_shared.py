"""A sharer's folder, seeded in place by the node on the same machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from seedkeep.core.errors import InvalidInput, Tainted, UsageError
from seedkeep.storage.service import StorageManager
from tests.support.datasets import Dataset
from tests.support.registrar_simulator import pieces_of
from tests.support.storage import MB, World, held, is_whole, random_dataset

DATA = random_dataset("shared", [2 * MB, 0, 300_000])
CID = DATA.manifest.content_id()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "home of the sharer"
    home.mkdir()
    return DATA.write(home)


async def seed(node: StorageManager, root: Path, dataset: Dataset = DATA, **fields: str) -> str:
    return await node.shared.seed(
        root,
        manifest=dataset.manifest.encode(),
        layers=dataset.layers,
        pieces=pieces_of(dataset),
        **fields,  # type: ignore[arg-type]
    )


async def test_others_get_it_and_the_pledge_does_not_count_it(world: World, folder: Path) -> None:
    async with world.node("mine", pledge=3 * MB) as mine, world.node("theirs") as theirs:
        used = mine.pledge.account().used
        assert await seed(mine, folder) == CID
        # A place it could not take itself, for its pledge is too small.
        world.registrar.register(DATA)
        await world.until(lambda: held(theirs))
        assert is_whole(theirs.layout.root, DATA)
        await asyncio.to_thread(mine.pledge.measure)
        assert mine.pledge.account().used - used < 100_000


async def test_it_is_still_seeded_after_a_restart_until_told_to_stop(world: World, folder: Path) -> None:
    async with world.node("mine") as mine:
        await seed(mine, folder)
    async with world.node("mine") as mine:
        await world.until(lambda: mine.engine.statuses() and mine.engine.status(CID).state == "seeding")
        assert await mine.shared.unseed(CID)
        assert not mine.engine.statuses()
        assert not await mine.shared.unseed(CID)
    async with world.node("mine") as mine:
        assert not mine.engine.statuses()
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) == DATA.manifest.bytes


@pytest.mark.parametrize("while_down", [True, False])
async def test_a_folder_that_was_edited_is_seeded_no_more_and_never_written_to(
    world: World, folder: Path, while_down: bool
) -> None:
    edited = folder / "part-2" / "file-2.bin"

    def edit() -> None:
        edited.write_bytes(b"a new version")

    async with world.node("mine") as mine:
        await seed(mine, folder)
        if not while_down:
            edit()
            await world.until(lambda: not mine.engine.statuses())
    if while_down:
        edit()
    async with world.node("mine") as mine:
        assert not mine.engine.statuses()
        assert any("has changed since it was shared" in p for p in mine.problems.texts()) or not while_down
        assert mine.status()["shared"][0]["problem"]
    assert edited.read_bytes() == b"a new version"


async def test_what_the_node_takes_on_itself_is_copied_from_the_folder(world: World, folder: Path) -> None:
    async with world.node("mine") as mine:
        await seed(mine, folder)
        world.registrar.register(DATA)
        await world.until(lambda: held(mine))
        assert is_whole(mine.layout.root, DATA)
        await world.until(lambda: not mine.state.shared)
        await world.until(lambda: world.registrar.holders(CID))
        # The sharer's folder may go now.
        folder.rename(folder.with_name("elsewhere"))
        async with world.node("theirs") as theirs:
            await world.until(lambda: held(theirs))


async def test_a_companion_is_seeded_from_the_folder(world: World, folder: Path) -> None:
    async with world.node("mine") as mine:
        await seed(mine, folder)
        assert await mine.companions.want([CID]) == 1
        assert len(mine.engine.statuses()) == 2
        await mine.shared.unseed(CID)
        assert not mine.engine.statuses()


async def test_a_taint_ends_it_and_refuses_it(world: World, folder: Path) -> None:
    async with world.node("mine") as mine:
        await seed(mine, folder)
        taint = world.registrar.taint(f"content:{CID}", effect="hide")
        await world.until(lambda: not mine.engine.statuses())
        assert "withdrawn" in mine.status()["shared"][0]["problem"]
        world.registrar.lift(taint)
        await world.until(lambda: mine.engine.statuses())
        assert not mine.problems.texts()
        world.registrar.taint(f"content:{CID}")
        await world.until(lambda: not mine.engine.statuses())
        await mine.shared.unseed(CID)
        with pytest.raises(Tainted):
            await seed(mine, folder)
    assert (folder / "part-0" / "file-0.bin").stat().st_size == 2 * MB


async def test_a_tainted_file_in_it_is_left_out(world: World, folder: Path) -> None:
    async with world.node("mine") as mine:
        await seed(mine, folder)
        assert await mine.companions.want([CID]) == 1
        world.registrar.taint(f"root:{DATA.manifest.files[0].root}")
        rest = sum(f.size for f in DATA.manifest.files[1:])
        await world.until(lambda: [s.wanted for s in mine.engine.statuses()] == [rest])
        await world.until(lambda: mine.engine.status(CID).state == "seeding")
        assert await mine.companions.want([CID]) == 0
    assert (folder / "part-0" / "file-0.bin").stat().st_size == 2 * MB


async def test_a_folder_that_is_not_what_it_says_is_refused(world: World, folder: Path) -> None:
    async with world.node("mine") as mine:
        with pytest.raises(UsageError, match="not called"):
            await seed(mine, folder.rename(folder.with_name("other")))
        folder.with_name("other").rename(folder)
        (folder / "part-0" / "file-0.bin").write_bytes(b"short")
        with pytest.raises(UsageError, match="sizes"):
            await seed(mine, folder)
        with pytest.raises(InvalidInput):
            await mine.shared.seed(
                folder, manifest=b"not a manifest", layers=DATA.layers, pieces=pieces_of(DATA)
            )
        assert not mine.state.shared
