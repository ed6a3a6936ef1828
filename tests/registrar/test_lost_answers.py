"""A heartbeat that the node has given up swallows nothing that was meant for it."""

from __future__ import annotations

import asyncio

from tests.registrar.test_replication import SOON, node, until_waiting
from tests.support.registrar import RegistrarUnderTest, shareable


async def test_the_first_challenge_reaches_the_heartbeat_that_is_still_waited_for(
    registrar: RegistrarUnderTest,
) -> None:
    what = shareable()
    document = await registrar.person().register(what)
    keeper, cid = await node(registrar), document["content_id"]
    await keeper.claim(cid)
    given_up = asyncio.create_task(keeper.beat({cid: "downloading"}, wait=60))
    await until_waiting(registrar, keeper)
    waiting = asyncio.create_task(keeper.beat({cid: "complete"}, wait=60))
    async with asyncio.timeout(SOON):
        assert (await given_up)["challenges"] == []
    await keeper.attest(what)
    async with asyncio.timeout(SOON):
        (challenge,) = (await waiting)["challenges"]
    assert challenge["content_id"] == cid


async def test_a_challenge_is_told_again_until_it_is_answered(registrar: RegistrarUnderTest) -> None:
    what = shareable()
    document = await registrar.person().register(what)
    keeper, cid = await node(registrar), document["content_id"]
    await keeper.claim(cid)
    await keeper.attest(what)
    (first,) = (await keeper.beat({cid: "complete"}))["challenges"]
    (again,) = (await keeper.beat({cid: "complete"}))["challenges"]
    assert again == first
    await keeper.post(f"/api/v1/audits/{first['id']}/commit", {"refused": "busy"})
    assert first not in (await keeper.beat({cid: "complete"}))["challenges"]
