"""The life of a record: its revisions and versions, and edits that this registrar signs for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypedDict

from aiohttp import web
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import Connection

from seedkeep.core.errors import InvalidInput, NotFound
from seedkeep.core.metadata import parse_metadata
from seedkeep.core.record import check_copies, parse_stewards, parse_web_seeds
from seedkeep.core.revision import MAX_NOTE, RecordState
from seedkeep_registrar import documents, histories, revising
from seedkeep_registrar.accounts.principal import Role, json_of, require
from seedkeep_registrar.api.fields import Fields, path_hex64
from seedkeep_registrar.api.shapes import (
    Editor,
    EmptyOrHex64,
    Event,
    Metadata,
    Proof,
    Statement,
    Url,
)
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.documents import Found
from seedkeep_registrar.interface.fields import Ark, Bytes, Count, Hex64, Key, Moment, Next
from seedkeep_registrar.interface.operation import PERSON, Body, operation, query_of
from seedkeep_registrar.interface.paging import PageQuery, cursor_of, next_page, page, values_of
from seedkeep_registrar.problems import NotAsExpected
from seedkeep_registrar.store import records
from seedkeep_registrar.store.records import Record as Stored

routes = web.RouteTableDef()
Number = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class ChangeDocument(TypedDict):
    """What an event changed of one field: lines of text before and after."""

    field: str
    before: list[str]
    after: list[str]


class RevisionDocument(TypedDict):
    """One event of a record, with what it changed."""

    seq: Number
    type: Literal["record", "revision", "withdrawal", "rehome"]
    hash: Hex64
    by: Key
    editor: Editor | None
    created: Moment
    note: str
    changes: list[ChangeDocument]
    index: Count
    event: Event
    body: Annotated[dict[str, Any], Meta(description="Empty when it has been dropped.")]
    proof: Proof


class History(TypedDict):
    """Some events of a record, oldest first."""

    revisions: list[RevisionDocument]
    next: Next


class VersionDocument(TypedDict):
    """A record as one of the versions of its series; a tainted one has no name and title."""

    number: Annotated[int, Meta(ge=1)]
    rid: Hex64
    ark: Ark
    content_id: Hex64
    name: str
    title: str
    files: Count
    bytes: Bytes
    created: Moment
    supersedes: EmptyOrHex64
    withdrawn: bool
    tainted: bool
    latest: bool
    landing_page: Url


class VersionList(TypedDict):
    """All versions, oldest first."""

    versions: list[VersionDocument]


class Said(TypedDict):
    """What may be changed of a record, as it is now."""

    rid: Hex64
    seq: Number
    head: Hex64
    metadata: Metadata
    web_seeds: list[str]
    copies: Count
    stewards: list[Key]


class NewState(Body):
    """What is to be said of a record. `web_seeds`, `copies` and `stewards` stay where they are left out."""

    metadata: Metadata
    web_seeds: list[str] | UnsetType = UNSET
    copies: int | UnsetType = UNSET
    stewards: list[Key] | UnsetType = UNSET
    note: Annotated[str, Meta(max_length=MAX_NOTE, description="Why.")] = ""


class Patch(Body):
    """What is to be changed of a record; `metadata` is a merge patch (RFC 7396)."""

    metadata: dict[str, Any] | UnsetType = UNSET
    web_seeds: list[str] | UnsetType = UNSET
    copies: int | UnsetType = UNSET
    stewards: list[Key] | UnsetType = UNSET
    note: Annotated[str, Meta(max_length=MAX_NOTE, description="Why.")] = ""


class WithdrawalRequest(Body):
    """Why the data is not to be offered any more; shown to everybody who asks for it."""

    reason: Annotated[str, Meta(min_length=1, max_length=MAX_NOTE)]


@routes.get("/api/v1/records/{rid}/revisions")
@operation(
    "Read a record's history",
    tag="Records",
    answers={200: History},
    problems=(404, 451),
    query=PageQuery,
    links=next_page("list_revisions", rid="$request.path.rid"),
)
async def list_revisions(request: web.Request) -> web.Response:
    """Who changed what and when: all events of the record, oldest first, a page at a time."""
    asked = query_of(request, PageQuery)
    (first,) = values_of(asked.cursor, tuple[Number]) if asked.cursor else (0,)
    record, shown = await _history(request, first, asked.limit)
    after = first + len(shown)
    following = cursor_of(after) if shown and after <= record.seq else None
    return page(request, {"revisions": shown, "next": following})


@routes.get("/api/v1/records/{rid}/revisions/{seq}")
@operation(
    "Read one event of a record",
    tag="Records",
    answers={200: RevisionDocument},
    problems=(404, 451),
    path={"seq": Number},
)
async def get_revision(request: web.Request) -> web.Response:
    """One event of the record, by its number from 0, and what it changed."""
    number = request.match_info["seq"]
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise InvalidInput(f"{number[:40]!r} is no number of a revision")
    record, shown = await _history(request, int(number), 1)
    if not shown:
        raise NotFound(f"ark:/{record.ark} has no revision {number}", hint=f"Its newest is {record.seq}.")
    return web.json_response(shown[0])


@routes.get("/api/v1/records/{rid}/versions")
@operation("List a record's versions", tag="Records", answers={200: VersionList}, problems=(404,))
async def list_versions(request: web.Request) -> web.Response:
    """The series of records that supersede each other and to which this one belongs, oldest first."""
    registrar, rid = request.app[REGISTRAR], path_hex64(request, "rid")

    def read(connection: Connection) -> list[dict[str, Any]]:
        return histories.versions(connection, registrar, _found(connection, rid))

    return web.json_response({"versions": await registrar.db.read(read)})


@routes.get("/api/v1/records/{rid}/metadata")
@operation("Read what may be changed of a record", tag="Records", answers={200: Said}, problems=(404, 451))
async def get_metadata(request: web.Request) -> web.Response:
    """What is said of the record now. The ETag is its head: send it as If-Match with a change."""
    registrar, rid = request.app[REGISTRAR], path_hex64(request, "rid")

    def read(connection: Connection) -> Found:
        return documents.read(connection, _found(connection, rid))

    return _said(await registrar.db.read(read))


@routes.put("/api/v1/records/{rid}/metadata")
@operation(
    "Replace a record's metadata",
    tag="Records",
    answers={200: Said},
    problems=(404, 409, 412, 451),
    body=NewState,
    security=PERSON,
    scope="edit",
)
async def put_metadata(request: web.Request) -> web.Response:
    """A revision that the registrar signs, naming the editor; for stewards and curators. If-Match, when
    given, must be the record's head. What changes nothing makes no revision."""
    return await _change(request, lambda state, given: {"metadata": parse_metadata(given["metadata"])})


