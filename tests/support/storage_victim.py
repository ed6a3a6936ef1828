"""A node in a process of its own, to be killed: ``python -m tests.support.storage_victim FOLDER PLEDGE``.

It keeps taking, repairing and removing datasets until it dies. The registrar is made anew in each life from
what the datasets are; it grants every claim.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.support.storage import World, held, random_dataset

DATASETS = [random_dataset(f"victim{i}", [300_000 + 10_000 * i, 0, 120_000]) for i in range(12)]


async def live(folder: Path, pledge: int) -> None:
    """Take, give back and repair for ever."""
    world = World(folder)
    for dataset in DATASETS:
        if (folder / "sharer" / dataset.manifest.content_id()).exists():
            await _rejoin(world, dataset)
        else:
            await world.share(dataset)
    async with world.node("a", pledge=pledge, scrub_every=0.1, scrub_rate=10**9) as node:
        print("up", flush=True)
        turn = 0
        while True:
            await world.until(lambda: len(held(node)) >= 4, seconds=60)
            turn += 1
            for h in held(node)[turn % 2 :: 2]:
                if turn % 3:
                    await node.manager.remove(h.content_id, "to make room")
                else:
                    await node.manager.repair(h.content_id, "a test")
            await asyncio.sleep(0.01)


async def _rejoin(world: World, dataset) -> None:  # type: ignore[no-untyped-def]
    import shutil

    shutil.rmtree(world.path / "sharer" / dataset.manifest.content_id())
    await world.share(dataset)


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), int(sys.argv[2])))
