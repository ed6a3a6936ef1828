"""No copy is given up because of what other nodes merely say, and no node keeps a claim by words alone."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path

import pytest

from seedkeep_registrar.housekeeping import Housekeeping
from tests.registrar.test_audits import answer_honestly, commit_to, openings
from tests.support.registrar import Person, RegistrarUnderTest, Shareable, registrar_with, shareable


async def pass_time(registrar: RegistrarUnderTest, seconds: float, *people: Person) -> None:
    registrar.clock.offset += seconds
    for person in people:
        person.clock.offset = registrar.clock.offset
    await Housekeeping(registrar.context).end_overdue()


async def prove(keeper: Person, what: Shareable) -> None:
    """Answer the audit that is due."""
    (challenge,) = (await keeper.beat({what.dataset().content_id: "complete"}))["challenges"]
    assert (await answer_honestly(keeper, what, challenge))["outcome"] == "success"


async def fail(keeper: Person, what: Shareable) -> None:
    """Answer the audit that is due with wrong bytes."""
    (challenge,) = (await keeper.beat({what.dataset().content_id: "complete"}))["challenges"]
    told = await commit_to(keeper, what, challenge)
    opened = openings(what, told.json["open"])
    opened[0]["data"] = opened[1]["data"]
    answer = await keeper.post(f"/api/v1/audits/{challenge['id']}/open", {"openings": opened})
    assert answer.json["outcome"] == "failure"


@pytest.mark.parametrize("lie", ["downloading", "attested", "same operator"])
async def test_a_node_that_was_away_keeps_its_copy_whatever_others_promise(
    any_registrar: RegistrarUnderTest, lie: str
) -> None:
    what = shareable()
    cid = (await any_registrar.person().register(what))["content_id"]
    keeper = any_registrar.person()
    await keeper.introduce(operator="Ann")
    await keeper.claim(cid)
    await keeper.attest(what)
    liars = [any_registrar.person() for _ in range(6)]
    await pass_time(any_registrar, any_registrar.context.settings.grace_s + 1, keeper, *liars)
    for liar in liars:
        await liar.introduce(operator="Ann" if lie == "same operator" else "")
        await liar.claim(cid)
        await liar.beat({cid: "downloading"})
        if lie == "attested":
            await liar.attest(what)
    answer = await keeper.beat({cid: "complete"})
    assert answer["release"] == []
    assert [lease["content_id"] for lease in answer["leases"]] == [cid]


async def test_an_attestation_ends_with_the_copy(any_registrar: RegistrarUnderTest) -> None:
    what = shareable()
    document = await any_registrar.person().register(what)
    cid, keeper = document["content_id"], any_registrar.person()
    await keeper.hold(what)
    assert (await keeper.post(f"/api/v1/claims/{cid}/release", {"reason": "no room"})).status == 200
    assert (await keeper.claim(cid)).status == 201
    await keeper.beat({cid: "complete"})
    found = (await keeper.get(f"/api/v1/records/{document['rid']}")).json["copies"]
    assert (found["complete"], found["fetching"]) == (0, 1)


async def test_a_copy_that_failed_is_kept_until_enough_others_are_proven(
    any_registrar: RegistrarUnderTest,
) -> None:
    what = shareable()
    document = await any_registrar.person().register(what)
    cid, keeper = document["content_id"], any_registrar.person()
    await keeper.hold(what)
    await fail(keeper, what)
    others = [any_registrar.person() for _ in range(3)]
    for other in others:
        await other.hold(what)
        answer = await keeper.beat({cid: "complete"})
        assert (answer["release"], answer["challenges"]) == ([], [])
        assert [lease["content_id"] for lease in answer["leases"]] == [cid]
    found = (await keeper.get(f"/api/v1/records/{document['rid']}")).json["copies"]
    assert str(keeper) not in [n["node"] for n in found["nodes"]]
    for other in others:
        await prove(other, what)
    assert (await keeper.beat({cid: "complete"}))["release"] == [cid]


async def test_wrong_bytes_void_the_attestation(any_registrar: RegistrarUnderTest) -> None:
    what = shareable()
    document = await any_registrar.person().register(what)
    keeper = any_registrar.person()
    await keeper.hold(what)
    await fail(keeper, what)
    await pass_time(any_registrar, any_registrar.context.settings.grace_s + 1, keeper)
    await keeper.beat({document["content_id"]: "complete"})
    found = (await keeper.get(f"/api/v1/records/{document['rid']}")).json["copies"]
    assert found["complete"] == 0


async def test_falling_silent_after_every_challenge_does_not_pay_for_ever(
    any_registrar: RegistrarUnderTest,
) -> None:
    what = shareable()
    document = await any_registrar.person().register(what)
    cid, keeper = document["content_id"], any_registrar.person()
    await keeper.hold(what)
    for _ in range(10):
        await keeper.beat({cid: "complete"})
        await pass_time(any_registrar, 61, keeper)
        await pass_time(any_registrar, 31, keeper)
    found = (await keeper.get(f"/api/v1/records/{document['rid']}")).json["copies"]
    assert found["complete"] == 0


async def test_a_heartbeat_full_of_unknown_claims_holds_nobody_up(tmp_path: Path) -> None:
    async with registrar_with(tmp_path) as registrar:
        liar, other = registrar.person(), registrar.person()
        await liar.introduce()
        names = {hashlib.sha256(b"%d" % n).hexdigest(): "complete" for n in range(50_000)}
        beat = asyncio.create_task(liar.beat(names))
        waited = 0.0
        while not beat.done():
            began = time.monotonic()
            await other.introduce()
            waited = max(waited, time.monotonic() - began)
        assert sorted((await beat)["release"]) == sorted(names)
        assert waited < 10


async def test_a_node_that_never_finishes_does_not_keep_others_from_being_asked(
    any_registrar: RegistrarUnderTest,
) -> None:
    what = shareable()
    document = await any_registrar.person().register(what)
    cid, settings = document["content_id"], any_registrar.context.settings
    idlers, other = [any_registrar.person() for _ in range(3)], any_registrar.person()
    for person in (*idlers, other):
        await person.introduce()
    for idler in idlers:
        assert (await idler.claim(cid)).status == 201
    for _ in range(int(settings.grace_s / settings.lease_s) + 2):
        assert (await other.beat())["offers"] == []
        await pass_time(any_registrar, settings.lease_s - 60, *idlers, other)
        for idler in idlers:
            assert (await idler.beat({cid: "downloading"}))["leases"]
    await Housekeeping(any_registrar.context).slow_down()
    assert [offer["content_id"] for offer in (await other.beat())["offers"]] == [cid]
    assert (await other.claim(cid)).status == 201
    # who was slow keeps its lease, is not asked again, and counts as soon as it has finished
    answer = await idlers[0].beat({cid: "downloading"})
    assert ([lease["content_id"] for lease in answer["leases"]], answer["offers"]) == ([cid], [])
    assert (await idlers[0].attest(what)).status == 201
    found = (await other.get(f"/api/v1/records/{document['rid']}")).json["copies"]
    assert found["complete"] == 1
    assert (await idlers[0].beat({cid: "complete"}))["release"] == []


async def test_what_nobody_can_fetch_is_not_offered_to_everybody(tmp_path: Path) -> None:
    # leases that outlive the clock's leaps: else what runs by itself may drop a claim before it is slow
    async with registrar_with(tmp_path, min_copies=1, lease_s=10**6) as registrar:
        cid = (await registrar.person().register(shareable(), copies=1))["content_id"]
        asked = 0
        for _ in range(8):
            keeper = registrar.person()
            await keeper.introduce()
            if not (await keeper.beat())["offers"]:
                break
            asked += 1
            await keeper.claim(cid)
            registrar.clock.offset += registrar.context.settings.grace_s + 10
            await Housekeeping(registrar.context).slow_down()
        assert asked == 4


async def test_a_large_dataset_has_the_time_it_needs(registrar: RegistrarUnderTest) -> None:
    what, keeper = shareable("large", {"large": bytes(3_000_000)}), registrar.person()
    document = await registrar.person().register(what)
    await keeper.introduce()
    await keeper.claim(document["content_id"])
    settings = registrar.context.settings
    for seconds, state in ((settings.grace_s + 20, "downloading"), (20, "slow")):
        registrar.clock.offset += seconds
        await Housekeeping(registrar.context).slow_down()
        keeper.clock.offset = registrar.clock.offset
        await keeper.beat({document["content_id"]: "downloading"})
        (shown,) = (await keeper.get(f"/api/v1/records/{document['rid']}")).json["copies"]["nodes"]
        assert shown["state"] == state
