"""The pages of the curation queue: what curators, submitters and others see and can do there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from seedkeep.core.metadata import Creator, Metadata
from seedkeep_registrar.store import account_keys, accounts
from seedkeep_registrar.store.accounts import Role
from tests.registrar.page_world import HOSTILE
from tests.support.people import Browser, Mailbox, browser
from tests.support.registrar import Person, RegistrarUnderTest, registrar_with, shareable


@dataclass
class House:
    """A curated registrar with a curator and a submitter at their browsers; what was submitted."""

    registrar: RegistrarUnderTest
    curator: Browser
    ann: Browser
    key: Person
    rid: str

    @property
    def page(self) -> str:
        return f"/curation/{self.rid}"


@pytest.fixture
async def house(tmp_path: Path, mailbox: Mailbox) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        registrar = await stack.enter_async_context(registrar_with(tmp_path, registration="curated"))
        cleo, ann = [await stack.enter_async_context(browser(registrar.url)) for _ in range(2)]
        now, db = registrar.clock(), registrar.context.db
        await db.write(accounts.create, email="cleo@example.org", role=Role.CURATOR, now=now, name="Cleo")
        await cleo.sign_in("cleo@example.org", mailbox)
        account = await ann.sign_in("ann@example.org", mailbox)
        key = registrar.person()
        await db.write(account_keys.bind, str(key), int(account["account"]["id"]), "laptop", now)
        what = shareable()
        await key.upload(what)
        body = what.body(
            metadata=Metadata(title="Wheat <b>2019</b>", creators=(Creator("Ann Example"),))
        ).encode()
        event = key.event(body)
        assert (await key.submit(event, body)).status == 202
        yield House(registrar, cleo, ann, key, event.hash())


async def test_a_curator_reads_everything_and_approves(house: House, mailbox: Mailbox) -> None:
    queue = (await house.curator.get("/curation")).body.decode()
    assert f'href="{house.page}"' in queue
    assert "Wheat &lt;b&gt;2019&lt;/b&gt;" in queue
    page = (await house.curator.get(house.page)).body.decode()
    for said in ("Ann Example", "ann@example.org", str(house.key), "big.bin", "CC0-1.0", "None yet."):
        assert said in page
    answer = await house.curator.post(f"{house.page}/approve", {"reason": "Good."})
    assert (answer.status, answer.headers["Location"]) == (303, house.page)
    page = (await house.curator.get(house.page)).body.decode()
    assert "Approved" in page
    assert "by <bdi>Cleo</bdi>" in page
    assert f'formaction="{house.page}/reject"' not in page
    assert (await house.key.get(f"/api/v1/records/{house.rid}")).status == 200
    assert "Good." in (await mailbox.next("ann@example.org")).text


async def test_returning_needs_a_reason_which_the_submitter_reads(house: House, mailbox: Mailbox) -> None:
    answer = await house.curator.post(f"{house.page}/return", {"reason": "  "})
    assert answer.status == 400
    assert "give a reason" in answer.body.decode()
    assert (await house.curator.post(f"{house.page}/return", {"reason": "Name the\r\nfield."})).status == 303
    assert "> Name the\n> field." in (await mailbox.next("ann@example.org")).text
    page = (await house.ann.get(house.page)).body.decode()
    assert "Name the" in page
    assert "Sent back to you: Wheat" in page
    assert "Approve</button>" not in page
    assert house.page in (await house.ann.get("/curation?state=returned")).body.decode()
    assert house.page not in (await house.ann.get("/curation")).body.decode()


async def test_what_was_decided_is_not_decided_again(house: House) -> None:
    assert (await house.curator.post(f"{house.page}/reject", {"reason": "No."})).status == 303
    answer = await house.curator.post(f"{house.page}/approve", {})
    assert answer.status == 409
    assert "rejected already" in answer.body.decode()


async def test_others_see_and_decide_nothing(house: House, mailbox: Mailbox) -> None:
    assert (await house.ann.post(f"{house.page}/approve", {})).status == 403
    # a form that another site makes the curator's browser send
    evil = await house.curator.post(f"{house.page}/approve", {}, origin="https://evil.example.org")
    assert evil.status == 403
    async with browser(house.registrar.url) as eve:
        assert (await eve.get(house.page)).headers["Location"].startswith("/sign-in")
        await eve.sign_in("eve@example.org", mailbox)
        assert (await eve.get(house.page)).status == 404
        assert house.rid not in (await eve.get("/curation?state=all")).body.decode()
        assert (await eve.get(f"/records/{house.rid}/mails")).status == 404
    assert (await house.key.get(f"/api/v1/records/{house.rid}")).status == 404


async def test_the_mails_about_a_record_are_for_its_steward_and_curators(house: House) -> None:
    await house.curator.post(f"{house.page}/approve", {})
    path = f"/records/{house.rid}/mails"
    assert f'href="{path}"' in (await house.curator.get(f"/records/{house.rid}")).body.decode()
    for reader in (house.ann, house.curator):
        page = (await reader.get(path)).body.decode()
        assert "Recorded: Wheat" in page
        assert "ann@example.org" in page


async def test_hostile_words_stay_words(house: House) -> None:
    what = shareable("other")
    await house.key.upload(what)
    hurts = "".join(c for c in HOSTILE if c.isprintable())
    body = what.body(metadata=Metadata(title=hurts[:500])).encode()
    event = house.key.event(body)
    assert (await house.key.submit(event, body)).status == 202
    page = (await house.curator.get(f"/curation/{event.hash()}")).body.decode()
    assert "<script>alert" not in page
    reason = {"reason": "</div><script>alert(1)</script>"}
    assert (await house.curator.post(f"/curation/{event.hash()}/return", reason)).status == 303
    page = (await house.curator.get(f"/curation/{event.hash()}")).body.decode()
    assert "<script>alert" not in page
    for query in ("?files_after=x", "?files_after=-1"):
        assert (await house.curator.get(f"/curation/{event.hash()}{query}")).status == 400
    assert (await house.curator.get("/curation?state=none")).status == 400
