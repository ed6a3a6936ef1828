"""Collections: lists of datasets that curators choose, or that follow a subject."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from aiohttp import web
from msgspec import Meta
from sqlalchemy import Connection

from seedkeep_registrar import collecting, documents, times
from seedkeep_registrar.accounts.principal import Role, json_of, require
from seedkeep_registrar.api.fields import Fields, hex_text
from seedkeep_registrar.api.shapes import ShortRecord, Url
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.interface.fields import Count, Hex64, Moment, Next
from seedkeep_registrar.interface.operation import PERSON, Body, Link, operation, query_of
from seedkeep_registrar.interface.paging import PageQuery, cursor_of, next_page, page, values_of
from seedkeep_registrar.search.cursor import TOP
from seedkeep_registrar.store import collections
from seedkeep_registrar.store.collections import Collection as Stored
from seedkeep_registrar.store.collections import Entry, Step

routes = web.RouteTableDef()
Slug = Annotated[
    str, Meta(pattern="^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$", description="Short name of a collection.")
]
_PATH = {"slug": Slug}
_OF = {"slug": "$response.body#/slug"}
_LINKS = {
    "collection": Link("get_collection", _OF),
    "datasets": Link("list_collected", _OF),
    "history": Link("list_collection_steps", _OF),
}
_HERE = {"slug": "$request.path.slug"}


class Collection(TypedDict):
    """A named list of datasets; with a `subject` it is whatever has that subject."""

    slug: Slug
    title: str
    description: str
    subject: str
    datasets: Count
    created: Moment
    changed: Moment
    page: Url
    rss: Url
    atom: Url


class CollectionPage(TypedDict):
    """Some collections, and how to go on."""

    collections: list[Collection]
    next: Next


class Collected(ShortRecord):
    """A dataset on a collection."""

    added: Moment


class CollectedPage(TypedDict):
    """Some of what is on a collection, and how to go on."""

    records: list[Collected]
    next: Next


class CollectionStep(TypedDict):
    """Something that happened to a collection: created, changed, added or removed."""

    at: Moment
    by: str
    action: str
    rid: Annotated[str, Meta(description="Of the record that was added or removed, or empty.")]


class CollectionSteps(TypedDict):
    """Some of a collection's history, newest first, and how to go on."""

    steps: list[CollectionStep]
    next: Next


class CollectionTexts(Body):
    """What a collection is called."""

    title: Annotated[str, Meta(min_length=1, max_length=collecting.MAX_TITLE)]
    description: Annotated[str, Meta(max_length=collecting.MAX_DESCRIPTION)] = ""


class CollectionBody(CollectionTexts, kw_only=True):
    """A new collection."""

    slug: Slug
    subject: Annotated[
        str, Meta(max_length=collecting.MAX_SUBJECT, description="It is whatever has this subject.")
    ] = ""
    group: Annotated[str, Meta(max_length=64, description="Name of the group that owns it.")] = ""


class CollectionChanges(Body):
    """What to put at a collection's end, and what to take off."""

    add: list[Hex64] = []  # noqa: RUF012 - msgspec copies it
    remove: list[Hex64] = []  # noqa: RUF012


class CollectionChanged(TypedDict):
    """What was added and removed; what was on it already, or was not, is passed over."""

    added: list[Hex64]
    removed: list[Hex64]


def document(registrar: Registrar, collection: Stored, datasets: int) -> dict[str, Any]:
    """A collection as a document, see :class:`Collection`."""
    base = registrar.public_url
    return {
        "slug": collection.slug,
        "title": collection.title,
        "description": collection.description,
        "subject": collection.subject,
        "datasets": datasets,
        "created": times.text(collection.created),
        "changed": times.text(collection.changed),
        "page": f"{base}/collections/{collection.slug}",
        "rss": f"{base}/feeds/collections/{collection.slug}.rss",
        "atom": f"{base}/feeds/collections/{collection.slug}.atom",
    }


