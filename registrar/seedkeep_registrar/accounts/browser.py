"""Sessions of browsers: the cookie, how long it counts, and that a write came from a page of ours."""

from __future__ import annotations

from functools import cache
from urllib.parse import urlsplit

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.errors import Refused
from seedkeep_registrar.accounts import codes
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.store import sessions
from seedkeep_registrar.store.accounts import Account
from seedkeep_registrar.store.sessions import Session

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_AGENT_MAX = 200
#: whom this request has signed in
ENTERED: web.RequestKey[Account] = web.RequestKey("entered", Account)
#: last use is written down no more often than this, in seconds
SEEN_EVERY_S = 300.0


@cache
def cookie_name(public_url: str) -> str:
    """The cookie's name: with the strictest prefix that browsers take for this URL (RFC 6265bis, 4.1.3).

    Over plain HTTP the port is in it, because cookies do not tell ports apart.
    """
    parts = urlsplit(public_url)
    if parts.scheme != "https":
        return f"seedkeep-{parts.port or 80}"
    return "__Secure-seedkeep" if parts.path.strip("/") else "__Host-seedkeep"


def token_of(request: web.Request) -> str:
    """The session's token that the browser sent, or ""."""
    return request.cookies.get(cookie_name(request.app[REGISTRAR].public_url), "")


def check_origin(request: web.Request) -> None:
    """A write by a browser has to come from a page of this registrar; reads are never refused.

    Raises:
        Refused: it came from elsewhere, or does not say from where.
    """
    if request.method in _SAFE:
        return
    public = urlsplit(request.app[REGISTRAR].public_url)
    said = request.headers.getall("Origin", [])
    default = {"http": 80, "https": 443}[public.scheme]
    port = "" if public.port in (None, default) else f":{public.port}"
    host = public.hostname or ""
    ours = f"{public.scheme}://{f'[{host}]' if ':' in host else host}{port}"
    if said == [ours] or (said in ([], ["null"]) and request.headers.get("Sec-Fetch-Site") == "same-origin"):
        return
    raise Refused(
        "this was not sent from a page of this registrar",
        hint=f"Open {request.app[REGISTRAR].public_url} and do it there.",
    )


def set_cookie(registrar: Registrar, answer: web.StreamResponse, token: str) -> None:
    """Give the browser its session, until the session ends."""
    answer.set_cookie(
        cookie_name(registrar.public_url),
        token,
        max_age=int(registrar.settings.session_s),
        path=_path(registrar),
        secure=registrar.public_url.startswith("https:"),
        httponly=True,
        samesite="Lax",
    )


def clear_cookie(registrar: Registrar, answer: web.StreamResponse) -> None:
    """Let the browser forget its session."""
    answer.del_cookie(
        cookie_name(registrar.public_url),
        path=_path(registrar),
        secure=registrar.public_url.startswith("https:"),
        httponly=True,
        samesite="Lax",
    )


def _path(registrar: Registrar) -> str:
    return urlsplit(registrar.public_url).path.rstrip("/") + "/"


async def find(request: web.Request) -> tuple[Session, Account] | None:
    """The session whose cookie came along, and whose it is; None when there is none that lives."""
    registrar, token = request.app[REGISTRAR], token_of(request)
    if not codes.is_secret(token):
        return None
    now, idle_s = registrar.clock(), registrar.settings.session_idle_s
    found = await registrar.db.read(_by_token, codes.digest(token), now, idle_s)
    if found is not None and now - found[0].seen > min(SEEN_EVERY_S, idle_s / 10):
        await registrar.db.write(sessions.seen, found[0], now)
    return found


def _by_token(
    connection: Connection, token_sha256: str, now: float, idle_s: float
) -> tuple[Session, Account] | None:
    return sessions.by_token(connection, token_sha256, now=now, idle_s=idle_s)


async def begin(request: web.Request, account: Account, answer: web.StreamResponse) -> None:
    """Sign a browser in: always with a new token, and whatever session it had before ends."""
    registrar = request.app[REGISTRAR]
    before, token = token_of(request), codes.secret(registrar.random(codes.SECRET_BYTES))
    now = registrar.clock()
    agent = "".join(c if c.isprintable() else " " for c in request.headers.get("User-Agent", ""))
    session = Session(
        id=registrar.random(8).hex(),
        account_id=account.id,
        agent=agent.encode("utf-8", "replace").decode()[:_AGENT_MAX],
        created=now,
        seen=now,
        expires=now + registrar.settings.session_s,
    )
    await registrar.db.write(_begin, session, codes.digest(token), codes.digest(before) if before else "")
    set_cookie(registrar, answer, token)
    request[ENTERED] = account


def _begin(connection: Connection, session: Session, token_sha256: str, before: str) -> None:
    if before:
        sessions.end_token(connection, before)
    sessions.begin(connection, session, token_sha256)


async def end(request: web.Request, answer: web.StreamResponse) -> None:
    """Sign this browser out."""
    registrar = request.app[REGISTRAR]
    if token := token_of(request):
        await registrar.db.write(sessions.end_token, codes.digest(token))
    clear_cookie(registrar, answer)
