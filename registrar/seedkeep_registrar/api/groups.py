"""Groups of people, which settings, stewards and collections can name."""

from __future__ import annotations

from typing import Annotated, TypedDict

from aiohttp import web
from msgspec import Meta
from sqlalchemy import Connection

from seedkeep_registrar.accounts import managing, membership
from seedkeep_registrar.accounts.documents import group_document, member_document
from seedkeep_registrar.accounts.principal import Role, json_of, require
from seedkeep_registrar.api.accounts import AccountId, account_id, answer
from seedkeep_registrar.api.fields import Fields
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.interface.fields import Count, Moment
from seedkeep_registrar.interface.operation import PERSON, Body, operation
from seedkeep_registrar.store import groups
from seedkeep_registrar.store.groups import Group as StoredGroup
from seedkeep_registrar.store.groups import Member as StoredMember

routes = web.RouteTableDef()
GroupName = Annotated[
    str, Meta(pattern="^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$", description="Name of a group.")
]
_PATH = {"group": GroupName, "account": AccountId}


class Group(TypedDict):
    """A group; `members`: how many."""

    name: GroupName
    title: str
    created: Moment
    members: Count


class Member(TypedDict):
    """Somebody in a group; a manager may add and remove others."""

    id: AccountId
    name: str
    institution: str
    manager: bool


class GroupList(TypedDict):
    """All groups by name."""

    groups: list[Group]


class GroupDetail(Group):
    """A group, and who is in it."""

    people: list[Member]


class GroupBody(Body):
    """A new group."""

    name: GroupName
    title: Annotated[str, Meta(max_length=managing.MAX_NAME)] = ""


class MemberBody(Body):
    """What somebody is in the group."""

    manager: bool = False


@routes.get("/api/v1/groups")
@operation("List the groups", tag="Accounts", answers={200: GroupList}, security=PERSON, scope="read")
async def list_groups(request: web.Request) -> web.Response:
    """For everybody who is known here by an account or key of at least a member."""
    await require(request, Role.MEMBER, "read")
    found = await request.app[REGISTRAR].db.read(groups.every)
    return answer({"groups": [group_document(group) for group in found]})


@routes.post("/api/v1/groups")
@operation(
    "Make a group",
    tag="Accounts",
    answers={201: Group},
    problems=(409,),
    body=GroupBody,
    security=PERSON,
    scope="operate",
    repeatable=True,
)
async def make_group(request: web.Request) -> web.Response:
    """For operators."""
    await require(request, Role.OPERATOR, "operate")
    f = Fields(await json_of(request), "this group").only("name", "title")
    name, title = f.text("name", limit=64), f.text("title", limit=managing.MAX_NAME, default="")
    made = await membership.make_group(request.app[REGISTRAR], name, title)
    return answer(group_document(made), 201)


@routes.get("/api/v1/groups/{group}")
@operation(
    "Read a group",
    tag="Accounts",
    answers={200: GroupDetail},
    problems=(404,),
    path=_PATH,
    security=PERSON,
    scope="read",
)
async def read_group(request: web.Request) -> web.Response:
    """With who is in it."""
    await require(request, Role.MEMBER, "read")
    group, people = await request.app[REGISTRAR].db.read(_group, request.match_info["group"])
    return answer({**group_document(group), "people": [member_document(one) for one in people]})


def _group(connection: Connection, name: str) -> tuple[StoredGroup, list[StoredMember]]:
    group = membership.by_name(connection, name)
    return group, groups.members(connection, group.id)


@routes.delete("/api/v1/groups/{group}")
@operation(
    "Delete a group",
    tag="Accounts",
    answers={204: None},
    problems=(404,),
    path=_PATH,
    security=PERSON,
    scope="operate",
)
async def drop_group(request: web.Request) -> web.Response:
    """For operators. Collections that it owned are looked after by curators then."""
    await require(request, Role.OPERATOR, "operate")
    await membership.drop_group(request.app[REGISTRAR], request.match_info["group"])
    return web.Response(status=204)


@routes.put("/api/v1/groups/{group}/members/{account}")
@operation(
    "Take somebody into a group",
    tag="Accounts",
    answers={204: None},
    problems=(404,),
    path=_PATH,
    body=MemberBody,
    security=PERSON,
    scope="edit",
)
async def put_group_member(request: web.Request) -> web.Response:
    """For operators and managers of the group."""
    sender = await require(request, Role.MEMBER, "edit")
    f = Fields(await json_of(request), "this member").only("manager")
    manager = f.flag("manager") if f.given("manager") else False
    registrar, name = request.app[REGISTRAR], request.match_info["group"]
    await membership.put_member(registrar, sender, name, account_id(request), manager=manager)
    return web.Response(status=204)


@routes.delete("/api/v1/groups/{group}/members/{account}")
@operation(
    "Let somebody out of a group",
    tag="Accounts",
    answers={204: None},
    problems=(404,),
    path=_PATH,
    security=PERSON,
    scope="edit",
)
async def remove_group_member(request: web.Request) -> web.Response:
    """For operators and managers of the group; everybody may leave."""
    sender = await require(request, Role.VISITOR, "edit")
    registrar, name = request.app[REGISTRAR], request.match_info["group"]
    await membership.remove_member(registrar, sender, name, account_id(request))
    return web.Response(status=204)
