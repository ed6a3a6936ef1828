"""Keys that act for an account, and how ``seedkeep login`` binds one."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from aiohttp import web
from msgspec import Meta

from seedkeep.core.errors import NotFound, Refused
from seedkeep_registrar import times
from seedkeep_registrar.accounts import binding, codes, sign_in
from seedkeep_registrar.accounts.documents import account_document, key_document
from seedkeep_registrar.accounts.managing import line
from seedkeep_registrar.accounts.managing import remove_key as remove
from seedkeep_registrar.accounts.principal import (
    Principal,
    Role,
    account_of,
    in_person,
    json_of,
    principal_of,
    require,
)
from seedkeep_registrar.api.accounts import Account, answer
from seedkeep_registrar.api.fields import Fields
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.interface.fields import Key, Moment
from seedkeep_registrar.interface.operation import PERSON, SIGNED, Body, Query, operation, query_of
from seedkeep_registrar.operations.limits import charge_mail
from seedkeep_registrar.store import account_keys, accounts
from seedkeep_registrar.store.account_keys import BOUND, WAITING

routes = web.RouteTableDef()
MAX_LABEL = 100
MAX_WAIT_S = 60
_KEY_PATH = {"key": Key}
BindingId = Annotated[
    str,
    Meta(
        pattern="^([0-9a-f]{32}|[A-Za-z0-9_-]{43})$",
        description="Names a binding of one key.",
    ),
]
State = Literal["waiting", "bound", "refused"]


class BoundKey(TypedDict):
    """A key that acts for the account."""

    key: Key
    label: Annotated[str, Meta(description="How its machine calls itself.")]
    bound: Moment


class KeyList(TypedDict):
    """The account's keys, oldest first."""

    keys: list[BoundKey]


class BindingBody(Body):
    """A key that wants to act for an account: the one that signs the request."""

    label: Annotated[str, Meta(max_length=MAX_LABEL, description="How the machine calls itself.")] = ""
    email: Annotated[
        str, Meta(max_length=254, description="Mail a code there, instead of confirming in a browser.")
    ] = ""


class Binding(TypedDict):
    """A key that waits to be confirmed."""

    id: BindingId
    state: State
    code: Annotated[str, Meta(description="To be shown to the person; empty when it was mailed.")]
    url: Annotated[str, Meta(description="Where the person confirms; empty when a code was mailed.")]
    expires: Moment


class BindingQuery(Query):
    """How long to wait."""

    wait: Annotated[float, Meta(ge=0, le=MAX_WAIT_S, description="Seconds to wait for a change.")] = 0


class BindingProgress(TypedDict):
    """How a binding stands."""

    id: BindingId
    state: State
    account: Account | None


class CodeBody(Body):
    """The code from the mail."""

    code: Annotated[str, Meta(max_length=40)]


@routes.get("/api/v1/account/keys")
@operation("List your keys", tag="Accounts", answers={200: KeyList}, security=PERSON, scope="read")
async def list_keys(request: web.Request) -> web.Response:
    """The keys whose signatures count as yours."""
    mine = account_of(await require(request, Role.VISITOR, "read"))
    found = await request.app[REGISTRAR].db.read(account_keys.of_account, mine.id)
    return answer({"keys": [key_document(key) for key in found]})


@routes.delete("/api/v1/account/keys/{key}")
@operation(
    "Remove a key",
    tag="Accounts",
    answers={204: None},
    problems=(404,),
    path=_KEY_PATH,
    security=PERSON,
    scope="edit",
)
async def remove_key(request: web.Request) -> web.Response:
    """It acts for your account no more; what it signed stays signed."""
    mine = account_of(in_person(await require(request, Role.VISITOR, "edit")))
    if not await remove(request.app[REGISTRAR], mine, request.match_info["key"][:MAX_LABEL]):
        raise NotFound("this key does not act for your account")
    return web.Response(status=204)


async def _signer(request: web.Request) -> Principal:
    sender = await principal_of(request)
    if sender.how != "signature":
        sender = await require(request, Role.VISITOR, "edit")
        raise Refused("a key is bound by a request that it signs", hint="Use `seedkeep login`.")
    return sender


@routes.post("/api/v1/account/bindings")
@operation(
    "Ask to bind a key",
    tag="Accounts",
    answers={201: Binding},
    body=BindingBody,
    security=SIGNED,
    scope="edit",
)
async def begin_binding(request: web.Request) -> web.Response:
    """Without `email`, a person signed in with a browser confirms the code at `url`. With it, a code is
    mailed, if somebody may sign in with that address; the answer does not tell."""
    sender, registrar = await _signer(request), request.app[REGISTRAR]
    f = Fields(await json_of(request), "this binding").only("label", "email")
    label = line(f.text("label", limit=MAX_LABEL, default=""), "the label", MAX_LABEL)
    if email := f.text("email", limit=254, default=""):
        address = sign_in.normal_email(email)
        charge_mail(request)
        held = await sign_in.ask(registrar, address, key=sender.key, label=label)
        ends = times.text(registrar.clock() + sign_in.CODE_S)
        return answer({"id": held, "state": WAITING, "code": "", "url": "", "expires": ends}, 201)
    begun, code = await binding.begin(registrar, sender.key, label)
    shown = codes.shown_code(code)
    return answer(
        {
            "id": begun.id,
            "state": begun.state,
            "code": shown,
            "url": f"{registrar.public_url}/account/bind?code={shown}",
            "expires": times.text(begun.expires),
        },
        201,
    )


@routes.get("/api/v1/account/bindings/{binding}")
@operation(
    "Wait for a key to be confirmed",
    tag="Accounts",
    answers={200: BindingProgress},
    problems=(404,),
    query=BindingQuery,
    path={"binding": BindingId},
    security=SIGNED,
    scope="edit",
)
async def wait_for_binding(request: web.Request) -> web.Response:
    """Answers as soon as the person has decided, or after `wait` seconds."""
    sender, registrar = await _signer(request), request.app[REGISTRAR]
    wait_s = query_of(request, BindingQuery).wait
    asked = request.match_info["binding"][:32]
    found = await binding.wait(registrar, request.app[binding.CONFIRMATIONS], asked, sender.key, wait_s)
    account = None
    if found.state == BOUND and found.account_id is not None:
        account = await registrar.db.read(accounts.by_id, found.account_id)
    shown = account_document(account) if account else None
    return answer({"id": found.id, "state": found.state, "account": shown})


@routes.post("/api/v1/account/bindings/{binding}/code")
@operation(
    "Bind a key by a mailed code",
    tag="Accounts",
    answers={200: BindingProgress},
    problems=(409,),
    path={"binding": BindingId},
    body=CodeBody,
    security=SIGNED,
    scope="edit",
)
async def confirm_binding(request: web.Request) -> web.Response:
    """The code works once, for the key that asked for it; after five wrong ones it does not work any more."""
    sender, registrar = await _signer(request), request.app[REGISTRAR]
    typed = Fields(await json_of(request), "this confirmation").only("code").text("code", limit=40)
    held = request.match_info["binding"]
    entered = await sign_in.redeem_code(registrar, held, typed, sender.key)
    if entered is None:
        raise Refused(
            "this code does not work (any more)", hint="Look for a typing error, or ask for a new one."
        )
    return answer({"id": held, "state": BOUND, "account": account_document(entered.account)})


def setup(app: web.Application) -> None:
    """Add the routes, and who waits for confirmations."""
    app[binding.CONFIRMATIONS] = binding.Confirmations()
    app.add_routes(routes)
