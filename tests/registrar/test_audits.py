"""Proof of possession, from the challenge in a heartbeat to what a wrong answer leads to."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from seedkeep.core.audit import commit
from seedkeep.core.merkle import BLOCK, leaf_hashes, prove_leaf, split_layer
from seedkeep.core.metainfo import layer_of
from seedkeep_registrar.housekeeping import Housekeeping
from tests.support.registrar import Answer, Person, RegistrarUnderTest, Shareable, registrar_with, shareable

SOON = 10.0


def block(what: Shareable, file: int, leaf: int) -> bytes:
    path = what.data.manifest.files[file].path
    return what.data.content[path][leaf * BLOCK : (leaf + 1) * BLOCK]


def proof(what: Shareable, file: int, leaf: int) -> list[str]:
    m = what.data.manifest
    entry = m.files[file]
    data = what.data.content[entry.path]
    layer = split_layer(layer_of(m, what.data.layers, file))
    per_piece = m.piece_length // BLOCK
    first = leaf // per_piece * per_piece if layer else 0
    piece = data[first * BLOCK : (first + per_piece) * BLOCK] if layer else data
    found = prove_leaf(layer, leaf_hashes(piece), m.piece_length, leaf, entry.size)
    return [node.hex() for node in found]


async def commit_to(keeper: Person, what: Shareable, challenge: dict[str, Any]) -> Answer:
    nonce = bytes.fromhex(challenge["nonce"])
    commitments = [commit(nonce, block(what, *at)) for at in challenge["leaves"]]
    return await keeper.post(f"/api/v1/audits/{challenge['id']}/commit", {"commitments": commitments})


def openings(what: Shareable, asked: list[list[int]]) -> list[dict[str, Any]]:
    return [
        {
            "file": file,
            "leaf": leaf,
            "data": base64.b64encode(block(what, file, leaf)).decode(),
            "proof": proof(what, file, leaf),
        }
        for file, leaf in asked
    ]


async def answer_honestly(keeper: Person, what: Shareable, challenge: dict[str, Any]) -> dict[str, Any]:
    told = await commit_to(keeper, what, challenge)
    assert told.status == 200, told
    path = f"/api/v1/audits/{challenge['id']}/open"
    return dict((await keeper.post(path, {"openings": openings(what, told.json["open"])})).json)


class Stage:
    """A registrar, a dataset, and a node that holds it."""

    def __init__(self, registrar: RegistrarUnderTest) -> None:
        self.registrar = registrar
        self.what = shareable()
        self.keeper = registrar.person()
        self.rid = ""

    async def set(self) -> Stage:
        self.rid = (await self.registrar.person().register(self.what))["rid"]
        await self.keeper.hold(self.what)
        return self

    @property
    def cid(self) -> str:
        return self.what.dataset().content_id

    async def challenge(self) -> dict[str, Any]:
        (one,) = (await self.keeper.beat({self.cid: "complete"}))["challenges"]
        return dict(one)

    async def copies(self) -> dict[str, Any]:
        return dict((await self.keeper.get(f"/api/v1/records/{self.rid}")).json["copies"])

    async def tally(self) -> dict[str, int]:
        listed = (await self.keeper.get("/api/v1/nodes")).json["nodes"]
        (node,) = (n for n in listed if n["node"] == str(self.keeper))
        return {outcome: count for outcome, count in node["audits"].items() if count}

    async def pass_time(self, seconds: float) -> None:
        self.registrar.clock.offset += seconds
        self.keeper.clock.offset = self.registrar.clock.offset

    async def end_overdue(self) -> None:
        await Housekeeping(self.registrar.context).end_overdue()


@pytest.fixture
async def stage(any_registrar: RegistrarUnderTest) -> Stage:
    return await Stage(any_registrar).set()


@pytest.fixture
async def sqlite_stage(registrar: RegistrarUnderTest) -> Stage:
    return await Stage(registrar).set()


async def test_the_first_audit_follows_the_attestation_and_makes_a_replica(stage: Stage) -> None:
    challenge = await stage.challenge()
    assert len(challenge["leaves"]) == 8
    verdict = await answer_honestly(stage.keeper, stage.what, challenge)
    assert verdict == {"outcome": "success", "detail": ""}
    found = await stage.copies()
    assert (found["complete"], found["audited"]) == (1, 1)
    assert found["nodes"][0]["audited"] is not None
    assert await stage.tally() == {"success": 1}


async def test_a_waiting_node_is_challenged_as_soon_as_it_has_attested(registrar: RegistrarUnderTest) -> None:
    what, keeper = shareable(), registrar.person()
    document = await registrar.person().register(what)
    cid = document["content_id"]
    await keeper.introduce()
    await keeper.claim(cid)
    waiting = asyncio.create_task(keeper.beat({cid: "downloading"}, wait=60))
    async with asyncio.timeout(SOON):
        while str(keeper) not in registrar.context.wakeups.nodes_waiting:
            await asyncio.sleep(0.01)
        assert (await keeper.attest(what)).status == 201
        assert len((await waiting)["challenges"]) == 1


async def test_audits_come_again_after_the_interval(stage: Stage) -> None:
    await answer_honestly(stage.keeper, stage.what, await stage.challenge())
    assert (await stage.keeper.beat({stage.cid: "complete"}))["challenges"] == []
    await stage.pass_time(1.51 * stage.registrar.context.settings.audit_interval_s)
    await answer_honestly(stage.keeper, stage.what, await stage.challenge())
    assert await stage.tally() == {"success": 2}


async def test_wrong_bytes_cost_the_claim_at_once(stage: Stage) -> None:
    challenge = await stage.challenge()
    told = await commit_to(stage.keeper, stage.what, challenge)
    opened = openings(stage.what, told.json["open"])
    data = bytearray(base64.b64decode(opened[0]["data"]))
    data[0] ^= 1
    opened[0]["data"] = base64.b64encode(data).decode()
    other = stage.registrar.person()
    await other.introduce()
    answer = await stage.keeper.post(f"/api/v1/audits/{challenge['id']}/open", {"openings": opened})
    assert answer.json["outcome"] == "failure"
    assert "is not what the record says" in answer.json["detail"]
    assert (await stage.copies())["complete"] == 0
    assert [o["content_id"] for o in (await other.beat())["offers"]] == [stage.cid]
    assert await stage.tally() == {"failure": 1}


async def test_bytes_fetched_after_the_commitment_do_not_help(stage: Stage) -> None:
    challenge = await stage.challenge()
    path = f"/api/v1/audits/{challenge['id']}"
    told = await stage.keeper.post(f"{path}/commit", {"commitments": ["ab" * 32] * len(challenge["leaves"])})
    answer = await stage.keeper.post(f"{path}/open", {"openings": openings(stage.what, told.json["open"])})
    assert answer.json["outcome"] == "failure"
    assert "committed" in answer.json["detail"]


async def test_other_leaves_than_the_ones_asked_for_fail(sqlite_stage: Stage) -> None:
    stage = sqlite_stage
    challenge = await stage.challenge()
    told = await commit_to(stage.keeper, stage.what, challenge)
    others = [at for at in challenge["leaves"] if at not in told.json["open"]][:2]
    path = f"/api/v1/audits/{challenge['id']}/open"
    answer = await stage.keeper.post(path, {"openings": openings(stage.what, others)})
    assert answer.json["outcome"] == "failure"


async def test_a_node_that_says_it_lost_the_bytes_loses_the_claim(stage: Stage) -> None:
    challenge = await stage.challenge()
    path = f"/api/v1/audits/{challenge['id']}/commit"
    assert (await stage.keeper.post(path, {"refused": "missing"})).status == 200
    assert (await stage.copies())["complete"] == 0
    assert await stage.tally() == {"failure": 1}


async def test_busy_is_forgiven_twice(stage: Stage) -> None:
    for turn in range(3):
        challenge = await stage.challenge()
        answer = await stage.keeper.post(f"/api/v1/audits/{challenge['id']}/commit", {"refused": "busy"})
        assert answer.json["outcome"] == ("contained" if turn < 2 else "failure")
        await stage.pass_time(60)
    assert await stage.tally() == {"contained": 2, "failure": 1}
    assert (await stage.copies())["complete"] == 0


async def test_silence_of_a_node_that_is_there_is_contained_and_then_fails(stage: Stage) -> None:
    for _ in range(3):
        await stage.challenge()
        await stage.pass_time(61)
        await stage.keeper.beat({stage.cid: "complete"})
        await stage.end_overdue()
        await stage.pass_time(10)
    assert await stage.tally() == {"contained": 2, "failure": 1}
    assert (await stage.copies())["complete"] == 0


async def test_silence_of_a_node_that_is_away_costs_no_copy(stage: Stage) -> None:
    for _ in range(5):
        await stage.challenge()
        await stage.pass_time(61)
        await stage.end_overdue()
        await stage.pass_time(10)
    assert await stage.tally() == {"offline": 5}
    assert (await stage.copies())["complete"] == 1
    await answer_honestly(stage.keeper, stage.what, await stage.challenge())
    assert (await stage.copies())["audited"] == 1


async def test_an_answer_after_the_deadline_is_too_late(stage: Stage) -> None:
    challenge = await stage.challenge()
    await stage.pass_time(61)
    assert (await commit_to(stage.keeper, stage.what, challenge)).status == 409
    await stage.end_overdue()
    await stage.pass_time(10)
    challenge = await stage.challenge()
    told = await commit_to(stage.keeper, stage.what, challenge)
    await stage.pass_time(61)
    path = f"/api/v1/audits/{challenge['id']}/open"
    late = await stage.keeper.post(path, {"openings": openings(stage.what, told.json["open"])})
    assert late.status == 409


async def test_the_same_commitments_again_give_the_same_leaves_and_others_are_refused(stage: Stage) -> None:
    challenge = await stage.challenge()
    first, again = [await commit_to(stage.keeper, stage.what, challenge) for _ in range(2)]
    assert first.json == again.json
    path = f"/api/v1/audits/{challenge['id']}/commit"
    other = await stage.keeper.post(path, {"commitments": ["ab" * 32] * len(challenge["leaves"])})
    assert other.status == 409


async def test_nobody_answers_for_another_node(sqlite_stage: Stage) -> None:
    stage = sqlite_stage
    challenge = await stage.challenge()
    stranger = stage.registrar.person()
    assert (await commit_to(stranger, stage.what, challenge)).status == 403
    assert (await stranger.post("/api/v1/audits/nosuch/commit", {"refused": "busy"})).status == 404


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("commit", {}),
        ("commit", {"commitments": ["ab" * 32]}),
        ("commit", {"commitments": ["xx"] * 8}),
        ("commit", {"refused": "bored"}),
        ("open", {"openings": "x"}),
        ("open", {"openings": [{"file": 0, "leaf": 0, "data": "!", "proof": []}]}),
        ("open", {"openings": [{"file": 0, "leaf": 0, "data": "", "proof": ["zz"]}]}),
        ("open", {"openings": [{"file": 0, "leaf": 0, "data": "", "proof": []}] * 3}),
    ],
)
async def test_malformed_answers_are_refused(sqlite_stage: Stage, step: str, message: dict[str, Any]) -> None:
    challenge = await sqlite_stage.challenge()
    answer = await sqlite_stage.keeper.post(f"/api/v1/audits/{challenge['id']}/{step}", message)
    assert answer.status == 400


async def test_a_dataset_of_one_small_file_is_audited(tmp_path: Path) -> None:
    async with registrar_with(tmp_path) as registrar:
        stage = Stage(registrar)
        stage.what = shareable("a.txt", {"a.txt": b"hello"})
        await stage.set()
        challenge = await stage.challenge()
        assert challenge["leaves"] == [[0, 0]]
        assert (await answer_honestly(stage.keeper, stage.what, challenge))["outcome"] == "success"


async def test_every_leaf_of_many_files_can_be_asked_for(tmp_path: Path) -> None:
    async with registrar_with(tmp_path, audit_interval_s=1.0) as registrar:
        stage = Stage(registrar)
        content = {f"d{i}/f{i}": bytes([i]) * (i % 3 * BLOCK + (i % 2)) for i in range(9)}
        stage.what = shareable("many", content)
        await stage.set()
        every = {
            (n, leaf)
            for n, f in enumerate(stage.what.data.manifest.files)
            for leaf in range(-(-f.size // BLOCK))
        }
        seen: set[tuple[int, int]] = set()
        for _ in range(40):
            challenge = await stage.challenge()
            seen |= {(file, leaf) for file, leaf in challenge["leaves"]}
            assert (await answer_honestly(stage.keeper, stage.what, challenge))["outcome"] == "success"
            if seen == every:
                break
            await stage.pass_time(2)
        assert seen == every, json.dumps(sorted(every - seen))


async def test_of_files_that_are_withheld_nothing_is_asked(registrar: RegistrarUnderTest) -> None:
    stage = await Stage(registrar).set()
    files = stage.what.data.manifest.files
    number = max(range(len(files)), key=lambda i: files[i].size)
    (before,) = (await stage.keeper.beat())["challenges"]
    assert number in {file for file, _ in before["leaves"]}
    await registrar.curator.taint(f"root:{files[number].root}")
    path = f"/api/v1/audits/{before['id']}/commit"
    assert (await stage.keeper.post(path, {"refused": "withheld"})).json["outcome"] == "unknown"
    # the claim stands, and what is asked next is what is left
    registrar.clock.offset += registrar.context.settings.heartbeat_s + 1
    answer = await stage.keeper.beat({stage.cid: "complete"})
    assert [lease["content_id"] for lease in answer["leases"]] == [stage.cid]
    (after,) = answer["challenges"]
    assert {file for file, _ in after["leaves"]}.isdisjoint({number})
    assert await answer_honestly(stage.keeper, stage.what, after) == {"outcome": "success", "detail": ""}


async def test_a_node_that_may_not_read_all_files_attests_the_others(registrar: RegistrarUnderTest) -> None:
    stage = await Stage(registrar).set()
    partial = {"infohash_v1": ""}
    assert (await stage.keeper.attest(stage.what, **partial)).status == 409
    await registrar.curator.taint(f"root:{stage.what.data.manifest.files[0].root}")
    assert (await stage.keeper.attest(stage.what, **partial)).status == 201
