"""What people change of their own account: its address, its services, its end; and what a closed one may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, String, Text, select

from seedkeep_registrar.accounts import services
from seedkeep_registrar.accounts.oidc_provider import OidcProvider
from seedkeep_registrar.store import external_identities, journal
from seedkeep_registrar.store.external_identities import ExternalIdentity
from seedkeep_registrar.store.tables import metadata
from tests.registrar.test_accounts import bind, program, token_of
from tests.support.people import Browser, Mailbox, browser, hidden
from tests.support.registrar import RegistrarUnderTest, new_key, shareable, start_registrar

ADA, BOSS, NEW = "ada@example.org", "boss@example.org", "ada@new.example.org"
SERVICE = OidcProvider(name="uni", issuer="https://id.example.org", client_id="c", client_secret="s")


@pytest.fixture
async def governed(tmp_path: Path, database_url: str) -> AsyncIterator[RegistrarUnderTest]:
    """A registrar whose operator is :data:`BOSS`; on SQLite, then on PostgreSQL."""
    async with start_registrar(
        tmp_path / "registrar", database_url=database_url, operator_emails=(BOSS,), oidc=(SERVICE,)
    ) as one:
        yield one


async def lines(running: RegistrarUnderTest) -> list[tuple[str, str]]:
    found = await running.context.db.read(journal.newest, before=None, action="", limit=50)
    return [(e.actor, e.action) for e in found]


# --- another address ---


async def test_an_address_is_changed_by_a_code_to_the_new_one(
    governed: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(governed.url) as ada, browser(governed.url) as again:
        before = (await ada.sign_in(ADA, mailbox))["account"]["id"]
        asked = await ada.post("/account/email", {"email": NEW.upper()})
        assert asked.status == 200
        mail = await mailbox.next(NEW)
        wrong = await ada.post(
            "/account/email/code", {"held": hidden(asked, "held"), "email": NEW, "code": "BBBB-BBBB"}
        )
        assert wrong.status == 403
        # the code opens nothing else, and nothing for others
        fields = {"held": hidden(wrong, "held"), "email": NEW, "code": mail.code}
        assert (await again.post("/sign-in/code", fields)).status == 403
        assert (await ada.json("GET", "/api/v1/account")).json["account"]["email"] == ADA
        assert (await ada.post("/account/email/code", fields)).status == 303
        told = await mailbox.next(ADA)
        assert "no longer be opened" in told.text
        assert NEW not in told.text
        assert (await ada.post("/account/email/code", fields)).status == 403  # used up
        assert (await again.sign_in(NEW, mailbox))["account"]["id"] == before
    async with browser(governed.url) as stranger:
        assert (await stranger.sign_in(ADA, mailbox))["account"]["id"] != before


async def test_an_address_of_somebody_else_is_not_told_and_not_taken(
    governed: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(governed.url) as ada, browser(governed.url) as other:
        await ada.sign_in(ADA, mailbox)
        free = await ada.json("POST", "/api/v1/account/email", {"email": NEW})
        code = (await mailbox.next(NEW)).code
        await other.sign_in(NEW, mailbox)
        taken = await ada.json("POST", "/api/v1/account/email", {"email": NEW})
        assert (free.status, set(free.json)) == (taken.status, set(taken.json)) == (202, {"id", "expires"})
        assert [m for m in mailbox.mails if m.to == NEW] == []
        late = await ada.json("POST", "/api/v1/account/email/code", {"id": free.json["id"], "code": code})
        assert late.status == 409
        assert (await ada.json("POST", "/api/v1/account/email", {"email": ADA})).status == 400
        assert (await ada.json("POST", "/api/v1/account/email", {"email": "no address"})).status == 400
        token = await token_of(ada, "edit")
        for path, message in (
            ("/api/v1/account/email", {"email": "x@example.org"}),
            ("/api/v1/account/email/code", {"id": "x", "code": "BBBB-BBBB"}),
        ):
            by_token = await program(governed, "POST", path, headers=token, json=message)
            assert by_token.status == 403
        assert (await program(governed, "DELETE", "/api/v1/account", headers=token)).status == 403


# --- other services ---


async def test_a_service_is_let_go_but_never_the_last_way_to_sign_in(
    governed: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    db, now = governed.context.db, governed.clock()
    async with browser(governed.url) as ada:
        mine = (await ada.sign_in(ADA, mailbox))["account"]["id"]
        for issuer, subject in ((SERVICE.issuer, "a"), ("https://gone.example.org", "b")):
            await db.write(external_identities.link, ExternalIdentity(issuer, subject), mine, now)
        listed = (await ada.json("GET", "/api/v1/account/services")).json["services"]
        assert [(s["title"], s["subject"]) for s in listed] == [
            ("uni", "a"),
            ("https://gone.example.org", "b"),
        ]
        assert "gone.example.org" in (await ada.get("/account")).body.decode()
        # without an address, and with a service that is no longer offered, it is the only way
        await db.write(_without_address, mine)
        refused = await ada.post("/account/services/remove", {"id": listed[0]["id"]})
        assert refused.status == 400
        assert "only way" in refused.body.decode()
        first = f"/api/v1/account/services/{listed[0]['id']}"
        assert (await ada.json("DELETE", first)).status == 403
        assert (await ada.post("/account/services/remove", {"id": listed[1]["id"]})).status == 303
        asked = await ada.json("POST", "/api/v1/account/email", {"email": NEW})
        code = {"id": asked.json["id"], "code": (await mailbox.next(NEW)).code}
        assert (await ada.json("POST", "/api/v1/account/email/code", code)).status == 200
        assert (await ada.json("DELETE", first)).status == 204
        assert (await ada.json("DELETE", first)).status == 404
    assert await db.read(services.of_account, governed.context.settings, mine) == []


def _without_address(connection: Connection, account_id: int) -> None:
    from seedkeep_registrar.store import accounts

    accounts.change(connection, account_id, {"email": None})


# --- the end ---


async def test_a_deleted_account_leaves_what_was_signed_and_nothing_of_its_person(
    governed: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(governed.url) as boss, browser(governed.url) as ada:
        await boss.sign_in(BOSS, mailbox)
        number = (await ada.sign_in(ADA, mailbox))["account"]["id"]
        profile = {"name": "Ada Unmistakable", "institution": "Unmistakable Institute"}
        assert (await ada.json("PATCH", "/api/v1/account", profile)).status == 200
        person, token = governed.person(), await token_of(ada, "read")
        await bind(person, ada)
        assert (await boss.json("POST", "/api/v1/groups", {"name": "lab"})).status == 201
        assert (await boss.json("PUT", f"/api/v1/groups/lab/members/{number}", {})).status == 204
        record = await person.register(shareable())
        assert (await person.introduce()).status == 201
        unsure = await ada.post("/account/delete", {})
        assert (unsure.status, "you are sure" in unsure.body.decode()) == (400, True)
        assert (await ada.post("/account/delete", {"sure": "yes"})).status == 303
        assert "deleted as you asked" in (await mailbox.next(ADA)).text
        assert (await ada.get("/account/deleted")).status == 200
        # no way is left
        assert (await ada.json("GET", "/api/v1/account")).status == 401
        assert (await program(governed, "GET", "/api/v1/account", headers=token)).status == 401
        refused = await person.send("GET", "/api/v1/account", b"")
        assert (refused.status, "was deleted" in refused.json["detail"]) == (403, True)
        assert (await person.introduce()).status == 403
        # the record stands, and what the operators see is a number
        assert (await person.get(f"/api/v1/records/{record['rid']}")).json["stewards"] == [str(person)]
        left = (await boss.json("GET", f"/api/v1/accounts/{number}")).json
        assert (left["email"], left["name"], left["disabled"]) == ("", "", True)
        assert left["deleted"]
        assert "nothing is left of it" in (await boss.get("/accounts")).body.decode()
        for change in ({"disabled": False}, {"role": "member"}):
            assert (await boss.json("PATCH", f"/api/v1/accounts/{number}", change)).status == 403
        assert (await boss.json("PUT", f"/api/v1/groups/lab/members/{number}", {})).status == 404
        assert (await boss.json("GET", "/api/v1/groups/lab")).json["people"] == []
    assert (f"account {number}", "account.deleted") in await lines(governed)
    found = await governed.context.db.read(_mentions, ("unmistakable", ADA))
    assert found - {"mails"} == set()  # a mail that is on its way may know the address
    async with browser(governed.url) as ada:
        assert (await ada.sign_in(ADA, mailbox))["account"]["id"] != number


def _mentions(connection: Connection, words: tuple[str, ...]) -> set[str]:
    """The tables in which one of these words stands anywhere."""
    found = set()
    for table in metadata.sorted_tables:
        columns = [c for c in table.columns if isinstance(c.type, String | Text)]
        for row in connection.execute(select(*columns)) if columns else ():
            if any(word in str(value).lower() for value in row for word in words):
                found.add(table.name)
    return found


async def test_the_last_operator_stays(governed: RegistrarUnderTest, mailbox: Mailbox) -> None:
    async with browser(governed.url) as boss, browser(governed.url) as ada:
        await boss.sign_in(BOSS, mailbox)
        number = (await ada.sign_in(ADA, mailbox))["account"]["id"]
        refused = await boss.post("/account/delete", {"sure": "yes"})
        assert (refused.status, "last operator" in refused.body.decode()) == (400, True)
        assert (await boss.json("DELETE", "/api/v1/account")).status == 403
        for change in ({"role": "operator", "disabled": True}, {"disabled": False}):
            assert (await boss.json("DELETE", "/api/v1/account")).status == 403
            assert (await boss.json("PATCH", f"/api/v1/accounts/{number}", change)).status == 200
        assert (await boss.json("DELETE", "/api/v1/account")).status == 204


async def test_an_operators_own_key_in_the_settings_is_no_other_operator(
    tmp_path: Path, mailbox: Mailbox
) -> None:
    key = new_key()
    async with (
        start_registrar(
            tmp_path / "registrar", operator_emails=(BOSS,), operators=(str(key.public),)
        ) as running,
        browser(running.url) as boss,
    ):
        await boss.sign_in(BOSS, mailbox)
        assert (await bind(running.person(key), boss)).status == 200
        assert (await boss.json("DELETE", "/api/v1/account")).status == 403


# --- closed accounts ---


async def test_a_disabled_accounts_key_counts_nowhere(
    tmp_path: Path, database_url: str, mailbox: Mailbox
) -> None:
    """Also where only the key is asked for, and also when the settings name it."""
    key, other = new_key(), new_key()
    named = (str(key.public), str(other.public))
    async with (
        start_registrar(
            tmp_path / "registrar", database_url=database_url, operator_emails=(BOSS,), curators=named
        ) as running,
        browser(running.url) as boss,
        browser(running.url) as ada,
    ):
        await boss.sign_in(BOSS, mailbox)
        number = (await ada.sign_in(ADA, mailbox))["account"]["id"]
        person, second = running.person(key), running.person(other)
        await bind(person, ada)
        what = shareable()
        record = await running.person().register(what)
        await person.hold(what)
        subject = f"content:{record['content_id']}"
        assert (await person.taint(subject)).json["state"] == "proposed"
        off = {"disabled": True}
        assert (await boss.json("PATCH", f"/api/v1/accounts/{number}", off)).status == 200
        beat = {"state": "active", "pledge": 1, "used": 0, "reserved": 0, "port": 1, "claims": [],
                "taints": None, "problems": [], "companions": []}  # fmt: skip
        answers = [
            await person.introduce(),
            await person.post("/api/v1/heartbeat", beat),
            await person.claim(record["content_id"]),
            await person.attest(what),
            await person.taint(subject),
            await person.send("PUT", "/api/v1/objects/" + "0" * 64, b"x"),
            await person.post("/api/v1/web-seed-reports", {}),
            await person.post("/api/v1/account/bindings", {"label": ""}),
            await person.send("GET", "/api/v1/submissions", b""),
        ]
        assert [(a.status, a.json["code"]) for a in answers] == [(403, "refused")] * len(answers)
        # what it proposed counts no more: with it, two would have agreed
        assert (await second.taint(subject)).json["state"] == "proposed"
        on = {"disabled": False}
        assert (await boss.json("PATCH", f"/api/v1/accounts/{number}", on)).status == 200
        assert (await person.introduce()).status in (200, 201)


# --- groups ---


async def test_a_group_is_deleted_and_curators_keep_its_collections(
    governed: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(governed.url) as boss, browser(governed.url) as ada:
        await boss.sign_in(BOSS, mailbox)
        number = (await ada.sign_in(ADA, mailbox))["account"]["id"]
        await made(boss, number)
        for method, path, fields in (
            ("POST", "/groups/lab/delete", {"sure": "yes"}),
            ("DELETE", "/api/v1/groups/lab", None),
        ):
            answer = await (ada.post(path, fields) if fields else ada.json(method, path))
            assert answer.status == 403
        assert (await boss.post("/groups/lab/delete", {})).status == 400
        assert (await boss.post("/groups/lab/delete", {"sure": "yes"})).status == 303
        assert (await boss.json("DELETE", "/api/v1/groups/lab")).status == 404
        change = {"title": "Ours", "description": ""}
        assert (await ada.json("PUT", "/api/v1/collections/ours", change)).status == 403
        assert (await boss.json("PUT", "/api/v1/collections/ours", change)).status == 200
        await made(boss, number, collection="others")  # the name is free again, and is another group
        assert (await ada.json("PUT", "/api/v1/collections/ours", change)).status == 403
        assert (await boss.json("DELETE", "/api/v1/groups/lab")).status == 204


async def made(boss: Browser, member: int, collection: str = "ours") -> None:
    """A group of one, which owns a collection."""
    assert (await boss.json("POST", "/api/v1/groups", {"name": "lab"})).status == 201
    assert (await boss.json("PUT", f"/api/v1/groups/lab/members/{member}", {})).status == 204
    fields = {"slug": collection, "title": "Ours", "description": "", "subject": "", "group": "lab"}
    assert (await boss.json("POST", "/api/v1/collections", fields)).status == 201
