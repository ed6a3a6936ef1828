"""A registrar whose curators approve what is recorded: what submitters and curators see and can do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from seedkeep.core import jcs
from seedkeep.core.decision import DECISION, DecisionBody
from seedkeep.core.errors import InvalidInput
from seedkeep.core.events import Event
from seedkeep.core.metadata import Metadata
from seedkeep_registrar.housekeeping import Housekeeping
from seedkeep_registrar.store import account_keys, accounts, mails
from seedkeep_registrar.store.accounts import Role
from tests.support.registrar import (
    Answer,
    Person,
    RegistrarUnderTest,
    Shareable,
    registrar_with,
    shareable,
)

DAY = 86400.0


@pytest.fixture
async def curated(tmp_path: Path, database_url: str) -> AsyncIterator[RegistrarUnderTest]:
    """A registrar where curators approve."""
    async with registrar_with(tmp_path, database_url, registration="curated") as registrar:
        yield registrar


async def submit(person: Person, what: Shareable, **changes: Any) -> tuple[Event, bytes, Answer]:
    """Upload and send a dataset."""
    await person.upload(what)
    body = what.body(**changes).encode()
    event = person.event(body)
    return event, body, await person.submit(event, body)


async def decide(curator: Person, rid: str, decision: str, reason: str = "") -> Answer:
    """A decision signed by a curator's own key."""
    body = jcs.dumps({"v": 1, "submission": rid, "decision": decision, "reason": reason})
    event = curator.event(body, DECISION)
    return await curator.submit(event, body, f"/api/v1/submissions/{rid}/{decision}")


async def read(person: Person, path: str) -> Answer:
    """A signed GET."""
    return await person.get(path, headers=person.signature("GET", path, b""))


async def with_account(registrar: RegistrarUnderTest, person: Person, email: str, role: Role) -> None:
    """Give somebody an account, as signing in and binding a key does."""
    now = registrar.clock()
    account = await registrar.context.db.write(
        accounts.create, email=email, role=role, now=now, name=email.partition("@")[0].title()
    )
    await registrar.context.db.write(account_keys.bind, str(person), account.id, "laptop", now)


async def mailed(registrar: RegistrarUnderTest, rid: str) -> list[mails.Kept]:
    return await registrar.context.db.read(mails.about, rid)


async def test_a_dataset_waits_until_a_curator_approves_it(curated: RegistrarUnderTest) -> None:
    ann, what = curated.person(), shareable()
    event, body, answer = await submit(ann, what)
    assert answer.status == 202, answer
    document = answer.json
    assert document["state"] == "waiting"
    assert document["rid"] == event.hash()
    assert "curator" in document["means"]
    for path in (f"/api/v1/records/{event.hash()}", f"/torrents/{document['content_id']}.torrent"):
        assert (await ann.get(path)).status == 404
    assert (await ann.submit(event, body)).json == document

    approved = await decide(curated.curator, event.hash(), "approve", "well described")
    assert approved.status == 200, approved
    assert approved.json["state"] == "approved"
    (decision,) = approved.json["decisions"]
    assert decision["by"] == str(curated.curator)
    assert decision["reason"] == "well described"

    record = (await ann.get(f"/api/v1/records/{event.hash()}")).json
    assert record["event"] == json.loads(event.leaf())
    assert record["steward"] == str(ann)
    # the decision is in the log, right after the record that it made
    assert decision["index"] == record["index"] + 1
    again = await ann.submit(event, body)
    assert again.status == 200
    assert again.json["rid"] == event.hash()


async def test_the_same_signed_anew_is_the_same_submission(curated: RegistrarUnderTest) -> None:
    ann, what = curated.person(), shareable()
    first, body, _ = await submit(ann, what)
    ann.clock.offset += 60
    later = ann.event(body)
    assert later.hash() != first.hash()
    answer = await ann.submit(later, body)
    assert (answer.status, answer.json["rid"]) == (202, first.hash())
    await decide(curated.curator, first.hash(), "approve")
    answer = await ann.submit(later, body)
    assert (answer.status, answer.json["rid"]) == (200, first.hash())


async def test_an_event_that_waited_for_weeks_is_still_good(curated: RegistrarUnderTest) -> None:
    ann = curated.person()
    event, body, _ = await submit(ann, shareable())
    for clock in (curated.clock, ann.clock):
        clock.offset += 30 * DAY
    assert (await ann.submit(event, body)).status == 202
    assert (await decide(curated.curator, event.hash(), "approve")).status == 200
    assert (await ann.get(f"/api/v1/records/{event.hash()}")).status == 200


async def test_objects_of_what_waits_are_kept(curated: RegistrarUnderTest) -> None:
    ann, keep, lose = curated.person(), shareable("keep"), shareable("lose")
    event, _, _ = await submit(ann, keep)
    rejected, _, _ = await submit(ann, lose)
    await decide(curated.curator, rejected.hash(), "reject", "not ours")
    curated.clock.offset += 3 * DAY
    await Housekeeping(curated.context).drop_rubbish()
    for sha256 in keep.objects:
        assert curated.context.objects.size(sha256) is not None
    for sha256 in lose.objects:
        assert curated.context.objects.size(sha256) is None
    assert (await decide(curated.curator, event.hash(), "approve")).status == 200


