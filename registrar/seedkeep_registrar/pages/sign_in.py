"""Pages for signing in by e-mail, and out."""

from __future__ import annotations

from aiohttp import web

from seedkeep.core.errors import InvalidInput
from seedkeep_registrar.accounts import browser, sign_in
from seedkeep_registrar.accounts.principal import page_principal
from seedkeep_registrar.accounts.sign_in import SignedIn
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.operations.limits import charge_mail
from seedkeep_registrar.pages.forms import form_of, see, signed_in
from seedkeep_registrar.pages.render import show
from seedkeep_registrar.pages.views import site_of
from seedkeep_registrar.settings import CLOSED
from seedkeep_registrar.store import sessions

routes = web.RouteTableDef()


@routes.get("/sign-in")
async def _form(request: web.Request) -> web.Response:
    following = sign_in.safe_path(request.query.get("next", ""))
    if page_principal(request).account is not None:
        return web.Response(status=303, headers={"Location": following or _account(request)})
    return _asking(request, following)


def _asking(request: web.Request, following: str, email: str = "", error: str = "") -> web.Response:
    return show(
        request,
        "sign_in.html",
        status=400 if error else 200,
        next=following,
        email=email,
        error=error,
        closed=request.app[REGISTRAR].settings.sign_up == CLOSED,
    )


@routes.post("/sign-in")
async def _ask(request: web.Request) -> web.Response:
    form = await form_of(request)
    typed, following = form.text("email", 400), sign_in.safe_path(form.text("next"))
    try:
        email = sign_in.normal_email(typed)
    except InvalidInput as error:
        return _asking(request, following, typed[:254], error.diagnostics())
    charge_mail(request)
    held = await sign_in.ask(request.app[REGISTRAR], email, next=following)
    return show(request, "sign_in_code.html", email=email, held=held, error="")


@routes.post("/sign-in/code")
async def _code(request: web.Request) -> web.Response:
    form = await form_of(request)
    held, email = form.text("held", 64), form.text("email", 254)
    entered = await sign_in.redeem_code(request.app[REGISTRAR], held, form.text("code", 40))
    if entered is None:
        error = "This code does not work. It may have a typing error, be used or be too old."
        return show(request, "sign_in_code.html", status=403, email=email, held=held, error=error)
    return await _enter(request, entered)


@routes.get("/sign-in/link/{link}")
async def _link(request: web.Request) -> web.Response:
    found = await sign_in.look_at_link(request.app[REGISTRAR], request.match_info["link"])
    return _private(
        show(
            request,
            "sign_in_link.html",
            status=200 if found else 404,
            email=found.email if found else "",
            link=request.match_info["link"] if found else "",
        )
    )


@routes.post("/sign-in/link/{link}")
async def _follow(request: web.Request) -> web.Response:
    await form_of(request)
    entered = await sign_in.redeem_link(request.app[REGISTRAR], request.match_info["link"])
    if entered is None:
        return _private(show(request, "sign_in_link.html", status=404, email="", link=""))
    return await _enter(request, entered)


async def _enter(request: web.Request, entered: SignedIn) -> web.Response:
    answer = web.Response(status=303, headers={"Cache-Control": "no-store"})
    answer.headers["Location"] = entered.next or _account(request)
    await browser.begin(request, entered.account, answer)
    return answer


def _account(request: web.Request) -> str:
    return site_of(request.app[REGISTRAR]).base + "/account"


def _private(answer: web.Response) -> web.Response:
    answer.headers["Cache-Control"] = "no-store"
    return answer


@routes.post("/sign-out")
async def _out(request: web.Request) -> web.Response:
    await form_of(request)
    answer = see(request, "/")
    await browser.end(request, answer)
    return answer


@routes.post("/sign-out/everywhere")
async def _out_everywhere(request: web.Request) -> web.Response:
    _, account = await signed_in(request)
    await form_of(request)
    registrar = request.app[REGISTRAR]
    await registrar.db.write(sessions.end_all, account.id)
    answer = see(request, "/sign-in")
    browser.clear_cookie(registrar, answer)
    return answer
