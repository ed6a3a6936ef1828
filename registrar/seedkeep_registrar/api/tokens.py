"""Tokens by which programs act for an account."""

from __future__ import annotations

import re
from typing import Annotated, TypedDict

from aiohttp import web
from msgspec import Meta

from seedkeep.core.errors import NotFound
from seedkeep_registrar.accounts import managing
from seedkeep_registrar.accounts.documents import token_document
from seedkeep_registrar.accounts.principal import SCOPES, Role, account_of, in_person, json_of, require
from seedkeep_registrar.api.accounts import Scope, answer
from seedkeep_registrar.api.fields import Fields, short_text
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.interface.fields import Moment
from seedkeep_registrar.interface.operation import PERSON, Body, operation
from seedkeep_registrar.store import api_tokens

routes = web.RouteTableDef()
_ID = re.compile("[0-9a-f]{16}")
TokenId = Annotated[str, Meta(pattern=f"^{_ID.pattern}$", description="Names a token; opens nothing.")]


class Token(TypedDict):
    """A token, without its secret."""

    id: TokenId
    name: str
    scopes: list[Scope]
    created: Moment
    expires: Moment
    last_used: Moment | None


class NewToken(Token):
    """A new token with its secret, which is never shown again."""

    token: Annotated[str, Meta(pattern="^skp_[0-9A-Za-z]{49}$")]


class TokenList(TypedDict):
    """Tokens that were not revoked, newest first."""

    tokens: list[Token]


class TokenBody(Body):
    """What the token is for, and for how long."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=len(SCOPES))]
    days: Annotated[int, Meta(ge=1, le=managing.MAX_TOKEN_DAYS)] = 90


@routes.get("/api/v1/account/tokens")
@operation("List your tokens", tag="Accounts", answers={200: TokenList}, security=PERSON, scope="read")
async def list_tokens(request: web.Request) -> web.Response:
    """Without their secrets."""
    mine = account_of(await require(request, Role.VISITOR, "read"))
    found = await request.app[REGISTRAR].db.read(api_tokens.of_account, mine.id)
    return answer({"tokens": [token_document(token) for token in found]})


@routes.post("/api/v1/account/tokens")
@operation(
    "Make a token",
    tag="Accounts",
    answers={201: NewToken},
    problems=(409,),
    body=TokenBody,
    security=PERSON,
    scope="edit",
)
async def make_token(request: web.Request) -> web.Response:
    """The secret is in this answer only. A token cannot make another one."""
    mine = account_of(in_person(await require(request, Role.VISITOR, "edit")))
    f = Fields(await json_of(request), "this token").only("name", "scopes", "days")
    token, secret = await managing.make_token(
        request.app[REGISTRAR],
        mine,
        name=f.text("name", limit=100),
        scopes=f.items("scopes", short_text(20), most=len(SCOPES)),
        days=f.number("days", most=managing.MAX_TOKEN_DAYS) if f.given("days") else 90,
    )
    made = answer({**token_document(token), "token": secret}, 201)
    made.headers["Cache-Control"] = "no-store"
    return made


@routes.delete("/api/v1/account/tokens/{token}")
@operation(
    "Revoke a token",
    tag="Accounts",
    answers={204: None},
    problems=(404,),
    path={"token": TokenId},
    security=PERSON,
    scope="edit",
)
async def revoke_token(request: web.Request) -> web.Response:
    """It works no more as soon as this is answered."""
    mine = account_of(await require(request, Role.VISITOR, "edit"))
    registrar, token = request.app[REGISTRAR], request.match_info["token"]
    known = _ID.fullmatch(token) is not None
    if not known or not await registrar.db.write(api_tokens.revoke, mine.id, token, registrar.clock()):
        raise NotFound("you have no such token")
    return web.Response(status=204)
