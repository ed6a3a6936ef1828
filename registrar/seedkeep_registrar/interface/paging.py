"""Lists a page at a time: ``limit`` and ``cursor`` in, ``next`` and a ``Link`` header (RFC 8288) out.

A cursor says where the page before ended, by what the list is ordered by, so that a list that changes
meanwhile shows nothing twice. What is in it is nobody's business but the route's.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from seedkeep.core.errors import InvalidInput
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.interface.operation import Link, Query

Cursor = Annotated[str, Meta(max_length=500, description="The `next` of the page before.")]
#: fits into BIGINT
_MOST_DIGITS = 15


class PageQuery(Query):
    """Which page of a list."""

    limit: Annotated[int, Meta(ge=1, le=1000, description="Most items in the answer.")] = 100
    cursor: Cursor = ""


def next_page(operation: str, **parameters: str) -> dict[str, Link]:
    """The ``links`` of a list's description.

    Args:
        operation: its own ``operationId``.
        parameters: of the path, as OpenAPI runtime expressions.
    """
    return {"next_page": Link(operation, {**parameters, "cursor": "$response.body#/next"})}


def cursor_of(*values: str | int | float) -> str:
    """A cursor after the item with these values."""
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def values_of(cursor: str, shape: Any) -> Any:
    """What :func:`cursor_of` was given.

    Args:
        cursor: as a client sent it.
        shape: a tuple type such as ``tuple[float, str]``.

    Raises:
        InvalidInput: no page gave this cursor.
    """
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(data, type=shape)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(
            "this cursor is not one that a page gave", hint="Follow `next`, or begin without a cursor."
        ) from error


def number_in(cursor: str) -> int | None:
    """The number that is all of a cursor of a page or a feed; None for "", the first page.

    Raises:
        InvalidInput: no page gave this cursor.
    """
    if not cursor:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= _MOST_DIGITS):
        raise InvalidInput("this cursor is not one that a page gave", hint="Follow the links of the page.")
    return int(cursor)


def page(request: web.Request, document: Mapping[str, Any]) -> web.Response:
    """A page of a list as an answer.

    Args:
        document: with ``next``: the cursor of the next page, or None.
    """
    answer = web.json_response(document)
    if document["next"] is not None:
        following = request.rel_url.update_query(cursor=document["next"])
        answer.headers["Link"] = f'<{request.app[REGISTRAR].public_url}{following}>; rel="next"'
    return answer
