"""The page of one's own account: profile, keys, tokens, sessions; and confirming a key."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.errors import Conflict, Error, InvalidInput
from seedkeep_registrar import times
from seedkeep_registrar.accounts import binding, codes, managing, services
from seedkeep_registrar.accounts.documents import (
    account_document,
    key_document,
    service_document,
    token_document,
)
from seedkeep_registrar.accounts.principal import SCOPES, Account, Role, role_of_key, session_of
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.pages.forms import form_of, see, signed_in
from seedkeep_registrar.pages.render import show
from seedkeep_registrar.store import account_keys, api_tokens, groups, sessions

routes = web.RouteTableDef()


async def account_page(
    request: web.Request, account: Account, *, status: int = 200, **more: Any
) -> web.Response:
    registrar = request.app[REGISTRAR]
    told = await registrar.db.read(_read, registrar, account)
    here = session_of(request)
    given = {"problem": "", "secret": "", "typed": account_document(account), **more}
    answer = show(
        request,
        "account.html",
        status=status,
        scopes=SCOPES,
        here_session=here.id if here else "",
        **told,
        **given,
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _read(connection: Connection, registrar: Registrar, account: Account) -> dict[str, Any]:
    now, idle_s = registrar.clock(), registrar.settings.session_idle_s
    keys = account_keys.of_account(connection, account.id)
    found = sessions.of_account(connection, account.id, now=now, idle_s=idle_s)
    return {
        "account": account_document(account),
        "keys": [key_document(key) for key in keys],
        "tokens": [
            {**token_document(token), "over": token.expires <= now}
            for token in api_tokens.of_account(connection, account.id)
        ],
        "groups": groups.of_account(connection, account.id),
        "linked": [
            service_document(one) for one in services.of_account(connection, registrar.settings, account.id)
        ],
        "curates": account.role >= Role.CURATOR
        or any(role_of_key(registrar.settings, k.key) >= Role.CURATOR for k in keys),
        "sessions": [
            {"id": s.id, "agent": s.agent, "created": times.text(s.created), "seen": times.text(s.seen)}
            for s in found
        ],
    }


@routes.get("/account")
async def _account(request: web.Request) -> web.Response:
    _, account = await signed_in(request)
    return await account_page(request, account)


@routes.post("/account/profile")
async def _profile(request: web.Request) -> web.Response:
    _, account = await signed_in(request)
    form = await form_of(request)
    typed = {name: form.text(name, 400) for name in ("name", "orcid", "institution", "ror")}
    try:
        await managing.change_profile(request.app[REGISTRAR], account, managing.profile(**typed))
    except InvalidInput as error:
        return await account_page(request, account, status=400, problem=error.diagnostics(), typed=typed)
    return see(request, "/account")


@routes.post("/account/mails")
async def _mails(request: web.Request) -> web.Response:
    _, account = await signed_in(request)
    form = await form_of(request)
    await managing.set_queue_mails(request.app[REGISTRAR], account, wanted=bool(form.text("queue")))
    return see(request, "/account#mails")


@routes.post("/account/keys/remove")
async def _remove_key(request: web.Request) -> web.Response:
    _, account = await signed_in(request)
    form = await form_of(request)
    await managing.remove_key(request.app[REGISTRAR], account, form.text("key", 100))
    return see(request, "/account#keys")


@routes.post("/account/tokens")
async def _make_token(request: web.Request) -> web.Response:
    _, account = await signed_in(request)
    form = await form_of(request)
    try:
        _, secret = await managing.make_token(
            request.app[REGISTRAR],
            account,
            name=form.text("name", 200),
            scopes=form.all("scope"),
            days=form.number("days", 90),
        )
    except Error as error:
        return await account_page(request, account, status=400, problem=error.diagnostics())
    # in this answer only: a page that can be opened again would show it again
    return await account_page(request, account, secret=secret)


@routes.post("/account/tokens/revoke")
async def _revoke_token(request: web.Request) -> web.Response:
    _, account = await signed_in(request)
    form, registrar = await form_of(request), request.app[REGISTRAR]
    await registrar.db.write(api_tokens.revoke, account.id, form.text("id", 100), registrar.clock())
    return see(request, "/account#tokens")


@routes.post("/account/sessions/end")
async def _end_session(request: web.Request) -> web.Response:
    _, account = await signed_in(request)
    form = await form_of(request)
    await request.app[REGISTRAR].db.write(sessions.end_one, account.id, form.text("id", 100))
    return see(request, "/account#sessions")


@routes.get("/account/bind")
async def _bind(request: web.Request) -> web.Response:
    await signed_in(request)
    return await _bind_page(request, request.query.get("code", "")[:40])


async def _bind_page(request: web.Request, typed: str, error: str = "") -> web.Response:
    found = await binding.waiting(request.app[REGISTRAR], typed) if typed else None
    if typed and found is None:
        error = error or "No key waits under this code. It may have a typing error, or be used or too old."
    shown = {"key": found.key, "label": found.label} if found else None
    code = codes.shown_code(codes.typed_code(typed)) if found else typed
    return show(
        request,
        "bind_key.html",
        status=400 if error else 200,
        code=code,
        waiting=shown,
        decided="",
        error=error,
    )


@routes.post("/account/bind")
async def _decide(request: web.Request) -> web.Response:
    _, account = await signed_in(request)
    form, registrar = await form_of(request), request.app[REGISTRAR]
    typed, confirmed = form.text("code", 40), form.text("decision") == "confirm"
    try:
        ended = await binding.decide(
            registrar, request.app[binding.CONFIRMATIONS], typed, account.id, confirmed=confirmed
        )
    except Conflict as error:
        return await _bind_page(request, typed, error.diagnostics())
    if ended is None:
        return await _bind_page(request, typed or "-")
    decided = "bound" if confirmed else "refused"
    shown = {"key": ended.key, "label": ended.label}
    return show(request, "bind_key.html", code="", waiting=shown, decided=decided, error="")
