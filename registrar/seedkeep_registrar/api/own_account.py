"""One's own account: its address, by which services one signs in, and its end."""

from __future__ import annotations

from typing import Annotated, TypedDict

from aiohttp import web
from msgspec import Meta

from seedkeep.core.errors import Refused
from seedkeep_registrar import times
from seedkeep_registrar.accounts import address, browser, leaving, services
from seedkeep_registrar.accounts.browser import ENTERED
from seedkeep_registrar.accounts.documents import account_document, service_document
from seedkeep_registrar.accounts.principal import Role, account_of, in_person, json_of, require
from seedkeep_registrar.accounts.sign_in import CODE_S
from seedkeep_registrar.api.accounts import Account, answer
from seedkeep_registrar.api.fields import Fields
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.interface.fields import Moment
from seedkeep_registrar.interface.operation import PERSON, Body, operation
from seedkeep_registrar.operations.limits import charge_mail

routes = web.RouteTableDef()
ServiceId = Annotated[str, Meta(pattern="^[0-9a-f]{16}$", description="Names a service; opens nothing.")]


class EmailBody(Body):
    """The new address."""

    email: Annotated[str, Meta(max_length=254)]


class EmailAsked(TypedDict):
    """A code is on its way to the new address, unless somebody else has it."""

    id: Annotated[str, Meta(description="To be sent along with the code.")]
    expires: Moment


class EmailCode(Body):
    """The code from the mail."""

    id: Annotated[str, Meta(max_length=64)]
    code: Annotated[str, Meta(max_length=40)]


class Service(TypedDict):
    """A service by which one signs in."""

    id: ServiceId
    title: str
    issuer: str
    subject: Annotated[str, Meta(description="Who one is there.")]


class ServiceList(TypedDict):
    """The services by which one signs in, oldest first."""

    services: list[Service]


@routes.post("/api/v1/account/email")
@operation(
    "Ask for another e-mail address",
    tag="Accounts",
    answers={202: EmailAsked},
    body=EmailBody,
    security=PERSON,
    scope="edit",
)
async def ask_for_email(request: web.Request) -> web.Response:
    """A code is mailed to the new address. Not by token."""
    mine = account_of(in_person(await require(request, Role.VISITOR, "edit")))
    typed = Fields(await json_of(request), "this address").only("email").text("email", limit=254)
    charge_mail(request)
    registrar = request.app[REGISTRAR]
    held, _ = await address.ask(registrar, mine, typed)
    return answer({"id": held, "expires": times.text(registrar.clock() + CODE_S)}, 202)


@routes.post("/api/v1/account/email/code")
@operation(
    "Change your e-mail address",
    tag="Accounts",
    answers={200: Account},
    problems=(409,),
    body=EmailCode,
    security=PERSON,
    scope="edit",
)
async def change_email(request: web.Request) -> web.Response:
    """By the code that was mailed to the new one; the old one is told. Not by token."""
    mine = account_of(in_person(await require(request, Role.VISITOR, "edit")))
    f = Fields(await json_of(request), "this code").only("id", "code")
    changed = await address.confirm(
        request.app[REGISTRAR], mine, f.text("id", limit=64), f.text("code", limit=40)
    )
    if changed is None:
        raise Refused("this code does not work", hint="It may have a typing error, be used or be too old.")
    return answer(account_document(changed))


@routes.get("/api/v1/account/services")
@operation(
    "List the services by which you sign in",
    tag="Accounts",
    answers={200: ServiceList},
    security=PERSON,
    scope="read",
)
async def list_services(request: web.Request) -> web.Response:
    """Besides the e-mail address."""
    mine = account_of(await require(request, Role.VISITOR, "read"))
    registrar = request.app[REGISTRAR]
    found = await registrar.db.read(services.of_account, registrar.settings, mine.id)
    return answer({"services": [service_document(one) for one in found]})


@routes.delete("/api/v1/account/services/{service}")
@operation(
    "Sign in by a service no more",
    tag="Accounts",
    answers={204: None},
    problems=(404,),
    path={"service": ServiceId},
    security=PERSON,
    scope="edit",
)
async def unlink_service(request: web.Request) -> web.Response:
    """Refused for the last way to sign in. Not by token."""
    mine = account_of(in_person(await require(request, Role.VISITOR, "edit")))
    registrar = request.app[REGISTRAR]
    await registrar.db.write(services.unlink, registrar.settings, mine, request.match_info["service"])
    return web.Response(status=204)


@routes.delete("/api/v1/account")
@operation(
    "Delete your account",
    tag="Accounts",
    answers={204: None},
    security=PERSON,
    scope="edit",
)
async def delete_account(request: web.Request) -> web.Response:
    """For good. Sessions, tokens, keys and what is known of you go; what you have signed and published stays.
    Refused for the last operator. Not by token."""
    mine = account_of(in_person(await require(request, Role.VISITOR, "edit")))
    request[ENTERED] = await leaving.delete(request.app[REGISTRAR], mine)
    gone = web.Response(status=204)
    browser.clear_cookie(request.app[REGISTRAR], gone)
    return gone
