"""The pages of accounts in a real Chromium; and that one can sign in with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from seedkeep_registrar.store import accounts, external_identities
from seedkeep_registrar.store.accounts import Role
from seedkeep_registrar.store.external_identities import ExternalIdentity
from tests.registrar.page_world import HOSTILE, Shot, World, look
from tests.support.chromium import Tab, browsing
from tests.support.people import Browser, Mailbox, browser, collecting, hidden
from tests.support.registrar import start_registrar

pytestmark = pytest.mark.asyncio(loop_scope="module")
ADA = "ada@example.org"
BOSS = "boss@example.org"


class People:
    """A registrar with two people signed in."""

    def __init__(self, world: World, boss: Browser, ada: Browser, mailbox: Mailbox) -> None:
        self.world, self.boss, self.ada, self.mailbox = world, boss, ada, mailbox
        self.code = ""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def people(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[People]:
    folder = tmp_path_factory.mktemp("people")
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            start_registrar(folder / "registrar", name="Open Genomes", operator_emails=(BOSS,))
        )
        mailbox = stack.enter_context(collecting())
        boss, ada = [await stack.enter_async_context(browser(running.url)) for _ in range(2)]
        await boss.sign_in(BOSS, mailbox)
        await ada.sign_in(ADA, mailbox)
        filled = People(World(running, running.person()), boss, ada, mailbox)
        await fill(filled)
        yield filled


async def fill(people: People) -> None:
    """Everything that these pages can show, also names that hurt."""
    boss, ada, running = people.boss, people.ada, people.world.registrar
    profile = {"name": "Ada Lovelace", "orcid": "0000-0002-1825-0097", "institution": "Example University"}
    assert (await ada.json("PATCH", "/api/v1/account", profile)).status == 200
    for name, scopes in (("nightly export", ["read", "edit"]), ("W" * 100, ["register"])):
        made = {"name": name, "scopes": scopes}
        assert (await ada.json("POST", "/api/v1/account/tokens", made)).status == 201
    for label in ("laptop", "node-0042.cluster.example.org", ""):
        begun = await running.person().post("/api/v1/account/bindings", {"label": label})
        fields = {"code": begun.json["code"], "decision": "confirm"}
        assert (await ada.post("/account/bind", fields)).status == 200
    waiting = await running.person().post("/api/v1/account/bindings", {"label": "laptop"})
    people.code = waiting.json["code"]
    hurts = "".join(c for c in HOSTILE if c.isprintable())[:200]
    for n, role in enumerate(("visitor", "member", "curator", "operator")):
        added = {"email": f"{'x' * 60}{n}@example.org", "name": hurts if n == 1 else "", "role": role}
        assert (await boss.json("POST", "/api/v1/accounts", added)).status == 201
    assert (await boss.json("PATCH", "/api/v1/accounts/3", {"disabled": True})).status == 200
    assert (
        await boss.json("POST", "/api/v1/groups", {"name": "river-lab", "title": "River lab"})
    ).status == 201
    assert (await boss.json("POST", "/api/v1/groups", {"name": "w" * 64, "title": hurts})).status == 201
    for account in (2, 4):
        path = f"/api/v1/groups/river-lab/members/{account}"
        assert (await boss.json("PUT", path, {"manager": account == 2})).status == 204
    for publisher, datasets, size in (("2", 50, 0), (str(running.person()), 0, 2 * 10**13)):
        quota = {"datasets": datasets, "bytes": size}
        assert (await boss.json("PUT", f"/api/v1/quotas/{publisher}", quota)).status == 200
    async with browser(running.url) as gone:
        await gone.sign_in("gone@example.org", people.mailbox)
        assert (await gone.json("DELETE", "/api/v1/account")).status == 204
    db, now = running.context.db, running.clock()
    await db.write(
        external_identities.link, ExternalIdentity("https://orcid.org", "0000-0002-1825-0097"), 2, now
    )
    await db.write(external_identities.link, ExternalIdentity("https://id.example.org", "x" * 255), 2, now)
    await db.write(accounts.change, 2, {"role": int(Role.CURATOR)})


async def _asked(tab: Tab) -> None:
    """Ask for another address, in the page of the account."""
    await tab.evaluate("document.querySelector('main input[type=email]').value = 'ada@new.example.org'")
    await tab.evaluate("document.querySelector('form[action$=\"/account/email\"]').requestSubmit()")
    await arrived(tab, "document.querySelector('#code') !== null")


def as_(who: str, shot: Shot) -> tuple[str, Shot]:
    return who, shot


SHOTS = [
    as_("", Shot("sign-in", lambda w: "/sign-in")),
    as_("", Shot("sign-in-link-dead", lambda w: "/sign-in/link/" + "x" * 43, 404)),
    as_("ada", Shot("account", lambda w: "/account")),
    as_("ada", Shot("email-code", lambda w: "/account", do=_asked)),
    as_("", Shot("account-deleted", lambda w: "/account/deleted")),
    as_("ada", Shot("bind-code", lambda w: "/account/bind")),
    as_("ada", Shot("bind-wrong", lambda w: "/account/bind?code=nonsense", 400)),
    as_("ada", Shot("bind-confirm", lambda w: "/account/bind?code=CODE")),
    as_("ada", Shot("accounts-refused", lambda w: "/accounts", 403)),
    as_("boss", Shot("accounts", lambda w: "/accounts")),
    as_("boss", Shot("quotas", lambda w: "/operate/quotas")),
    as_("boss", Shot("groups", lambda w: "/groups")),
    as_("boss", Shot("group", lambda w: "/groups/river-lab")),
]


@pytest.mark.parametrize(("who", "shot"), SHOTS, ids=lambda given: getattr(given, "name", given))
async def test_a_page_is_quiet_fits_the_window_and_bars_nobody(
    chromium_port: int, people: People, who: str, shot: Shot, tmp_path: Path
) -> None:
    async with browsing(chromium_port) as tab:
        if who:
            for name, value in getattr(people, who).cookies.items():
                await tab.cookie(people.world.url, name, value)
        path = shot.path(people.world).replace("CODE", people.code)
        opened = replace(shot, path=lambda w: path)
        assert await look(tab, people.world, opened, tmp_path) == []


async def test_one_signs_in_with_a_real_browser(chromium_port: int, people: People) -> None:
    email, url = "new@example.org", people.world.url
    async with browsing(chromium_port) as tab:
        await tab.open(f"{url}/sign-in?next=/account/bind")
        await tab.evaluate(f"document.querySelector('#email').value = '{email}'")
        await tab.evaluate("document.querySelector('main form').requestSubmit()")
        link = (await people.mailbox.next(email)).link(url)
        await arrived(tab, "document.querySelector('#code') !== null")
        await tab.open(url + link)
        await tab.evaluate("document.querySelector('main form').requestSubmit()")
        await arrived(tab, "location.pathname == '/account/bind'")
        assert "Confirm a key" in await tab.evaluate("document.querySelector('h1').textContent")
        assert await tab.evaluate("document.cookie") == ""  # kept from scripts
        assert tab.complaints == []


async def arrived(tab: Tab, expression: str) -> None:
    """Wait until the page is there after which this is true."""
    async with asyncio.timeout(60):
        while True:
            with suppress(AssertionError):  # the page before has just gone
                if await tab.evaluate(f"document.readyState == 'complete' && ({expression})"):
                    return
            await asyncio.sleep(0.05)


async def test_the_page_after_asking_says_what_to_do(people: People) -> None:
    async with browser(people.world.url) as one:
        page = await one.post("/sign-in", {"email": "other@example.org"})
        assert hidden(page, "email") == "other@example.org"
        assert "a mail is on its way" in page.body.decode()
