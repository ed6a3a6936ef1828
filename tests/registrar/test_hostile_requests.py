"""What strangers, and people with an account, try: none of it goes further than they may go."""

from __future__ import annotations

import logging
from multiprocessing import active_children
from pathlib import Path

import pytest
from yarl import URL

from seedkeep.core import jcs
from seedkeep.core.decision import DECISION
from seedkeep_registrar.operations import request_log
from seedkeep_registrar.store import account_keys
from seedkeep_registrar.store.accounts import Role
from tests.registrar.test_accounts import program, token_of
from tests.registrar.test_curation import submit, with_account
from tests.registrar.test_oidc import OUT, signing_in
from tests.registrar.test_pages_editing import text_of, upload
from tests.support.oidc import oidc_service
from tests.support.people import Mailbox, browser
from tests.support.registrar import RegistrarUnderTest, new_key, registrar_with, shareable

ADA, BOSS = "ada@example.org", "boss@example.org"
STRANGER = {"X-Forwarded-For": "192.0.2.7"}


# --- how often ---


async def test_an_account_that_asks_too_often_is_held_back_by_token_and_in_a_browser(
    tmp_path: Path, mailbox: Mailbox
) -> None:
    async with registrar_with(tmp_path, requests_per_minute_sender=12) as registrar:
        registrar.clock.offset = -registrar.clock() % 60 + 1
        async with browser(registrar.url) as one, browser(registrar.url) as other:
            await one.sign_in(ADA, mailbox)
            token = await token_of(one, "read")
            seen = [
                (await program(registrar, "GET", "/api/v1/account", headers=token)).status for _ in range(12)
            ]
            assert (seen[0], seen[-1]) == (200, 429)
            assert (await one.get("/account")).status == 429
            await other.sign_in(BOSS, mailbox)  # others are not


async def test_fresh_keys_do_not_make_an_address_another_one(tmp_path: Path) -> None:
    async with registrar_with(tmp_path, trusted_proxies=("127.0.0.1",), requests_per_minute=3) as registrar:
        registrar.clock.offset = -registrar.clock() % 60 + 1
        seen = []
        for _ in range(5):
            person, body = registrar.person(), jcs.dumps({"label": "", "email": ""})
            person.clock = registrar.clock
            signed = person.signature("POST", "/api/v1/account/bindings", body)
            answer = await person.send(
                "POST", "/api/v1/account/bindings", body, headers={**signed, **STRANGER}
            )
            seen.append(answer.status)
        assert seen == [201] * 3 + [429] * 2


async def test_nobody_can_have_mails_sent_to_everybody(tmp_path: Path, mailbox: Mailbox) -> None:
    async with registrar_with(tmp_path, trusted_proxies=("127.0.0.1",), mails_per_minute=3) as registrar:
        registrar.clock.offset = -registrar.clock() % 60 + 1
        person = registrar.person()
        path = "/api/v1/account/bindings"
        bodies = [jcs.dumps({"label": "", "email": f"somebody{n}@example.org"}) for n in range(3)]
        async with browser(registrar.url) as one:
            headers = {**STRANGER, "Origin": registrar.url}

            async def ask(email: str) -> int:
                return (await one.send("POST", "/sign-in", headers=headers, data={"email": email})).status

            async def bind(body: bytes) -> int:
                signed = {**person.signature("POST", path, body), **STRANGER}
                return (await person.send("POST", path, body, headers=signed)).status

            assert [await ask(f"x{n}@example.org") for n in range(2)] == [200, 200]
            assert [await bind(body) for body in bodies] == [201, 429, 429]
            assert await ask(ADA) == 429
            assert (await one.post("/sign-in", {"email": ADA})).status == 200  # from elsewhere
        await mailbox.next(ADA)