async def test_what_is_returned_says_why_and_comes_back_changed(curated: RegistrarUnderTest) -> None:
    ann, what = curated.person(), shareable()
    event, body, _ = await submit(ann, what)
    assert (await decide(curated.curator, event.hash(), "return")).status == 400
    assert (await decide(curated.curator, event.hash(), "return", "Name the authors.")).status == 200
    answer = await ann.submit(event, body)
    assert answer.status == 409
    assert "Name the authors." in answer.json["detail"]
    better, _, answer = await submit(ann, what, metadata=Metadata(title="A test by Ann"))
    assert answer.status == 202
    old = await read(curated.curator, f"/api/v1/submissions/{event.hash()}")
    assert old.json["state"] == "replaced"
    assert (await decide(curated.curator, event.hash(), "approve")).status == 409
    assert (await decide(curated.curator, better.hash(), "approve")).json["title"] == "A test by Ann"


async def test_a_curator_may_think_again_about_what_was_returned(curated: RegistrarUnderTest) -> None:
    ann = curated.person()
    event, body, _ = await submit(ann, shareable())
    await decide(curated.curator, event.hash(), "return", "hm")
    approved = await decide(curated.curator, event.hash(), "approve")
    assert [d["decision"] for d in approved.json["decisions"]] == ["return", "approve"]
    assert (await ann.submit(event, body)).status == 200


async def test_what_is_rejected_says_why(curated: RegistrarUnderTest) -> None:
    ann = curated.person()
    event, body, _ = await submit(ann, shareable())
    assert (await decide(curated.curator, event.hash(), "reject", "This is a film.")).status == 200
    answer = await ann.submit(event, body)
    assert answer.status == 403
    assert "This is a film." in answer.json["detail"]
    assert (await decide(curated.curator, event.hash(), "approve")).status == 409
    assert (await ann.get(f"/api/v1/records/{event.hash()}")).status == 404


async def test_deciding_twice_is_one_decision(curated: RegistrarUnderTest) -> None:
    ann = curated.person()
    event, _, _ = await submit(ann, shareable())
    answers = await asyncio.gather(*(decide(curated.curator, event.hash(), "approve") for _ in range(4)))
    assert {a.status for a in answers} == {200}
    document = (await read(curated.curator, f"/api/v1/submissions/{event.hash()}")).json
    assert len(document["decisions"]) == 1
    await Person.get(ann, f"/api/v1/records/{event.hash()}")


async def test_approving_and_rejecting_at_once_leaves_one_of_them(curated: RegistrarUnderTest) -> None:
    ann = curated.person()
    event, _, _ = await submit(ann, shareable())
    rid = event.hash()
    answers = await asyncio.gather(
        decide(curated.curator, rid, "approve"), decide(curated.curator, rid, "reject", "no")
    )
    assert sorted(a.status for a in answers) == [200, 409]
    state = (await read(curated.curator, f"/api/v1/submissions/{rid}")).json["state"]
    recorded = (await ann.get(f"/api/v1/records/{rid}")).status == 200
    assert state == ("approved" if recorded else "rejected")


async def test_curators_record_at_once(curated: RegistrarUnderTest) -> None:
    await curated.curator.register(shareable())


async def test_only_curators_decide(curated: RegistrarUnderTest) -> None:
    ann, eve = curated.person(), curated.person()
    event, _, _ = await submit(ann, shareable())
    for person in (ann, eve):
        assert (await decide(person, event.hash(), "approve")).status == 403
    path = f"/api/v1/submissions/{event.hash()}/approve"
    unsigned = await eve.get(path, method="POST")
    assert unsigned.status == 401
    # a curator's request with somebody else's event
    body = DecisionBody(event.hash(), "approve").encode()
    assert (await curated.curator.submit(eve.event(body, DECISION), body, path)).status == 403
    # an event for another decision than the address names
    body = DecisionBody(event.hash(), "reject", "no").encode()
    answer = await curated.curator.submit(curated.curator.event(body, DECISION), body, path)
    assert answer.status == 400
    # one that was signed long ago
    stale = DecisionBody(event.hash(), "approve").encode()
    old = curated.curator.event(stale, DECISION, created="2020-01-01T00:00:00Z")
    answer = await curated.curator.submit(old, stale, path)
    assert answer.status == 403
    assert (await read(ann, f"/api/v1/submissions/{event.hash()}")).json["state"] == "waiting"


