"""A route's description, written next to its handler; the OpenAPI document is made from these.

::

    class RecordQuery(Query):
        limit: Annotated[int, Meta(ge=1, le=1000, description="Most records in the answer.")] = 100

    class RecordPage(TypedDict):
        records: list[ShortRecord]

    @routes.get("/api/v1/records")
    @operation("List the records", tag="Records", answers={200: RecordPage}, query=RecordQuery)
    async def list_records(request: web.Request) -> web.Response:
        \"\"\"Newest first, a page at a time.\"\"\"
        limit = query_of(request, RecordQuery).limit

Shapes are TypedDicts (answers), msgspec Structs (bodies, queries: they refuse unknown fields) or any type
that msgspec knows. The handler's name is the ``operationId``, its docstring the description. What all routes
share is added by itself: see :mod:`seedkeep_registrar.interface.document`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from seedkeep.core.errors import InvalidInput

Handler = TypeVar("Handler", bound=Callable[[web.Request], Awaitable[web.StreamResponse]])
Q = TypeVar("Q", bound="Query")

#: ways to say who asks; a route lists those that it takes
SIGNATURE, TOKEN, SESSION = "signature", "token", "session"
ANYBODY: tuple[str, ...] = ()
SIGNED = (SIGNATURE,)
PERSON = (SIGNATURE, TOKEN, SESSION)


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """Base of the shapes of request bodies."""


class Query(msgspec.Struct, forbid_unknown_fields=True):
    """Base of the shapes of queries: every field is a parameter, a list field may be repeated."""


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes or text that are not JSON.

    Args:
        type: media type.
    """

    type: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """How an answer leads to another operation.

    Args:
        operation: its ``operationId``.
        parameters: value by parameter name, as OpenAPI runtime expressions (``$response.body#/rid``).
    """

    operation: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Operation:
    """The description of one route; see :func:`operation` for the fields."""

    name: str
    summary: str
    description: str
    tag: str
    answers: Mapping[int, Any]
    problems: tuple[int, ...]
    query: type[Query] | None
    path: Mapping[str, Any]
    body: Any
    security: tuple[str, ...]
    scope: str
    links: Mapping[str, Link] = field(default_factory=dict)
    repeatable: bool = False
    also: tuple[Content, ...] = ()


_DESCRIBED: dict[object, Operation] = {}
_QUERY: web.RequestKey[Query] = web.RequestKey("query", Query)


def operation(
    summary: str,
    *,
    tag: str,
    answers: Mapping[int, Any],
    problems: tuple[int, ...] = (),
    query: type[Query] | None = None,
    path: Mapping[str, Any] | None = None,
    body: Any = None,
    security: tuple[str, ...] = ANYBODY,
    scope: str = "",
    links: Mapping[str, Link] | None = None,
    repeatable: bool = False,
    also: tuple[Content, ...] = (),
) -> Callable[[Handler], Handler]:
    """Describe a handler.

    Args:
        summary: a few words.
        tag: the heading it is listed under.
        answers: by status: a shape, :class:`Content`, or None for an empty body. A shape under 400 or above
            is that of a problem document.
        problems: further statuses that answer with the usual problem document. 400, 401, 403, 408, 413, 429
            and 503 are added where they can happen.
        query: the parameters; a request with other ones gets 400. Without it there are none.
        path: shape of path parameters whose name does not tell it (``rid``, ``content_id``, ``sha256`` do).
        body: a :class:`Body` for JSON, or :class:`Content`.
        security: the ways to say who asks that are taken: ``ANYBODY``, ``SIGNED`` or ``PERSON``.
        scope: what a token must be good for.
        links: from the successful answer to other operations.
        repeatable: it makes something, and takes an ``Idempotency-Key`` so that it can be sent again. Not for
            answers that hold a secret, as they are kept for a day.
        also: further media types in which the answers with status 200 and 410 are given.
    """

    def describe(handler: Handler) -> Handler:
        text = " ".join((handler.__doc__ or "").split())
        _DESCRIBED[handler] = Operation(
            handler.__name__,
            summary,
            text,
            tag,
            answers,
            problems,
            query,
            path or {},
            body,
            security,
            scope,
            links or {},
            repeatable,
            also,
        )
        return handler

    return describe


def operation_of(handler: object) -> Operation | None:
    """The description of a handler; None when it has none."""
    return _DESCRIBED.get(handler)


@cache
def _lists_of(shape: type[Query]) -> frozenset[str]:
    return frozenset(f.name for f in msgspec.structs.fields(shape) if str(f.type).startswith("list"))


def take_query(request: web.Request, described: Operation) -> None:
    """Read the query as described, for :func:`query_of`.

    Raises:
        InvalidInput: a parameter is unknown, repeated or out of its limits.
    """
    shape = described.query or Query
    lists = _lists_of(shape)
    given: dict[str, Any] = {}
    for name in request.query:
        values = request.query.getall(name)
        if name in lists:
            given[name] = values
        elif len(values) == 1:
            given[name] = values[0]
        else:
            raise InvalidInput(f"the parameter {name[:60]!r} is given twice")
    try:
        request[_QUERY] = msgspec.convert(given, shape, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(f.name for f in msgspec.structs.fields(shape))
        hint = f"It takes {known}." if known else "It takes no parameters."
        raise InvalidInput(f"this query cannot be read: {str(error)[:300]}", hint=hint) from error


def query_of(request: web.Request, shape: type[Q]) -> Q:
    """The query of a request to an operation that was described with this shape."""
    query = request[_QUERY]
    assert isinstance(query, shape)
    return query
