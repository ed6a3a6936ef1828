"""A node that is killed at any moment: the pledge holds, what is complete is right, and it goes on."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from seedkeep.storage.layout import Layout
from seedkeep.storage.model import Phase
from tests.support.storage import MB, DiskWatch, World, files_of, held, is_whole
from tests.support.storage_victim import DATASETS

KILLS = 15
PLEDGE = 6 * MB
BY_ID = {d.manifest.content_id(): d for d in DATASETS}


async def test_kill_9_at_random_moments_loses_nothing_and_never_exceeds_the_pledge(tmp_path: Path) -> None:
    rng = random.Random(4)
    with DiskWatch(tmp_path / "a") as watch:
        for _ in range(KILLS):
            victim = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.support.storage_victim",
                str(tmp_path),
                str(PLEDGE),
                stdout=asyncio.subprocess.PIPE,
                cwd=Path(__file__).parents[2],
            )
            assert victim.stdout is not None
            # Some die while they start, most in the midst of their work.
            if rng.random() < 0.8:
                async with asyncio.timeout(30):
                    assert await victim.stdout.readline() == b"up\n"
            await asyncio.sleep(rng.uniform(0.0, 0.5))
            assert victim.returncode is None
            os.kill(victim.pid, signal.SIGKILL)
            await victim.wait()
    assert watch.most <= PLEDGE

    world = World(tmp_path)
    for cid in BY_ID:
        world.registrar.register(BY_ID[cid])
    world.registrar.copies = 0
    async with world.node("a", pledge=PLEDGE) as node:
        # What was complete is right, without a look at the network.
        for holding in held(node):
            await world.until(lambda h=holding: h.content_id not in node.manager._ways)  # type: ignore[misc]
            if node.state.holdings[holding.content_id].phase is Phase.COMPLETE:
                assert await node.scrub.scrub(holding.content_id)
                assert is_whole(node.layout.root, BY_ID[holding.content_id])
        # What was being removed goes; what was on its way is refused, for copies are enough, and goes too.
        await world.until(lambda: not held(node, Phase.REMOVING))
        known = set(node.state.holdings)
        strangers = [p.name for p in (node.layout.root / "data").iterdir() if p.name[:64] not in known]
        assert not strangers
        assert node.pledge.account().free >= 0


POINTS = [
    "seedkeep.storage.documents.write_durably",
    "seedkeep.storage.way.write_durably",
    "seedkeep.storage.way.check_whole",
    "seedkeep.storage.layout.shutil.rmtree",
    "seedkeep.storage.layout.Layout.prepare",
    "seedkeep.storage.database.Database.put_holding",
    "seedkeep.storage.database.Database.drop_holding",
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_crash_right_before_or_after_any_step_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, when: str
) -> None:
    """The step is the last thing that happens in the first life; the second life comes to the same end."""
    world = World(tmp_path)
    kept, dropped = DATASETS[0], DATASETS[1]
    cids = [await world.share(d) for d in (kept, dropped)]
    for turn in range(1, 6):
        with monkeypatch.context() as patch:
            _cut(patch, point, when, turn)
            async with world.node("a") as node:
                try:
                    async with asyncio.timeout(1.0):
                        while len(held(node)) < 2:
                            await asyncio.sleep(0.01)
                        await node.manager.remove(cids[1], "a test")
                        while node.state.holdings.get(cids[1]):
                            await asyncio.sleep(0.01)
                except TimeoutError:
                    pass
        async with world.node("a") as node:
            await world.until(lambda n=node: not held(n, Phase.REMOVING))  # type: ignore[misc]
            await world.until(lambda n=node: cids[0] in {h.content_id for h in held(n)})  # type: ignore[misc]
            assert is_whole(node.layout.root, kept)
            known = set(node.state.holdings)
            assert all(p.name[:64] in known for p in (node.layout.root / "data").iterdir())
            for cid in set(cids) & known:
                await node.manager.remove(cid, "next turn")
            await world.until(lambda n=node: not n.state.holdings or held(n))  # type: ignore[misc]


def _cut(patch: pytest.MonkeyPatch, point: str, when: str, turn: int) -> None:
    """From the ``turn``-th call on, the step (and everything of its kind) does not happen any more."""
    import importlib

    parts = point.split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            owner = importlib.import_module(".".join(parts[:split]))
        except ImportError:
            continue
        break
    for name in parts[split:-1]:
        owner = getattr(owner, name)
    real, calls = getattr(owner, parts[-1]), [0]

    def cut(*args, **kwargs):  # type: ignore[no-untyped-def]
        calls[0] += 1
        if calls[0] > turn or (calls[0] == turn and when == "before"):
            raise _Stop("the process is dead")
        result = real(*args, **kwargs)
        if calls[0] == turn:
            raise _Stop("the process is dead")
        return result

    patch.setattr(owner, parts[-1], cut)


class _Stop(Exception):
    """Not an Error of ours: whoever meets it stays where it is, like a process that is no more."""


async def test_documents_half_written_when_the_power_went_are_fetched_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.swarm.hold()
    cid = await world.share(DATASETS[0])
    async with world.node("a") as node:
        await world.until(lambda: held(node, Phase.DOWNLOADING))
    layout = Layout(tmp_path / "a")
    layout.document(cid, "manifest.new").write_bytes(b"half")
    world.swarm.go()
    async with world.node("a") as node:
        await world.until(lambda: held(node))
        await node.manager.remove(cid, "a test")
        world.registrar.copies = 0
        await world.until(lambda: not node.state.holdings)
        assert not files_of(node, cid)
