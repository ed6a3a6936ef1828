"""What all routes of the native interface do alike, whoever wrote them: one middleware.

* Unknown and malformed query parameters are refused, by the route's description.
* ``OPTIONS`` says what is allowed.
* Documents carry an ``ETag`` (RFC 9110) and are asked for again with ``If-None-Match``.
"""

from __future__ import annotations

import hashlib

from aiohttp import web
from aiohttp.typedefs import Handler

from seedkeep_registrar.interface.document import PREFIXES
from seedkeep_registrar.interface.idempotency import HEADER, once
from seedkeep_registrar.interface.operation import operation_of, take_query


@web.middleware
async def manners(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Wraps every request; those outside the native interface pass through."""
    if not request.path.startswith(PREFIXES):
        return await handler(request)
    if request.method == "OPTIONS" and isinstance(
        refused := request.match_info.http_exception, web.HTTPMethodNotAllowed
    ):
        return web.Response(
            status=204, headers={"Allow": ",".join(sorted({*refused.allowed_methods, "OPTIONS"}))}
        )
    described = operation_of(request.match_info.handler)
    if described is not None:
        take_query(request, described)
    if described is not None and described.repeatable and HEADER in request.headers:
        return await once(request, handler)
    answer = await handler(request)
    if request.method in ("GET", "HEAD") and answer.status == 200:
        private = described is not None and bool(described.security)
        answer.headers.setdefault("Cache-Control", "private, no-cache" if private else "no-cache")
        if isinstance(answer, web.Response) and isinstance(answer.body, bytes):
            return _conditional(request, answer, answer.body)
    return answer


def _conditional(request: web.Request, answer: web.Response, body: bytes) -> web.Response:
    """The answer with its ETag, or 304 where the sender has it."""
    given = answer.etag
    tag = given.value if given else hashlib.sha256(body).hexdigest()[:32]
    answer.etag = tag
    asked = request.if_none_match
    # weak comparison, RFC 9110 section 13.1.2
    if asked is None or not any(one.value in (tag, "*") for one in asked):
        return answer
    kept = ("ETag", "Cache-Control", "Vary", "Link", "Access-Control-Allow-Origin")
    return web.Response(
        status=304, headers={name: answer.headers[name] for name in kept if name in answer.headers}
    )
