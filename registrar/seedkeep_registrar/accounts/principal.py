"""Who sent a request, and what they may do: the one question every handler that guards something asks.

Proofs are, in this order: a bearer token, an RFC 9421 signature, a session's cookie. Roles are read with
every request, so that what an operator changes counts at once, in every process.

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
from aiohttp.typedefs import Handler

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput, Refused
from seedkeep.core.httpsig import Unauthenticated
from seedkeep_registrar import auth
from seedkeep_registrar.accounts import browser, codes
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.operations.limits import charge_sender
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import accounts, api_tokens
from seedkeep_registrar.store.accounts import Account, Role
from seedkeep_registrar.store.sessions import Session

__all__ = [
    "ANONYMOUS",
    "SCOPES",
    "Account",
    "Principal",
    "Role",
    "account_of",
    "body_of",
    "in_person",
    "json_of",
    "page_principal",
    "principal_of",
    "principal_of_key",
    "recognised",
    "require",
    "role_of_key",
    "session_of",
    "signer_of",
]

#: what a token may be limited to
SCOPES = ("read", "register", "edit", "curate", "operate")
EVERY_SCOPE = frozenset(SCOPES)
#: largest body of a request that is signed and not streamed
MAX_BODY = 512 * 1024
#: headers that name somebody, apart from the cookie
_PROOFS = ("Signature-Input", "Signature", "Authorization")


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
_BODY = web.RequestKey("body", bytes)
_SESSION = web.RequestKey("session", Session)


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
        Refused: the account is disabled, or a write by a session came from another site.
        InvalidInput: its body is compressed.
        TooLarge: it is signed and its body is over 512 KiB.
        TooManyRequests: this account, or this key, sends more than is allowed.
    """
    known: Principal | None = request.get(_PRINCIPAL)
    if known is None:
        known = await _establish(request)
        if known.account is not None:
            charge_sender(request, f"account {known.account.id}")
        request[_PRINCIPAL] = known
    return known


async def _establish(request: web.Request) -> Principal:
    if "Authorization" in request.headers:
        return await _by_token(request)
    if any(name in request.headers for name in _PROOFS):
        return await _by_signature(request)
    found = await browser.find(request)
    if found is None:
        return ANONYMOUS
    browser.check_origin(request)
    request[_SESSION], account = found
    return Principal(account.role, account, "", "session", EVERY_SCOPE)


async def _by_signature(request: web.Request) -> Principal:
    body = await auth.read_body(request, MAX_BODY)
    signed = await auth.verify(request)
    auth.check_digest(signed, body)
    request[_BODY] = body
    return signer_of(request, str(signed.key))


def signer_of(request: web.Request, key: str) -> Principal:
    """Who sent a request that :func:`seedkeep_registrar.auth.verify` let in."""
    return _by_key(request.app[REGISTRAR], key, request[auth.ACTS_FOR])


async def principal_of_key(registrar: Registrar, key: str) -> Principal:
    """Who acts by a key whose request :func:`seedkeep_registrar.auth.verify` let in."""
    return _by_key(registrar, key, await registrar.db.read(accounts.by_key, key))


def _by_key(registrar: Registrar, key: str, account: Account | None) -> Principal:
    role = role_of_key(registrar.settings, key)
    if account is not None:
        role = max(role, account.role)
    return Principal(role, account, key, "signature", EVERY_SCOPE)


async def _by_token(request: web.Request) -> Principal:
    registrar, given = request.app[REGISTRAR], request.headers.getall("Authorization")
    scheme, _, secret = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or not codes.is_token(secret):
        raise Unauthenticated(
            "the Authorization header carries no token of this registrar",
            hint="Send Authorization: Bearer skp_…; tokens are made on the account's page.",
        )
    now = registrar.clock()
    found = await registrar.db.read(api_tokens.by_secret, codes.digest(secret), now)
    if found is None:
        raise Unauthenticated(
            "this token does not work: it was revoked, has expired, or its account is disabled",
            hint="Make a new one on the account's page.",
        )
    token, account = found
    if token.last_used is None or now - token.last_used > browser.SEEN_EVERY_S:
        await registrar.db.write(api_tokens.used, token.id, now)
    return Principal(account.role, account, "", "token", frozenset(token.scopes))


@web.middleware
async def recognised(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whoever comes with a session is known before the handler runs, for what its page shows."""
    if browser.token_of(request) and not any(name in request.headers for name in _PROOFS):
        await principal_of(request)
    return await handler(request)


def session_of(request: web.Request) -> Session | None:
    """The session by which the sender is known."""
    session: Session | None = request.get(_SESSION)
    return session


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


def account_of(principal: Principal) -> Account:
    """The sender's account.

    Raises:
        Refused: it is a key that acts for none.
    """
    if principal.account is None:
        raise Refused("this key acts for no account", hint="Run `seedkeep login` first.")
    return principal.account


def in_person(principal: Principal) -> Principal:
    """The sender, who is there in person.

    Raises:
        Refused: it is a token: whoever finds one shall not be able to make more of it.
    """
    if principal.how == "token":
        raise Refused("a token cannot do this", hint="Sign in, or sign the request with your key.")
    return principal


def page_principal(request: web.Request) -> Principal:
    """The sender as far as already established, for what a page shows; never raises."""
    established: Principal = request.get(_PRINCIPAL, ANONYMOUS)
    return established


async def body_of(request: web.Request, limit: int = MAX_BODY) -> bytes:
    """The body, read once and then remembered; of a signed request the one that was signed.

    Raises:
        TooLarge: it is over ``limit`` bytes.
        InvalidInput: it is compressed.
    """
    body: bytes | None = request.get(_BODY)
    if body is None:
        body = request[_BODY] = await auth.read_body(request, limit)
    return body


async def json_of(request: web.Request, limit: int = MAX_BODY) -> Mapping[str, Any]:
    """The body as a JSON object; who sent it must have been established before.

    Raises:
        TooLarge, InvalidInput: it is too large, or no JSON object.
    """
    value = jcs.loads(await body_of(request, limit), limit=limit)
    if not isinstance(value, dict):
        raise InvalidInput("the request's body is not a JSON object")
    return value
