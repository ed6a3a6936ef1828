"""Offers, claims, leases and heartbeats, as storage managers see them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from seedkeep_registrar.housekeeping import Housekeeping
from seedkeep_registrar.replication import heartbeats
from tests.registrar.test_audits import answer_honestly
from tests.support.registrar import (
    Person,
    RegistrarUnderTest,
    Shareable,
    new_key,
    registrar_with,
    shareable,
)

SOON = 10.0


async def node(registrar: RegistrarUnderTest, **profile: Any) -> Person:
    person = registrar.person()
    assert (await person.introduce(**profile)).status == 201
    return person


def offered(answer: dict[str, Any]) -> list[str]:
    return [o["content_id"] for o in answer["offers"]]


async def copies(registrar: RegistrarUnderTest, rid: str) -> dict[str, Any]:
    return dict((await registrar.person().get(f"/api/v1/records/{rid}")).json["copies"])


async def pass_time(registrar: RegistrarUnderTest, seconds: float, *people: Person) -> None:
    """Move the registrar's clock and these people's, then let what is overdue happen."""
    registrar.clock.offset += seconds
    for person in people:
        person.clock.offset = registrar.clock.offset
    await Housekeeping(registrar.context).end_overdue()


async def test_from_offer_to_complete_copy(any_registrar: RegistrarUnderTest) -> None:
    what = shareable()
    document = await any_registrar.person().register(what)
    keeper, cid = await node(any_registrar, operator="Ann", country="SE"), document["content_id"]
    (offer,) = (await keeper.beat())["offers"]
    assert offer == {"content_id": cid, "rid": document["rid"], "bytes": document["bytes"], "files": 3}
    claim = await keeper.claim(cid)
    assert (claim.status, claim.json["rid"]) == (201, document["rid"])
    answer = await keeper.beat({cid: "downloading"})
    assert (offered(answer), answer["release"]) == ([], [])
    assert [lease["content_id"] for lease in answer["leases"]] == [cid]
    assert (await copies(any_registrar, document["rid"]))["fetching"] == 1
    assert (await keeper.attest(what)).status == 201
    found = await copies(any_registrar, document["rid"])
    assert (found["complete"], found["fetching"], found["audited"]) == (1, 0, 0)
    (shown,) = found["nodes"]
    assert (shown["node"], shown["operator"], shown["country"]) == (str(keeper), "Ann", "SE")
    assert (shown["state"], shown["audited"]) == ("complete", None)


async def test_what_a_node_says_of_itself_is_shown_and_can_change(any_registrar: RegistrarUnderTest) -> None:
    keeper = await node(any_registrar, operator="Ann", pledge=5)
    assert (await keeper.introduce(operator="Bea", pledge=7)).status == 200
    (shown,) = (await keeper.get("/api/v1/nodes")).json["nodes"]
    assert (shown["operator"], shown["pledge"], shown["state"]) == ("Bea", 7, "active")
    await keeper.beat(state="paused", used=3, problems=["the disk is slow"])
    (shown,) = (await keeper.get("/api/v1/nodes")).json["nodes"]
    assert (shown["state"], shown["used"]) == ("paused", 3)
    await pass_time(any_registrar, 60)
    (shown,) = (await keeper.get("/api/v1/nodes")).json["nodes"]
    assert shown["state"] == "offline"


async def test_a_stranger_is_told_to_introduce_itself(registrar: RegistrarUnderTest) -> None:
    stranger = registrar.person()
    document = await registrar.person().register(shareable())
    assert (await stranger.claim(document["content_id"])).status == 404
    fields = {"state": "active", "pledge": 1, "used": 0, "reserved": 0, "port": 1}
    answer = await stranger.post("/api/v1/heartbeat", fields)
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert "Introduce" in answer.json["hint"]


async def test_enough_is_enough(any_registrar: RegistrarUnderTest) -> None:
    document = await any_registrar.person().register(shareable(), copies=3)
    keepers = [await node(any_registrar) for _ in range(6)]
    answers = await asyncio.gather(*(k.claim(document["content_id"]) for k in keepers))
    assert sorted(a.status for a in answers) == [201, 201, 201, 409, 409, 409]
    late = keepers[[a.status for a in answers].index(409)]
    assert offered(await late.beat()) == []


async def test_claiming_twice_gives_the_same_lease(any_registrar: RegistrarUnderTest) -> None:
    document = await any_registrar.person().register(shareable())
    keeper = await node(any_registrar)
    first, second = await keeper.claim(document["content_id"]), await keeper.claim(document["content_id"])
    assert first.json == second.json


async def test_one_operators_machines_count_as_one_copy(any_registrar: RegistrarUnderTest) -> None:
    document = await any_registrar.person().register(shareable())
    one, two = await node(any_registrar, operator="Ann"), await node(any_registrar, operator="Ann")
    assert (await one.claim(document["content_id"])).status == 201
    assert offered(await two.beat()) == []
    assert (await two.claim(document["content_id"])).status == 409


async def test_what_does_not_fit_is_not_offered(registrar: RegistrarUnderTest) -> None:
    document = await registrar.person().register(shareable())
    keeper = await node(registrar, pledge=200_000)
    assert offered(await keeper.beat(pledge=200_000)) == []
    assert (await keeper.claim(document["content_id"])).status == 409
    big = await node(registrar, pledge=10**9)
    assert offered(await big.beat(pledge=10**9, used=10**9 - 200_000)) == []
    assert offered(await big.beat(pledge=10**9, reserved=10**9 - 200_000)) == []


@pytest.mark.parametrize("state", ["paused", "draining"])
async def test_a_node_that_wants_nothing_is_offered_nothing(
    registrar: RegistrarUnderTest, state: str
) -> None:
    await registrar.person().register(shareable())
    keeper = await node(registrar)
    assert offered(await keeper.beat(state=state)) == []


async def test_a_node_is_offered_its_subjects_only(registrar: RegistrarUnderTest) -> None:
    document = await registrar.person().register(shareable())
    others, takers = await node(registrar, subjects=["fish"]), await node(registrar, subjects=["Tests"])
    assert offered(await others.beat()) == []
    assert offered(await takers.beat()) == [document["content_id"]]


async def test_a_silent_download_is_offered_elsewhere(any_registrar: RegistrarUnderTest) -> None:
    document = await any_registrar.person().register(shareable(), copies=1)
    cid = document["content_id"]
    keepers = [await node(any_registrar) for _ in range(4)]
    for keeper in keepers[:3]:
        assert (await keeper.claim(cid)).status == 201
    other = keepers[3]
    assert offered(await other.beat()) == []
    lease = any_registrar.context.settings.lease_s
    await pass_time(any_registrar, lease - 5, *keepers)
    for keeper in keepers[1:3]:
        await keeper.beat({cid: "downloading"})
    await pass_time(any_registrar, 10, *keepers)
    assert offered(await other.beat()) == [cid]
    assert (await other.claim(cid)).status == 201


async def test_a_complete_copy_outlives_a_short_silence_and_not_a_long_one(
    any_registrar: RegistrarUnderTest,
) -> None:
    what = shareable()
    document = await any_registrar.person().register(what)
    keeper = any_registrar.person()
    await keeper.hold(what)
    settings = any_registrar.context.settings
    await pass_time(any_registrar, settings.lease_s + 60, keeper)
    found = await copies(any_registrar, document["rid"])
    assert found["complete"] == 1
    assert found["nodes"][0]["state"] == "offline"
    await pass_time(any_registrar, settings.grace_s, keeper)
    assert (await copies(any_registrar, document["rid"]))["complete"] == 0
    # it comes back with the bytes: it is taken back, and audited anew
    answer = await keeper.beat({document["content_id"]: "complete"})
    assert answer["release"] == []
    assert len(answer["challenges"]) == 1
    assert (await copies(any_registrar, document["rid"]))["complete"] == 1


async def test_a_copy_too_many_is_given_up(tmp_path: Path) -> None:
    async with registrar_with(tmp_path, min_copies=1, max_spare_copies=1) as registrar:
        what = shareable()
        document = await registrar.person().register(what, copies=1)
        cid = document["content_id"]
        sleepers = [registrar.person() for _ in range(3)]
        for sleeper in sleepers:
            await sleeper.hold(what)
            await pass_time(registrar, registrar.context.settings.grace_s + 1, *sleepers)
        for sleeper in sleepers[:2]:
            answer = await sleeper.beat({cid: "complete"})
            assert answer["release"] == []
            assert (await answer_honestly(sleeper, what, answer["challenges"][0]))["outcome"] == "success"
        assert (await sleepers[2].beat({cid: "complete"}))["release"] == [cid]


async def test_a_claim_nobody_knows_is_to_be_released(registrar: RegistrarUnderTest) -> None:
    keeper = await node(registrar)
    assert (await keeper.beat({"ab" * 32: "complete"}))["release"] == ["ab" * 32]


async def test_complete_without_an_attestation_does_not_count(any_registrar: RegistrarUnderTest) -> None:
    document = await any_registrar.person().register(shareable())
    keeper = await node(any_registrar)
    await keeper.claim(document["content_id"])
    await keeper.beat({document["content_id"]: "complete"})
    assert (await copies(any_registrar, document["rid"]))["complete"] == 0


async def test_a_node_that_repairs_its_copy_does_not_count_meanwhile(
    any_registrar: RegistrarUnderTest,
) -> None:
    what = shareable()
    document = await any_registrar.person().register(what)
    keeper, cid = any_registrar.person(), document["content_id"]
    await keeper.hold(what)
    await keeper.beat({cid: "downloading"})
    found = await copies(any_registrar, document["rid"])
    assert (found["complete"], found["fetching"]) == (0, 1)
    await keeper.beat({cid: "complete"})
    assert (await copies(any_registrar, document["rid"]))["complete"] == 1


async def test_a_failed_claim_is_offered_to_others_and_not_to_the_same_node(
    any_registrar: RegistrarUnderTest,
) -> None:
    document = await any_registrar.person().register(shareable())
    cid, keeper = document["content_id"], await node(any_registrar)
    await keeper.claim(cid)
    answer = await keeper.beat({cid: "failed"})
    assert (answer["release"], offered(answer)) == ([cid], [])
    assert (await keeper.claim(cid)).status == 409
    assert offered(await (await node(any_registrar)).beat()) == [cid]
    await pass_time(any_registrar, any_registrar.context.settings.grace_s + 1, keeper)
    assert offered(await keeper.beat()) == [cid]


async def test_a_released_claim_is_offered_elsewhere(any_registrar: RegistrarUnderTest) -> None:
    document = await any_registrar.person().register(shareable())
    cid, keeper = document["content_id"], await node(any_registrar)
    await keeper.claim(cid)
    path = f"/api/v1/claims/{cid}/release"
    assert (await keeper.post(path, {"reason": "no room"})).status == 200
    assert (await keeper.post(path, {"reason": "no room"})).status == 404
    assert offered(await (await node(any_registrar)).beat()) == [cid]


async def test_a_claim_a_node_forgot_ends_soon(any_registrar: RegistrarUnderTest) -> None:
    what = shareable()
    document = await any_registrar.person().register(what)
    keeper = any_registrar.person()
    await keeper.hold(what)
    await pass_time(any_registrar, 120, keeper)
    await keeper.beat()
    assert (await copies(any_registrar, document["rid"]))["complete"] == 0
    await pass_time(any_registrar, any_registrar.context.settings.lease_s + 1, keeper)
    assert (await copies(any_registrar, document["rid"]))["fetching"] == 0


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"manifest": "ab" * 32}, 409),
        ({"infohash_v1": "ab" * 20}, 409),
        ({"content_id": "ab" * 32}, 409),
        ({"at": "yesterday"}, 400),
    ],
)
async def test_an_attestation_of_something_else_is_refused(
    registrar: RegistrarUnderTest, change: dict[str, str], status: int
) -> None:
    what = shareable()
    document = await registrar.person().register(what)
    keeper = await node(registrar)
    await keeper.claim(document["content_id"])
    assert (await keeper.attest(what, **change)).status == status
    assert (await copies(registrar, document["rid"]))["complete"] == 0


async def test_an_attestation_in_another_nodes_name_is_refused(registrar: RegistrarUnderTest) -> None:
    what = shareable()
    document = await registrar.person().register(what)
    keeper, liar = await node(registrar), await node(registrar)
    await keeper.claim(document["content_id"])
    assert (await liar.attest(what)).status == 409
    assert (await liar.attest(what, node=str(keeper))).status == 400


async def test_a_waiting_node_hears_of_a_new_dataset_at_once(any_registrar: RegistrarUnderTest) -> None:
    keeper = await node(any_registrar)
    waiting = asyncio.create_task(keeper.beat(wait=60))
    await until_waiting(any_registrar, keeper)
    document = await any_registrar.person().register(shareable())
    async with asyncio.timeout(SOON):
        assert offered(await waiting) == [document["content_id"]]


async def until_waiting(registrar: RegistrarUnderTest, *people: Person) -> None:
    """Until the heartbeats of these are being held back."""
    async with asyncio.timeout(SOON):
        while not all(str(p) in registrar.context.wakeups.nodes_waiting for p in people):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)


async def test_a_flood_of_news_is_looked_at_in_one_go(
    registrar: RegistrarUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    look = heartbeats._plan
    loop = asyncio.get_running_loop()

    def counted(*arguments: Any) -> Any:
        looks.append(loop.time())
        return look(*arguments)

    monkeypatch.setattr(heartbeats, "_plan", counted)
    waiting = asyncio.create_task((await node(registrar, subjects=["fish"])).beat(wait=2))
    while not registrar.context.wakeups.nodes_waiting:
        await asyncio.sleep(0.01)
    for _ in range(40):
        registrar.context.wakeups.wake_all()
        await asyncio.sleep(0.02)
    await waiting
    assert len(looks) <= 2 + (looks[-1] - looks[0]) / heartbeats.LOOK_AGAIN_S


async def test_a_declined_offer_does_not_make_the_node_spin(registrar: RegistrarUnderTest) -> None:
    await registrar.person().register(shareable())
    keeper = await node(registrar)
    assert len(offered(await keeper.beat(wait=30))) == 1
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert len(offered(await keeper.beat(wait=0.5))) == 1
    assert loop.time() - begun >= 0.5


async def test_a_node_behind_with_taints_is_answered_at_once(registrar: RegistrarUnderTest) -> None:
    keeper = await node(registrar)
    async with asyncio.timeout(SOON):
        await keeper.beat(wait=60, taints=None)


async def test_a_wanted_companion_is_told_to_its_holders_at_once(registrar: RegistrarUnderTest) -> None:
    what = shareable()
    document = await registrar.person().register(what)
    cid = document["content_id"]
    keeper, other = registrar.person(), await node(registrar)
    await keeper.hold(what)
    await keeper.beat({cid: "complete"})
    waiting = asyncio.create_task(keeper.beat({cid: "complete"}, wait=60))
    await until_waiting(registrar, keeper)
    registrar.context.wakeups.companion_wanted(cid, [str(keeper)])
    async with asyncio.timeout(SOON):
        assert (await waiting)["companions"] == [cid]
    assert (await keeper.beat({cid: "complete"}, companions=[cid]))["companions"] == []
    assert (await other.beat())["companions"] == []


async def test_shutting_down_answers_those_who_wait(tmp_path: Path) -> None:
    async with registrar_with(tmp_path) as registrar:
        keeper = await node(registrar)
        waiting = asyncio.create_task(keeper.beat(wait=60))
        await until_waiting(registrar, keeper)
        registrar.context.wakeups.close()
        async with asyncio.timeout(SOON):
            await waiting


async def test_a_restart_of_the_registrar_costs_no_copy(tmp_path: Path, database_url: str) -> None:
    what, key = shareable(), new_key()
    async with registrar_with(tmp_path, database_url, grace_s=1.0, lease_s=60.0) as registrar:
        document = await registrar.person().register(what)
        await registrar.person(key).hold(what)
        port = registrar.url.rpartition(":")[2]
    await asyncio.sleep(1.1)  # longer than the grace
    address = f"127.0.0.1:{port}"
    async with registrar_with(tmp_path, database_url, grace_s=1.0, lease_s=60.0, listen=address) as registrar:
        await Housekeeping(registrar.context).end_overdue()
        assert (await copies(registrar, document["rid"]))["complete"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"state": "sleeping"},
        {"pledge": -1},
        {"port": 70_000},
        {"used": 1.5},
        {"claims": [{"content_id": "x", "state": "complete", "bytes": 1}]},
        {"claims": [{"content_id": "ab" * 32, "state": "gone", "bytes": 1}]},
        {"claims": [{"content_id": "ab" * 32, "state": "complete", "bytes": 1}] * 2},
        {"taints": 5},
        {"problems": ["x" * 2000]},
        {"surprise": 1},
    ],
)
async def test_a_malformed_heartbeat_is_refused(
    registrar: RegistrarUnderTest, change: dict[str, Any]
) -> None:
    keeper = await node(registrar)
    fields = {"state": "active", "pledge": 1, "used": 0, "reserved": 0, "port": 1, **change}
    answer = await keeper.post("/api/v1/heartbeat", fields)
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")


async def test_reports_of_lying_web_seeds_are_kept(registrar: RegistrarUnderTest) -> None:
    what: Shareable = shareable()
    seed = "https://example.org/d/"
    document = await registrar.person().register(what, web_seeds=(seed,))
    reporter, path = registrar.person(), "/api/v1/web-seed-reports"
    report = {"content_id": document["content_id"], "web_seed": seed, "reason": "ignores Range"}
    assert (await reporter.post(path, report)).status == 202
    assert (await reporter.post(path, {**report, "web_seed": "https://other.org/"})).status == 404
    assert (await reporter.post(path, {**report, "content_id": "ab" * 32})).status == 404
    answer = await reporter.get(f"/api/v1/records/{document['rid']}/web-seed-reports")
    assert [(r["web_seed"], r["reason"]) for r in answer.json["reports"]] == [(seed, "ignores Range")]
    assert (await reporter.get(f"/api/v1/records/{'ab' * 32}/web-seed-reports")).status == 404
