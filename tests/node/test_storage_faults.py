"""What a storage manager survives without losing data, a message or its grip: faults of its own machine,
of registrars, and of the order in which things happen."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seedkeep.core.errors import Error, HostileMetainfo, InvalidInput, NoSpace
from seedkeep.core.httpsig import Unauthenticated
from seedkeep.core.placement import footprint
from seedkeep.engine.memory import MemoryEngine
from seedkeep.engine.model import TorrentSpec
from seedkeep.registrar_http import NotAnAnswer
from seedkeep.registrar_messages import Offer
from seedkeep.storage.documents import Documents
from seedkeep.storage.model import Phase
from seedkeep.storage.service import StorageManager
from seedkeep.storage.state import State
from tests.support.datasets import dataset_of
from tests.support.registrar_simulator import SimulatedClient, pieces_of
from tests.support.storage import QUICK, World, files_of, held, is_whole, random_dataset

SMALL = random_dataset("small", [40_000, 0, 70_000])
CID = SMALL.manifest.content_id()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def inodes(node: StorageManager) -> set[int]:
    """The files of the dataset as they are on the disk: another set when they were fetched again."""
    return {p.stat().st_ino for p in node.layout.save_path(CID).rglob("*.bin")}


def spoil(node: StorageManager, number: int = 0) -> None:
    place = node.layout.save_path(CID) / "small" / f"part-{number}" / f"file-{number}.bin"
    place.write_bytes(bytes(place.stat().st_size))


# --- the last copy stays ---


@pytest.mark.parametrize("paper", ["manifest", "layers"])
async def test_a_damaged_list_on_the_disk_does_not_cost_the_data(world: World, paper: str) -> None:
    await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        before = inodes(node)
    place = world.path / "a" / "data" / f"{CID}.{paper}"
    good = place.read_bytes()
    place.write_bytes(b"rotten" + good)
    world.registrar.down = True
    await world.stop_sharing()
    async with world.node("a") as node:
        await world.until(
            lambda: any("asked for" in p or "cannot be reached" in p for p in node.problems.texts())
        )
        assert held(node)
        world.registrar.down = False
        await world.until(lambda: node.engine.statuses() and node.engine.status(CID).state == "seeding")
        assert inodes(node) == before
        assert not any("asked for them again" in p for p in node.problems.texts())
    assert place.read_bytes() == good
    assert not world.registrar.released


async def test_a_fault_of_the_engine_does_not_cost_complete_data(world: World) -> None:
    class Failing(MemoryEngine):
        failures = 8

        async def add(self, spec: TorrentSpec) -> None:
            if self.failures:
                self.failures -= 1
                raise HostileMetainfo("libtorrent refuses 'small': too many open files.")
            await super().add(spec)

    await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
    async with world.node("a", engine=Failing(world.swarm)) as node:
        await world.until(lambda: any("too many open files" in p for p in node.problems.texts()))
        await world.until(lambda: node.engine.statuses() and node.engine.status(CID).state == "seeding")
        assert is_whole(node.layout.root, SMALL)
    assert not world.registrar.released


async def test_the_last_copy_is_kept_although_nobody_can_repair_its_rotten_piece(world: World) -> None:
    await world.share(SMALL)
    hasty = replace(QUICK, stall=0.05, give_up=0.1)
    async with world.node("a", patience=hasty) as node:
        await world.until(lambda: held(node))
        await world.stop_sharing()
        spoil(node)
        assert not await node.scrub.scrub(CID)
        await asyncio.sleep(1.0)  # ten times as long as a download may be silent
        assert held(node, Phase.DOWNLOADING)
        assert (node.layout.save_path(CID) / "small/part-2/file-2.bin").read_bytes() == SMALL.content[
            "part-2/file-2.bin"
        ]
        assert not world.registrar.released


# --- nothing gets stuck ---


async def test_a_repair_while_it_is_being_loaded_is_not_forgotten(world: World) -> None:
    class Slow(MemoryEngine):
        gate = asyncio.Event()
        began = asyncio.Event()

        async def add(self, spec: TorrentSpec) -> None:
            self.began.set()
            await self.gate.wait()
            await super().add(spec)

    await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
    engine = Slow(world.swarm)
    async with world.node("a", engine=engine) as node:
        await asyncio.wait_for(engine.began.wait(), 20)
        spoil(node)
        await node.manager.repair(CID, "a block of it has changed on the disk")
        engine.gate.set()
        await world.until(lambda: held(node))
        assert is_whole(node.layout.root, SMALL)


async def test_a_reservation_whose_taker_was_cancelled_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.share(SMALL)
    original = State.reserve

    async def cancelled_right_after(self: State, *arguments: Any) -> None:
        await original(self, *arguments)
        monkeypatch.setattr(State, "reserve", original)
        raise asyncio.CancelledError

    async with world.node("a") as node:
        await node.drain()
        monkeypatch.setattr(State, "reserve", cancelled_right_after)
        offer = Offer(CID, world.registrar.rid_of(CID), SMALL.manifest.bytes, 3)
        await world.until(lambda: node.taints.version(world.registrar.url))
        with pytest.raises(asyncio.CancelledError):
            await node.manager.offered(world.registrar.url, [offer])
        await world.until(lambda: held(node))


async def test_a_taint_that_could_not_be_obeyed_at_once_is_obeyed_as_soon_as_possible(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.share(SMALL)
    failures = 5
    original = State.move

    async def full(self: State, content_id: str, phase: Phase, **more: Any) -> Any:
        nonlocal failures
        if phase is Phase.REMOVING and failures:
            failures -= 1
            raise NoSpace("the node's state cannot be written: database or disk is full")
        return await original(self, content_id, phase, **more)

    async with world.node("a") as node:
        await world.until(lambda: held(node))
        monkeypatch.setattr(State, "move", full)
        world.registrar.taint(f"content:{CID}")
        await world.until(lambda: world.registrar.receipts)
        assert failures == 0
        assert not files_of(node, CID)


async def test_many_audits_at_once_are_all_answered(world: World) -> None:
    datasets = [random_dataset(f"d{i}", [30_000]) for i in range(12)]
    cids = [await world.share(d) for d in datasets]
    async with world.node("a") as node:
        await world.until(lambda: len(held(node)) == 12)
        audits = [world.registrar.audit(node.key, cid) for cid in cids]
        await world.until(lambda: all(a.outcome for a in audits))
    assert {a.outcome for a in audits} == {"success"}


# --- what has to be told is told ---


@pytest.mark.parametrize(
    "fault",
    [
        Error("http://registrar.test answered 500 Internal Server Error"),
        NotAnAnswer("http://registrar.test did not answer with JSON"),
        Unauthenticated("the clocks differ by 600 s"),
    ],
    ids=["500", "a login page", "a clock that is off"],
)
async def test_an_attestation_outlives_a_passing_fault(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: Error
) -> None:
    await world.share(SMALL)
    original, asked = SimulatedClient.attest, 0

    async def faulty(self: SimulatedClient, **fields: str) -> None:
        nonlocal asked
        asked += 1
        if asked <= 3:
            raise fault
        await original(self, **fields)

    monkeypatch.setattr(SimulatedClient, "attest", faulty)
    async with world.node("a"):
        await world.until(lambda: world.registrar.holders(CID))
    assert asked == 4


async def test_a_letter_that_is_refused_for_good_does_not_hold_up_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def refused(self: SimulatedClient, **fields: str) -> None:
        nonlocal asked
        asked += 1
        raise InvalidInput("an attestation of something else")

    monkeypatch.setattr(SimulatedClient, "attest", refused)
    await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: asked)
        world.registrar.taint(f"content:{CID}")
        await world.until(lambda: world.registrar.receipts)
        assert await node.state.letters(world.registrar.url) == []
    assert asked == 1


async def test_the_same_report_waits_only_once_in_the_outbox(world: World) -> None:
    url = "http://liar.example/"
    world.lying_web_seeds.add(url)
    await world.share(SMALL, web_seeds=(url,))
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        await world.until(lambda: world.registrar.web_seed_reports)
        world.registrar.down = True
        for _ in range(20):
            await node.manager.way.report_web_seed(CID, url, "it sent wrong bytes")
        waiting = await node.state.letters(world.registrar.url)
        assert [w.fields["reason"] for w in waiting].count("it sent wrong bytes") == 1


# --- nothing grows for ever ---


async def test_problems_are_bounded_and_the_newest_stay(world: World) -> None:
    async with world.node("a") as node:
        for number in range(5000):
            node.problems.tell(f"gave up {number}", f"dataset {number} was given up")
        texts = node.problems.texts()
        assert len(texts) <= 200
        assert texts[-1] == "dataset 4999 was given up"


# --- nothing outside of the data directory, and nothing beyond the pledge ---


@pytest.mark.parametrize("what", ["a file", "a folder", "the whole dataset"])
async def test_a_repair_writes_through_no_link_in_the_data_directory(world: World, what: str) -> None:
    """An operator has moved something away and put a link there: the engine would write where it leads."""
    await world.share(SMALL)
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        folder = node.layout.save_path(CID)
    place = {
        "a file": folder / "small/part-0/file-0.bin",
        "a folder": folder / "small/part-0",
        "the whole dataset": folder,
    }[what]
    outside = world.path / "outside"
    place.rename(outside)
    place.symlink_to(outside)
    for path in [outside, *outside.rglob("*")]:
        if path.is_file():
            path.write_bytes(b"mine now")
    async with world.node("a") as node:
        await world.until(lambda: held(node) and is_whole(node.layout.root, SMALL))
        await world.until(lambda: node.engine.statuses() and node.engine.status(CID).state == "seeding")
    assert not place.is_symlink()
    assert all(p.read_bytes() == b"mine now" for p in [outside, *outside.rglob("*")] if p.is_file())


async def test_lists_that_a_crash_left_without_their_folder_are_swept(world: World) -> None:
    async with world.node("a"):
        pass
    (world.path / "a" / "shared" / f"{CID}.layers").write_bytes(b"x" * 100_000)
    (world.path / "a" / "shared" / f"{CID}.manifest.new").write_bytes(b"x")
    async with world.node("a") as node:
        assert list((node.layout.root / "shared").iterdir()) == []


async def test_what_is_asked_for_at_the_same_time_is_given_room_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder's lists, and an offer, each fit into what is free; both do not."""
    many = dataset_of("lists", {f"{i:05}": b"x" for i in range(6000)})
    manifest, pieces = many.manifest.encode(), pieces_of(many)
    root = many.write(tmp_path)
    original, begun, go_on = Documents.store_shared, asyncio.Event(), asyncio.Event()

    async def slowly(self: Documents, *arguments: Any) -> None:
        begun.set()
        await go_on.wait()
        await original(self, *arguments)

    monkeypatch.setattr(Documents, "store_shared", slowly)
    async with world.node("a") as node:
        await node.drain()
        await world.until(lambda: node.taints.version(world.registrar.url))
        account = node.pledge.account()
        need = footprint(len(manifest), 1)
        node.pledge.limit = account.used + account.reserved + need + 100_000
        offer = Offer(CID, "0" * 64, len(manifest), 1)
        seeding = asyncio.create_task(
            node.shared.seed(root, manifest=manifest, layers=many.layers, pieces=pieces)
        )
        await asyncio.wait_for(begun.wait(), 20)
        taking = asyncio.create_task(node.manager.offered(world.registrar.url, [offer]))
        await asyncio.wait([taking], timeout=0.5)
        go_on.set()
        assert await taking == 0
        await seeding
        await asyncio.to_thread(node.pledge.measure)
        assert node.pledge.account().free >= 0
