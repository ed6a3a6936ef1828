"""What stewards and curators change of a record, and who sees what of it; on both databases."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from seedkeep.core import jcs
from seedkeep.core.events import Event
from seedkeep.core.log.proof import LogProof
from seedkeep.core.metadata import Creator, Metadata, Subject
from seedkeep.core.revision import RecordState, RevisionBody, WithdrawalBody
from seedkeep_registrar.store.accounts import Role
from tests.registrar.test_curation import with_account
from tests.support.registrar import Answer, Person, RegistrarUnderTest, shareable


def state_of(document: dict[str, Any]) -> RecordState:
    """The state that a record document proves, if it has at most one revision."""
    state = RecordState.begin(Event.parse(document["event"]), jcs.dumps(document["body"]))
    if newest := document["revision"]:
        state = state.apply(Event.parse(newest["event"]), jcs.dumps(newest["body"]), home_key="")
    return state


async def revise(person: Person, state: RecordState, **changes: Any) -> Answer:
    """Send a revision."""
    body = state.revision(**changes).encode()
    return await person.submit(person.event(body, "revision", after=state.head), body)


async def withdraw(person: Person, state: RecordState, reason: str = "consent was withdrawn") -> Answer:
    """Send a withdrawal."""
    body = WithdrawalBody(reason).encode()
    return await person.submit(person.event(body, "withdrawal", after=state.head), body)


async def test_a_steward_changes_what_is_said(any_registrar: RegistrarUnderTest) -> None:
    sharer, what = any_registrar.person(), shareable()
    before = await sharer.register(what, metadata=Metadata(title="Fage"), copies=3)
    better = Metadata(title="Phage", subjects=(Subject("virus"),), dois=("10.5281/zenodo.1",))
    seeds = ("https://example.org/d/",)
    answer = await revise(
        sharer, state_of(before), metadata=better, copies=5, web_seeds=seeds, note="a typing error"
    )
    assert answer.status == 201, answer
    after = answer.json
    assert (after["title"], after["seq"], after["copies"]["wanted"]) == ("Phage", 1, 5)
    assert after["metadata"] == better.encode()
    assert (after["web_seeds"], after["event"], after["body"]) == (
        list(seeds),
        before["event"],
        before["body"],
    )
    assert (await sharer.get(f"/api/v1/records/{before['rid']}")).json == after
    proven = state_of(after)
    assert (proven.metadata, proven.head.hash()) == (better, after["head"])
    LogProof.parse(after["revision"]["proof"]).verify(proven.head.leaf(), any_registrar.context.vkey)
    assert (await sharer.get("/api/v1/records")).json["records"][0]["title"] == "Phage"


async def test_the_same_revision_again_changes_nothing(any_registrar: RegistrarUnderTest) -> None:
    sharer = any_registrar.person()
    state = state_of(await sharer.register(shareable()))
    body = state.revision(note="once").encode()
    event = sharer.event(body, "revision", after=state.head)
    answers = await asyncio.gather(*(sharer.submit(event, body) for _ in range(6)))
    assert sorted(a.status for a in answers) == [200] * 5 + [201]
    assert len({a.body for a in answers}) == 1


async def test_of_two_changes_at_once_one_is_told_what_came_first(any_registrar: RegistrarUnderTest) -> None:
    sharer = any_registrar.person()
    state = state_of(await sharer.register(shareable()))
    answers = await asyncio.gather(*(revise(sharer, state, note=f"change {n}") for n in range(4)))
    assert sorted(a.status for a in answers) == [201, 409, 409, 409]
    taken = next(a for a in answers if a.status == 201).json
    for late in (a.json for a in answers if a.status == 409):
        assert (late["code"], late["seq"], late["head"]) == ("conflict", 1, taken["head"])
        assert late["event"] == taken["revision"]["event"]


async def test_only_who_was_a_steward_before_may_sign(any_registrar: RegistrarUnderTest) -> None:
    alice, bob, mallory = (any_registrar.person() for _ in range(3))
    state = state_of(await alice.register(shareable()))
    assert (await revise(mallory, state, stewards=(str(mallory),))).status == 403
    # a curator's key is no steward's: what curators change is signed by the registrar
    assert (await revise(any_registrar.curator, state, note="me too")).status == 403
    given = await revise(alice, state, stewards=(str(bob),), note="Bob looks after it now")
    assert given.json["stewards"] == [str(bob)]
    handed_over = state_of(given.json)
    assert (await revise(alice, handed_over, note="mine still?")).status == 403
    assert (await revise(bob, handed_over, note="thank you")).status == 201


async def test_an_event_must_fit_its_request_and_record(any_registrar: RegistrarUnderTest) -> None:
    alice, bob = any_registrar.person(), any_registrar.person()
    state = state_of(await alice.register(shareable("one")))
    body = state.revision(note="x").encode()
    event = alice.event(body, "revision", after=state.head)
    assert (await bob.submit(event, body)).status == 403
    assert (await alice.submit(event, state.revision(note="y").encode())).status == 400
    lost = jcs.dumps({**jcs.loads(event.leaf()), "rid": "ab" * 32})
    message = {"event": json.loads(lost), "body": json.loads(body)}
    assert (await alice.post("/api/v1/events", message)).status == 400
    unsigned = alice.event(body, "revision")
    assert (await alice.submit(unsigned, body)).status == 400
    stranger = RecordState.begin(alice.event(shareable().body().encode()), shareable().body().encode())
    assert (await revise(alice, stranger)).status == 404
    old = alice.event(body, "revision", after=state.head, created="2020-01-01T00:00:00Z")
    assert (await alice.submit(old, body)).status == 403
    bad = {**jcs.loads(body), "license": "MIT"}
    answer = await alice.submit(alice.event(jcs.dumps(bad), "revision", after=state.head), jcs.dumps(bad))
    assert answer.status == 400


async def test_the_history_says_who_changed_what(any_registrar: RegistrarUnderTest) -> None:
    sharer = any_registrar.person()
    first = await sharer.register(shareable(), metadata=Metadata(title="one"))
    rid, state = first["rid"], state_of(first)
    for n in range(1, 4):
        body = state.revision(metadata=Metadata(title=f"title {n}"), note=f"note {n}").encode()
        event = sharer.event(body, "revision", after=state.head)
        assert (await sharer.submit(event, body)).status == 201
        state = state.apply(event, body, home_key="")
    seen: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = (await sharer.get(f"/api/v1/records/{rid}/revisions?limit=2{cursor}")).json
        seen += page["revisions"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert [(e["seq"], e["type"], e["by"]) for e in seen] == [
        (n, "revision" if n else "record", str(sharer)) for n in range(4)
    ]
    titles = ["one", "title 1", "title 2", "title 3"]
    assert [e["changes"] for e in seen] == [
        [],
        *([{"field": "title", "before": [a], "after": [b]}] for a, b in pairwise(titles)),
    ]
    assert [e["note"] for e in seen] == ["", "note 1", "note 2", "note 3"]
    # who reads it can check it
    again = RecordState.begin(Event.parse(seen[0]["event"]), jcs.dumps(seen[0]["body"]))
    for entry in seen[1:]:
        event = Event.parse(entry["event"])
        again = again.apply(event, jcs.dumps(entry["body"]), home_key="")
        LogProof.parse(entry["proof"]).verify(event.leaf(), any_registrar.context.vkey)
    assert again == state
    one = await sharer.get(f"/api/v1/records/{rid}/revisions/2")
    assert one.json == seen[2]
    assert (await sharer.get(f"/api/v1/records/{rid}/revisions/4")).status == 404
    assert (await sharer.get(f"/api/v1/records/{rid}/revisions/x")).status == 400
    assert (await sharer.get(f"/api/v1/records/{'0' * 64}/revisions")).status == 404


async def test_a_doi_given_later_names_the_record(any_registrar: RegistrarUnderTest) -> None:
    from seedkeep_registrar.store import aliases

    sharer = any_registrar.person()
    named = Metadata(dois=("10.5281/zenodo.1", "10.1234/x"))
    document = await sharer.register(shareable("one"), metadata=named)
    await sharer.register(shareable("two"), metadata=Metadata(dois=("10.5281/zenodo.1",)))
    read = any_registrar.context.db.read
    assert len(await read(aliases.find, "doi", "10.5281/zenodo.1")) == 2
    assert (await revise(sharer, state_of(document), metadata=Metadata(dois=("10.1234/y",)))).status == 201
    found = await read(aliases.find, "doi", "10.1234/y")
    assert [record.rid for record in found] == [document["rid"]]
    assert await read(aliases.find, "doi", "10.1234/x") == []
    assert len(await read(aliases.find, "doi", "10.5281/zenodo.1")) == 1


# --- what the registrar signs for people ---------------------------------------------------------------


async def change(person: Person, rid: str, body: Any, *, method: str = "PATCH", head: str = "") -> Answer:
    """A signed request of somebody to change what is said."""
    path, data = f"/api/v1/records/{rid}/metadata", jcs.dumps(body)
    headers = person.signature(method, path, data)
    return await person.send(method, path, data, headers={**headers, **({"If-Match": head} if head else {})})


async def test_a_curator_has_the_registrar_sign(any_registrar: RegistrarUnderTest) -> None:
    sharer, curator = any_registrar.person(), any_registrar.curator
    before = await sharer.register(shareable(), metadata=Metadata(title="one", language="en"))
    rid = before["rid"]
    said = await sharer.get(f"/api/v1/records/{rid}/metadata")
    assert said.json["metadata"] == {"title": "one", "language": "en"}
    patch = {"metadata": {"title": "two", "language": None, "creators": ["Chase, M."]}, "note": "tidied"}
    answer = await change(curator, rid, patch, head=said.headers["ETag"])
    assert answer.status == 200, answer
    assert answer.json["metadata"] == {"title": "two", "creators": ["Chase, M."]}
    entry = (await sharer.get(f"/api/v1/records/{rid}/revisions/1")).json
    assert entry["by"] == str(any_registrar.context.key.public)
    assert (entry["editor"], entry["note"]) == ({"account": str(curator)}, "tidied")
    assert answer.json["stewards"] == [str(sharer)]
    again = await change(curator, rid, patch)
    assert (again.status, again.json["seq"]) == (200, 1)  # it says so already
    late = await change(curator, rid, {"copies": 9}, head=said.headers["ETag"])
    assert (late.status, late.json["code"]) == (412, "precondition_failed")
    assert late.json["head"] == answer.json["head"]
    assert (await change(any_registrar.person(), rid, patch)).status == 403
    assert (await change(sharer, rid, {"metadata": {"title": "three"}}, method="PUT")).json["seq"] == 2
    unsigned = await sharer.get(f"/api/v1/records/{rid}/metadata", method="PATCH")
    assert unsigned.status == 401


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"colour": "red"}},
        {"metadata": []},
        {"web_seeds": ["ftp://x/"]},
        {"copies": -1},
        {"copies": "many"},
        {"stewards": []},
        {"stewards": ["me"]},
        {"note": "n" * 2001},
        {"note": 5},
        {"license": "MIT"},
    ],
)
async def test_a_change_that_cannot_be_read_changes_nothing(
    registrar: RegistrarUnderTest, body: dict[str, Any]
) -> None:
    sharer = registrar.person()
    rid = (await sharer.register(shareable()))["rid"]
    assert (await change(sharer, rid, body)).status == 400
    assert (await change(sharer, rid, {"metadata": {}, **body}, method="PUT")).status == 400
    assert (await change(sharer, rid, {}, method="PUT")).status == 400
    assert (await sharer.get(f"/api/v1/records/{rid}")).json["seq"] == 0


async def test_subjects_and_copies_of_a_dataset_follow_all_its_records(
    any_registrar: RegistrarUnderTest,
) -> None:
    from seedkeep_registrar.store import datasets

    one, two, what = any_registrar.person(), any_registrar.person(), shareable()
    first = await one.register(what, copies=7, metadata=Metadata(subjects=(Subject("phage"),)))
    await two.register(what, copies=4, metadata=Metadata(subjects=(Subject("virus"),)))
    changed = await revise(one, state_of(first), copies=2, metadata=Metadata(subjects=(Subject("DNA"),)))
    assert changed.json["copies"]["wanted"] == 4
    dataset = await any_registrar.context.db.read(datasets.by_content_id, first["content_id"])
    assert dataset is not None
    assert set(dataset.subjects) == {"DNA", "virus"}
    assert (dataset.wanted, dataset.missing) == (4, 4)


# --- withdrawal ----------------------------------------------------------------------------------------


async def test_a_withdrawn_record_keeps_what_was_said(any_registrar: RegistrarUnderTest) -> None:
    sharer, what = any_registrar.person(), shareable()
    document = await sharer.register(what, metadata=Metadata(title="Phage", creators=(Creator("Chase, M."),)))
    state, rid = state_of(document), document["rid"]
    answer = await withdraw(sharer, state)
    assert answer.status == 201, answer
    assert answer.json["withdrawn"]["reason"] == "consent was withdrawn"
    gone = await sharer.get(f"/api/v1/records/{rid}")
    assert (gone.status, gone.json["code"]) == (410, "withdrawn")
    assert "consent was withdrawn" in gone.json["detail"]
    assert gone.json["metadata"] == {"title": "Phage", "creators": ["Chase, M."]}
    assert state_of(gone.json).withdrawn
    for path in (
        f"/api/v1/records/{rid}/manifest",
        f"/api/v1/resolve?id={document['ark']}",
        f"/torrents/{document['content_id']}.torrent",
        f"/torrents/{document['content_id']}.v1.torrent",
        f"/ws/{document['content_id']}/sample/big.bin",
        f"/api/v1/objects/{what.dataset().manifest}",
        f"/ark:/{document['ark'].removeprefix('ark:/')}",
    ):
        assert (await sharer.get(path)).status == 410, path
    assert (await sharer.get(f"/api/v1/records/{rid}/metadata")).json["metadata"]["title"] == "Phage"
    history = (await sharer.get(f"/api/v1/records/{rid}/revisions")).json["revisions"]
    assert [e["type"] for e in history] == ["record", "withdrawal"]
    assert history[1]["changes"] == [{"field": "withdrawn", "before": [], "after": ["consent was withdrawn"]}]
    assert (await sharer.get("/api/v1/records")).json["records"] == []


async def test_a_withdrawal_is_final_but_the_data_may_be_shared_anew(
    any_registrar: RegistrarUnderTest,
) -> None:
    sharer, what = any_registrar.person(), shareable()
    document = await sharer.register(what)
    state = state_of(document)
    answer = await withdraw(sharer, state)
    gone = state_of(answer.json)
    assert (await revise(sharer, gone, note="back?")).status == 409
    assert (await withdraw(sharer, gone, "again")).status == 409
    sharer.clock.offset += 2
    again = await sharer.register(what)
    assert again["rid"] != document["rid"]
    for path in (
        f"/api/v1/resolve?id={document['content_id']}",
        f"/torrents/{document['content_id']}.torrent",
    ):
        assert (await sharer.get(path)).status == 200
    assert (await sharer.get(f"/api/v1/records/{document['rid']}")).status == 410


async def test_nodes_give_up_what_nobody_offers_any_more(any_registrar: RegistrarUnderTest) -> None:
    one, two, node, what = *(any_registrar.person() for _ in range(3)), shareable()
    first, second = await one.register(what), await two.register(what)
    await node.hold(what)
    content_id = first["content_id"]
    assert (await withdraw(one, state_of(first))).status == 201
    beat = await node.beat({content_id: "complete"})
    assert beat["release"] == []  # the other record offers it still
    waiting = asyncio.create_task(node.beat({content_id: "complete"}, wait=30))
    assert (await withdraw(two, state_of(second))).status == 201
    assert (await waiting)["release"] == [content_id]
    assert (await node.claim(content_id)).status == 409
    beat = await node.beat({content_id: "complete"})
    assert (beat["offers"], beat["release"], beat["leases"]) == ([], [content_id], [])
    again = await any_registrar.person().register(what)
    assert again["copies"]["nodes"] == []  # nobody is counted for what they were told to delete


async def test_a_steward_withdraws_through_the_registrar(any_registrar: RegistrarUnderTest) -> None:
    sharer = any_registrar.person()
    rid = (await sharer.register(shareable()))["rid"]
    path = f"/api/v1/records/{rid}/withdrawal"
    assert (await any_registrar.person().post(path, {"reason": "mine now"})).status == 403
    assert (await sharer.post(path, {"reason": " "})).status == 400
    answer = await sharer.post(path, {"reason": "superseded by better data"})
    assert (answer.status, answer.json["withdrawn"]["reason"]) == (201, "superseded by better data")
    assert answer.json["revision"]["body"]["editor"] == {"account": str(sharer)}


async def test_a_tainted_record_takes_no_revision(registrar: RegistrarUnderTest) -> None:
    sharer = registrar.person()
    document = await sharer.register(shareable())
    assert (await registrar.curator.taint(f"content:{document['content_id']}")).status == 201
    for answer in (
        await revise(sharer, state_of(document), note="x"),
        await withdraw(sharer, state_of(document)),
        await sharer.get(f"/api/v1/records/{document['rid']}/revisions"),
        await sharer.get(f"/api/v1/records/{document['rid']}/metadata"),
    ):
        assert answer.status == 451


async def test_what_is_said_survives_a_body_that_was_dropped(registrar: RegistrarUnderTest) -> None:
    from sqlalchemy import Connection, delete

    from seedkeep_registrar.store.tables import bodies

    sharer = registrar.person()
    document = await sharer.register(shareable())
    rid, state = document["rid"], state_of(document)
    assert (await revise(sharer, state, metadata=Metadata(title="unlawful"))).status == 201

    def drop(connection: Connection) -> None:
        gone = document_now["revision"]["event"]["body_sha256"]
        connection.execute(delete(bodies).where(bodies.c.sha256 == gone))

    document_now = (await sharer.get(f"/api/v1/records/{rid}")).json
    await registrar.context.db.write(drop)
    shown = (await sharer.get(f"/api/v1/records/{rid}")).json
    assert (shown["metadata"], shown["revision"]["body"]) == ({}, {})
    history = (await sharer.get(f"/api/v1/records/{rid}/revisions")).json["revisions"]
    assert [(e["body"] == {}, e["changes"]) for e in history] == [(False, []), (True, [])]
    assert (await change(sharer, rid, {"copies": 5})).status == 403


# --- versions ------------------------------------------------------------------------------------------


async def test_versions_form_a_line(any_registrar: RegistrarUnderTest) -> None:
    sharer, other = any_registrar.person(), any_registrar.person()
    documents = [await sharer.register(shareable("v1"))]
    for n in (2, 3):
        documents.append(await sharer.register(shareable(f"v{n}"), supersedes=documents[-1]["rid"]))
    one, two, three = (d["rid"] for d in documents)
    now = [(await sharer.get(f"/api/v1/records/{rid}")).json for rid in (one, two, three)]
    assert [d["supersedes"] for d in now] == ["", one, two]
    assert [d["superseded_by"] for d in now] == [[two], [three], []]
    assert {d["latest"] for d in now} == {three}
    listed = (await sharer.get(f"/api/v1/records/{two}/versions")).json["versions"]
    assert [(v["number"], v["rid"], v["latest"]) for v in listed] == [
        (1, one, False),
        (2, two, False),
        (3, three, True),
    ]
    for name in (
        f"{documents[0]['ark']}@latest",
        f"rid:{two}@latest",
        f"{documents[1]['content_id']}@latest",
    ):
        matches = (await sharer.get(f"/api/v1/resolve?id={name}")).json["matches"]
        assert [m["rid"] for m in matches] == [three]
    matches = (await sharer.get(f"/api/v1/resolve?id={documents[0]['ark']}@latest/sub/small.txt")).json
    assert matches["matches"][0]["path"] == "sub/small.txt"
    what = shareable("v2b")
    await sharer.upload(what)
    body = what.body(supersedes=one).encode()
    refused = await sharer.submit(sharer.event(body), body)
    assert (refused.status, refused.json["latest"]) == (409, {"rid": three, "ark": documents[2]["ark"]})
    await other.upload(what)
    body = what.body(supersedes=three).encode()
    assert (await other.submit(other.event(body), body)).status == 403
    curated = await any_registrar.curator.register(what, supersedes=three)
    assert curated["supersedes"] == three


async def test_an_accounts_curator_records_new_versions_by_their_own_key(
    registrar: RegistrarUnderTest,
) -> None:
    old, what, ann = await registrar.person().register(shareable("v1")), shareable("v2"), registrar.person()
    await ann.upload(what)
    body = what.body(supersedes=old["rid"]).encode()
    assert (await ann.submit(ann.event(body), body)).status == 403
    await with_account(registrar, ann, "ann@example.org", Role.CURATOR)
    assert (await ann.submit(ann.event(body), body)).status == 201


async def test_a_withdrawn_version_is_passed_over(any_registrar: RegistrarUnderTest) -> None:
    sharer = any_registrar.person()
    one = await sharer.register(shareable("v1"))
    bad = await sharer.register(shareable("v2"), supersedes=one["rid"])
    assert (await withdraw(sharer, state_of(bad), "the wrong files")).status == 201
    assert (await sharer.get(f"/api/v1/records/{one['rid']}")).json["latest"] == one["rid"]
    good = await sharer.register(shareable("v2 again"), supersedes=one["rid"])
    assert good["latest"] == good["rid"]
    gone = (await sharer.get(f"/api/v1/records/{bad['rid']}")).json
    assert (gone["latest"], good["ark"] in gone["hint"]) == (good["rid"], True)


async def test_a_new_version_needs_an_old_one_with_other_files(registrar: RegistrarUnderTest) -> None:
    sharer, what = registrar.person(), shareable()
    rid = (await sharer.register(what))["rid"]
    for supersedes, status in ((rid, 400), ("ab" * 32, 404)):
        body = what.body(supersedes=supersedes).encode()
        assert (await sharer.submit(sharer.event(body), body)).status == status


async def test_stewards_may_be_named_from_the_beginning(registrar: RegistrarUnderTest) -> None:
    lab, student = registrar.person(), registrar.person()
    document = await student.register(shareable(), stewards=(str(lab), str(student)))
    state = state_of(document)
    assert document["stewards"] == [str(lab), str(student)]
    assert (await revise(lab, state, stewards=(str(lab),), note="the student has left")).status == 201


async def test_what_has_a_full_chain_takes_no_more(
    registrar: RegistrarUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seedkeep.core.revision.MAX_REVISIONS", 1)
    sharer = registrar.person()
    answer = await revise(sharer, state_of(await sharer.register(shareable())), note="1")
    state = state_of(answer.json)
    assert isinstance(state.revision(), RevisionBody)
    assert (await revise(sharer, state, note="2")).status == 403
    assert (await withdraw(sharer, state)).status == 201
