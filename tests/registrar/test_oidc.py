"""Signing in with another service, with a real provider and with ones that lie."""

from __future__ import annotations

import re
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest

from seedkeep.core.errors import UsageError
from seedkeep_registrar.accounts.oidc_flow import Flow
from seedkeep_registrar.accounts.oidc_provider import OidcProvider, read_provider
from tests.support.oidc import CLIENT, SECRET, Service, back_of, oidc_service
from tests.support.people import Browser, Mailbox, browser
from tests.support.registrar import LIMIT, Answer, RegistrarUnderTest, registrar_with, shareable

OUT = "/sign-in/with/uni"


def provider(service: Service, **more: Any) -> OidcProvider:
    return OidcProvider("uni", service.issuer, CLIENT, SECRET, **more)


@asynccontextmanager
async def signing_in(
    tmp_path: Path,
    service: Service,
    database_url: str = "",
    settings: dict[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[tuple[RegistrarUnderTest, Browser]]:
    """A registrar that knows the service, and a browser."""
    given = {"oidc": (provider(service, **more),), **(settings or {})}
    async with registrar_with(tmp_path, database_url, **given) as registrar, browser(registrar.url) as person:
        yield registrar, person


async def begin(person: Browser, query: str = "") -> str:
    """Go out to the service and through it; the address that leads back."""
    out = await person.get(OUT + query)
    assert out.status == 303, out
    async with person.session.get(out.headers["Location"], allow_redirects=False, timeout=LIMIT) as answer:
        assert answer.status == 302
        return back_of(answer.headers["Location"])


async def sign_in(person: Browser) -> Answer:
    """The whole way."""
    return await person.get(await begin(person))


async def who(person: Browser) -> dict[str, Any]:
    answer = await person.json("GET", "/api/v1/account")
    return dict(answer.json["account"]) if answer.status == 200 else {}


async def test_somebody_new_gets_an_account_and_comes_back_to_it(tmp_path: Path, database_url: str) -> None:
    async with oidc_service() as service, signing_in(tmp_path, service, database_url) as (registrar, person):
        page = await person.get("/sign-in")
        assert f'href="{OUT}"' in page.body.decode()
        answer = await sign_in(person)
        assert (answer.status, answer.headers["Location"]) == (303, "/account"), answer
        first = await who(person)
        assert first["name"] == "Bo Example"
        async with browser(registrar.url) as elsewhere:
            back = await begin(elsewhere, "?next=/nodes")
            answer = await elsewhere.get(back)
            assert answer.headers["Location"] == "/nodes"
            assert (await who(elsewhere))["id"] == first["id"]
    asked = service.asked[0]
    assert asked["code_challenge_method"] == "S256"
    assert asked["tenant"] == "1"
    assert asked["redirect_uri"] == f"{registrar.url}{OUT}/back"
    assert len({q["state"] for q in service.asked} | {q["nonce"] for q in service.asked}) == 4


async def test_the_secret_may_go_in_the_form(tmp_path: Path) -> None:
    async with oidc_service(basic=False) as service, signing_in(tmp_path, service) as (_, person):
        assert (await sign_in(person)).status == 303
        assert await who(person)


async def test_with_orcid_the_account_has_the_orcid(tmp_path: Path) -> None:
    more = {"given_name": "Josiah", "family_name": "Carberry"}
    async with (
        oidc_service(subject="0000-0002-1825-0097", more=more) as service,
        signing_in(tmp_path, service, orcid=True) as (_, person),
    ):
        assert (await sign_in(person)).status == 303
        account = await who(person)
    assert account["orcid"].endswith("0000-0002-1825-0097")
    assert account["name"] == "Josiah Carberry"
    assert service.asked[0]["scope"] == "openid"


async def test_somebody_signed_in_adds_the_service_to_their_account(tmp_path: Path, mailbox: Mailbox) -> None:
    async with oidc_service() as service, signing_in(tmp_path, service) as (registrar, person):
        await person.sign_in("bo@example.org", mailbox)
        mine = await who(person)
        assert (await sign_in(person)).status == 303
        assert (await who(person))["id"] == mine["id"]
        async with browser(registrar.url) as elsewhere:
            await sign_in(elsewhere)
            assert (await who(elsewhere))["email"] == "bo@example.org"
        async with browser(registrar.url) as other:
            await other.sign_in("cy@example.org", mailbox)
            assert (await sign_in(other)).status == 409
            assert (await who(other))["email"] == "cy@example.org"


@pytest.mark.parametrize(
    ("trusted", "verified", "same"), [(True, True, True), (True, False, False), (False, True, False)]
)
async def test_an_address_opens_an_account_only_if_it_is_verified_and_the_service_trusted(
    tmp_path: Path, mailbox: Mailbox, trusted: bool, verified: bool, same: bool
) -> None:
    told = {"email": "Bo@Example.org", "email_verified": verified}
    async with (
        oidc_service(userinfo=told) as service,
        signing_in(tmp_path, service, trust_email=trusted) as (registrar, person),
    ):
        await person.sign_in("bo@example.org", mailbox)
        mine = await who(person)
        async with browser(registrar.url) as elsewhere:
            assert (await sign_in(elsewhere)).status == 303
            assert ((await who(elsewhere))["id"] == mine["id"]) is same


async def test_where_sign_up_is_closed_nobody_new_comes_in(tmp_path: Path) -> None:
    async with (
        oidc_service() as service,
        signing_in(tmp_path, service, settings={"sign_up": "closed"}) as (_, person),
    ):
        assert (await sign_in(person)).status == 403
        assert await who(person) == {}


LIES: list[tuple[str, dict[str, Any]]] = [
    ("another nonce", {"claims": {"nonce": "x" * 43}}),
    ("no nonce", {"claims": {"nonce": None}}),
    ("for another client", {"claims": {"aud": "somebody-else"}}),
    ("for several clients", {"claims": {"aud": [CLIENT, "somebody-else"]}}),
    ("given to another client", {"claims": {"aud": [CLIENT], "azp": "somebody-else"}}),
    ("by another issuer", {"claims": {"iss": "https://evil.example.org"}}),
    ("expired", {"claims": {"exp": 1_000_000_000}}),
    ("without an end", {"claims": {"exp": None}}),
    ("from the future", {"claims": {"iat": 99_999_999_999}}),
    ("not valid yet", {"claims": {"nbf": 99_999_999_999}}),
    ("about nobody", {"claims": {"sub": ""}}),
    ("about something else", {"claims": {"sub": ["bo-17"]}}),
    ("unsigned", {"signed_by": "none"}),
    ("signed by another key", {"signed_by": "other"}),
    ("signed with the public key as a secret", {"signed_by": "secret"}),
    ("of somebody else in userinfo", {"userinfo": {"sub": "eve"}}),
    ("from a service with another name", {"described": {"issuer": "https://evil.example.org"}}),
    ("with keys that have no end", {"huge": True}),
    ("with keys from somewhere insecure", {"described": {"jwks_uri": "http://keys.example.org/"}}),
    ("with no token endpoint", {"described": {"token_endpoint": None}}),
]


@pytest.mark.parametrize("lie", [lie for _, lie in LIES], ids=[name for name, _ in LIES])
async def test_a_token_that_proves_nothing_signs_nobody_in(tmp_path: Path, lie: dict[str, Any]) -> None:
    async with oidc_service(**lie) as service, signing_in(tmp_path, service) as (_, person):
        out = await person.get(OUT)
        if out.status == 303:
            async with person.session.get(
                out.headers["Location"], allow_redirects=False, timeout=LIMIT
            ) as answer:
                out = await person.get(back_of(answer.headers["Location"]))
        assert out.status in (403, 503), out
        assert b"Traceback" not in out.body
        assert await who(person) == {}


async def test_an_answer_counts_once_and_in_its_own_browser(tmp_path: Path) -> None:
    async with oidc_service() as service, signing_in(tmp_path, service) as (registrar, person):
        back = await begin(person)
        cookies = dict(person.cookies)
        async with browser(registrar.url) as eve:
            # the attacker's answer in the victim's browser, and the victim's in the attacker's
            assert (await eve.get(back)).status == 403
            await begin(eve)
            assert (await eve.get(back)).status == 403
            assert await who(eve) == {}
        wrong = re.sub(r"state=[^&]+", "state=" + "x" * 43, back)
        assert (await person.get(wrong)).status == 403
        assert (await person.get(re.sub(r"iss=[^&]+", "iss=https%3A%2F%2Fevil.example", back))).status == 403
        assert (await person.get(back)).status == 303
        async with browser(registrar.url) as again:
            jar = {"Cookie": "; ".join(f"{n}={v}" for n, v in cookies.items())}
            replayed = await again.send("GET", back, headers=jar)
            assert replayed.status == 403
            assert "used already" in replayed.body.decode()


async def test_an_answer_that_comes_too_late_or_says_no_is_refused(tmp_path: Path) -> None:
    async with oidc_service() as service, signing_in(tmp_path, service) as (registrar, person):
        back = await begin(person)
        state = parse_qs(urlsplit(back).query)["state"][0]
        said = await person.get(f"{OUT}/back?{urlencode({'state': state, 'error': 'access_denied'})}")
        assert said.status == 403
        back = await begin(person)
        registrar.clock.offset += 3600
        assert (await person.get(back)).status == 403
        assert (await person.get(f"{OUT}/back")).status == 403
        assert (await person.get("/sign-in/with/nobody")).status == 404


async def test_a_service_that_is_down_is_told(tmp_path: Path) -> None:
    async with oidc_service() as service:
        pass
    async with signing_in(tmp_path, service) as (_, person):
        answer = await person.get(OUT)
    assert answer.status == 503
    assert "does not answer" in answer.body.decode()


async def test_nobody_is_sent_to_another_site_afterwards(tmp_path: Path) -> None:
    async with oidc_service() as service, signing_in(tmp_path, service) as (_, person):
        for target in ("https://evil.example.org", "//evil.example.org", "/\\evil.example.org"):
            back = await begin(person, f"?{urlencode({'next': target})}")
            assert (await person.get(back)).headers["Location"] == "/account"


@pytest.fixture
def real_provider() -> Iterator[str]:
    """The issuer of oidc-provider-mock, an independent implementation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import oidc_provider_mock

        with oidc_provider_mock.run_server_in_thread() as server:
            yield f"http://localhost:{server.server_port}"


async def test_with_an_independent_provider(tmp_path: Path, real_provider: str) -> None:
    known = OidcProvider("uni", real_provider, "seedkeep", "secret", trust_email=True)
    subject = {"sub": "ada@example.org"}
    async with (
        registrar_with(tmp_path, oidc=(known,)) as registrar,
        browser(registrar.url) as person,
        aiohttp.ClientSession() as at_provider,
    ):
        out = await person.get(OUT)
        target = out.headers["Location"]
        async with at_provider.put(
            f"{real_provider}/users/{subject['sub']}",
            json={"email": "ada@example.org", "email_verified": True, "name": "Ada"},
            timeout=LIMIT,
        ) as answer:
            assert answer.status < 300, await answer.text()
        async with at_provider.post(target, data=subject, allow_redirects=False, timeout=LIMIT) as answer:
            assert answer.status in (302, 303), await answer.text()
            back = back_of(answer.headers["Location"])
        assert (await person.get(back)).status == 303
        account = await who(person)
    assert (account["email"], account["name"]) == ("ada@example.org", "Ada")


@pytest.mark.parametrize(
    "table",
    [
        "orcid",
        {"name": "x"},
        {"name": "X!", "issuer": "https://a.example", "client_id": "c", "client_secret": "s"},
        {"name": "x", "issuer": "http://a.example", "client_id": "c", "client_secret": "s"},
        {"name": "x", "issuer": "https://a.example", "client_id": "", "client_secret": "s"},
        {"name": "x", "issuer": "https://a.example", "client_id": 1, "client_secret": "s"},
        {"name": "x", "issuer": "https://a.example", "client_id": "c", "client_secret": "s", "scop": ""},
        {"name": "x", "issuer": "https://a.example", "client_id": "c", "client_secret": "s", "orcid": "y"},
    ],
)
def test_services_that_cannot_work_are_refused(table: Any) -> None:
    with pytest.raises(UsageError):
        read_provider(table)


def test_secrets_of_services_are_not_shown() -> None:
    assert "s3cr3t" not in repr(OidcProvider("x", "https://a.example", "c", "s3cr3t"))


def test_what_a_browser_carries_tells_nothing_of_the_rest() -> None:
    flow = Flow("h" * 43, "uni", 1_700_000_000, "/nodes?x=1")
    assert Flow.read(flow.cookie, "uni") == flow
    assert Flow.read(flow.cookie, "other").state != flow.state  # type: ignore[union-attr]
    assert len({flow.state, flow.nonce, flow.verifier, flow.challenge, flow.held}) == 5
    for broken in ("", "x", flow.cookie + "!", flow.cookie.replace(".", "", 1), "h" * 43 + ".1.w4k"):
        assert Flow.read(broken, "uni") is None
    assert flow.fits(flow.state, flow.begun + 10)
    assert not flow.fits(flow.state, flow.begun + 1000)
    assert not flow.fits("\ud800", flow.begun)


async def test_events_name_an_orcid_only_if_its_owner_signed_in_with_it(
    tmp_path: Path, database_url: str
) -> None:
    mine = "0000-0002-1825-0097"
    async with (
        oidc_service(subject=mine) as service,
        signing_in(tmp_path, service, database_url, orcid=True) as (registrar, owner),
        browser(registrar.url) as other,
    ):
        await sign_in(owner)
        sharer = registrar.person()
        for person in (owner, other):
            if person is other:
                service.subject = "0000-0001-5109-3700"
                await sign_in(other)
                typed = await other.json("PATCH", "/api/v1/account", {"orcid": mine})
                assert typed.status == 200, typed
            begun = await sharer.post("/api/v1/account/bindings", {"label": "laptop"})
            bound = await person.post("/account/bind", {"code": begun.json["code"], "decision": "confirm"})
            assert bound.status == 200, bound
            record = await sharer.register(shareable(f"of {person is other}"))
            path = f"/records/{record['rid']}/edit"
            assert (await person.post(path, {"title": "changed"})).status == 303
            history = (await sharer.get(f"/api/v1/records/{record['rid']}/revisions")).json["revisions"]
            assert history[1]["editor"].get("orcid") == (mine if person is owner else None)
            sharer = registrar.person()