@routes.patch("/api/v1/records/{rid}/metadata")
@operation(
    "Change a record's metadata",
    tag="Records",
    answers={200: Said},
    problems=(404, 409, 412, 451),
    body=Patch,
    security=PERSON,
    scope="edit",
)
async def patch_metadata(request: web.Request) -> web.Response:
    """As PUT, but `metadata` is merged into what is said now (RFC 7396)."""

    def change(state: RecordState, given: Mapping[str, Any]) -> dict[str, Any]:
        if "metadata" not in given:
            return {}
        if not isinstance(given["metadata"], dict):
            raise InvalidInput("metadata is not a JSON object")
        return {"metadata": parse_metadata(_merged(state.metadata.encode(), given["metadata"]))}

    return await _change(request, change)


@routes.post("/api/v1/records/{rid}/withdrawal")
@operation(
    "Withdraw a record",
    tag="Records",
    answers={201: Statement},
    problems=(404, 409, 412, 451),
    body=WithdrawalRequest,
    security=PERSON,
    scope="edit",
    repeatable=True,
)
async def withdraw(request: web.Request) -> web.Response:
    """The data is not offered here any more, for good; what was said of it stays. For stewards and curators.
    If-Match, when given, must be the record's head."""
    principal = await require(request, Role.VISITOR, "edit")
    registrar, rid = request.app[REGISTRAR], path_hex64(request, "rid")
    given = Fields(await json_of(request), "the withdrawal").only("reason")
    found, _ = await revising.withdraw(
        registrar, principal, rid, given.text("reason", limit=MAX_NOTE), expected_head=_expected(request)
    )
    found = await documents.proven_now(registrar, found)
    return web.json_response(documents.said_of(registrar, found), status=201)


async def _change(
    request: web.Request, change: Callable[[RecordState, Mapping[str, Any]], dict[str, Any]]
) -> web.Response:
    principal = await require(request, Role.VISITOR, "edit")
    registrar, rid = request.app[REGISTRAR], path_hex64(request, "rid")
    given = await json_of(request)
    fields = Fields(given, "the change").only("metadata", "web_seeds", "copies", "stewards", "note")
    if request.method == "PUT" and "metadata" not in given:
        raise InvalidInput("metadata of the change is missing")
    note = fields.text("note", limit=MAX_NOTE, default="")
    more: dict[str, Any] = {}
    if "web_seeds" in given:
        more["web_seeds"] = parse_web_seeds(given["web_seeds"])
    if "copies" in given:
        check_copies(given["copies"])
        more["copies"] = given["copies"]
    if "stewards" in given:
        more["stewards"] = parse_stewards(given["stewards"])
    found, _ = await revising.revise(
        registrar,
        principal,
        rid,
        lambda state: {**change(state, given), **more},
        note=note,
        expected_head=_expected(request),
    )
    return _said(found)


def _expected(request: web.Request) -> str:
    """The head that If-Match names, or "".

    Raises:
        NotAsExpected: it names none, or several.
    """
    tags = request.if_match
    if tags is None or (len(tags) == 1 and tags[0].value == "*"):
        return ""
    if len(tags) != 1 or tags[0].is_weak:
        raise NotAsExpected(
            "If-Match names no head of this record", hint="Send the ETag that reading it gave."
        )
    return tags[0].value


def _merged(before: Any, patch: dict[str, Any]) -> dict[str, Any]:
    """RFC 7396, for JSON that is not nested too deeply."""
    merged = dict(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = _merged(merged.get(name), value)
        else:
            merged[name] = value
    return merged


def _said(found: Found) -> web.Response:
    record = found.record
    if found.taints:
        raise documents.tainted_record(record, found.taints)
    names = ("rid", "seq", "head", "web_seeds", "copies", "stewards")
    told = {name: getattr(record, name) for name in names}
    answer = web.json_response({**told, "metadata": found.metadata})
    answer.etag = record.head
    return answer


async def _history(request: web.Request, first: int, limit: int) -> tuple[Stored, list[dict[str, Any]]]:
    rid = path_hex64(request, "rid")

    def read(connection: Connection) -> tuple[Stored, list[dict[str, Any]]]:
        record = _found(connection, rid)
        return record, histories.history(connection, registrar, record, first, limit)

    registrar: Registrar = request.app[REGISTRAR]
    return await registrar.db.read(read)


def _found(connection: Connection, rid: str) -> Stored:
    record = records.by_rid(connection, rid)
    if record is None:
        raise NotFound(
            f"this registrar has no record {rid[:64]}", hint="Compare the rid, or ask another registrar."
        )
    return record
