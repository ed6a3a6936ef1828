"""Who sent a request, and what they may do: the one question every handler that guards something asks.

A handler writes::

    principal = await require(request, Role.CURATOR, "curate")

and what it promises is that the sender has proven to be somebody of at least that role: by a signature with
a key, by a token that has the scope, or by a session whose request came from a page of this registrar.
The body of a signed request has been read by then and is the one that was signed: :func:`body_of` gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput, Refused
from seedkeep.core.httpsig import Unauthenticated
from seedkeep_registrar import auth
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store.accounts import Account, Role

__all__ = [
    "ANONYMOUS",
    "SCOPES",
    "Account",
    "Principal",
    "Role",
    "body_of",
    "json_of",
    "page_principal",
    "principal_of",
    "require",
]

#: what a token may be limited to
SCOPES = ("read", "register", "edit", "curate", "operate")
EVERY_SCOPE = frozenset(SCOPES)
#: largest body of a request that is signed and not streamed
MAX_BODY = 512 * 1024


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sent a request.

    Args:
        role: the highest one that the account or the key gives.
        account: None for a key that is bound to none, and for nobody.
        key: ``ed25519:…`` that signed the request, or "".
        how: ``signature``, ``token``, ``session`` or ``anonymous``.
        scopes: of a token; every scope for signature and session.
    """

    role: Role
    account: Account | None
    key: str
    how: str
    scopes: frozenset[str]


ANONYMOUS = Principal(Role.VISITOR, None, "", "anonymous", frozenset())
_PRINCIPAL = web.RequestKey("principal", Principal)
_BODY = web.RequestKey("signed_body", bytes)


def role_of_key(settings: Settings, key: str) -> Role:
    """The role that the settings give a key."""
    if key in settings.operators:
        return Role.OPERATOR
    if key in settings.curators:
        return Role.CURATOR
    return Role.MEMBER if key in settings.members else Role.VISITOR


async def principal_of(request: web.Request) -> Principal:
    """Who sent this request; established once, then remembered with it.

    Raises:
        Unauthenticated: it carries a proof that does not hold.
        InvalidInput: its body is compressed.
        TooLarge: it is signed and its body is over 512 KiB.
    """
    known: Principal | None = request.get(_PRINCIPAL)
    if known is None:
        known = await _establish(request)
        request[_PRINCIPAL] = known
    return known


async def _establish(request: web.Request) -> Principal:
    if "Signature-Input" not in request.headers:
        return ANONYMOUS
    body = await auth.read_body(request, MAX_BODY)
    signed = await auth.verify(request)
    auth.check_digest(signed, body)
    request[_BODY] = body
    key = str(signed.key)
    role = role_of_key(request.app[REGISTRAR].settings, key)
    return Principal(role, None, key, "signature", EVERY_SCOPE)


async def require(request: web.Request, role: Role, scope: str) -> Principal:
    """The sender, who is somebody of at least this role; ``Role.VISITOR`` is any account or key.

    Args:
        scope: what a token must have been made for; one of :data:`SCOPES`.

    Raises:
        Unauthenticated: nobody is named, or the proof does not hold.
        Refused: the role or the token's scopes do not suffice.
    """
    principal = await principal_of(request)
    if principal.how == "anonymous":
        raise Unauthenticated(
            "this needs you to sign in", hint="Sign in, send a token, or sign the request with your key."
        )
    if scope not in principal.scopes:
        raise Refused(f"this token lacks the scope {scope}", hint="Make a token with this scope.")
    if principal.role < role:
        raise Refused(f"this is for {role.word}s of this registrar only", hint="Ask its operator.")
    return principal


def page_principal(request: web.Request) -> Principal:
    """The sender as far as already established, for what a page shows; never raises."""
    established: Principal = request.get(_PRINCIPAL, ANONYMOUS)
    return established


async def body_of(request: web.Request, limit: int = MAX_BODY) -> bytes:
    """The body; of a signed request the one that was signed.

    Raises:
        TooLarge: it is over ``limit`` bytes.
        InvalidInput: it is compressed.
    """
    body: bytes | None = request.get(_BODY)
    return await auth.read_body(request, limit) if body is None else body


async def json_of(request: web.Request, limit: int = MAX_BODY) -> Mapping[str, Any]:
    """The body as a JSON object; who sent it must have been established before.

    Raises:
        TooLarge, InvalidInput: it is too large, or no JSON object.
    """
    value = jcs.loads(await body_of(request, limit), limit=limit)
    if not isinstance(value, dict):
        raise InvalidInput("the request's body is not a JSON object")
    return value
