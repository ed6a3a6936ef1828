"""Pages of collections: the list of them, and one with its datasets, its history and forms to curate it."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.errors import Error, InvalidInput, UsageError
from seedkeep_registrar import collecting
from seedkeep_registrar.accounts.principal import Principal, Role, page_principal
from seedkeep_registrar.api.collections import (
    collected_document,
    document,
    read_one,
    read_page,
    step_document,
)
from seedkeep_registrar.api.resolve import matches_of
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.pages.forms import Form, form_of, see, signed_in
from seedkeep_registrar.pages.render import show
from seedkeep_registrar.pages.views import number_of
from seedkeep_registrar.search.cursor import TOP
from seedkeep_registrar.store import collections
from seedkeep_registrar.store.collections import Collection, Entry, Step

routes = web.RouteTableDef()
_PER_PAGE = 50
_STEPS = 20
_MOST_NAMES = 100
_SLUG = "{slug:[a-z0-9-]{1,64}}"


@dataclass(frozen=True, slots=True)
class _Read:
    collection: Collection
    datasets: int
    entries: list[Entry]
    steps: list[Step]
    mine: bool


def _read(connection: Connection, slug: str, me: Principal, after: int | None) -> _Read:
    collection, datasets = read_one(connection, slug)
    return _Read(
        collection,
        datasets,
        collecting.entries(connection, collection, after=after, limit=_PER_PAGE + 1, newest_first=False),
        collections.history(connection, collection, before=TOP, limit=_STEPS),
        collecting.may_change(connection, me, collection),
    )


@routes.get("/collections")
async def _collections(request: web.Request) -> web.Response:
    return await _list(request)


async def _list(
    request: web.Request, *, status: int = 200, problem: str = "", form: Form | None = None
) -> web.Response:
    registrar, after = request.app[REGISTRAR], request.query.get("after", "")
    found = await registrar.db.read(read_page, after[:64].replace("\x00", ""), _PER_PAGE + 1)
    shown = found[:_PER_PAGE]
    given = form or Form([])
    return show(
        request,
        "collections.html",
        status=status,
        collections=[document(registrar, *one) for one in shown],
        first=bool(after),
        next=shown[-1][0].slug if len(found) > len(shown) else "",
        may_make=page_principal(request).role >= Role.CURATOR,
        problem=problem,
        given={name: given.all(name)[:1] for name in ("slug", "title", "description", "subject")},
    )


@routes.post("/collections")
async def _make(request: web.Request) -> web.Response:
    sender, _ = await signed_in(request, Role.CURATOR)
    form = await form_of(request)
    try:
        made = await collecting.create(
            request.app[REGISTRAR],
            sender,
            slug=form.text("slug"),
            title=form.text("title"),
            description=form.text("description", collecting.MAX_DESCRIPTION),
            subject=form.text("subject"),
            group=form.text("group"),
        )
    except Error as error:
        return await _list(request, status=400, problem=error.diagnostics(), form=form)
    return see(request, f"/collections/{made.slug}")


@routes.get(f"/collections/{_SLUG}")
async def _collection(request: web.Request) -> web.Response:
    return await _page(request)


async def _page(request: web.Request, *, status: int = 200, problem: str = "") -> web.Response:
    registrar, after = request.app[REGISTRAR], number_of(request, "after")
    me, slug = page_principal(request), request.match_info["slug"]
    read = await registrar.db.read(_read, slug, me, after)
    shown = read.entries[:_PER_PAGE]
    return show(
        request,
        "collection.html",
        status=status,
        collection=document(registrar, read.collection, read.datasets),
        entries=[collected_document(registrar, entry) for entry in shown],
        steps=[step_document(step) for step in read.steps],
        first=after is not None,
        next=str(shown[-1].number) if len(read.entries) > len(shown) else "",
        mine=read.mine and me.how == "session",
        problem=problem,
    )


@routes.post(f"/collections/{_SLUG}")
async def _change(request: web.Request) -> web.Response:
    sender, _ = await signed_in(request)
    form, slug = await form_of(request), request.match_info["slug"]
    registrar = request.app[REGISTRAR]
    try:
        if form.all("title"):
            description = form.text("description", collecting.MAX_DESCRIPTION)
            await collecting.change(
                registrar, sender, slug, title=form.text("title"), description=description
            )
        elif form.all("drop"):
            await collecting.drop(registrar, sender, slug)
            return see(request, "/collections")
        else:
            add = await _rids(registrar, form.text("add", 64 * 1024).split())
            await collecting.curate(registrar, sender, slug, add=add, remove=form.all("remove"))
    except Error as error:
        return await _page(request, status=400, problem=error.diagnostics())
    return see(request, f"/collections/{slug}")


async def _rids(registrar: Registrar, names: list[str]) -> list[str]:
    """The records that these names mean.

    Raises:
        InvalidInput: one is no name, or means several records; or there are too many.
        NotFound: one means none.
    """
    if len(names) > _MOST_NAMES:
        raise InvalidInput(f"at most {_MOST_NAMES} datasets can be added at once")
    found: list[str] = []
    for name in names:
        try:
            rids = {match["rid"] for match in await matches_of(registrar, name)}
        except UsageError as error:
            raise InvalidInput(error.what, hint=error.hint) from error
        if len(rids) != 1:
            raise InvalidInput(f"{name[:100]} means several datasets", hint="Name it by its ARK.")
        found += rids
    return found
