"""``Idempotency-Key``: a request that makes something can be sent again without making it twice.

The answer is kept for a day, for its sender alone, and given again to a request with the same key, address
and body. Only success is kept: after a refusal, the key is free. What must not be stored (``no-store``: a new
token) is not kept either; such a request makes a second thing.
Source: draft-ietf-httpapi-idempotency-key-header-06.
"""

from __future__ import annotations

import hashlib
import re

from aiohttp import web
from aiohttp.typedefs import Handler

from seedkeep.core.errors import InvalidInput
from seedkeep_registrar.accounts.principal import Principal, body_of, principal_of
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.store import idempotency
from seedkeep_registrar.store.idempotency import Kept

HEADER = "Idempotency-Key"
#: a structured-field string (RFC 8941); its quotes may be missing
_KEY = re.compile(r'"([!#-\[\]-~]{1,200})"|([!#-\[\]-~]{1,200})')
_KEPT_HEADERS = ("Content-Type", "Location")


async def once(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The handler's answer, or the one that it gave to the same request before.

    Raises:
        InvalidInput: the key is malformed.
        KeyReused: it was used for another request.
        Conflict: the first request with it is being answered.
    """
    given = request.headers.getall(HEADER)
    found = _KEY.fullmatch(given[0].strip())
    if len(given) > 1 or found is None:
        raise InvalidInput(f"{HEADER} is not one string of 1 to 200 printable characters without spaces")
    principal = await principal_of(request)
    if principal.how == "anonymous":
        return await handler(request)
    registrar, sender, key = request.app[REGISTRAR], _sender(principal), found[1] or found[2]
    fingerprint = hashlib.sha256(f"{request.method} {request.raw_path}\n".encode() + await body_of(request))
    kept = await registrar.db.write(
        idempotency.begin, sender, key, fingerprint.hexdigest(), registrar.clock()
    )
    if kept is not None:
        return web.Response(status=kept.status, headers=kept.headers, body=kept.body)
    made = False
    try:
        answer = await handler(request)
        keeps = answer.status < 300 and "no-store" not in answer.headers.get("Cache-Control", "")
        if keeps and isinstance(answer, web.Response) and isinstance(answer.body, bytes):
            headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
            await registrar.db.write(idempotency.keep, sender, key, Kept(answer.status, headers, answer.body))
            made = True
        return answer
    finally:
        if not made:
            await registrar.db.write(idempotency.forget, sender, key)


def _sender(principal: Principal) -> str:
    return f"account {principal.account.id}" if principal.account else principal.key
