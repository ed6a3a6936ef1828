"""Collections: who may make and curate them, what is on them, and what their history says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from seedkeep.core import jcs
from seedkeep.core.metadata import Metadata, Subject
from tests.support.people import Mailbox, browser
from tests.support.registrar import RegistrarUnderTest, registrar_with, shareable

BOSS, ADA = "boss@example.org", "ada@example.org"


async def record(registrar: RegistrarUnderTest, title: str, *subjects: str) -> dict[str, Any]:
    about = Metadata(title=title, subjects=tuple(Subject(text) for text in subjects))
    return await registrar.person().register(shareable(title.replace("/", "")), metadata=about)


async def make(registrar: RegistrarUnderTest, slug: str, **more: str) -> dict[str, Any]:
    answer = await registrar.curator.post(
        "/api/v1/collections", {"slug": slug, "title": slug.title(), **more}
    )
    assert answer.status == 201, answer
    return dict(answer.json)


async def titles(registrar: RegistrarUnderTest, slug: str, query: str = "") -> list[str]:
    answer = await registrar.person().get(f"/api/v1/collections/{slug}/datasets{query}")
    assert answer.status == 200, answer
    return [found["title"] for found in answer.json["records"]]


async def test_a_collection_is_made_and_filled_once_however_often_it_is_sent(
    registrar: RegistrarUnderTest,
) -> None:
    curator, one = registrar.curator, await record(registrar, "One")
    for path, message in (
        ("/api/v1/collections", {"slug": "phages", "title": "Phages"}),
        ("/api/v1/collections/phages/datasets", {"add": [one["rid"]]}),
    ):
        body, said = jcs.dumps(message), []
        for _ in range(2):
            headers = {**curator.signature("POST", path, body), "Idempotency-Key": path}
            answer = await curator.send("POST", path, body, headers=headers)
            said.append((answer.status, answer.body))
        assert said[0] == said[1]
        assert said[0][0] in (200, 201)
    assert answer.json["added"] == [one["rid"]]


async def test_a_curator_makes_and_curates_a_collection(any_registrar: RegistrarUnderTest) -> None:
    one, two, three = [await record(any_registrar, title) for title in ("One", "Two", "Three")]
    curator = any_registrar.curator
    made = await make(any_registrar, "phages", description="All of them.")
    assert (made["title"], made["datasets"], made["subject"]) == ("Phages", 0, "")
    assert made["rss"] == f"{any_registrar.url}/feeds/collections/phages.rss"
    path = "/api/v1/collections/phages/datasets"
    added = await curator.post(path, {"add": [three["rid"], one["rid"], three["rid"]]})
    assert added.json == {"added": [three["rid"], one["rid"]], "removed": []}
    again = await curator.post(path, {"add": [two["rid"], one["rid"]], "remove": ["0" * 64]})
    assert again.json == {"added": [two["rid"]], "removed": []}
    assert await titles(any_registrar, "phages") == ["Three", "One", "Two"]
    assert (await curator.post(path, {"remove": [one["rid"]]})).json["removed"] == [one["rid"]]
    assert await titles(any_registrar, "phages") == ["Three", "Two"]
    renamed = await curator.send("PUT", "/api/v1/collections/phages", b'{"title":"Phages of rivers"}')
    assert (renamed.status, renamed.json["title"], renamed.json["datasets"]) == (200, "Phages of rivers", 2)
    steps = (await curator.get("/api/v1/collections/phages/history")).json["steps"]
    seen = [(step["action"], step["rid"]) for step in reversed(steps)]
    assert seen == [
        ("created", ""),
        ("added", three["rid"]),
        ("added", one["rid"]),
        ("added", two["rid"]),
        ("removed", one["rid"]),
        ("changed", ""),
    ]
    assert {step["by"] for step in steps} == {str(curator)}
    assert (await curator.send("DELETE", "/api/v1/collections/phages", b"")).status == 204
    assert (await curator.get("/api/v1/collections/phages")).status == 404
    assert (await curator.get(f"/api/v1/records/{one['rid']}")).status == 200


async def test_a_collection_can_follow_a_subject(any_registrar: RegistrarUnderTest) -> None:
    for title in ("One", "Two"):
        await record(any_registrar, title, "virology")
    await record(any_registrar, "Other", "yeast")
    made = await make(any_registrar, "virology", subject="virology")
    assert made["datasets"] == 2
    await record(any_registrar, "Three", "virology", "yeast")
    assert await titles(any_registrar, "virology") == ["Three", "Two", "One"]
    rid = (await any_registrar.curator.get("/api/v1/records")).json["records"][0]["rid"]
    refused = await any_registrar.curator.post("/api/v1/collections/virology/datasets", {"add": [rid]})
    assert (refused.status, refused.json["code"]) == (400, "invalid_input")


async def test_lists_are_paged(any_registrar: RegistrarUnderTest) -> None:
    rids = [(await record(any_registrar, f"Set {n}", "all"))["rid"] for n in range(5)]
    await make(any_registrar, "b-chosen")
    await make(any_registrar, "a-rule", subject="all")
    await make(any_registrar, "c-other")
    path = "/api/v1/collections/b-chosen/datasets"
    assert (await any_registrar.curator.post(path, {"add": rids})).status == 200
    for start, key, expected in (
        ("/api/v1/collections", "collections", ["A-Rule", "B-Chosen", "C-Other"]),
        ("/api/v1/collections/b-chosen/datasets", "records", [f"Set {n}" for n in range(5)]),
        ("/api/v1/collections/a-rule/datasets", "records", [f"Set {n}" for n in reversed(range(5))]),
        ("/api/v1/collections/b-chosen/history", "steps", ["added"] * 5 + ["created"]),
    ):
        seen, cursor = [], ""
        while True:
            page = (await any_registrar.curator.get(f"{start}?limit=2&cursor={cursor}")).json
            assert len(page[key]) <= 2
            seen += [one.get("title") or one["action"] for one in page[key]]
            if page["next"] is None:
                break
            cursor = page["next"]
        assert seen == expected


async def test_what_is_tainted_is_on_no_collection(any_registrar: RegistrarUnderTest) -> None:
    one, two = [await record(any_registrar, title) for title in ("One", "Two")]
    await make(any_registrar, "both")
    path, curator = "/api/v1/collections/both/datasets", any_registrar.curator
    await curator.post(path, {"add": [one["rid"], two["rid"]]})
    await curator.taint(f"record:{one['rid']}")
    assert await titles(any_registrar, "both") == ["Two"]
    assert (await curator.get("/api/v1/collections/both")).json["datasets"] == 1
    refused = await curator.post(path, {"add": [one["rid"]]})
    assert (refused.status, refused.json["code"]) == (404, "not_found")
    unknown = await curator.post(path, {"add": ["0" * 64]})
    assert unknown.status == 404
    assert await titles(any_registrar, "both") == ["Two"]


async def test_only_curators_and_owners_change_a_collection(tmp_path: Path, mailbox: Mailbox) -> None:
    async with registrar_with(tmp_path, operator_emails=(BOSS,)) as registrar, browser(registrar.url) as boss:
        await boss.sign_in(BOSS, mailbox)
        rid = (await record(registrar, "One"))["rid"]
        stranger = registrar.person()
        body = {"slug": "mine", "title": "Mine"}
        assert (await stranger.post("/api/v1/collections", body)).status == 403
        assert (await stranger.get("/api/v1/collections/mine")).status == 404
        await make(registrar, "keys")
        assert (await stranger.post("/api/v1/collections/keys/datasets", {"add": [rid]})).status == 403
        assert (await boss.json("POST", "/api/v1/groups", {"name": "lab"})).status == 201
        made = {"slug": "labs", "title": "The lab's", "group": "lab"}
        assert (await boss.json("POST", "/api/v1/collections", made)).status == 201
        async with browser(registrar.url) as ada:
            me = await ada.sign_in(ADA, mailbox)
            change = ("POST", "/api/v1/collections/labs/datasets", {"add": [rid]})
            assert (await ada.json(*change)).status == 403
            member = f"/api/v1/groups/lab/members/{me['account']['id']}"
            assert (await boss.json("PUT", member, {"manager": False})).status == 204
            assert (await ada.json(*change)).status == 200
            assert (await ada.json("POST", "/api/v1/collections", body)).status == 403
            elsewhere = ("POST", "/api/v1/collections/keys/datasets", {"add": [rid]})
            assert (await ada.json(*elsewhere)).status == 403
        steps = (await boss.json("GET", "/api/v1/collections/labs/history")).json["steps"]
        assert ADA not in str(steps)


@pytest.mark.parametrize(
    "change",
    [{"slug": "Not Good"}, {"slug": "-a"}, {"slug": ""}, {"title": ""}, {"title": "x" * 201},
     {"colour": "red"}, {"description": "x" * 10_001}, {"title": "a\0b"}],
)  # fmt: skip
async def test_what_no_collection_can_be_is_told(
    registrar: RegistrarUnderTest, change: dict[str, str]
) -> None:
    answer = await registrar.curator.post("/api/v1/collections", {"slug": "good", "title": "Good", **change})
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")


async def test_a_short_name_and_a_group_must_be_free_and_there(any_registrar: RegistrarUnderTest) -> None:
    await make(any_registrar, "taken")
    again = await any_registrar.curator.post("/api/v1/collections", {"slug": "taken", "title": "Again"})
    assert (again.status, again.json["code"]) == (409, "conflict")
    body = {"slug": "labs", "title": "Labs", "group": "nobody"}
    assert (await any_registrar.curator.post("/api/v1/collections", body)).status == 404


async def test_a_collection_is_curated_on_its_page(tmp_path: Path, mailbox: Mailbox) -> None:
    async with (
        registrar_with(tmp_path, operator_emails=(BOSS,)) as registrar,
        browser(registrar.url) as boss,
        browser(registrar.url) as reader,
    ):
        one, two = [await record(registrar, f"The <i>{title}</i>") for title in ("one", "two")]
        assert "no collection yet" in (await reader.get("/collections")).body.decode()
        assert (await reader.post("/collections", {"slug": "a", "title": "A"})).status == 303  # to sign in
        await boss.sign_in(BOSS, mailbox)
        wrong = await boss.post("/collections", {"slug": "A B", "title": "Phages & more"})
        assert wrong.status == 400
        assert 'value="Phages &amp; more"' in wrong.body.decode()
        made = await boss.post("/collections", {"slug": "phages", "title": "Phages & more"})
        assert (made.status, made.headers["Location"]) == (303, "/collections/phages")
        names = f"{one['ark']}\n{two['landing_page']}\n"
        assert (await boss.post("/collections/phages", {"add": names})).status == 303
        unknown = await boss.post("/collections/phages", {"add": "md5:" + "0" * 32})
        assert unknown.status == 400
        assert "does not know" in unknown.body.decode()
        assert (await boss.post("/collections/phages", {"add": "hello"})).status == 400
        page = (await reader.get("/collections/phages")).body.decode()
        assert re.findall(r"The &lt;i&gt;(one|two)&lt;/i&gt;", page) == ["one", "two"]
        assert "Take off" not in page
        assert 'type="application/rss+xml"' in page
        assert "Take off" in (await boss.get("/collections/phages")).body.decode()
        assert (await reader.post("/collections/phages", {"remove": one["rid"]})).status == 303
        assert (await boss.post("/collections/phages", {"remove": one["rid"]}, origin=None)).status == 403
        assert (await boss.post("/collections/phages", {"remove": one["rid"]})).status == 303
        page = (await reader.get("/collections/phages")).body.decode()
        assert re.findall(r"The &lt;i&gt;(one|two)&lt;/i&gt;", page) == ["two"]
        assert (await boss.post("/collections/phages", {"title": "Other", "description": "x"})).status == 303
        assert "Other" in (await reader.get("/collections")).body.decode()
        assert (await boss.post("/collections/phages", {"drop": "yes"})).status == 303
        assert (await reader.get("/collections/phages")).status == 404


async def test_a_node_that_follows_collections_is_offered_what_is_on_them(
    any_registrar: RegistrarUnderTest,
) -> None:
    chosen = await record(any_registrar, "Chosen")
    ruled = await record(any_registrar, "Ruled", "virology")
    await record(any_registrar, "Pretender", "collection:phages", "Collection:Phages")
    await make(any_registrar, "phages")
    await make(any_registrar, "viruses", subject="virology")
    path = "/api/v1/collections/phages/datasets"
    assert (await any_registrar.curator.post(path, {"add": [chosen["rid"]]})).status == 200
    for subjects, expected in (
        (["collection:phages"], {chosen["rid"]}),
        (["collection:viruses"], {ruled["rid"]}),
        (["collection:phages", "virology"], {chosen["rid"], ruled["rid"]}),
        (["collection:none"], set()),
    ):
        node = any_registrar.person()
        assert (await node.introduce(subjects=subjects)).status == 201
        assert {offer["rid"] for offer in (await node.beat())["offers"]} == expected


async def test_the_page_of_a_dataset_names_the_collections_that_it_is_on(
    any_registrar: RegistrarUnderTest,
) -> None:
    one, other = (
        await record(any_registrar, "One", "virology"),
        await record(any_registrar, "Other", "ecology"),
    )
    await make(any_registrar, "chosen", title="<b>Chosen</b> by us")
    await make(any_registrar, "viruses", subject="virology")
    await make(any_registrar, "empty")
    added = await any_registrar.curator.post(
        "/api/v1/collections/chosen/datasets", {"add": [one["rid"], other["rid"]]}
    )
    assert added.status == 200

    async def named(rid: str) -> list[str]:
        page = await any_registrar.person().get(f"/records/{rid}", headers={"Accept": "text/html"})
        assert page.status == 200
        assert b"<b>Chosen" not in page.body
        return re.findall(r'<li><a href="[^"]*/collections/([a-z]+)"', page.body.decode())

    assert await named(one["rid"]) == ["chosen", "viruses"]
    assert await named(other["rid"]) == ["chosen"]
