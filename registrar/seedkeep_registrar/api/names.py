"""Whose a name is that several records claim: a curator's word."""

from __future__ import annotations

from typing import Annotated, TypedDict

from aiohttp import web
from msgspec import Meta
from sqlalchemy import Connection

from seedkeep.core.errors import InvalidInput, NotFound
from seedkeep.core.identifiers import Kind, parse
from seedkeep_registrar.accounts.principal import Role, json_of, require
from seedkeep_registrar.api.fields import Fields, path_hex64
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.interface.fields import Hex64
from seedkeep_registrar.interface.operation import PERSON, Body, operation
from seedkeep_registrar.store import aliases, records

routes = web.RouteTableDef()
_MAX_NAME = 1000


class NameBody(Body):
    """A name that the record claims."""

    name: Annotated[str, Meta(max_length=_MAX_NAME, examples=["doi:10.5281/zenodo.123"])]


class ConfirmedName(TypedDict):
    """Whose the name is now."""

    name: str
    rid: Hex64


@routes.post("/api/v1/records/{rid}/names")
@operation(
    "Confirm a name",
    tag="Records",
    answers={200: ConfirmedName},
    problems=(404,),
    body=NameBody,
    security=PERSON,
    scope="curate",
)
async def confirm_name(request: web.Request) -> web.Response:
    """For curators: a DOI that this record claims is its own, whoever else claims it. Confirming it for
    another record takes it from this one."""
    sender = await require(request, Role.CURATOR, "curate")
    registrar, rid = request.app[REGISTRAR], path_hex64(request, "rid")
    given = Fields(await json_of(request), "this name").only("name")
    name = parse(given.text("name", limit=_MAX_NAME))
    if name.kind is not Kind.DOI or name.path or name.latest:
        raise InvalidInput("only DOIs can be confirmed", hint="Write it like doi:10.5281/zenodo.123.")
    by, now = str(sender.account.id) if sender.account else sender.key, registrar.clock()

    def run(connection: Connection) -> None:
        if records.by_rid(connection, rid) is None:
            raise NotFound(f"this registrar has no record {rid[:12]}…")
        if not aliases.confirm(connection, aliases.DOI, name.value, rid, by=by, at=now):
            raise NotFound(f"this record does not claim {name}", hint="Its metadata must name it.")

    await registrar.db.write(run)
    return web.json_response({"name": str(name), "rid": rid})