def collected_document(registrar: Registrar, entry: Entry) -> dict[str, Any]:
    """A dataset on a collection as a document."""
    return {**documents.short_document(registrar, entry.record), "added": times.text(entry.added)}


def step_document(step: Step) -> dict[str, Any]:
    """A step of a collection's history as a document."""
    return {"at": times.text(step.at), "by": step.by, "action": step.action, "rid": step.rid}


def read_page(connection: Connection, after: str, limit: int) -> list[tuple[Stored, int]]:
    """Collections by slug, those after ``after``, with how many datasets are on each."""
    found = collections.page(connection, after=after, limit=limit)
    return [(one, collecting.count(connection, one)) for one in found]


def read_one(connection: Connection, slug: str) -> tuple[Stored, int]:
    """A collection, and how many datasets are on it.

    Raises:
        NotFound: there is none.
    """
    found = collecting.named(connection, slug)
    return found, collecting.count(connection, found)


@routes.get("/api/v1/collections")
@operation(
    "List the collections",
    tag="Collections",
    answers={200: CollectionPage},
    query=PageQuery,
    links=next_page("list_collections"),
)
async def list_collections(request: web.Request) -> web.Response:
    """By their short names."""
    registrar, asked = request.app[REGISTRAR], query_of(request, PageQuery)
    (after,) = values_of(asked.cursor, tuple[Slug]) if asked.cursor else ("",)
    found = await registrar.db.read(read_page, after, asked.limit + 1)
    shown = found[: asked.limit]
    following = cursor_of(shown[-1][0].slug) if len(found) > len(shown) else None
    return page(request, {"collections": [document(registrar, *one) for one in shown], "next": following})


@routes.post("/api/v1/collections")
@operation(
    "Make a collection",
    tag="Collections",
    answers={201: Collection},
    problems=(404, 409),
    body=CollectionBody,
    security=PERSON,
    scope="curate",
    links=_LINKS,
    repeatable=True,
)
async def make_collection(request: web.Request) -> web.Response:
    """For curators. It belongs to who made it, or to a group, whose members can then curate it."""
    registrar = request.app[REGISTRAR]
    sender = await require(request, Role.CURATOR, "curate")
    f = Fields(await json_of(request), "this collection")
    f.only("slug", "title", "description", "subject", "group")
    made = await collecting.create(
        registrar,
        sender,
        slug=f.text("slug", limit=64),
        title=f.text("title", limit=collecting.MAX_TITLE),
        description=f.text("description", limit=collecting.MAX_DESCRIPTION, default=""),
        subject=f.text("subject", limit=collecting.MAX_SUBJECT, default=""),
        group=f.text("group", limit=64, default=""),
    )
    return await _one(registrar, made.slug, 201)


async def _one(registrar: Registrar, slug: str, status: int = 200) -> web.Response:
    collection, datasets = await registrar.db.read(read_one, slug)
    return web.json_response(document(registrar, collection, datasets), status=status)


@routes.get("/api/v1/collections/{slug}")
@operation(
    "Read a collection",
    tag="Collections",
    answers={200: Collection},
    problems=(404,),
    path=_PATH,
    links=_LINKS,
)
async def get_collection(request: web.Request) -> web.Response:
    """What it is called, and where its feeds are."""
    return await _one(request.app[REGISTRAR], request.match_info["slug"])


@routes.put("/api/v1/collections/{slug}")
@operation(
    "Rename a collection",
    tag="Collections",
    answers={200: Collection},
    problems=(404,),
    path=_PATH,
    body=CollectionTexts,
    security=PERSON,
    scope="curate",
    links=_LINKS,
)
async def put_collection(request: web.Request) -> web.Response:
    """For its owner and curators. The short name and the subject stay."""
    registrar, slug = request.app[REGISTRAR], request.match_info["slug"]
    sender = await require(request, Role.VISITOR, "curate")
    f = Fields(await json_of(request), "this collection").only("title", "description")
    title = f.text("title", limit=collecting.MAX_TITLE)
    description = f.text("description", limit=collecting.MAX_DESCRIPTION, default="")
    await collecting.change(registrar, sender, slug, title=title, description=description)
    return await _one(registrar, slug)


