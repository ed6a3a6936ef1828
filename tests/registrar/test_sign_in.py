"""Signing in by e-mail: links and codes open once, for the one who asked, and tell nobody else anything."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from sqlalchemy import Connection, select
from yarl import URL

from seedkeep_registrar.accounts.sign_in import safe_path
from seedkeep_registrar.server import running
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store.tables import metadata
from tests.support.people import Browser, Mailbox, browser, hidden
from tests.support.ports import free_port
from tests.support.registrar import Answer, RegistrarUnderTest, registrar_with

ADA = "ada@example.org"


async def ask(one: Browser, email: str = ADA) -> Answer:
    answer = await one.post("/sign-in", {"email": email})
    assert answer.status == 200, answer.body
    return answer


async def enter(one: Browser, asked: Answer, code: str) -> Answer:
    return await one.post(
        "/sign-in/code", {"held": hidden(asked, "held"), "email": hidden(asked, "email"), "code": code}
    )


async def who(one: Browser) -> str:
    """The address of who is signed in, or ""."""
    answer = await one.json("GET", "/api/v1/account")
    return answer.json["account"]["email"] if answer.status == 200 else ""


async def test_a_link_signs_in_once_and_only_by_the_button(
    any_registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(any_registrar.url) as one, browser(any_registrar.url) as other:
        await ask(one)
        link = (await mailbox.next(ADA)).link(any_registrar.url)
        for _ in range(3):  # mail filters open links, too
            assert ADA in (await other.get(link)).body.decode()
        assert await who(other) == ""
        answer = await one.post(link, {})
        assert (answer.status, answer.headers["Location"]) == (303, "/account")
        assert await who(one) == ADA
        assert (await other.post(link, {})).status == 404
        assert (await other.get(link)).status == 404
        assert await who(other) == ""


async def test_a_code_signs_in_however_it_is_typed(
    any_registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(any_registrar.url) as one:
        asked = await ask(one, " Ada@Example.ORG ")
        code = (await mailbox.next(ADA)).code
        answer = await enter(one, asked, f" {code.lower().replace('-', ' ')} ")
        assert answer.status == 303
        assert await who(one) == ADA


async def test_the_code_is_dead_after_five_wrong_ones_but_the_link_is_not(
    any_registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(any_registrar.url) as one:
        asked = await ask(one)
        mail = await mailbox.next(ADA)
        wrong = "BBBB-BBBB" if mail.code != "BBBB-BBBB" else "CCCC-CCCC"
        for _ in range(5):
            assert (await enter(one, asked, wrong)).status == 403
        assert (await enter(one, asked, mail.code)).status == 403
        assert await who(one) == ""
        assert (await one.post(mail.link(any_registrar.url), {})).status == 303


async def test_four_wrong_codes_do_no_harm(registrar: RegistrarUnderTest, mailbox: Mailbox) -> None:
    async with browser(registrar.url) as one:
        asked = await ask(one)
        mail = await mailbox.next(ADA)
        for _ in range(4):
            await enter(one, asked, "BBBB-BBBC" if mail.code != "BBBB-BBBC" else "CCCC-CCCC")
        assert (await enter(one, asked, mail.code)).status == 303


async def test_a_code_is_good_only_in_the_browser_that_asked(
    registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(registrar.url) as one, browser(registrar.url) as other:
        await ask(one)
        code = (await mailbox.next(ADA)).code
        foreign = await ask(other, "eve@example.org")
        assert (await enter(other, foreign, code)).status == 403
        assert await who(other) == ""


async def test_links_and_codes_run_out(registrar: RegistrarUnderTest, mailbox: Mailbox) -> None:
    async with browser(registrar.url) as one:
        asked = await ask(one)
        mail = await mailbox.next(ADA)
        registrar.clock.offset += 901
        assert (await enter(one, asked, mail.code)).status == 403
        assert (await one.post(mail.link(registrar.url), {})).status == 404
        assert await who(one) == ""


async def test_of_many_who_use_a_code_at_once_exactly_one_gets_in(
    any_registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with AsyncExitStack() as stack:
        several = [await stack.enter_async_context(browser(any_registrar.url)) for _ in range(8)]
        asked = await ask(several[0])
        mail = await mailbox.next(ADA)
        link = mail.link(any_registrar.url)
        tries = [one.post(link, {}) for one in several[:5]]
        tries += [enter(one, asked, mail.code) for one in several[5:]]
        answers = await asyncio.gather(*tries)
        assert [a.status for a in answers].count(303) == 1
        assert [await who(one) for one in several].count(ADA) == 1


async def test_nobody_learns_who_has_an_account(mailbox: Mailbox, tmp_path: Path) -> None:
    async with (
        registrar_with(tmp_path / "closed", sign_up="closed", operator_emails=(ADA,)) as closed,
        browser(closed.url) as operator,
        browser(closed.url) as other,
    ):
        await operator.sign_in(ADA, mailbox)
        added = {"email": "gone@example.org", "role": "member"}
        made = await operator.json("POST", "/api/v1/accounts", added)
        off = {"disabled": True}
        assert (await operator.json("PATCH", f"/api/v1/accounts/{made.json['id']}", off)).status == 200
        bodies = []
        for email in ("gone@example.org", "nobody@example.org", ADA):
            body = (await ask(other, email)).body.decode().replace(email, "…")
            held = hidden(Answer(200, {}, body.encode()), "held")
            bodies.append(body.replace(held, "…"))
        assert len(set(bodies)) == 1
        assert (await mailbox.next(ADA)).to == ADA  # by now the others' would be there
        assert mailbox.mails == []


async def test_an_address_gets_five_mails_in_a_quarter_of_an_hour(
    registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(registrar.url) as one:
        for _ in range(7):
            await ask(one)
        await ask(one, "last@example.org")
        await mailbox.next("last@example.org")
        assert len(mailbox.mails) == 5
        registrar.clock.offset += 901
        await ask(one)
        for _ in range(6):
            await mailbox.next(ADA)


NO_ADDRESSES = (
    "",
    "ada",
    "ada@",
    "@example.org",
    "ada@example.org\r\nBcc: eve@example.org",
    "ada@example.org\nSubject: x",
    "ada@example.org,eve@example.org",
    "Ada <ada@example.org>",
    '"a b"@example.org',
    "ada@exa mple.org",
    "ada@" + "x" * 250 + ".org",
    "ada@example.org\x00",
)


async def test_no_mail_goes_to_what_is_no_address(registrar: RegistrarUnderTest, mailbox: Mailbox) -> None:
    async with browser(registrar.url) as one:
        for email in NO_ADDRESSES:
            assert (await one.post("/sign-in", {"email": email})).status == 400, email
        await ask(one, "last@example.org")
        await mailbox.next("last@example.org")
        assert mailbox.mails == []


async def test_forms_of_other_sites_are_refused(registrar: RegistrarUnderTest, mailbox: Mailbox) -> None:
    async with browser(registrar.url) as one:
        for origin in (None, "null", "https://evil.example", "http://127.0.0.1:1"):
            assert (await one.post("/sign-in", {"email": ADA}, origin)).status == 403
        await one.sign_in(ADA, mailbox)
        before = await one.json("GET", "/api/v1/account")
        for origin in (None, "null", "https://evil.example", "http://127.0.0.1:1"):
            for path in ("/account/profile", "/account/tokens", "/sign-out", "/sign-out/everywhere"):
                fields = {"name": "Eve", "scope": "read"}
                assert (await one.post(path, fields, origin)).status == 403, path
            headers = {} if origin is None else {"Origin": origin}
            changed = await one.send("PATCH", "/api/v1/account", headers=headers, json={"name": "Eve"})
            assert changed.status == 403
        assert (await one.json("GET", "/api/v1/account")).json == before.json


async def test_a_session_always_begins_with_a_token_of_its_own(
    registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(registrar.url) as one, browser(registrar.url) as thief:
        await one.sign_in(ADA, mailbox)
        (name, first), *more = one.cookies.items()
        assert more == []
        # a token that somebody planted is not taken over
        thief.session.cookie_jar.update_cookies({name: "A" * 43}, URL(registrar.url))
        await thief.sign_in("eve@example.org", mailbox)
        assert thief.cookies[name] not in ("A" * 43, first)
        # signing in anew ends what was before
        assert (await ask(one)).status == 200
        assert (await one.post((await mailbox.next(ADA)).link(registrar.url), {})).status == 303
        assert one.cookies[name] != first
        thief.session.cookie_jar.update_cookies({name: first}, URL(registrar.url))
        assert await who(thief) == ""


async def test_the_cookie_is_kept_from_scripts_and_other_sites(tmp_path: Path, mailbox: Mailbox) -> None:
    port = free_port()
    settings = Settings(
        data=tmp_path / "registrar",
        listen=f"127.0.0.1:{port}",
        public_url="https://registrar.example",
        zeroconf=False,
        min_free_bytes=0,
    )
    async with running(settings), browser(f"http://127.0.0.1:{port}") as one:
        answer = await one.post("/sign-in", {"email": ADA}, "https://registrar.example")
        assert answer.status == 200
        link = (await mailbox.next(ADA)).link("https://registrar.example")
        answer = await one.post(link, {}, "https://registrar.example")
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-seedkeep=")
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "secure", "samesite=lax", "path=/"} <= attributes
        assert not any(a.startswith("domain") for a in attributes)


async def test_sessions_end_when_unused_when_old_and_when_asked(
    registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(registrar.url) as one, browser(registrar.url) as other:
        day = 86400
        await one.sign_in(ADA, mailbox)
        registrar.clock.offset += 6 * day
        assert await who(one) == ADA
        registrar.clock.offset += 8 * day
        assert await who(one) == ""
        await one.sign_in(ADA, mailbox)
        for _ in range(5):
            registrar.clock.offset += 6 * day
            assert await who(one) == (ADA if _ < 4 else "")
        await one.sign_in(ADA, mailbox)
        await other.sign_in(ADA, mailbox)
        assert (await one.post("/sign-out", {})).status == 303
        assert [await who(b) for b in (one, other)] == ["", ADA]
        await one.sign_in(ADA, mailbox)
        assert (await other.post("/sign-out/everywhere", {})).status == 303
        assert [await who(b) for b in (one, other)] == ["", ""]


async def test_after_signing_in_one_is_where_one_wanted_to_be(
    registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(registrar.url) as one:
        answer = await one.get("/account/bind?code=BCDF-GHJK")
        assert answer.status == 303
        assert URL(answer.headers["Location"]).query["next"] == "/account/bind?code=BCDF-GHJK"
        form = await one.get(answer.headers["Location"])
        await one.post("/sign-in", {"email": ADA, "next": hidden(form, "next")})
        answer = await one.post((await mailbox.next(ADA)).link(registrar.url), {})
        assert answer.headers["Location"] == "/account/bind?code=BCDF-GHJK"


ELSEWHERE = (
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "javascript:alert(1)",
    "/account\r\nSet-Cookie: a=b",
    "/" + "x" * 600,
)


async def test_nobody_is_sent_to_another_site(registrar: RegistrarUnderTest, mailbox: Mailbox) -> None:
    assert [safe_path(elsewhere) for elsewhere in ELSEWHERE] == [""] * len(ELSEWHERE)
    async with browser(registrar.url) as one:
        for elsewhere in ELSEWHERE[:4]:
            await one.post("/sign-in", {"email": ADA, "next": elsewhere})
            answer = await one.post((await mailbox.next(ADA)).link(registrar.url), {})
            assert answer.headers["Location"] == "/account"


async def test_nothing_that_opens_something_is_kept_readable(
    registrar: RegistrarUnderTest, mailbox: Mailbox
) -> None:
    async with browser(registrar.url) as one:
        asked = await ask(one)
        mail = await mailbox.next(ADA)
        link = mail.link(registrar.url)
        await one.post(link, {})
        made = await one.json("POST", "/api/v1/account/tokens", {"name": "t", "scopes": ["read"]})
        secrets = [
            link.rpartition("/")[2],
            hidden(asked, "held"),
            *one.cookies.values(),
            made.json["token"],
            mail.code,
        ]
    dump = await registrar.context.db.read(everything)
    assert ADA in dump
    assert [s for s in secrets if s in dump] == []


def everything(connection: Connection) -> str:
    """All rows of all tables but the outbox, which forgets what it has sent."""
    tables = [table for table in metadata.sorted_tables if table.name != "mails"]
    return "\n".join(str(tuple(row)) for table in tables for row in connection.execute(select(table)))
