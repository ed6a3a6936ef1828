"""Accounts: who may do what, by session, token or key; what operators change counts at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep_registrar.accounts import codes
from seedkeep_registrar.accounts.principal import SCOPES
from tests.registrar.test_sign_in import everything
from tests.support.people import Browser, Mailbox, browser, hidden
from tests.support.registrar import (
    Answer,
    Person,
    RegistrarUnderTest,
    registrar_with,
    shareable,
    start_registrar,
)

ADA = "ada@example.org"
BOB = "bob@example.org"
BOSS = "boss@example.org"


@pytest.fixture
async def governed(tmp_path: Path, database_url: str) -> AsyncIterator[RegistrarUnderTest]:
    """A registrar of members only whose operator is :data:`BOSS`; on SQLite, then on PostgreSQL."""
    async with start_registrar(
        tmp_path / "registrar", database_url=database_url, registration="members", operator_emails=(BOSS,)
    ) as one:
        yield one


async def bind(person: Person, one: Browser) -> Answer:
    """Bind a key to who is signed in with this browser."""
    begun = await person.post("/api/v1/account/bindings", {"label": "laptop"})
    assert begun.status == 201, begun
    page = await one.get(begun.json["url"].removeprefix(one.url))
    assert str(person) in page.body.decode()
    return await one.post("/account/bind", {"code": hidden(page, "code"), "decision": "confirm"})


async def token_of(one: Browser, *scopes: str) -> dict[str, str]:
    """The headers of a program with a new token."""
    made = await one.json("POST", "/api/v1/account/tokens", {"name": "program", "scopes": list(scopes)})
    assert made.status == 201, made
    return {"Authorization": f"Bearer {made.json['token']}"}


async def program(registrar: RegistrarUnderTest, method: str, path: str, **more: Any) -> Answer:
    """A request without cookies."""
    async with browser(registrar.url) as one:
        return await one.send(method, path, **more)


# --- roles ---


async def test_a_role_counts_at_once_for_session_token_and_key(
    governed: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(governed.url) as boss, browser(governed.url) as one:
        me = await boss.sign_in(BOSS, mailbox)
        assert (me["role"], me["how"]) == ("operator", "session")
        assert (await one.sign_in(ADA, mailbox))["role"] == "visitor"
        person, token = governed.person(), await token_of(one, "read", "operate")
        assert (await bind(person, one)).status == 200
        ada = (await person.send("GET", "/api/v1/account", b"")).json["account"]["id"]
        body = shareable().body().encode()
        assert (await person.submit(person.event(body), body)).status == 403
        for role, status in (("member", 403), ("operator", 200), ("curator", 403)):
            changed = await boss.json("PATCH", f"/api/v1/accounts/{ada}", {"role": role})
            assert changed.json["role"] == role
            by_token = await program(governed, "GET", "/api/v1/accounts", headers=token)
            by_key = await person.send("GET", "/api/v1/accounts", b"")
            by_session = await one.json("GET", "/api/v1/accounts")
            assert {by_token.status, by_key.status, by_session.status} == {status}
        await person.register(shareable())


async def test_a_disabled_account_can_do_nothing_by_any_way(
    governed: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(governed.url) as boss, browser(governed.url) as one:
        await boss.sign_in(BOSS, mailbox)
        await one.sign_in(ADA, mailbox)
        person, token = governed.person(), await token_of(one, "read")
        await bind(person, one)
        ada = (await one.json("GET", "/api/v1/account")).json["account"]["id"]
        await boss.json("PATCH", f"/api/v1/accounts/{ada}", {"role": "member"})
        asked = await one.post("/sign-in", {"email": ADA})  # a mail that is under way
        code = (await mailbox.next(ADA)).code
        off = await boss.json("PATCH", f"/api/v1/accounts/{ada}", {"disabled": True})
        assert off.json["disabled"] is True
        assert (await program(governed, "GET", "/api/v1/account", headers=token)).status == 401
        assert (await one.json("GET", "/api/v1/account")).status == 401
        assert (await person.send("GET", "/api/v1/account", b"")).status == 403
        body = shareable().body().encode()
        assert (await person.submit(person.event(body), body)).status == 403
        late = {"held": hidden(asked, "held"), "email": ADA, "code": code}
        assert (await one.post("/sign-in/code", late)).status == 403
        # enabled again, the key works; sessions and tokens are gone for good
        await boss.json("PATCH", f"/api/v1/accounts/{ada}", {"disabled": False})
        assert (await person.send("GET", "/api/v1/account", b"")).status == 200
        assert (await program(governed, "GET", "/api/v1/account", headers=token)).status == 401
        assert (await one.json("GET", "/api/v1/account")).status == 401


async def test_operators_govern_everybody_but_themselves(
    governed: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(governed.url) as boss, browser(governed.url) as one:
        mine = (await boss.sign_in(BOSS, mailbox))["account"]["id"]
        await one.sign_in(ADA, mailbox)
        for change in ({"role": "member"}, {"disabled": True}):
            assert (await boss.json("PATCH", f"/api/v1/accounts/{mine}", change)).status == 403
        assert (await boss.json("PATCH", "/api/v1/accounts/999999", {"role": "member"})).status == 404
        assert (await boss.json("PATCH", f"/api/v1/accounts/{mine + 1}", {})).status == 400
        for method, path, message in (
            ("GET", "/api/v1/accounts", None),
            ("GET", f"/api/v1/accounts/{mine}", None),
            ("PATCH", f"/api/v1/accounts/{mine}", {"role": "visitor"}),
            ("POST", "/api/v1/accounts", {"email": BOB, "role": "operator"}),
            ("POST", "/api/v1/groups", {"name": "lab"}),
        ):
            assert (await one.json(method, path, message)).status == 403, path
            assert (await program(governed, method, path)).status == 401, path
        assert (await one.get("/accounts")).status == 403


async def test_accounts_are_listed_by_pages_and_found_by_name(
    governed: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(governed.url) as boss:
        await boss.sign_in(BOSS, mailbox)
        for n in range(5):
            added = {"email": f"person{n}@example.org", "name": f"Person_{n}", "role": "member"}
            assert (await boss.json("POST", "/api/v1/accounts", added)).status == 201
        assert (await boss.json("POST", "/api/v1/accounts", {"email": " Person1@Example.org"})).status == 409
        seen, cursor = [], ""
        while True:
            page = (await boss.json("GET", f"/api/v1/accounts?limit=2&cursor={cursor}")).json
            seen += [one["email"] for one in page["accounts"]]
            if not (cursor := page["next"]):
                break
        assert seen == [BOSS, *(f"person{n}@example.org" for n in range(5))]
        found = (await boss.json("GET", "/api/v1/accounts?q=PERSON_3")).json["accounts"]
        assert [one["name"] for one in found] == ["Person_3"]
        assert (await boss.json("GET", "/api/v1/accounts?q=%25")).json["accounts"] == []


async def test_with_closed_sign_up_only_added_people_get_in(tmp_path: Path, mailbox: Mailbox) -> None:
    async with (
        registrar_with(tmp_path, sign_up="closed", operator_emails=(BOSS,)) as closed,
        browser(closed.url) as boss,
        browser(closed.url) as one,
    ):
        await boss.sign_in(BOSS, mailbox)
        assert (await one.post("/sign-in", {"email": ADA})).status == 200
        await boss.json("POST", "/api/v1/accounts", {"email": ADA, "role": "curator"})
        assert (await one.sign_in(ADA, mailbox))["role"] == "curator"
        assert mailbox.mails == []


async def test_people_of_a_members_domain_begin_as_members(tmp_path: Path, mailbox: Mailbox) -> None:
    settings = {"registration": "members", "member_domains": ("Example.org",)}
    async with registrar_with(tmp_path, **settings) as one_registrar, browser(one_registrar.url) as one:
        assert (await one.sign_in(ADA, mailbox))["role"] == "member"
        assert (await one.post("/sign-out", {})).status == 303
        assert (await one.sign_in("eve@evil-example.org", mailbox))["role"] == "visitor"


# --- keys ---


async def test_a_key_is_bound_by_its_person_and_by_nobody_else(
    any_registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(any_registrar.url) as one, browser(any_registrar.url) as other:
        await one.sign_in(ADA, mailbox)
        await other.sign_in(BOB, mailbox)
        person, stranger = any_registrar.person(), any_registrar.person()
        begun = (await person.post("/api/v1/account/bindings", {"label": "laptop"})).json
        path = f"/api/v1/account/bindings/{begun['id']}"
        waiting = asyncio.create_task(person.send("GET", f"{path}?wait=60", b""))
        assert (await stranger.send("GET", path, b"")).status == 404
        assert (await program(any_registrar, "GET", path)).status == 401
        assert (await one.json("GET", path)).status == 403
        fields = {"code": begun["code"], "decision": "confirm"}
        assert (await one.post("/account/bind", fields, "https://evil.example")).status == 403
        async with browser(any_registrar.url) as nobody:
            assert (await nobody.post("/account/bind", fields)).status == 303
        assert not waiting.done()
        assert (await one.post("/account/bind", fields)).status == 200
        told = (await waiting).json
        assert (told["state"], told["account"]["email"]) == ("bound", ADA)
        assert (await other.post("/account/bind", fields)).status == 400  # the code is used up
        keys = (await one.json("GET", "/api/v1/account/keys")).json["keys"]
        assert [(k["key"], k["label"]) for k in keys] == [(str(person), "laptop")]
        # it cannot be taken over by another account
        again = (await person.post("/api/v1/account/bindings", {})).json
        taken = await other.post("/account/bind", {"code": again["code"], "decision": "confirm"})
        assert taken.status == 400
        assert (await person.send("GET", "/api/v1/account", b"")).json["account"]["email"] == ADA


async def test_a_refused_key_and_one_that_nobody_confirms_stay_unbound(
    registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(registrar.url) as one:
        await one.sign_in(ADA, mailbox)
        person = registrar.person()
        begun = (await person.post("/api/v1/account/bindings", {})).json
        assert (await one.post("/account/bind", {"code": begun["code"], "decision": "refuse"})).status == 200
        path = f"/api/v1/account/bindings/{begun['id']}"
        assert (await person.send("GET", f"{path}?wait=60", b"")).json["state"] == "refused"
        late = (await person.post("/api/v1/account/bindings", {})).json
        registrar.clock.offset += 901
        person.clock.offset += 901
        assert (await one.post("/account/bind", {"code": late["code"], "decision": "confirm"})).status == 400
        assert (await person.send("GET", f"/api/v1/account/bindings/{late['id']}", b"")).status == 404
        assert (await person.send("GET", "/api/v1/account", b"")).json["account"] is None


async def test_a_key_is_bound_by_a_mailed_code_without_a_browser(
    any_registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    person, stranger = any_registrar.person(), any_registrar.person()
    begun = (await person.post("/api/v1/account/bindings", {"label": "hpc", "email": ADA})).json
    assert (begun["code"], begun["url"]) == ("", "")
    mail = await mailbox.next(ADA)
    assert str(person) in mail.text
    assert "sign-in/link" not in mail.text
    path = f"/api/v1/account/bindings/{begun['id']}/code"
    assert (await stranger.post(path, {"code": mail.code})).status == 403
    async with browser(any_registrar.url) as one:  # the code is for the key, not for a browser
        fields = {"held": begun["id"], "email": ADA, "code": mail.code}
        assert (await one.post("/sign-in/code", fields)).status == 403
    answers = await asyncio.gather(*(person.post(path, {"code": mail.code}) for _ in range(4)))
    assert sorted(a.status for a in answers) == [200, 403, 403, 403]
    me = (await person.send("GET", "/api/v1/account", b"")).json
    assert (me["account"]["email"], me["how"]) == (ADA, "signature")
    assert (await person.send("DELETE", f"/api/v1/account/keys/{person}", b"")).status == 204
    assert (await person.send("GET", "/api/v1/account", b"")).json["account"] is None


async def test_keys_of_the_settings_need_no_account(tmp_path: Path) -> None:
    async with registrar_with(tmp_path / "first") as first:
        boss = first.person()
    async with registrar_with(tmp_path / "second", operators=(str(boss),)) as second:
        assert (await second.person(boss.key).send("GET", "/api/v1/accounts", b"")).status == 200
        assert (await second.curator.send("GET", "/api/v1/accounts", b"")).status == 403
        assert (await second.person().send("GET", "/api/v1/accounts", b"")).status == 403


# --- tokens ---


async def test_a_token_does_what_its_scopes_allow_until_it_is_revoked_or_expires(
    any_registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(any_registrar.url) as one:
        await one.sign_in(ADA, mailbox)
        reader, other = await token_of(one, "read"), await token_of(one, "register")
        me = (await program(any_registrar, "GET", "/api/v1/account", headers=reader)).json
        assert (me["how"], me["scopes"], me["account"]["email"]) == ("token", ["read"], ADA)
        assert (await program(any_registrar, "GET", "/api/v1/account", headers=other)).status == 403
        listed = (await one.json("GET", "/api/v1/account/tokens")).json["tokens"]
        assert [t["scopes"] for t in listed] == [["register"], ["read"]]
        assert "skp_" not in str(listed)
        path = f"/api/v1/account/tokens/{listed[1]['id']}"
        assert (await one.json("DELETE", path)).status == 204
        assert (await one.json("DELETE", path)).status == 404
        assert (await program(any_registrar, "GET", "/api/v1/account", headers=reader)).status == 401
        short = {"name": "short", "scopes": ["read"], "days": 1}
        made = (await one.json("POST", "/api/v1/account/tokens", short)).json
        headers = {"Authorization": f"Bearer {made['token']}"}
        assert (await program(any_registrar, "GET", "/api/v1/account", headers=headers)).status == 200
        any_registrar.clock.offset += 86401
        assert (await program(any_registrar, "GET", "/api/v1/account", headers=headers)).status == 401


async def test_whoever_finds_a_token_cannot_make_more_of_it(
    registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(registrar.url) as one:
        await one.sign_in(ADA, mailbox)
        token = await token_of(one, *SCOPES)
        for method, path, message in (
            ("POST", "/api/v1/account/tokens", {"name": "more", "scopes": ["read"]}),
            ("PATCH", "/api/v1/account", {"name": "Eve"}),
            ("DELETE", f"/api/v1/account/keys/{registrar.person()}", None),
            ("POST", "/api/v1/account/bindings", {"label": "mine"}),
        ):
            more = {} if message is None else {"json": message}
            assert (await program(registrar, method, path, headers=token, **more)).status == 403, path
        assert (await program(registrar, "GET", "/account", headers=token)).status == 303
        assert (await one.json("POST", "/api/v1/account/tokens", {"name": "x", "scopes": []})).status == 400
        rogue = {"name": "x", "scopes": ["root"]}
        assert (await one.json("POST", "/api/v1/account/tokens", rogue)).status == 400


async def test_a_token_is_shown_once_also_to_those_who_ask_again(
    registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(registrar.url) as one:
        await one.sign_in(ADA, mailbox)
        reader, message = await token_of(one, "read"), {"name": "full", "scopes": list(SCOPES)}
        headers = {"Origin": one.url, "Idempotency-Key": "k-1"}
        first = await one.send("POST", "/api/v1/account/tokens", headers=headers, json=message)
        assert (first.status, first.headers["Cache-Control"]) == (201, "no-store")
        headers = {**reader, "Idempotency-Key": "k-1"}
        again = await program(registrar, "POST", "/api/v1/account/tokens", headers=headers, json=message)
        assert again.status == 403
        assert first.json["token"] not in again.body.decode()
        assert first.json["token"] not in await registrar.context.db.read(everything)


async def test_what_is_no_token_is_told_so(registrar: RegistrarUnderTest) -> None:
    good = codes.token(b"\x07" * 32)
    for text in ("Basic YTpi", "Bearer", f"Bearer {good}", f"Bearer {good[:-1]}", "Bearer skp_' OR 1=1", "é"):
        answer = await program(registrar, "GET", "/api/v1/account", headers={"Authorization": text})
        assert (answer.status, answer.json["code"]) == (401, "unauthenticated"), text


@given(st.binary(min_size=32, max_size=32), st.integers(0, 48), st.sampled_from("09AZaz"))
def test_a_token_with_one_wrong_letter_is_noticed(random: bytes, at: int, letter: str) -> None:
    token = codes.token(random)
    assert re.fullmatch(r"skp_[0-9A-Za-z]{49}", token)
    assert codes.is_token(token)
    wrong = token[: 4 + at] + letter + token[5 + at :]
    assert codes.is_token(wrong) == (wrong == token)


@given(st.binary(min_size=16, max_size=16))
def test_a_code_is_read_however_it_is_typed(random: bytes) -> None:
    code = codes.code(random)
    shown = codes.shown_code(code)
    assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", shown)
    for typed in (code, shown, shown.lower(), f" {shown[:4]}  {shown[5:]}\n"):
        assert codes.typed_code(typed) == code


@given(st.text(max_size=60))
def test_no_typed_text_breaks_the_reading_of_codes(text: str) -> None:
    assert codes.typed_code(text) == "" or len(codes.typed_code(text)) == codes.CODE_LETTERS
    assert codes.is_token(text) is False


# --- profile, groups, pages ---


async def test_a_profile_is_kept_as_it_is_meant(any_registrar: RegistrarUnderTest, mailbox: Mailbox) -> None:
    async with browser(any_registrar.url) as one:
        await one.sign_in(ADA, mailbox)
        typed = {
            "name": " Ada Lovelace ",
            "orcid": "https://orcid.org/0000-0002-1825-0097",
            "institution": "",
            "ror": "",
        }
        assert (await one.post("/account/profile", typed)).status == 303
        account = (await one.json("GET", "/api/v1/account")).json["account"]
        assert (account["name"], account["orcid"]) == ("Ada Lovelace", "0000-0002-1825-0097")
        wrong = await one.post("/account/profile", {**typed, "orcid": "0000-0002-1825-0098"})
        assert wrong.status == 400
        assert "typing error" in wrong.body.decode()
        assert 'value="0000-0002-1825-0098"' in wrong.body.decode()
        changed = await one.json("PATCH", "/api/v1/account", {"institution": "Example University"})
        assert (changed.json["name"], changed.json["institution"]) == ("Ada Lovelace", "Example University")
        for bad in ({"name": "x" * 201}, {"name": "a\nb"}, {"ror": "nope"}, {"role": "operator"}):
            assert (await one.json("PATCH", "/api/v1/account", bad)).status == 400, bad


async def test_groups_are_made_by_operators_and_filled_by_managers(
    governed: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(governed.url) as boss, browser(governed.url) as one, browser(governed.url) as other:
        await boss.sign_in(BOSS, mailbox)
        ada, bob = [
            (await boss.json("POST", "/api/v1/accounts", {"email": e, "role": "member"})).json["id"]
            for e in (ADA, BOB)
        ]
        await one.sign_in(ADA, mailbox)
        await other.sign_in(BOB, mailbox)
        made = await boss.json("POST", "/api/v1/groups", {"name": "river-lab", "title": "River lab"})
        assert made.status == 201
        assert (await boss.json("POST", "/api/v1/groups", {"name": "river-lab"})).status == 409
        assert (await boss.json("POST", "/api/v1/groups", {"name": "River Lab"})).status == 400
        members = "/api/v1/groups/river-lab/members"
        assert (await one.json("PUT", f"{members}/{ada}", {"manager": True})).status == 403
        assert (await boss.json("PUT", f"{members}/{ada}", {"manager": True})).status == 204
        assert (await one.json("PUT", f"{members}/{bob}", {})).status == 204
        assert (await other.json("PUT", f"{members}/{bob}", {"manager": True})).status == 403
        assert (await one.json("PUT", f"{members}/999999", {})).status == 404
        seen = (await other.json("GET", "/api/v1/groups/river-lab")).json
        assert [(p["id"], p["manager"]) for p in seen["people"]] == [(ada, True), (bob, False)]
        assert (await other.json("GET", "/api/v1/account")).json["groups"] == ["river-lab"]
        assert (await other.json("DELETE", f"{members}/{ada}")).status == 403
        assert (await other.json("DELETE", f"{members}/{bob}")).status == 204  # everybody may leave
        assert (await other.json("DELETE", f"{members}/{bob}")).status == 404
        assert [g["members"] for g in (await other.json("GET", "/api/v1/groups")).json["groups"]] == [1]


async def test_the_pages_do_what_the_interface_does(governed: RegistrarUnderTest, mailbox: Mailbox) -> None:
    async with browser(governed.url) as boss, browser(governed.url) as one:
        await boss.sign_in(BOSS, mailbox)
        fields = {"email": ADA, "name": "<b>Ada</b>", "role": "member"}
        assert (await boss.post("/accounts", fields)).status == 303
        assert (await boss.post("/accounts", fields)).status == 400
        me = await one.sign_in(ADA, mailbox)
        listing = (await boss.get("/accounts")).body.decode()
        assert "&lt;b&gt;Ada&lt;/b&gt;" in listing
        assert "<b>Ada" not in listing
        ada = me["account"]["id"]
        assert (await boss.post(f"/accounts/{ada}", {"role": "curator"})).status == 303
        assert (await one.json("GET", "/api/v1/account")).json["role"] == "curator"
        assert (await boss.post("/groups", {"name": "lab", "title": "Lab"})).status == 303
        member = {"email": ADA, "manager": "yes"}
        assert (await boss.post("/groups/lab/members", member)).status == 303
        unknown = {"email": "nobody@example.org"}
        assert (await one.post("/groups/lab/members", unknown)).status == 400
        page = (await one.get("/groups/lab")).body.decode()
        assert "1\u00a0person" in page
        shown = await one.post(
            "/account/tokens", [("name", "t"), ("scope", "read"), ("scope", "edit"), ("days", "30")]
        )
        secret = re.search(r"skp_[0-9A-Za-z]{49}", shown.body.decode())
        assert secret
        assert "no-store" in shown.headers["Cache-Control"]
        assert secret[0] not in (await one.get("/account")).body.decode()
        headers = {"Authorization": f"Bearer {secret[0]}"}
        assert (await program(governed, "GET", "/api/v1/account", headers=headers)).status == 200
        token = hidden(await one.get("/account"), "id")
        assert (await one.post("/account/tokens/revoke", {"id": token})).status == 303
        assert (await program(governed, "GET", "/api/v1/account", headers=headers)).status == 401
        assert (await boss.post(f"/accounts/{ada}", {"state": "disable"})).status == 303
        assert (await one.get("/account")).status == 303
