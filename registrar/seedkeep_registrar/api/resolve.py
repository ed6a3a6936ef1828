"""From any form of name to records, and to the file a checksum names."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Annotated, TypedDict
from urllib.parse import urlsplit

from aiohttp import web
from msgspec import Meta
from sqlalchemy import Connection

from seedkeep.core.errors import InvalidInput, NotFound, UsageError
from seedkeep.core.identifiers import DIGESTS, Identifier, Kind, parse
from seedkeep.core.near_names import typed_ark
from seedkeep_registrar import documents
from seedkeep_registrar.api.shapes import Match
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.interface.operation import Link, Query, operation, query_of
from seedkeep_registrar.problems import ClaimedBySeveral
from seedkeep_registrar.store import aliases, files, records, taint_marks, taints
from seedkeep_registrar.store.records import Record
from seedkeep_registrar.store.taints import Taint
from seedkeep_registrar.suggestions import unknown_name
from seedkeep_registrar.unchanged import Unchanged

routes = web.RouteTableDef()
ANSWERS: web.AppKey[Unchanged] = web.AppKey("answers", Unchanged)
#: names that records claim for themselves
CLAIMED = frozenset({Kind.DOI, Kind.MINID})
_TOLD = 5


class ResolveQuery(Query):
    """The name asked for."""

    id: Annotated[
        str,
        Meta(
            max_length=4096,
            description="A name of any form: ARK, content id, magnet, checksum, URL.",
            examples=["ark:/99999/sk0123456789bcdfg"],
        ),
    ] = ""


class Matches(TypedDict):
    """What a name may mean; at least one."""

    matches: list[Match]


@dataclass(frozen=True, slots=True)
class _Found:
    """
    Args:
        claimed: the record only says of itself that it has this name.
    """

    record: Record
    path: str
    taints: tuple[Taint, ...]
    claimed: bool


def _by_digest(connection: Connection, digest: str, value: str) -> list[tuple[Record, str]]:
    found: list[tuple[Record, str]] = []
    if digest == "sha256":
        found += [(record, "") for record in records.by_manifest(connection, value)]
    for match in files.matches(connection, digest, value):
        record = records.by_rid(connection, match.rid)
        assert record is not None
        found.append((record, match.path))
    return found


def by_name(connection: Connection, name: Identifier, *, bare: bool) -> list[tuple[Record, str]]:
    """The records that a name may mean, oldest first, each with the path of a file in it or "".

    Args:
        bare: it is 64 hex digits that do not say of what.
    """
    if name.latest:
        named = [record for record, _ in by_name(connection, replace(name, path="", latest=False), bare=bare)]
        newest = {r.rid: r for record in named if (r := records.latest(connection, record.series))}
        return _with_path(connection, list(newest.values()) or named, name.path)
    if name.kind in DIGESTS:
        return _by_digest(connection, name.kind.value, name.value)
    if name.kind is Kind.CONTENT_ID:
        found = records.by_content_id(connection, name.value)
    elif name.kind is Kind.INFOHASH_V1:
        found = records.by_infohash_v1(connection, name.value)
    elif name.kind in CLAIMED:
        found = aliases.find(connection, name.kind.value, name.value)
    else:
        look_up = records.by_ark if name.kind is Kind.ARK else records.by_rid
        one = look_up(connection, name.value)
        found = [one] if one and (name.revision or 0) <= one.seq else []
    if not found and bare:
        # 64 hex digits without a scheme: the content id is likeliest, but not the only possibility
        by_rid = records.by_rid(connection, name.value)
        return [(by_rid, "")] if by_rid else _by_digest(connection, "sha256", name.value)
    return _with_path(connection, found, name.path)


def _with_path(connection: Connection, found: list[Record], path: str) -> list[tuple[Record, str]]:
    if not path:
        return [(record, "") for record in found]
    return [
        (record, path) for record in found if files.find_path(connection, record.content_id, path) is not None
    ]


def _forbidding(connection: Connection, record: Record, path: str) -> tuple[Taint, ...]:
    """The taints that withhold a record, or else the file in it."""
    standing = taints.standing_on_record(connection, record.rid)
    if path and not standing:
        standing = taint_marks.on_file(connection, record.rid, record.content_id, path)
    return tuple(standing)


def _resolve(connection: Connection, name: Identifier, *, bare: bool) -> list[_Found]:
    return [
        _Found(record, path, _forbidding(connection, record, path), name.kind in CLAIMED)
        for record, path in by_name(connection, name, bare=bare)
    ]


@routes.get("/api/v1/resolve")
@operation(
    "Find what a name means",
    tag="Records",
    answers={200: Matches},
    problems=(404, 409, 410, 451),
    query=ResolveQuery,
    links={"record": Link("get_record", {"rid": "$response.body#/matches/0/rid"})},
)
async def resolve(request: web.Request) -> web.Response:
    """What a name may mean: 404 when nothing, 451 or 410 when only what is tainted or withdrawn; 409 with
    `matches` when datasets that are no versions of each other claim a DOI, and no curator has confirmed
    one."""
    registrar, text = request.app[REGISTRAR], query_of(request, ResolveQuery).id
    body = await request.app[ANSWERS].find(text, lambda: _answer(registrar, text))
    return web.Response(body=body, content_type="application/json", charset="utf-8")


async def _answer(registrar: Registrar, text: str) -> bytes:
    found = await _offered(registrar, text)
    matches = [match_document(f.record, f.path) for f in found]
    if any(f.claimed for f in found) and len({f.record.series for f in found}) > 1:
        arks = [match["ark"] for match in matches]
        raise ClaimedBySeveral(
            f"{len(arks)} records claim {text[:200]}, and nobody has confirmed whose it is",
            hint=f"Look at them, then name one: {', '.join(arks[:_TOLD])}",
            members={"matches": matches},
        )
    return json.dumps({"matches": matches}).encode()


def own(registrar: Registrar, name: Identifier) -> Identifier:
    """The ARK that an LSID of this registrar stands for; any other name as it is.

    Raises:
        InvalidInput: its check character does not fit.
        NotFound: it is an LSID of somebody else.
    """
    if name.kind is not Kind.LSID:
        return name
    authority, _, local = name.value.partition(":")
    if authority != urlsplit(registrar.public_url).hostname:
        raise NotFound(f"this registrar gives no LSIDs of {authority}", hint=f"Ask {name.registrar}.")
    ark = parse(f"ark:/{registrar.settings.naan}/{local}")
    return replace(ark, path=name.path, latest=name.latest, revision=name.revision)


async def matches_of(registrar: Registrar, text: str) -> list[dict[str, str]]:
    """The records, and files in them, that a name of any form may mean; at least one.

    Raises:
        InvalidInput, UsageError: it is no name.
        NotFound: nobody has this name.
        WithdrawnRecord: all that has it and is not tainted is withdrawn.
        TaintedRecord: all that has it is tainted.
    """
    return [match_document(f.record, f.path) for f in await _offered(registrar, text)]


async def _offered(registrar: Registrar, text: str) -> list[_Found]:
    text = text.strip()
    if not text:
        raise InvalidInput("say what to resolve: ?id=NAME")
    try:
        name = own(registrar, parse(text))
    except (InvalidInput, UsageError) as error:
        if not typed_ark(text):
            raise
        raise await unknown_name(registrar, text, error.what, error.hint) from error
    found = await registrar.db.read(_resolve, name, bare=name.bare)
    if not found:
        unknown = f"this registrar does not know {text[:200]}"
        raise await unknown_name(
            registrar, str(name), unknown, "Compare it with its source, or ask another registrar."
        )
    clean = [f for f in found if not f.taints]
    if not clean:
        first = found[0]
        raise documents.tainted_record(first.record, first.taints, first.path)
    offered = [f for f in clean if not f.record.withdrawn]
    if not offered:
        raise await documents.gone(registrar, clean[0].record)
    return offered


def match_document(record: Record, path: str) -> dict[str, str]:
    """One match; ``path`` is that of a file in it, or ""."""
    return {
        "rid": record.rid,
        "ark": f"ark:/{record.ark}",
        "content_id": record.content_id,
        "name": record.name,
        "path": path,
    }
