"""Taints: who may, how many must agree, what they stop, and how nodes hear of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from seedkeep.core import jcs
from seedkeep.core.events import Event
from seedkeep.core.statements import Action, Removal
from seedkeep.core.taints.head import Head
from seedkeep.core.taints.trusted import TrustedTaints
from tests.support.registrar import (
    Answer,
    Person,
    RegistrarUnderTest,
    new_key,
    registrar_with,
    shareable,
    utc,
)

SOON = 10.0


async def trusted(registrar: RegistrarUnderTest, known: TrustedTaints | None = None) -> TrustedTaints:
    """What a client trusts after reading head and list."""
    person = registrar.person()
    taints = known or TrustedTaints(registrar.context.vkey)
    note = (await person.get("/api/v1/taints/head")).body
    if taints.load_head(note, now=registrar.clock()):
        digest = Head.open(note, registrar.context.vkey).list_sha256
        taints.load_list((await person.get(f"/api/v1/taints/lists/{digest}")).body)
    return taints


async def lift(curator: Person, taint: Answer, events: dict[str, Event], reason: str = "a mistake") -> Answer:
    body = jcs.dumps({"v": 1, "reason": reason})
    event = curator.event(body, "lift", after=events[taint.json["id"]])
    return await curator.submit(event, body, f"/api/v1/taints/{taint.json['id']}/lift")


async def taint(
    curator: Person, subject: str, events: dict[str, Event], reason: str = "it was wrong"
) -> Answer:
    """As :meth:`Person.taint`, keeping the event for a lift."""
    body = jcs.dumps({"v": 1, "subject": subject, "category": "retraction", "reason": reason})
    event = curator.event(body, "taint")
    events[event.hash()] = event
    return await curator.submit(event, body, "/api/v1/taints")


def subject_of(kind: str, document: dict[str, Any]) -> str:
    return f"record:{document['rid']}" if kind == "record" else f"content:{document['content_id']}"


@pytest.mark.parametrize("kind", ["record", "content"])
async def test_a_tainted_dataset_is_withheld_everywhere(any_registrar: RegistrarUnderTest, kind: str) -> None:
    what, sharer = shareable(), any_registrar.person()
    document = await sharer.register(what)
    other = await sharer.register(shareable("other"))
    answer = await any_registrar.curator.taint(subject_of(kind, document))
    assert (answer.status, answer.json["state"]) == (201, "standing")
    rid, cid = document["rid"], document["content_id"]
    for path in (
        f"/api/v1/records/{rid}",
        f"/api/v1/records/{rid}/manifest",
        f"/torrents/{cid}.torrent",
        f"/torrents/{cid}.v1.torrent",
        f"/api/v1/resolve?id={document['ark']}",
        f"/api/v1/resolve?id={cid}",
        f"/api/v1/objects/{what.dataset().piece_layers}",
    ):
        told = await sharer.get(path)
        assert (told.status, told.json["code"]) == (451, "tainted"), path
        assert told.json["taints"][0]["reason"] == "a court said so"
        assert (told.json["rid"], told.json["content_id"], told.json["ark"]) == (rid, cid, document["ark"])
    listed = [r["rid"] for r in (await sharer.get("/api/v1/records")).json["records"]]
    assert listed == [other["rid"]]
    assert (await sharer.get(f"/api/v1/records/{other['rid']}")).status == 200


async def test_a_tainted_record_leaves_the_same_content_of_another_record(
    any_registrar: RegistrarUnderTest,
) -> None:
    what = shareable()
    one, two = [await any_registrar.person().register(what) for _ in range(2)]
    await any_registrar.curator.taint(f"record:{one['rid']}")
    person = any_registrar.person()
    assert (await person.get(f"/api/v1/records/{one['rid']}")).status == 451
    assert (await person.get(f"/api/v1/records/{two['rid']}")).status == 200
    assert (await person.get(f"/torrents/{two['content_id']}.torrent")).status == 200
    matches = (await person.get(f"/api/v1/resolve?id={two['content_id']}")).json["matches"]
    assert [m["rid"] for m in matches] == [two["rid"]]


@pytest.mark.parametrize("kind", ["content", "root"])
async def test_tainted_content_cannot_be_registered_again(
    any_registrar: RegistrarUnderTest, kind: str
) -> None:
    what, sharer = shareable(), any_registrar.person()
    d = what.dataset()
    root = next(f.root for f in what.data.manifest.files if f.path == "big.bin")
    await any_registrar.curator.taint(f"content:{d.content_id}" if kind == "content" else f"root:{root}")
    await sharer.upload(what)
    body = what.body().encode()
    answer = await sharer.submit(sharer.event(body), body)
    assert (answer.status, answer.json["code"]) == (451, "tainted")


async def test_a_tainted_file_is_caught_under_another_name(any_registrar: RegistrarUnderTest) -> None:
    what, sharer = shareable(), any_registrar.person()
    big = next(f for f in what.data.manifest.files if f.path == "big.bin")
    await any_registrar.curator.taint(f"root:{big.root}")
    renamed = shareable("innocent", {"other/name.dat": what.data.content["big.bin"], "more": b"x"})
    await sharer.upload(renamed)
    body = renamed.body().encode()
    answer = await sharer.submit(sharer.event(body), body)
    assert answer.status == 451
    assert answer.json["taints"][0]["subject"] == f"root:{big.root}"


async def test_holders_are_woken_release_and_may_not_claim_again(any_registrar: RegistrarUnderTest) -> None:
    what = shareable()
    document = await any_registrar.person().register(what)
    cid, keeper = document["content_id"], any_registrar.person()
    await keeper.hold(what)
    challenge = (await keeper.beat({cid: "complete"}))["challenges"][0]
    waiting = asyncio.create_task(keeper.beat({cid: "complete"}, wait=60))
    async with asyncio.timeout(SOON):
        while str(keeper) not in any_registrar.context.wakeups.nodes_waiting:
            await asyncio.sleep(0.01)
        await any_registrar.curator.taint(f"content:{cid}")
        answer = await waiting
    assert (answer["release"], answer["offers"], answer["leases"]) == ([cid], [], [])
    head = Head.open(answer["taint_head"], any_registrar.context.vkey)
    assert (head.version, head.log_size) == (1, 2)
    assert (await keeper.claim(cid)).status == 451
    assert (await keeper.attest(what)).status in (409, 451)
    path = f"/api/v1/audits/{challenge['id']}/commit"
    assert (await keeper.post(path, {"refused": "tainted"})).status == 409  # it has ended with the taint
    newcomer = any_registrar.person()
    await newcomer.introduce()
    assert (await newcomer.beat(taints=1))["offers"] == []


async def test_the_list_and_head_satisfy_a_client(any_registrar: RegistrarUnderTest) -> None:
    empty = await trusted(any_registrar)
    assert len(empty.entries) == 0
    document = await any_registrar.person().register(shareable())
    await any_registrar.curator.taint(f"content:{document['content_id']}", "malware", "it bites")
    taints = await trusted(any_registrar, empty)
    (entry,) = taints.standing(content_id=document["content_id"], now=any_registrar.clock())
    assert (entry.category, entry.reason) == ("malware", "it bites")
    assert entry.approvers == (str(any_registrar.curator),)


async def test_a_lift_gives_everything_back(any_registrar: RegistrarUnderTest) -> None:
    what, sharer, events = shareable(), any_registrar.person(), dict[str, Event]()
    document = await sharer.register(what)
    before = await trusted(any_registrar)
    made = await taint(any_registrar.curator, f"content:{document['content_id']}", events)
    standing = await trusted(any_registrar, before)
    assert (await lift(any_registrar.curator, made, events)).json["state"] == "lifted"
    after = await trusted(any_registrar, standing)
    assert after.standing(content_id=document["content_id"], now=any_registrar.clock()) == []
    assert [bool(e.lifted) for e in after.entries] == [True]
    assert (await sharer.get(f"/api/v1/records/{document['rid']}")).status == 200
    keeper = any_registrar.person()
    await keeper.hold(what)
    again = await taint(any_registrar.curator, f"content:{document['content_id']}", events, "wrong again")
    assert again.json["state"] == "standing"
    assert (await sharer.get(f"/api/v1/records/{document['rid']}")).status == 451
    assert len((await trusted(any_registrar, after)).entries) == 2


async def test_a_lift_leaves_other_taints_standing(any_registrar: RegistrarUnderTest) -> None:
    what, sharer, events = shareable(), any_registrar.person(), dict[str, Event]()
    document = await sharer.register(what)
    one = await taint(any_registrar.curator, f"content:{document['content_id']}", events)
    await taint(any_registrar.curator, f"record:{document['rid']}", events)
    await lift(any_registrar.curator, one, events)
    told = await sharer.get(f"/api/v1/records/{document['rid']}")
    assert told.status == 451
    assert [t["subject"] for t in told.json["taints"]] == [f"record:{document['rid']}"]


async def test_the_same_taint_event_again_changes_nothing(any_registrar: RegistrarUnderTest) -> None:
    curator = any_registrar.curator
    body = jcs.dumps({"v": 1, "subject": "content:" + "ab" * 32, "category": "other", "reason": "x"})
    event = curator.event(body, "taint")
    first = await curator.submit(event, body, "/api/v1/taints")
    again = await curator.submit(event, body, "/api/v1/taints")
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    assert any_registrar.context.taint_head.version == 1


async def test_only_curators_taint_and_lift(any_registrar: RegistrarUnderTest) -> None:
    document = await any_registrar.person().register(shareable())
    stranger, events = any_registrar.person(), dict[str, Event]()
    answer = await stranger.taint(f"content:{document['content_id']}")
    assert (answer.status, answer.json["code"]) == (403, "refused")
    made = await taint(any_registrar.curator, f"content:{document['content_id']}", events)
    assert (await lift(stranger, made, events)).status == 403
    assert (await stranger.get(f"/api/v1/records/{document['rid']}")).status == 451


@pytest.fixture
async def two_curators(
    tmp_path: Path, database_url: str
) -> AsyncIterator[tuple[RegistrarUnderTest, Person, Person]]:
    keys = new_key(), new_key()
    curators = tuple(str(k.public) for k in keys)
    async with registrar_with(tmp_path, database_url, curators=curators) as registrar:
        yield registrar, registrar.person(keys[0]), registrar.person(keys[1])


async def test_where_there_are_two_curators_both_must_agree(
    two_curators: tuple[RegistrarUnderTest, Person, Person],
) -> None:
    registrar, one, two = two_curators
    document = await registrar.person().register(shareable())
    subject, path = f"content:{document['content_id']}", f"/api/v1/records/{document['rid']}"
    first = await one.taint(subject)
    assert first.json == {"id": first.json["id"], "state": "proposed", "approvals": 1, "needed": 2}
    assert (await one.get(path)).status == 200
    assert len((await trusted(registrar)).entries) == 0
    assert (await one.taint(subject, reason="once more")).status == 409
    second = await two.taint(subject, "other", "I agree")
    assert second.json == {"id": first.json["id"], "state": "standing", "approvals": 2, "needed": 2}
    assert (await one.get(path)).status == 451
    (entry,) = (await trusted(registrar)).entries
    assert (entry.id, entry.approvers) == (first.json["id"], (str(one), str(two)))
    assert (await two.taint(subject, reason="once more")).status == 409
    (shown,) = (await one.get("/api/v1/taints")).json["taints"]
    assert (shown["state"], shown["approvals"], shown["needed"], shown["obeyed"]) == ("standing", 2, 2, 0)


async def test_a_proposal_can_be_withdrawn(two_curators: tuple[RegistrarUnderTest, Person, Person]) -> None:
    registrar, one, two = two_curators
    events: dict[str, Event] = {}
    made = await taint(one, "content:" + "ab" * 32, events)
    assert (await lift(two, made, events)).json["state"] == "lifted"
    assert len((await trusted(registrar)).entries) == 0
    assert (await two.taint("content:" + "ab" * 32)).json["state"] == "proposed"


async def test_a_second_lift_is_a_conflict_and_the_same_one_is_not(any_registrar: RegistrarUnderTest) -> None:
    curator, events = any_registrar.curator, dict[str, Event]()
    made = await taint(curator, "content:" + "ab" * 32, events)
    body = jcs.dumps({"v": 1, "reason": "a mistake"})
    event = curator.event(body, "lift", after=events[made.json["id"]])
    path = f"/api/v1/taints/{made.json['id']}/lift"
    first = await curator.submit(event, body, path)
    assert (first.status, (await curator.submit(event, body, path)).status) == (201, 200)
    assert (await lift(curator, made, events, "another reason")).status == 409


async def test_a_lift_of_another_taint_is_refused(registrar: RegistrarUnderTest) -> None:
    curator, events = registrar.curator, dict[str, Event]()
    one = await taint(curator, "content:" + "ab" * 32, events)
    two = await taint(curator, "content:" + "cd" * 32, events)
    body = jcs.dumps({"v": 1, "reason": "x"})
    event = curator.event(body, "lift", after=events[two.json["id"]])
    answer = await curator.submit(event, body, f"/api/v1/taints/{one.json['id']}/lift")
    assert answer.status == 403
    assert (await curator.submit(event, body, f"/api/v1/taints/{'0' * 64}/lift")).status == 404


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "content:xyz"},
        {"subject": "file:" + "ab" * 32},
        {"category": "dislike"},
        {"reason": ""},
        {"reason": "x" * 2001},
        {"extra": 1},
    ],
)
async def test_a_malformed_taint_is_refused(registrar: RegistrarUnderTest, change: dict[str, Any]) -> None:
    fields = {"v": 1, "subject": "content:" + "ab" * 32, "category": "other", "reason": "x", **change}
    body = jcs.dumps(fields)
    curator = registrar.curator
    answer = await curator.submit(curator.event(body, "taint"), body, "/api/v1/taints")
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")


async def test_a_record_event_is_no_taint_and_a_taint_no_record(registrar: RegistrarUnderTest) -> None:
    curator = registrar.curator
    body = jcs.dumps({"v": 1, "subject": "content:" + "ab" * 32, "category": "other", "reason": "x"})
    assert (await curator.submit(curator.event(body), body, "/api/v1/taints")).status == 400
    assert (await curator.submit(curator.event(body, "taint"), body)).status == 400


async def test_receipts_of_removal_are_counted(any_registrar: RegistrarUnderTest) -> None:
    what = shareable()
    document = await any_registrar.person().register(what)
    keepers = [any_registrar.person() for _ in range(2)]
    for keeper in keepers:
        await keeper.hold(what)
    made = await any_registrar.curator.taint(f"content:{document['content_id']}")

    def receipt(keeper: Person, **changes: Any) -> dict[str, Any]:
        fields = {
            "taint": made.json["id"],
            "content_id": document["content_id"],
            "action": Action.REMOVED,
            "bytes": 1,
            "node": str(keeper),
            "at": utc(keeper.clock()),
        }
        return Removal(**{**fields, **changes}).sign(keeper.key)

    for keeper in (*keepers, keepers[0]):
        assert (await keeper.post("/api/v1/receipts", receipt(keeper))).status == 201
    (shown,) = (await keepers[0].get("/api/v1/taints")).json["taints"]
    assert shown["obeyed"] == 2
    assert (await keepers[0].post("/api/v1/receipts", receipt(keepers[0], taint="0" * 64))).status == 404
    forged = receipt(keepers[0], node=str(keepers[1]))
    assert (await keepers[0].post("/api/v1/receipts", forged)).status == 400
    mine = receipt(keepers[0])
    assert (await keepers[1].post("/api/v1/receipts", mine)).status == 403


async def test_the_head_is_signed_anew_and_never_goes_back(tmp_path: Path, database_url: str) -> None:
    async with registrar_with(tmp_path, database_url) as registrar:
        port = registrar.url.rpartition(":")[2]
        await registrar.curator.taint("content:" + "ab" * 32)
        taints = await trusted(registrar)
        assert taints.head is not None
        expires = taints.head.expires
        registrar.clock.offset += 600
        await registrar.context.taint_head.refresh()
        again = await trusted(registrar, taints)
        assert again.head is not None
        assert again.head.expires >= expires + 600
    async with registrar_with(tmp_path, database_url, listen=f"127.0.0.1:{port}") as registrar:
        registrar.clock.offset = 700
        assert len((await trusted(registrar, again)).entries) == 1


async def test_an_unknown_list_is_not_found(registrar: RegistrarUnderTest) -> None:
    assert (await registrar.person().get(f"/api/v1/taints/lists/{'0' * 64}")).status == 404


async def test_those_who_want_to_know_are_told(registrar: RegistrarUnderTest) -> None:
    heard: list[str] = []
    registrar.context.changes.on_registered(lambda record: heard.append(record.rid))
    registrar.context.changes.on_taints(lambda: heard.append("taints"))
    document = await registrar.person().register(shareable())
    await registrar.curator.taint(f"content:{document['content_id']}")
    assert heard == [document["rid"], "taints"]
