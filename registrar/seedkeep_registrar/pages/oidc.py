"""Signing in with another service: out to it, and back."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

from seedkeep.core.errors import NotFound
from seedkeep.core.httpsig import Unauthenticated
from seedkeep_registrar.accounts import browser, codes, external, sign_in
from seedkeep_registrar.accounts.oidc import OidcClient, SignInRefused
from seedkeep_registrar.accounts.oidc_flow import FLOW_S, Flow
from seedkeep_registrar.accounts.oidc_provider import OidcProvider
from seedkeep_registrar.accounts.principal import page_principal
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.pages.views import site_of
from seedkeep_registrar.store import nonces

_CLIENT: web.AppKey[OidcClient] = web.AppKey("oidc", OidcClient)
#: stands for the key in the table of nonces
_STATES = "oidc"
_MAX_CODE = 4096

routes = web.RouteTableDef()


def _cookie(registrar: Registrar) -> str:
    return f"{browser.cookie_name(registrar.public_url)}-oidc"


def _cookie_path(registrar: Registrar) -> str:
    # a cookie whose name begins with __Host- has to be for the whole host
    return urlsplit(registrar.public_url).path.rstrip("/") + "/"


def _provider(request: web.Request) -> OidcProvider:
    name = request.match_info["provider"]
    found = request.app[_CLIENT].provider(name)
    if found is None:
        raise NotFound(f"one cannot sign in here with {name[:40]}", hint="Look at the sign-in page.")
    return found


def _one(request: web.Request, name: str) -> str:
    given = request.query.getall(name, [])
    if len(given) > 1 or any(len(value) > _MAX_CODE for value in given):
        raise SignInRefused("this answer cannot be read", hint="Begin again from the sign-in page.")
    return given[0] if given else ""


@routes.get("/sign-in/with/{provider}")
async def _out(request: web.Request) -> web.Response:
    registrar, provider = request.app[REGISTRAR], _provider(request)
    elsewhere = request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
    if elsewhere and page_principal(request).account is not None:
        # another site that has signed the browser in at the service as somebody else would add them here
        raise SignInRefused(
            f"{provider.label} can be added to your account from its own page only",
            hint=f"Open {registrar.public_url}/account.",
        )
    held = codes.secret(registrar.random(codes.SECRET_BYTES))
    following = sign_in.safe_path(request.query.get("next", ""))
    flow = Flow(held, provider.name, int(registrar.clock()), following)
    target = await request.app[_CLIENT].begin(provider, flow)
    answer = web.Response(status=303, headers={"Location": target, "Cache-Control": "no-store"})
    answer.set_cookie(
        _cookie(registrar),
        flow.cookie,
        max_age=FLOW_S,
        path=_cookie_path(registrar),
        secure=registrar.public_url.startswith("https:"),
        httponly=True,
        samesite="Lax",
    )
    return answer


@routes.get("/sign-in/with/{provider}/back")
async def _back(request: web.Request) -> web.Response:
    registrar, provider = request.app[REGISTRAR], _provider(request)
    now = registrar.clock()
    flow = Flow.read(request.cookies.get(_cookie(registrar), ""), provider.name)
    if flow is None or not flow.fits(_one(request, "state"), now):
        raise SignInRefused(
            "this answer does not belong to a sign-in that was begun in this browser",
            hint="Begin again from the sign-in page.",
        )
    # RFC 9207: an answer of another service than the one that was asked
    if _one(request, "iss") not in ("", provider.issuer):
        raise SignInRefused(f"this answer does not come from {provider.label}", hint="Begin again.")
    if _one(request, "error"):
        raise SignInRefused(f"{provider.label} did not sign you in", hint="Begin again if you want to.")
    try:
        await registrar.db.write(nonces.use_once, _STATES, flow.state, int(flow.begun + 2 * FLOW_S))
    except Unauthenticated as error:
        raise SignInRefused("this answer was used already", hint="Begin again.") from error
    identity = await request.app[_CLIENT].finish(provider, flow, _one(request, "code"))
    here = page_principal(request).account
    account = await registrar.db.write(external.arrive, registrar.settings, provider, identity, here, now)
    answer = web.Response(status=303, headers={"Cache-Control": "no-store"})
    answer.headers["Location"] = sign_in.safe_path(flow.next) or f"{site_of(registrar).base}/account"
    await browser.begin(request, account, answer)
    answer.del_cookie(_cookie(registrar), path=_cookie_path(registrar))
    return answer


def setup(app: web.Application) -> None:
    """Add the routes, and what asks the services."""
    registrar = app[REGISTRAR]
    client = OidcClient(
        registrar.settings.oidc,
        clock=registrar.clock,
        redirect_uri=lambda name: f"{registrar.public_url}/sign-in/with/{name}/back",
    )
    app[_CLIENT] = client
    app.cleanup_ctx.append(client.running)
    app.add_routes(routes)
