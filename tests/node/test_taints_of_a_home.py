"""A node that knows a record only through a mirror hears what its home orders."""

from __future__ import annotations

import time
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import Connection

from seedkeep.config import NodeSettings
from seedkeep.engine.memory import MemoryEngine, MemorySwarm
from seedkeep.known import KnownRegistrars
from seedkeep.storage.service import StorageManager
from seedkeep_registrar.federation.takeover import Takeover
from seedkeep_registrar.store import obedience, taints
from tests.support.desk import seeding
from tests.support.federating import befriend, poke, until
from tests.support.registrar import new_key, shareable, start_registrar
from tests.support.storage import MB, QUICK, files_of, serves


async def test_what_the_home_taints_is_removed_by_a_node_of_a_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # else it would offer nothing of it to its nodes
    monkeypatch.setattr(Takeover, "_is_silent", lambda self, peer: True)
    what, swarm, key = shareable(), MemorySwarm(), new_key()
    known = KnownRegistrars(tmp_path / "known_registrars")
    async with (
        start_registrar(tmp_path / "a") as a,
        start_registrar(tmp_path / "b", takeover_s=0.2) as b,
        aiohttp.ClientSession() as session,
        seeding(swarm, what, tmp_path / "s"),
    ):
        await befriend(a, b)
        made = await a.person().register(what)

        async def mirrored() -> bool:
            return (await b.person().get(f"/api/v1/records/{made['rid']}")).status == 200

        await until(mirrored)
        node = StorageManager(
            NodeSettings(data=tmp_path / "node", pledge=50 * MB, floor=0, scrub_rate=0),
            key,
            MemoryEngine(swarm),
            [known.client(b.url, key=key, session=session, now=time.time)],
            session=session,
            now=time.time,
            patience=QUICK,
        )
        await node.open()
        try:

            async def served() -> bool:
                return serves(node, made["content_id"])

            await until(served)
            await a.curator.taint(f"content:{made['content_id']}", "malware", "it bites")
            await poke(b, a.context.origin)

            async def gone() -> bool:
                return not files_of(node, made["content_id"])

            await until(gone)

            async def told() -> bool:
                found = await b.context.db.read(_obeyed, made["rid"])
                return found > 0

            await until(told)
        finally:
            await node.close()


def _obeyed(connection: Connection, rid: str) -> int:
    (taint,) = taints.standing_on_record(connection, rid)
    return obedience.of_taints(connection, [taint.id]).get(taint.id, obedience.NONE).nodes