async def test_people_see_their_own_submissions_and_curators_all(curated: RegistrarUnderTest) -> None:
    ann, eve = curated.person(), curated.person()
    mine, _, _ = await submit(ann, shareable("one"))
    other, _, _ = await submit(eve, shareable("two"))

    async def listed(person: Person, query: str = "") -> list[str]:
        answer = await read(person, f"/api/v1/submissions{query}")
        return [s["rid"] for s in answer.json["submissions"]]

    assert await listed(ann) == [mine.hash()]
    assert await listed(eve) == [other.hash()]
    assert await listed(curated.curator) == [mine.hash(), other.hash()]
    assert await listed(curated.curator, "?state=approved") == []
    first = (await read(curated.curator, "/api/v1/submissions?limit=1")).json
    assert await listed(curated.curator, f"?cursor={first['next']}") == [other.hash()]
    path = f"/api/v1/submissions/{other.hash()}"
    assert (await read(ann, path)).status == 404
    assert (await read(ann, f"{path}/manifest")).status == 404
    assert (await ann.get(path)).status == 401
    manifest = await read(curated.curator, f"{path}/manifest")
    assert manifest.body == shareable("two").data.manifest.encode()


async def test_a_dataset_that_contradicts_itself_is_not_queued(curated: RegistrarUnderTest) -> None:
    ann, what = curated.person(), shareable()
    await ann.upload(what)
    body = jcs.dumps({**json.loads(what.body().encode()), "dataset": {
        **json.loads(what.body().encode())["dataset"], "content_id": "0" * 64}})  # fmt: skip
    assert (await ann.submit(ann.event(body), body)).status == 400
    assert (await read(ann, "/api/v1/submissions")).json["submissions"] == []


async def test_content_that_is_tainted_meanwhile_is_not_approved(curated: RegistrarUnderTest) -> None:
    ann, what = curated.person(), shareable()
    event, _, _ = await submit(ann, what)
    assert (await curated.curator.taint(f"content:{what.dataset().content_id}")).status == 201
    assert (await decide(curated.curator, event.hash(), "approve")).status == 451
    document = (await read(curated.curator, f"/api/v1/submissions/{event.hash()}")).json
    assert (document["state"], document["decisions"]) == ("waiting", [])
    assert (await decide(curated.curator, event.hash(), "reject", "tainted")).status == 200


async def test_the_submitter_is_mailed_and_the_mail_is_kept(curated: RegistrarUnderTest) -> None:
    ann, eve = curated.person(), curated.person()
    await with_account(curated, ann, "ann@example.org", Role.VISITOR)
    event, _, _ = await submit(ann, shareable())
    await decide(curated.curator, event.hash(), "return", "Name the authors.")
    await decide(curated.curator, event.hash(), "approve")
    path = f"/api/v1/records/{event.hash()}/mails"
    answer = await read(ann, path)
    assert [m["to"] for m in answer.json["mails"]] == ["ann@example.org"] * 2
    approved, returned = answer.json["mails"]
    assert "> Name the authors." in returned["text"]
    assert (await ann.get(f"/api/v1/records/{event.hash()}")).json["ark"] in approved["text"]
    assert (await read(curated.curator, path)).status == 200
    assert (await read(eve, path)).status == 404
    assert (await ann.get(path)).status == 401


async def test_for_a_curator_with_an_account_the_registrar_signs(curated: RegistrarUnderTest) -> None:
    ann, cleo = curated.person(), curated.person()
    await with_account(curated, cleo, "cleo@example.org", Role.CURATOR)
    event, _, _ = await submit(ann, shareable())
    path = f"/api/v1/submissions/{event.hash()}/approve"
    answer = await cleo.post(path, {"reason": "fine"})
    assert answer.status == 200, answer
    (decision,) = answer.json["decisions"]
    assert decision["by"] == str(curated.context.key.public)
    assert decision["editor"]["name"] == "Cleo"
    # a key without an account must sign itself
    assert (await curated.curator.post(path, {"reason": "fine"})).status == 403


async def test_a_key_cannot_fill_the_queue(
    curated: RegistrarUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seedkeep_registrar.submissions.MAX_WAITING", 1)
    ann = curated.person()
    await submit(ann, shareable("one"))
    _, _, answer = await submit(ann, shareable("two"))
    assert answer.status == 403
    assert "wait for a curator" in answer.json["detail"]
    # the same content with a better description takes the place of the first
    _, _, answer = await submit(curated.person(), shareable("two"))
    assert answer.status == 202


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"v": 2},
        {"submission": "x"},
        {"decision": "keep"},
        {"decision": "reject", "reason": " "},
        {"reason": "x" * 2001},
        {"reason": 1},
        {"more": ""},
        {"editor": {}},
    ],
)
def test_malformed_decisions_are_refused(fields: dict[str, Any]) -> None:
    good = {"v": 1, "submission": "0" * 64, "decision": "approve", "reason": ""}
    assert DecisionBody.parse(jcs.dumps(good)).encode() == jcs.dumps(good)
    if fields:
        with pytest.raises(InvalidInput):
            DecisionBody.parse({**good, **fields})