@routes.delete("/api/v1/collections/{slug}")
@operation(
    "Drop a collection",
    tag="Collections",
    answers={204: None},
    problems=(404,),
    path=_PATH,
    security=PERSON,
    scope="curate",
)
async def drop_collection(request: web.Request) -> web.Response:
    """For its owner and curators. The datasets are not touched."""
    sender = await require(request, Role.VISITOR, "curate")
    await collecting.drop(request.app[REGISTRAR], sender, request.match_info["slug"])
    return web.Response(status=204)


@routes.get("/api/v1/collections/{slug}/datasets")
@operation(
    "List what is on a collection",
    tag="Collections",
    answers={200: CollectedPage},
    problems=(404,),
    path=_PATH,
    query=PageQuery,
    links=next_page("list_collected", **_HERE),
)
async def list_collected(request: web.Request) -> web.Response:
    """In its order; what follows a subject, newest first. Tainted and withdrawn records are left out."""
    registrar, asked = request.app[REGISTRAR], query_of(request, PageQuery)
    (after,) = values_of(asked.cursor, tuple[Count]) if asked.cursor else (None,)
    slug = request.match_info["slug"]

    def work(connection: Connection) -> list[Entry]:
        return collecting.entries(
            connection,
            collecting.named(connection, slug),
            after=after,
            limit=asked.limit + 1,
            newest_first=False,
        )

    found = await registrar.db.read(work)
    shown = found[: asked.limit]
    following = cursor_of(shown[-1].number) if len(found) > len(shown) else None
    listed = [collected_document(registrar, entry) for entry in shown]
    return page(request, {"records": listed, "next": following})


@routes.post("/api/v1/collections/{slug}/datasets")
@operation(
    "Curate a collection",
    tag="Collections",
    answers={200: CollectionChanged},
    problems=(404,),
    path=_PATH,
    body=CollectionChanges,
    security=PERSON,
    scope="curate",
    repeatable=True,
)
async def curate_collection(request: web.Request) -> web.Response:
    """For its owner and curators: put records (by rid) at its end, take others off; at most 1000 at once."""
    sender = await require(request, Role.VISITOR, "curate")
    f = Fields(await json_of(request), "this change").only("add", "remove")
    add = f.items("add", hex_text, most=collecting.MAX_AT_ONCE)
    remove = f.items("remove", hex_text, most=collecting.MAX_AT_ONCE)
    added, removed = await collecting.curate(
        request.app[REGISTRAR], sender, request.match_info["slug"], add=add, remove=remove
    )
    return web.json_response({"added": added, "removed": removed})


@routes.get("/api/v1/collections/{slug}/history")
@operation(
    "Read a collection's history",
    tag="Collections",
    answers={200: CollectionSteps},
    problems=(404,),
    path=_PATH,
    query=PageQuery,
    links=next_page("list_collection_steps", **_HERE),
)
async def list_collection_steps(request: web.Request) -> web.Response:
    """Who did what, when; newest first."""
    registrar, asked = request.app[REGISTRAR], query_of(request, PageQuery)
    (before,) = values_of(asked.cursor, tuple[Count]) if asked.cursor else (TOP,)
    slug = request.match_info["slug"]

    def work(connection: Connection) -> list[Step]:
        collection = collecting.named(connection, slug)
        return collections.history(connection, collection, before=before, limit=asked.limit + 1)

    found = await registrar.db.read(work)
    shown = found[: asked.limit]
    following = cursor_of(shown[-1].id) if len(found) > len(shown) else None
    return page(request, {"steps": [step_document(step) for step in shown], "next": following})
