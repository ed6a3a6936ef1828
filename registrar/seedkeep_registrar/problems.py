"""Errors on the wire: problem documents (RFC 9457) with a stable ``code`` and a hint."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from seedkeep.core import jcs
from seedkeep.core.errors import Conflict, Error, InvalidInput, NotFound, Tainted, Withdrawn

_LOG = logging.getLogger(__name__)

#: status and code on the wire, by :attr:`seedkeep.core.errors.Error.code`
_STATUS: dict[str, tuple[int, str]] = {
    "invalid_input": (400, "invalid_input"),
    "hostile_metainfo": (400, "invalid_input"),
    "verification_failed": (400, "invalid_input"),
    "usage": (400, "invalid_input"),
    "unauthenticated": (401, "unauthenticated"),
    "refused": (403, "refused"),
    "not_found": (404, "not_found"),
    "conflict": (409, "conflict"),
    "key_reused": (422, "key_reused"),
    "withdrawn": (410, "withdrawn"),
    "precondition_failed": (412, "precondition_failed"),
    "too_large": (413, "too_large"),
    "tainted": (451, "tainted"),
    "too_many_requests": (429, "too_many_requests"),
    "unavailable": (503, "unavailable"),
    "unreachable": (503, "unavailable"),
    "no_space": (503, "unavailable"),
}
_CODES = dict(_STATUS.values())
_RETRY_AFTER_S = 5


class TooManyRequests(Error):
    """Somebody asked more often than this registrar allows.

    Args:
        retry_after: whole seconds after which a request will be answered again.
    """

    code = "too_many_requests"

    def __init__(self, what: str, *, retry_after: int) -> None:
        super().__init__(what, hint=f"Try again in {retry_after} seconds.")
        self.retry_after = retry_after


class TooLarge(InvalidInput):
    """A body or object is over a limit."""

    code = "too_large"


class TaintedRecord(Tainted):
    """A taint stands on a record, its content or a file.

    Args:
        members: further members of the problem document (``taints``, ``rid``, ``ark``, ``content_id``).
    """

    def __init__(self, what: str, *, hint: str = "", members: dict[str, Any] | None = None) -> None:
        super().__init__(what, hint=hint)
        self.members = members or {}


class WithdrawnRecord(Withdrawn):
    """A record is withdrawn.

    Args:
        members: further members of the problem document: all that is still said of it.
    """

    def __init__(self, what: str, *, hint: str = "", members: dict[str, Any] | None = None) -> None:
        super().__init__(what, hint=hint)
        self.members = members or {}


class UnknownName(NotFound):
    """Nothing here has this name.

    Args:
        members: further members of the problem document (``suggestions``: names that may have been meant).
    """

    def __init__(self, what: str, *, hint: str = "", members: dict[str, Any] | None = None) -> None:
        super().__init__(what, hint=hint)
        self.members = members or {}


class MovedOn(Conflict):
    """What was to be changed is not as its sender thought.

    Args:
        members: how it is now (``rid``, ``seq``, ``head``, ``event`` of a record; ``latest`` version).
    """

    def __init__(self, what: str, *, hint: str = "", members: dict[str, Any] | None = None) -> None:
        super().__init__(what, hint=hint)
        self.members = members or {}


class Elsewhere(Conflict):
    """A record belongs to another registrar, which alone takes changes of it.

    Args:
        members: ``home`` (its origin) and ``home_url`` (its URL, or "" where that is not known).
    """

    def __init__(self, what: str, *, hint: str = "", members: dict[str, Any] | None = None) -> None:
        super().__init__(what, hint=hint)
        self.members = members or {}


class ClaimedBySeveral(Conflict):
    """Several records claim one name, and nobody has confirmed whose it is.

    Args:
        members: further members of the problem document (``matches``: those records).
    """

    def __init__(self, what: str, *, hint: str = "", members: dict[str, Any] | None = None) -> None:
        super().__init__(what, hint=hint)
        self.members = members or {}


class NotAsExpected(MovedOn):
    """If-Match names another state than the present one."""

    code = "precondition_failed"


def problem(
    status: int, code: str, detail: str, *, hint: str = "", members: dict[str, Any] | None = None
) -> web.Response:
    """One problem document."""
    document = {
        **(members or {}),
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "hint": hint,
        "code": code,
    }
    body = jcs.dumps(document)
    headers = {"Retry-After": str(_RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return web.Response(status=status, body=body, content_type="application/problem+json", headers=headers)


def problem_of(error: Error) -> web.Response:
    """The problem document of one of our errors."""
    status, code = _STATUS.get(error.code, (500, error.code))
    telling = (TaintedRecord, WithdrawnRecord, MovedOn, Elsewhere, ClaimedBySeveral, UnknownName)
    members = error.members if isinstance(error, telling) else None
    answer = problem(status, code, error.what, hint=error.hint, members=members)
    if isinstance(error, TooManyRequests):
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every error of a handler into a problem document; unexpected ones are logged, not shown."""
    try:
        return await handler(request)
    except Error as error:
        return problem_of(error)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        code = _CODES.get(answer.status, "invalid_input" if answer.status < 500 else "failed")
        refused = problem(answer.status, code, answer.text or answer.reason)
        for name in ("Allow",):
            if name in answer.headers:
                refused.headers[name] = answer.headers[name]
        return refused
    except TimeoutError:
        return problem(408, "unavailable", "the request took too long to arrive")
    except (ConnectionError, web.RequestPayloadError):
        raise
    except Exception:
        _LOG.exception("request %s %s failed", request.method, request.path)
        return problem(
            500, "failed", "the registrar made an error; its log says more", hint="Try again later."
        )