async def test_nobody_can_keep_somebody_elses_mails_from_coming(
    any_registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    stranger = any_registrar.person()
    stranger.clock = any_registrar.clock
    message = {"label": "", "email": ADA}
    async with browser(any_registrar.url) as one:
        for minute in range(40):
            await stranger.post("/api/v1/account/bindings", message)
            await one.post("/sign-in", {"email": ADA})
            if minute < 5:
                links = [(await mailbox.next(ADA)).subject for _ in range(2)]
                assert sorted(word.split()[0] for word in links) == ["Code", "Sign"]
            any_registrar.clock.offset += 60
        mailbox.mails.clear()
        any_registrar.clock.offset += 6 * 60  # every second quarter of an hour there are five again
        await one.sign_in(ADA, mailbox)


# --- in others' names ---


async def test_a_curator_cannot_decide_in_the_name_of_another(tmp_path: Path) -> None:
    async with registrar_with(tmp_path, registration="curated") as registrar:
        event, _, _ = await submit(registrar.person(), shareable())
        rid = event.hash()
        editor = {"account": "1", "name": "The Dean"}
        said = {"v": 1, "submission": rid, "decision": "reject", "reason": "no", "editor": editor}
        body, cleo = jcs.dumps(said), registrar.curator
        path = f"/api/v1/submissions/{rid}/reject"
        answer = await cleo.submit(cleo.event(body, DECISION), body, path)
        assert answer.status == 403, answer
        assert "names an editor" in answer.json["detail"]


async def test_a_curator_cannot_become_two_by_letting_go_of_a_key(tmp_path: Path) -> None:
    named, other = new_key(), new_key()
    curators = (str(named.public), str(other.public))
    async with registrar_with(tmp_path, curators=curators) as registrar:
        record = await registrar.person().register(shareable())
        cleo, also_cleo = registrar.person(named), registrar.person()
        await with_account(registrar, cleo, "cleo@example.org", Role.CURATOR)
        account = (await cleo.send("GET", "/api/v1/account", b"")).json["account"]["id"]
        await registrar.context.db.write(account_keys.bind, str(also_cleo), account, "laptop", 0.0)
        subject = f"record:{record['rid']}"
        assert (await cleo.taint(subject)).json["state"] == "proposed"
        assert (await cleo.send("DELETE", f"/api/v1/account/keys/{cleo}", b"")).status == 403
        assert (await also_cleo.taint(subject)).status == 409
        assert (await cleo.send("DELETE", f"/api/v1/account/keys/{also_cleo}", b"")).status == 204


async def test_another_site_cannot_add_its_identity_to_an_account(tmp_path: Path, mailbox: Mailbox) -> None:
    async with oidc_service() as other, signing_in(tmp_path, other) as (_, person):
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert (await person.send("GET", OUT, headers=foreign)).status == 303  # nobody is signed in
        await person.sign_in(ADA, mailbox)
        assert (await person.send("GET", OUT, headers=foreign)).status == 403
        assert (await person.send("GET", OUT, headers={"Sec-Fetch-Site": "same-origin"})).status == 303


async def test_members_are_not_told_who_has_an_account(tmp_path: Path, mailbox: Mailbox) -> None:
    async with (
        registrar_with(tmp_path, operator_emails=(BOSS,)) as registrar,
        browser(registrar.url) as boss,
        browser(registrar.url) as one,
    ):
        await boss.sign_in(BOSS, mailbox)
        await one.sign_in(ADA, mailbox)
        assert (await boss.post("/groups", {"name": "lab", "title": "Lab"})).status == 303
        answers = [
            text_of(await one.post("/groups/lab/members", {"email": who})) for who in (BOSS, "no@example.org")
        ]
        assert answers[0] == answers[1]
        assert "only its managers" in answers[0]


async def test_who_may_not_register_leaves_nothing_behind(tmp_path: Path, mailbox: Mailbox) -> None:
    async with registrar_with(tmp_path, registration="members") as registrar, browser(registrar.url) as one:
        await one.sign_in(ADA, mailbox)
        what = shareable()
        answer = await one.send("POST", "/register", data=upload(what), headers={"Origin": registrar.url})
        assert "takes datasets from its members only" in text_of(answer)
        assert {registrar.context.objects.size(name) for name in what.objects} == {None}


async def test_a_large_upload_is_read_in_another_process(
    tmp_path: Path, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seedkeep_registrar.workers.LARGE_BYTES", 0)
    async with registrar_with(tmp_path) as registrar, browser(registrar.url) as one:
        await one.sign_in(ADA, mailbox)
        own = {"Origin": registrar.url}
        bad = await one.send("POST", "/register", data=upload(shareable(), torrent=b"d4:infole"), headers=own)
        assert bad.status == 400
        assert any(child.name.startswith("SpawnProcess") for child in active_children())
        made = await one.send("POST", "/register", data=upload(shareable()), headers=own)
        assert made.status == 303


# --- what is written down ---


async def test_the_journal_tells_what_was_done_and_by_whom(tmp_path: Path, mailbox: Mailbox) -> None:
    async with (
        registrar_with(tmp_path, operator_emails=(BOSS,)) as registrar,
        browser(registrar.url) as boss,
    ):
        await boss.sign_in(BOSS, mailbox)
        made = await boss.send(
            "POST", "/register", data=upload(shareable()), headers={"Origin": registrar.url}
        )
        page = made.headers["Location"]
        assert (await boss.post(f"{page}/edit", {"title": "x", "more": "creators"})).status == 200
        token = (await boss.json("POST", "/api/v1/account/tokens", {"name": "n", "scopes": ["read"]})).json
        forged = await boss.json("DELETE", f"/api/v1/account/tokens/{token['id']}, account 7 (The Dean)")
        assert forged.status == 404
        await registrar.curator.taint(f"record:{page.rpartition('/')[2]}")
        said = " ".join(text_of(await boss.get("/operate/journal")).split())
        assert f"account 1 ({BOSS}) session.begun" in said
        assert f"{registrar.curator} taint.placed" in said
        assert "record.registered" in said
        assert "record.revised" not in said  # a form with one more row is no revision
        assert "Dean" not in said


async def test_a_request_cannot_steer_the_terminal_of_who_reads_the_log(
    registrar: RegistrarUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "seedkeep_registrar.requests"):
        await registrar.person().get("/nowhere%1b[2J%c2%85next%e2%80%aeevil")
    line = next(record for record in caplog.records if record.name == "seedkeep_registrar.requests")
    line.request = "-"
    assert request_log.TextFormatter().format(line).isprintable()


async def test_metrics_are_not_told_through_a_proxy_that_nobody_named(tmp_path: Path) -> None:
    async with registrar_with(tmp_path) as registrar:
        person = registrar.person()
        assert (await person.get("/metrics", headers=STRANGER)).status == 403
        assert (await person.get("/metrics")).status == 200


# --- what no database takes ---


async def test_addresses_that_make_no_sense_are_no_fault_of_the_registrar(
    any_registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    record = await any_registrar.person().register(shareable())
    async with browser(any_registrar.url) as one:
        await one.sign_in(ADA, mailbox)
        for path, status in (
            ("/api/v1/collections/%00", 404),
            ("/api/v1/collections/%00/datasets", 404),
            ("/feeds/collections/%00.rss", 404),
            ("/groups/%00", 404),
            ("/search?subject=%00&q=%00", 200),
            ("/find?id=doi:10.1234/%00", 400),
            (f"/records/{record['rid']}?after=999999999999999", 200),
        ):
            url = URL(any_registrar.url + path, encoded=True)
            async with one.session.get(url, headers={"Accept": "text/html"}) as answer:
                assert answer.status == status, path
