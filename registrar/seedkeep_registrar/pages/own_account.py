"""Forms of the account's page that change how one signs in, and the one that ends the account."""

from __future__ import annotations

from aiohttp import web

from seedkeep.core.errors import Conflict, InvalidInput, Refused
from seedkeep_registrar.accounts import address, browser, leaving, services
from seedkeep_registrar.accounts.browser import ENTERED
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.operations.limits import charge_mail
from seedkeep_registrar.pages.account import account_page
from seedkeep_registrar.pages.forms import form_of, see, signed_in
from seedkeep_registrar.pages.render import show

routes = web.RouteTableDef()


@routes.post("/account/email")
async def _ask(request: web.Request) -> web.Response:
    _, account = await signed_in(request)
    form = await form_of(request)
    charge_mail(request)
    try:
        held, email = await address.ask(request.app[REGISTRAR], account, form.text("email", 400))
    except InvalidInput as error:
        return await account_page(request, account, status=400, problem=error.diagnostics())
    return _code_page(request, email, held)


def _code_page(request: web.Request, email: str, held: str, error: str = "") -> web.Response:
    status = 403 if error else 200
    answer = show(request, "email_code.html", status=status, email=email, held=held, error=error)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@routes.post("/account/email/code")
async def _change(request: web.Request) -> web.Response:
    _, account = await signed_in(request)
    form = await form_of(request)
    held, email = form.text("held", 64), form.text("email", 254)
    try:
        changed = await address.confirm(request.app[REGISTRAR], account, held, form.text("code", 40))
    except Conflict as error:
        return _code_page(request, email, held, error.diagnostics())
    if changed is None:
        error_text = "This code does not work. It may have a typing error, be used or be too old."
        return _code_page(request, email, held, error_text)
    return see(request, "/account#address")


@routes.post("/account/services/remove")
async def _unlink(request: web.Request) -> web.Response:
    _, account = await signed_in(request)
    form, registrar = await form_of(request), request.app[REGISTRAR]
    try:
        await registrar.db.write(services.unlink, registrar.settings, account, form.text("id", 40))
    except Refused as error:
        return await account_page(request, account, status=400, problem=error.diagnostics())
    return see(request, "/account#services")


@routes.post("/account/delete")
async def _delete(request: web.Request) -> web.Response:
    _, account = await signed_in(request)
    form, registrar = await form_of(request), request.app[REGISTRAR]
    try:
        if not form.text("sure"):
            raise InvalidInput("your account was not deleted", hint="Say that you are sure.")
        request[ENTERED] = await leaving.delete(registrar, account)
    except (InvalidInput, Refused) as error:
        return await account_page(request, account, status=400, problem=error.diagnostics())
    answer = see(request, "/account/deleted")
    browser.clear_cookie(registrar, answer)
    return answer


@routes.get("/account/deleted")
async def _deleted(request: web.Request) -> web.Response:
    return show(request, "account_deleted.html")
