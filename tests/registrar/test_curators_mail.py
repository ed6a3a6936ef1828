"""Curators are mailed what comes into the queue, as long as they want it."""

from __future__ import annotations

import pytest

from seedkeep.core.metadata import Metadata
from seedkeep_registrar import submissions
from seedkeep_registrar.store import accounts, mails
from seedkeep_registrar.store.accounts import Role
from tests.registrar.test_curation import curated as curated
from tests.registrar.test_curation import decide, read, submit, with_account
from tests.support.people import Mailbox, browser
from tests.support.registrar import Person, RegistrarUnderTest, shareable

CAL, OLA, ADA, KIM = (f"{name}@example.org" for name in ("cal", "ola", "ada", "kim"))


async def people(running: RegistrarUnderTest) -> Person:
    """A curator, an operator, the settings' curator with an account of no rank; the key of a member."""
    member = running.person()
    for person, email, role in (
        (running.person(), CAL, Role.CURATOR),
        (running.person(), OLA, Role.OPERATOR),
        (running.curator, KIM, Role.MEMBER),
        (member, ADA, Role.MEMBER),
    ):
        await with_account(running, person, email, role)
    return member


async def recipients(running: RegistrarUnderTest, rid: str) -> list[str]:
    return sorted(m.recipient for m in await running.context.db.read(mails.all_about, rid))


async def test_each_curator_gets_one_mail_for_each_submission(
    curated: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    member, what = await people(curated), shareable()
    event, body, answer = await submit(
        member, what, metadata=Metadata(title="Reads\nBcc: x@y.z http://a.org")
    )
    assert answer.status == 202
    rid = answer.json["rid"]
    assert (await member.submit(event, body)).status == 202  # the same again
    for email in (CAL, OLA, KIM):
        mail = await mailbox.next(email)
        assert f"{curated.url}/curation/{rid}" in mail.text
        assert "http://a.org" not in mail.text
        assert mail.subject.startswith("Waits for a curator: Reads Bcc")
    assert await recipients(curated, rid) == [CAL, KIM, OLA]
    # kept with it for curators; who they are is not told to others
    path = f"/api/v1/records/{rid}/mails"
    assert {m["to"] for m in (await read(curated.curator, path)).json["mails"]} == {CAL, OLA, KIM}
    assert (await read(member, path)).json["mails"] == []
    assert (await decide(curated.curator, rid, "approve")).status == 200
    assert [m["to"] for m in (await read(member, path)).json["mails"]] == [ADA]
    assert (await mailbox.next(ADA)).subject.startswith("Recorded")
    async with browser(curated.url) as ada:
        await ada.sign_in(ADA, mailbox)
        for page in (f"/curation/{rid}", f"/records/{rid}/mails"):
            shown = (await ada.get(page)).body.decode()
            assert ADA in shown
            assert CAL not in shown


async def test_a_curator_switches_the_mails_off_and_on(curated: RegistrarUnderTest, mailbox: Mailbox) -> None:
    member = await people(curated)
    async with browser(curated.url) as cal, browser(curated.url) as ada, browser(curated.url) as kim:
        for one, email in ((cal, CAL), (ada, ADA), (kim, KIM)):
            await one.sign_in(email, mailbox)
        shown = [
            b"when a dataset is submitted" in (await one.get("/account")).body for one in (cal, ada, kim)
        ]
        assert shown == [True, False, True]
        assert (await cal.post("/account/mails", {})).status == 303
        assert (await kim.json("PATCH", "/api/v1/account", {"queue_mails": False})).status == 200
        _, _, first = await submit(member, shareable("one"))
        assert await recipients(curated, first.json["rid"]) == [OLA]
        assert (await cal.post("/account/mails", {"queue": "yes"})).status == 303
        _, _, second = await submit(member, shareable("two"))
        assert await recipients(curated, second.json["rid"]) == [CAL, OLA]
        ola = await curated.context.db.read(accounts.by_email, OLA)
        assert ola is not None
        await curated.context.db.write(accounts.change, ola.id, {"disabled": True})
        _, _, third = await submit(member, shareable("three"))
        assert await recipients(curated, third.json["rid"]) == [CAL]


async def test_a_flood_of_submissions_is_no_flood_of_mails(
    curated: RegistrarUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submissions, "MAX_TOLD", 2)
    member, told = await people(curated), []
    for n in range(4):
        if n == 3:
            member.clock.offset += 3700
            curated.clock.offset += 3700
        _, _, answer = await submit(member, shareable(f"set {n}"))
        told.append(len(await recipients(curated, answer.json["rid"])))
    assert told == [3, 3, 0, 3]
