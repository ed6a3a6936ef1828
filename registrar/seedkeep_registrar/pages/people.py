"""Pages for operators: accounts with their roles, and groups; managers of a group see theirs."""

from __future__ import annotations

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.errors import Error, InvalidInput, NotFound, Refused
from seedkeep_registrar.accounts import managing, membership, sign_in
from seedkeep_registrar.accounts.documents import account_document, group_document, member_document
from seedkeep_registrar.accounts.principal import Account, Principal, Role
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.pages.forms import Form, form_of, see, signed_in
from seedkeep_registrar.pages.render import show
from seedkeep_registrar.pages.views import number_of
from seedkeep_registrar.store import accounts, groups
from seedkeep_registrar.store.groups import Group, Member

routes = web.RouteTableDef()
_PER_PAGE = 50
_ROLES = [(role.word, role.word) for role in Role]


async def _list(
    request: web.Request, account: Account, *, status: int = 200, problem: str = ""
) -> web.Response:
    text, after = request.query.get("q", "")[:100], number_of(request, "after") or 0
    if "\x00" in text:
        raise InvalidInput("this page does not exist", hint="Follow the links of the page.")
    found = await request.app[REGISTRAR].db.read(accounts.page, text=text, after=after, limit=_PER_PAGE + 1)
    shown = found[:_PER_PAGE]
    return show(
        request,
        "accounts.html",
        status=status,
        people=[account_document(one) for one in shown],
        mine=account.id,
        roles=_ROLES,
        text=text,
        first=int(after) > 0,
        next=str(shown[-1].id) if len(found) > _PER_PAGE else "",
        problem=problem,
    )


@routes.get("/accounts")
async def _accounts(request: web.Request) -> web.Response:
    _, account = await signed_in(request, Role.OPERATOR)
    return await _list(request, account)


@routes.post("/accounts")
async def _add(request: web.Request) -> web.Response:
    _, account = await signed_in(request, Role.OPERATOR)
    form = await form_of(request)
    try:
        given = managing.role(form.text("role", 20))
        await managing.add_account(request.app[REGISTRAR], form.text("email", 400), form.text("name"), given)
    except Error as error:
        return await _list(request, account, status=400, problem=error.diagnostics())
    return see(request, "/accounts")


@routes.post("/accounts/{account:[0-9]{1,15}}")
async def _govern(request: web.Request) -> web.Response:
    operator, _ = await signed_in(request, Role.OPERATOR)
    form = await form_of(request)
    word, state = form.text("role", 20), form.text("state", 20)
    await managing.govern(
        request.app[REGISTRAR],
        operator,
        int(request.match_info["account"]),
        given=managing.role(word) if word else None,
        disabled={"disable": True, "enable": False}.get(state),
    )
    return see(request, "/accounts")


@routes.get("/groups")
async def _groups(request: web.Request) -> web.Response:
    principal, _ = await signed_in(request, Role.MEMBER)
    return await _group_list(request, principal)


async def _group_list(
    request: web.Request, principal: Principal, *, status: int = 200, problem: str = ""
) -> web.Response:
    found = await request.app[REGISTRAR].db.read(groups.every)
    return show(
        request,
        "groups.html",
        status=status,
        groups=[group_document(group) for group in found],
        may_make=principal.role >= Role.OPERATOR,
        problem=problem,
    )


@routes.post("/groups")
async def _make_group(request: web.Request) -> web.Response:
    principal, _ = await signed_in(request, Role.OPERATOR)
    form = await form_of(request)
    try:
        made = await membership.make_group(request.app[REGISTRAR], form.text("name"), form.text("title"))
    except Error as error:
        return await _group_list(request, principal, status=400, problem=error.diagnostics())
    return see(request, f"/groups/{made.name}")


@routes.get("/groups/{group}")
async def _group(request: web.Request) -> web.Response:
    principal, _ = await signed_in(request, Role.MEMBER)
    return await _group_page(request, principal)


async def _group_page(
    request: web.Request, principal: Principal, *, status: int = 200, problem: str = ""
) -> web.Response:
    registrar, name = request.app[REGISTRAR], request.match_info["group"]
    group, members, manages = await registrar.db.read(_read_group, name, principal)
    return show(
        request,
        "group.html",
        status=status,
        group=group_document(group),
        people=[{**member_document(one), "email": one.account.email} for one in members],
        manages=manages,
        may_drop=principal.role >= Role.OPERATOR,
        mine=principal.account.id if principal.account else 0,
        problem=problem,
    )


def _read_group(connection: Connection, name: str, principal: Principal) -> tuple[Group, list[Member], bool]:
    group = membership.by_name(connection, name)
    manages = principal.role >= Role.OPERATOR or (
        principal.account is not None and groups.is_manager(connection, group.id, principal.account.id)
    )
    return group, groups.members(connection, group.id), manages


@routes.post("/groups/{group}/delete")
async def _drop_group(request: web.Request) -> web.Response:
    principal, _ = await signed_in(request, Role.OPERATOR)
    form = await form_of(request)
    if not form.text("sure"):
        problem = "The group was not deleted: say that you are sure."
        return await _group_page(request, principal, status=400, problem=problem)
    await membership.drop_group(request.app[REGISTRAR], request.match_info["group"])
    return see(request, "/groups")


@routes.post("/groups/{group}/members")
async def _put_member(request: web.Request) -> web.Response:
    principal, _ = await signed_in(request, Role.MEMBER)
    form, name = await form_of(request), request.match_info["group"]
    registrar = request.app[REGISTRAR]
    try:
        # before anything is told of who has an account
        await registrar.db.read(membership.managed, principal, name)
        account_id = await _whom(request, form)
        manager = bool(form.text("manager"))
        await membership.put_member(registrar, principal, name, account_id, manager=manager)
    except (InvalidInput, NotFound, Refused) as error:
        return await _group_page(request, principal, status=400, problem=error.diagnostics())
    return see(request, f"/groups/{name}")


async def _whom(request: web.Request, form: Form) -> int:
    email = sign_in.normal_email(form.text("email", 400))
    found = await request.app[REGISTRAR].db.read(accounts.by_email, email)
    if found is None:
        raise NotFound(f"nobody here has the address {email}", hint="They have to sign in once before.")
    return found.id


@routes.post("/groups/{group}/remove")
async def _remove_member(request: web.Request) -> web.Response:
    principal, _ = await signed_in(request)
    form, name = await form_of(request), request.match_info["group"]
    await membership.remove_member(request.app[REGISTRAR], principal, name, form.number("account", 0))
    return see(request, "/groups" if principal.role >= Role.MEMBER else "/account")
