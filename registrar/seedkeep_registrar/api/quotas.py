"""Quotas of single publishers, for operators."""

from __future__ import annotations

from typing import Annotated, TypedDict

from aiohttp import web
from msgspec import Meta

from seedkeep_registrar.accounts.principal import Role, json_of, require
from seedkeep_registrar.api.accounts import PRIVATE, answer
from seedkeep_registrar.api.fields import Fields
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.interface.fields import Bytes, Count, Next
from seedkeep_registrar.interface.operation import PERSON, Body, operation, query_of
from seedkeep_registrar.interface.paging import PageQuery, cursor_of, next_page, page, values_of
from seedkeep_registrar.operations import granting
from seedkeep_registrar.operations.journaling import tell
from seedkeep_registrar.store.quotas import Quota

routes = web.RouteTableDef()
_MOST_PAGE = 200
Publisher = Annotated[
    str,
    Meta(
        pattern="^([1-9][0-9]{0,14}|ed25519:[A-Za-z0-9_-]{43})$",
        description="Number of an account, or a key that acts for none.",
    ),
]
Who = Annotated[
    str,
    Meta(
        pattern="^([1-9][0-9]{0,14}|ed25519:[A-Za-z0-9_-]{43})$",
        description="Number of an account, or a key; one that acts for an account stands for it.",
    ),
]
_PATH = {"publisher": Who}


class Usual(TypedDict):
    """What everybody may register who was granted nothing else; 0: no limit."""

    datasets: Count
    bytes: Bytes


class Granted(TypedDict):
    """What one publisher may register (0: no limit), and has registered."""

    publisher: Publisher
    name: Annotated[str, Meta(description="Name or address of the account; empty for a key.")]
    datasets: Count
    bytes: Bytes
    used_datasets: Count
    used_bytes: Bytes


class QuotaPage(TypedDict):
    """Those who were granted something of their own, by publisher."""

    usual: Usual
    quotas: list[Granted]
    next: Next


class QuotaBody(Body):
    """What the publisher may register at most; 0: no limit."""

    datasets: Annotated[int, Meta(ge=0, le=granting.MOST)]
    bytes: Annotated[int, Meta(ge=0, le=granting.MOST)]


@routes.get("/api/v1/quotas")
@operation(
    "List the quotas of single publishers",
    tag="Accounts",
    answers={200: QuotaPage},
    query=PageQuery,
    security=PERSON,
    scope="operate",
    links=next_page("list_quotas"),
)
async def list_quotas(request: web.Request) -> web.Response:
    """For operators: at most 200 a page, with what of each is used."""
    await require(request, Role.OPERATOR, "operate")
    registrar, asked = request.app[REGISTRAR], query_of(request, PageQuery)
    (after,) = values_of(asked.cursor, tuple[str]) if asked.cursor else ("",)
    limit = min(asked.limit, _MOST_PAGE)
    found = await registrar.db.read(granting.page, after=after, limit=limit + 1)
    shown, usual = found[:limit], granting.usual(registrar.settings)
    document = {
        "usual": {"datasets": usual.datasets, "bytes": usual.bytes},
        "quotas": [one.document() for one in shown],
        "next": cursor_of(shown[-1].publisher) if len(found) > limit else None,
    }
    made = page(request, document)
    made.headers.update(PRIVATE)
    return made


@routes.put("/api/v1/quotas/{publisher}")
@operation(
    "Grant a publisher a quota",
    tag="Accounts",
    answers={200: Granted},
    problems=(404,),
    path=_PATH,
    body=QuotaBody,
    security=PERSON,
    scope="operate",
)
async def put_quota(request: web.Request) -> web.Response:
    """For operators: it counts instead of what the settings say, with the next dataset."""
    await require(request, Role.OPERATOR, "operate")
    f = Fields(await json_of(request), "this quota").only("datasets", "bytes")
    wanted = Quota(f.number("datasets", most=granting.MOST), f.number("bytes", most=granting.MOST))
    registrar, who = request.app[REGISTRAR], request.match_info["publisher"]
    made = await registrar.db.write(granting.grant, registrar.settings, who, wanted)
    tell(request, subject=f"publisher {made.publisher}", detail=granting.words(wanted))
    return answer(made.document())


@routes.delete("/api/v1/quotas/{publisher}")
@operation(
    "Clear a publisher's quota",
    tag="Accounts",
    answers={204: None},
    problems=(404,),
    path=_PATH,
    security=PERSON,
    scope="operate",
)
async def clear_quota(request: web.Request) -> web.Response:
    """For operators: what the settings say counts for them again."""
    await require(request, Role.OPERATOR, "operate")
    registrar, who = request.app[REGISTRAR], request.match_info["publisher"]
    publisher = await registrar.db.write(granting.clear, who)
    tell(request, subject=f"publisher {publisher}")
    return web.Response(status=204)
