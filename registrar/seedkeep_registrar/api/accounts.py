"""Accounts: who the sender is, and, for operators, everybody."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from aiohttp import web
from msgspec import Meta

from seedkeep.core.errors import InvalidInput, NotFound
from seedkeep_registrar.accounts import managing
from seedkeep_registrar.accounts.documents import account_document, principal_document
from seedkeep_registrar.accounts.principal import (
    Role,
    account_of,
    in_person,
    json_of,
    require,
)
from seedkeep_registrar.api.fields import Fields
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.interface.fields import Moment, Next
from seedkeep_registrar.interface.operation import PERSON, Body, Query, operation, query_of
from seedkeep_registrar.interface.paging import page
from seedkeep_registrar.store import accounts, groups

routes = web.RouteTableDef()
ROLES = ("visitor", "member", "curator", "operator")
RoleName = Literal["visitor", "member", "curator", "operator"]
Scope = Literal["read", "register", "edit", "curate", "operate"]
AccountId = Annotated[int, Meta(ge=1, le=2**53 - 1, description="Number of an account.")]
Line = Annotated[str, Meta(max_length=managing.MAX_NAME)]
#: answers about people are for the one who asks
PRIVATE = {"Cache-Control": "private, no-cache"}
_PATH = {"account": AccountId}


class Account(TypedDict):
    """One person, as they themselves and operators see them."""

    id: AccountId
    email: Annotated[str, Meta(description="Case-folded; empty when none is known.")]
    name: str
    orcid: Annotated[str, Meta(description="Like 0000-0002-1825-0097, or empty.")]
    institution: str
    ror: Annotated[str, Meta(description="Like 04wxnsj81, or empty.")]
    role: RoleName
    created: Moment
    last_seen: Moment
    disabled: bool
    queue_mails: Annotated[bool, Meta(description="Is mailed what comes into the queue, as a curator.")]
    deleted: Annotated[Moment | None, Meta(description="By its person; all else is empty then.")]


class Whoami(TypedDict):
    """Who the sender of a request is, and what they may do."""

    how: Literal["signature", "token", "session"]
    role: RoleName
    key: Annotated[str, Meta(description="The key that signed the request, or empty.")]
    scopes: list[Scope]
    account: Account | None
    groups: list[str]


class ProfileBody(Body):
    """What people say of themselves; what is left out stays as it is."""

    name: Line = ""
    orcid: Annotated[str, Meta(max_length=64, description="An ORCID iD, or empty.")] = ""
    institution: Line = ""
    ror: Annotated[str, Meta(max_length=64, description="A ROR id, or empty.")] = ""
    queue_mails: Annotated[
        bool | None, Meta(description="As a curator, be mailed what comes into the queue.")
    ] = None


class AccountsQuery(Query):
    """Which accounts."""

    q: Annotated[str, Meta(max_length=100, description="Part of the address or name.")] = ""
    cursor: Annotated[str, Meta(pattern="^[0-9]{0,15}$", description="`next` of the page before.")] = ""
    limit: Annotated[int, Meta(ge=1, le=200, description="Most accounts in the answer.")] = 50


class AccountPage(TypedDict):
    """Accounts, in the order in which they were made."""

    accounts: list[Account]
    next: Next


class NewAccountBody(Body):
    """Somebody who is to have an account; they sign in by e-mail."""

    email: Annotated[str, Meta(max_length=254)]
    name: Line = ""
    role: RoleName | None = None


class GovernBody(Body):
    """What somebody may do; what is left out stays as it is."""

    role: RoleName | None = None
    disabled: bool | None = None


def account_id(request: web.Request) -> int:
    """The number of an account in the path.

    Raises:
        NotFound: it is no number of an account.
    """
    text = request.match_info["account"]
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise NotFound(f"there is no account {text[:40]}")
    return int(text)


def answer(document: object, status: int = 200) -> web.Response:
    """A document about people."""
    return web.json_response(document, status=status, headers=PRIVATE)


@routes.get("/api/v1/account")
@operation("Who am I?", tag="Accounts", answers={200: Whoami}, security=PERSON, scope="read")
async def whoami(request: web.Request) -> web.Response:
    """The sender as this registrar knows them: role, account and groups."""
    principal = await require(request, Role.VISITOR, "read")
    mine = []
    if principal.account:
        mine = await request.app[REGISTRAR].db.read(groups.of_account, principal.account.id)
    return answer(principal_document(principal, mine))


@routes.patch("/api/v1/account")
@operation(
    "Change your profile",
    tag="Accounts",
    answers={200: Account},
    body=ProfileBody,
    security=PERSON,
    scope="edit",
)
async def change_account(request: web.Request) -> web.Response:
    """Name, ORCID iD and institution, as records that you make and change name you."""
    mine = account_of(in_person(await require(request, Role.VISITOR, "edit")))
    f = Fields(await json_of(request), "this profile").only(
        "name", "orcid", "institution", "ror", "queue_mails"
    )
    changed = managing.profile(
        name=f.text("name", limit=managing.MAX_NAME, default=mine.name),
        orcid=f.text("orcid", limit=64, default=mine.orcid),
        institution=f.text("institution", limit=managing.MAX_NAME, default=mine.institution),
        ror=f.text("ror", limit=64, default=mine.ror),
    )
    registrar = request.app[REGISTRAR]
    now = await managing.change_profile(registrar, mine, changed)
    if f.given("queue_mails"):
        now = await managing.set_queue_mails(registrar, mine, wanted=f.flag("queue_mails"))
    return answer(account_document(now))


@routes.get("/api/v1/accounts")
@operation(
    "List the accounts",
    tag="Accounts",
    answers={200: AccountPage},
    query=AccountsQuery,
    security=PERSON,
    scope="operate",
)
async def list_accounts(request: web.Request) -> web.Response:
    """For operators."""
    await require(request, Role.OPERATOR, "operate")
    asked = query_of(request, AccountsQuery)
    found = await request.app[REGISTRAR].db.read(
        accounts.page, text=asked.q, after=int(asked.cursor or 0), limit=asked.limit + 1
    )
    shown = found[: asked.limit]
    following = str(shown[-1].id) if len(found) > asked.limit else None
    shown_page = page(request, {"accounts": [account_document(one) for one in shown], "next": following})
    shown_page.headers.update(PRIVATE)
    return shown_page


@routes.post("/api/v1/accounts")
@operation(
    "Add an account",
    tag="Accounts",
    answers={201: Account},
    problems=(409,),
    body=NewAccountBody,
    security=PERSON,
    scope="operate",
    repeatable=True,
)
async def add_account(request: web.Request) -> web.Response:
    """For operators: somebody may sign in with this address, also where sign-up is closed."""
    await require(request, Role.OPERATOR, "operate")
    f = Fields(await json_of(request), "this account").only("email", "name", "role")
    made = await managing.add_account(
        request.app[REGISTRAR],
        f.text("email", limit=254),
        f.text("name", limit=managing.MAX_NAME, default=""),
        managing.role(f.choice("role", ROLES)) if f.given("role") else None,
    )
    return answer(account_document(made), 201)


@routes.get("/api/v1/accounts/{account}")
@operation(
    "Read an account",
    tag="Accounts",
    answers={200: Account},
    problems=(404,),
    path=_PATH,
    security=PERSON,
    scope="operate",
)
async def read_account(request: web.Request) -> web.Response:
    """For operators."""
    await require(request, Role.OPERATOR, "operate")
    found = await request.app[REGISTRAR].db.read(accounts.by_id, account_id(request))
    if found is None:
        raise NotFound(f"there is no account {account_id(request)}")
    return answer(account_document(found))


@routes.patch("/api/v1/accounts/{account}")
@operation(
    "Change what somebody may do",
    tag="Accounts",
    answers={200: Account},
    problems=(404,),
    path=_PATH,
    body=GovernBody,
    security=PERSON,
    scope="operate",
)
async def govern_account(request: web.Request) -> web.Response:
    """For operators: role, and whether it is disabled; both count at once. Not for one's own account."""
    operator = await require(request, Role.OPERATOR, "operate")
    f = Fields(await json_of(request), "this change").only("role", "disabled")
    if not f.given("role") and not f.given("disabled"):
        raise InvalidInput("nothing is to be changed", hint="Send role, disabled or both.")
    changed = await managing.govern(
        request.app[REGISTRAR],
        operator,
        account_id(request),
        given=managing.role(f.choice("role", ROLES)) if f.given("role") else None,
        disabled=f.flag("disabled") if f.given("disabled") else None,
    )
    return answer(account_document(changed))
