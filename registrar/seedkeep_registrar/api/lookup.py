"""Up to a thousand names at once: for a folder of files in hand, or somebody else's list of identifiers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypedDict

from aiohttp import web
from msgspec import Meta
from sqlalchemy import Connection

from seedkeep.core import jcs
from seedkeep.core.errors import Error, InvalidInput
from seedkeep.core.identifiers import DIGESTS, Identifier, Kind, parse
from seedkeep_registrar import auth
from seedkeep_registrar.api.fields import Fields, short_text
from seedkeep_registrar.api.resolve import by_name, match_document, own
from seedkeep_registrar.api.shapes import Match
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.interface.operation import Body, operation
from seedkeep_registrar.store import lookups, taint_marks
from seedkeep_registrar.store.records import Record

routes = web.RouteTableDef()
MOST = 1000
#: matches given for one name
EACH = 10
_LONGEST = 1000
_BODY_BYTES = 4 * 1024 * 1024
_BATCHED = {
    Kind.ARK: "ark",
    Kind.RID: "rid",
    Kind.CONTENT_ID: "content_id",
    Kind.INFOHASH_V1: "infohash_v1",
}


class LookupBody(Body):
    """Names of any form that `resolve` takes: identifiers, checksums, URLs."""

    names: Annotated[list[Annotated[str, Meta(max_length=_LONGEST)]], Meta(max_length=MOST)]


class LookedUp(TypedDict):
    """What one name may mean here."""

    name: str
    matches: Annotated[list[Match], Meta(max_length=EACH, description="The oldest ones.")]
    withheld: Annotated[
        Literal["tainted", "withdrawn"] | None,
        Meta(description="Why there are none, though the name is known."),
    ]
    problem: Annotated[str, Meta(description="Why it is no name; else empty.")]


class LookupAnswer(TypedDict):
    """One result for each name, in the order of the names."""

    results: list[LookedUp]


@dataclass(slots=True)
class _Asked:
    """One name on its way.

    Args:
        found: records, with the path of a file in them or "".
    """

    text: str
    name: Identifier | None = None
    problem: str = ""
    found: list[tuple[Record, str]] = field(default_factory=list)


@routes.post("/api/v1/lookup")
@operation("Find what many names mean", tag="Records", answers={200: LookupAnswer}, body=LookupBody)
async def lookup(request: web.Request) -> web.Response:
    """Up to 1000 names or checksums; a name that means nothing here has no matches."""
    data = await auth.read_body(request, _BODY_BYTES)
    message = jcs.loads(data, limit=_BODY_BYTES)
    fields = Fields(message, "this lookup").only("names")
    if "names" not in message:
        raise InvalidInput("this lookup has no names")
    names = fields.items("names", short_text(_LONGEST), most=MOST)
    registrar = request.app[REGISTRAR]
    return web.json_response({"results": await registrar.db.read(_look_up, registrar, names)})


def _look_up(connection: Connection, registrar: Registrar, names: Sequence[str]) -> list[dict[str, Any]]:
    every = [_asked(registrar, text) for text in names]
    _find_batched(connection, every)
    for asked in every:
        if asked.name is not None and not _is_batched(asked.name):
            asked.found = by_name(connection, asked.name, bare=asked.name.bare)
    rids = {record.rid for asked in every for record, _ in asked.found}
    tainted = lookups.tainted_among(connection, rids)
    in_part = taint_marks.with_withheld_files(connection, rids)
    files = {(r.rid, path): r for asked in every for r, path in asked.found if path and r.rid in in_part}
    withheld = {
        (rid, path)
        for (rid, path), record in files.items()
        if taint_marks.on_file(connection, rid, record.content_id, path)
    }
    return [_result(asked, tainted, withheld) for asked in every]


def _asked(registrar: Registrar, text: str) -> _Asked:
    try:
        return _Asked(text, own(registrar, parse(text.strip())))
    except Error as error:
        return _Asked(text, problem=error.what)


def _is_batched(name: Identifier) -> bool:
    return (name.kind in _BATCHED or name.kind in DIGESTS) and not (name.path or name.latest or name.revision)


def _find_batched(connection: Connection, every: Sequence[_Asked]) -> None:
    """Find plain names, all of a kind at once; 64 bare hex digits are tried as this, then that."""
    waiting: dict[Kind, list[_Asked]] = defaultdict(list)
    for asked in every:
        if asked.name is not None and _is_batched(asked.name):
            waiting[asked.name.kind].append(asked)
    for kind in (Kind.ARK, Kind.INFOHASH_V1, Kind.CONTENT_ID):
        _find_records(connection, kind, waiting[kind])
    bare = [a for a in waiting[Kind.CONTENT_ID] if a.name and a.name.bare and not a.found]
    _find_records(connection, Kind.RID, [*waiting[Kind.RID], *bare])
    unknown = [a for a in bare if not a.found]
    _find_files(connection, Kind.SHA256, [*waiting[Kind.SHA256], *unknown])
    for kind in (Kind.MD5, Kind.ROOT):
        _find_files(connection, kind, waiting[kind])


def _values(some: Sequence[_Asked]) -> list[str]:
    return sorted({a.name.value for a in some if a.name})


def _find_records(connection: Connection, kind: Kind, some: Sequence[_Asked]) -> None:
    if values := _values(some):
        found = lookups.by_name(connection, _BATCHED[kind], values)
        for asked in some:
            assert asked.name is not None
            asked.found = [(record, "") for record in found.get(asked.name.value, ())]


def _find_files(connection: Connection, kind: Kind, some: Sequence[_Asked]) -> None:
    if not (values := _values(some)):
        return
    manifests = lookups.by_manifest(connection, values) if kind is Kind.SHA256 else {}
    places = lookups.by_file(connection, kind.value, values, EACH)
    known = lookups.by_rids(connection, (rid for one in places.values() for rid, _ in one))
    for asked in some:
        assert asked.name is not None
        asked.found = [(record, "") for record in manifests.get(asked.name.value, ())]
        asked.found += [(known[rid], path) for rid, path in places.get(asked.name.value, ())]


def _result(asked: _Asked, tainted: set[str], files: set[tuple[str, str]]) -> dict[str, Any]:
    clean = [
        (record, path)
        for record, path in asked.found
        if record.rid not in tainted and (record.rid, path) not in files
    ]
    offered = [(record, path) for record, path in clean if not record.withdrawn]
    withheld = "withdrawn" if clean else "tainted"
    return {
        "name": asked.text,
        "matches": [match_document(record, path) for record, path in offered[:EACH]],
        "withheld": withheld if asked.found and not offered else None,
        "problem": asked.problem,
    }
