"""What a taint's effect means at a registrar; holds by one curator; what ends by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seedkeep.core import jcs
from seedkeep.core.taints.body import QUARANTINE_S
from seedkeep.core.taints.entry import parse_list
from seedkeep.core.taints.head import Head
from seedkeep_registrar import curation
from seedkeep_registrar.housekeeping import Housekeeping
from seedkeep_registrar.store import taints as stored
from tests.support.registrar import Person, RegistrarUnderTest, new_key, registrar_with, shareable, utc

HOUR = 3600.0
CONTENT = "content:" + "ab" * 32


def soon(registrar: RegistrarUnderTest, hours: float) -> str:
    return utc(registrar.clock() + hours * HOUR)


async def end_taints(registrar: RegistrarUnderTest) -> None:
    await Housekeeping(registrar.context).end_taints()


async def found(person: Person, words: str) -> list[str]:
    return [r["rid"] for r in (await person.get(f"/api/v1/search?q={words}")).json["results"]]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[RegistrarUnderTest, Person, Person]]:
    """A registrar where two curators must agree."""
    keys = new_key(), new_key()
    async with registrar_with(tmp_path, "", curators=tuple(str(k.public) for k in keys)) as registrar:
        yield registrar, registrar.person(keys[0]), registrar.person(keys[1])


async def test_a_warning_is_shown_and_everything_goes_on(any_registrar: RegistrarUnderTest) -> None:
    what, sharer = shareable("warned"), any_registrar.person()
    document = await sharer.register(what)
    rid, cid = document["rid"], document["content_id"]
    await any_registrar.curator.taint(f"content:{cid}", "retraction", "figure 2 is wrong", effect="warn")
    for path in (f"/torrents/{cid}.torrent", f"/api/v1/resolve?id={cid}"):
        assert (await sharer.get(path)).status == 200
    (told,) = (await sharer.get(f"/api/v1/records/{rid}")).json["taints"]
    assert (told["effect"], told["reason"]) == ("warn", "figure 2 is wrong")
    assert await found(sharer, "test") == [rid]
    again = await any_registrar.person().register(what)  # and may be recorded by others
    assert [t["id"] for t in again["taints"]] == [told["id"]]
    keeper = any_registrar.person()
    await keeper.hold(what)
    assert (await keeper.beat({cid: "complete"}))["release"] == []


@pytest.mark.parametrize("effect", ["hide", "quarantine"])
async def test_what_is_hidden_is_not_served_but_kept(registrar: RegistrarUnderTest, effect: str) -> None:
    what, sharer, keeper = shareable(), registrar.person(), registrar.person()
    document = await sharer.register(what)
    rid, cid = document["rid"], document["content_id"]
    await keeper.hold(what)
    challenge = (await keeper.beat({cid: "complete"}))["challenges"][0]
    await registrar.curator.taint(f"content:{cid}", effect=effect)
    assert (await sharer.get(f"/api/v1/records/{rid}")).status == 451
    assert await found(sharer, "test") == []
    answer = await keeper.beat({cid: "complete"})
    assert ([lease["content_id"] for lease in answer["leases"]], answer["release"]) == ([cid], [])
    assert answer["challenges"] == []
    assert (
        await keeper.post(f"/api/v1/audits/{challenge['id']}/commit", {"refused": "tainted"})
    ).status == 409
    registrar.clock.offset = keeper.clock.offset = QUARANTINE_S + 10
    gone = (await keeper.beat({cid: "complete"}))["release"]
    assert gone == ([cid] if effect == "quarantine" else [])


async def test_a_hold_needs_one_curator_and_ends_by_itself(
    pair: tuple[RegistrarUnderTest, Person, Person],
) -> None:
    registrar, one, two = pair
    document = await registrar.person().register(shareable())
    subject, path = f"record:{document['rid']}", f"/api/v1/records/{document['rid']}"
    too_long = await one.taint(subject, effect="hide", expires=soon(registrar, 73))
    assert (too_long.json["state"], too_long.json["needed"]) == ("proposed", 2)
    held = await one.taint(subject, effect="hide", expires=soon(registrar, 72))
    assert (held.json["state"], held.json["needed"]) == ("standing", 1)
    assert (await one.get(path)).status == 451
    proposed = await one.taint(subject, effect="remove")  # what is held can be tainted for good
    assert (proposed.status, proposed.json["state"]) == (201, "proposed")
    registrar.clock.offset = one.clock.offset = two.clock.offset = 72 * HOUR - 60
    await end_taints(registrar)
    assert (await one.get(path)).status == 451
    registrar.clock.offset = one.clock.offset = two.clock.offset = 72 * HOUR + 1
    version = registrar.context.taint_head.version
    await end_taints(registrar)
    assert (await one.get(path)).status == 200
    assert registrar.context.taint_head.version == version  # the entry says so itself
    assert await found(one, "test") == [document["rid"]]
    state = {t["id"]: t["state"] for t in (await one.get("/api/v1/taints")).json["taints"]}
    assert state[held.json["id"]] == "expired"
    again = await one.taint(subject, effect="hide", expires=soon(registrar, 24))
    assert (again.status, again.json["code"]) == (409, "conflict")  # not for ever by one person
    assert (await two.taint(subject, effect="hide", expires=soon(registrar, 24))).json["state"] == "standing"


async def test_who_approves_has_to_order_the_same(pair: tuple[RegistrarUnderTest, Person, Person]) -> None:
    _, one, two = pair
    first = (await one.taint(CONTENT, effect="remove")).json["id"]
    other = await two.taint(CONTENT, effect="hide")
    assert (other.json["state"], other.json["id"] == first) == ("proposed", False)
    agreed = await two.taint(CONTENT, "malware", "I saw it, too", effect="remove")
    assert (agreed.json["id"], agreed.json["state"]) == (first, "standing")
    assert (await one.taint(CONTENT, effect="hide")).status == 409  # it says less than what stands


async def test_the_list_has_all_that_was_ordered(registrar: RegistrarUnderTest) -> None:
    said = {
        "effect": "quarantine",
        "basis": "ruling 3 O 7/26",
        "jurisdiction": "DE",
        "evidence": "e" * 64,
        "appeal": "https://example.org/appeal",
        "expires": soon(registrar, 1000),
    }
    made = await registrar.curator.taint(CONTENT, "court-order", "a court said so", **said)
    (shown,) = (await registrar.curator.get("/api/v1/taints")).json["taints"]
    assert {**shown, **said, "id": made.json["id"]} == shown
    digest = Head.open(registrar.context.taint_head.note, registrar.context.vkey).list_sha256
    (entry,) = parse_list((await registrar.curator.get(f"/api/v1/taints/lists/{digest}")).body).values()
    assert {**entry.order.fields(), **said} == entry.order.fields()


@pytest.mark.parametrize(
    "change",
    [{"effect": "burn"}, {"expires": "2020-01-01T00:00:00Z"}, {"basis": "x" * 301}, {"evidence": "abc"}],
)
async def test_what_cannot_be_ordered_is_refused(
    registrar: RegistrarUnderTest, change: dict[str, str]
) -> None:
    body = jcs.dumps({"v": 1, "subject": CONTENT, "category": "other", "reason": "x", **change})
    curator = registrar.curator
    answer = await curator.submit(curator.event(body, "taint"), body, "/api/v1/taints")
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")


async def test_a_taint_flood_by_one_curator_ends(
    registrar: RegistrarUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curation, "MAX_HOLDS", 2)
    curator = registrar.curator
    for n in range(3):
        answer = await curator.taint(f"content:{n:064x}", effect="hide", expires=soon(registrar, 24))
        assert (answer.status, n) in ((201, 0), (201, 1), (403, 2))
    assert "too many" in answer.json["detail"]
    monkeypatch.setattr(stored, "MAX_LIST_BYTES", 1500)
    made = await curator.taint("content:" + "c" * 64)
    full = await curator.taint("content:" + "d" * 64)
    assert (made.status, full.status, "full" in full.json["detail"]) == (201, 403, True)
    assert registrar.context.taint_head.version == 3  # and nothing of it has happened
    shown = (await curator.get("/api/v1/taints")).json["taints"]
    assert len(shown) == 3
