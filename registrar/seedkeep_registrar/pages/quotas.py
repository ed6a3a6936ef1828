"""The operator's page of quotas: who may register more or less than the others."""

from __future__ import annotations

from aiohttp import web

from seedkeep.core.errors import Error, InvalidInput
from seedkeep.core.units import parse_size
from seedkeep_registrar.accounts.principal import Role
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.operations import granting
from seedkeep_registrar.operations.granting import MOST
from seedkeep_registrar.operations.journaling import tell
from seedkeep_registrar.pages.forms import Form, form_of, see, signed_in
from seedkeep_registrar.pages.render import show
from seedkeep_registrar.store.quotas import Quota

routes = web.RouteTableDef()
_PER_PAGE = 50
_MAX_WHO = 254


@routes.get("/operate/quotas")
async def _quotas(request: web.Request) -> web.Response:
    await signed_in(request, Role.OPERATOR)
    return await _page(request, {"who": request.query.get("who", "")[:_MAX_WHO], "datasets": "", "bytes": ""})


async def _page(
    request: web.Request, typed: dict[str, str], *, status: int = 200, problem: str = ""
) -> web.Response:
    registrar, after = request.app[REGISTRAR], request.query.get("after", "")
    if len(after) > 64 or "\x00" in after:
        raise InvalidInput("this page does not exist", hint="Follow the links of the page.")
    found = await registrar.db.read(granting.page, after=after, limit=_PER_PAGE + 1)
    shown = found[:_PER_PAGE]
    return show(
        request,
        "quotas.html",
        status=status,
        usual=granting.words(granting.usual(registrar.settings)),
        quotas=shown,
        first=bool(after),
        next=shown[-1].publisher if len(found) > _PER_PAGE else "",
        typed=typed,
        problem=problem,
    )


@routes.post("/operate/quotas")
async def _set(request: web.Request) -> web.Response:
    await signed_in(request, Role.OPERATOR)
    form, registrar = await form_of(request), request.app[REGISTRAR]
    typed = {
        "who": form.text("who", _MAX_WHO),
        "datasets": form.text("datasets"),
        "bytes": form.text("bytes"),
    }
    try:
        wanted = _quota(form)
        made = await registrar.db.write(granting.grant, registrar.settings, typed["who"], wanted)
    except Error as error:
        return await _page(request, typed, status=400, problem=error.diagnostics())
    tell(request, subject=f"publisher {made.publisher}", detail=granting.words(wanted))
    return see(request, "/operate/quotas")


def _quota(form: Form) -> Quota:
    size = parse_size(form.text("bytes") or "0")
    if size > MOST:
        raise InvalidInput("this size is more than can be counted", hint="0 stands for no limit.")
    return Quota(form.number("datasets", 0), size)


@routes.post("/operate/quotas/clear")
async def _clear(request: web.Request) -> web.Response:
    await signed_in(request, Role.OPERATOR)
    form, registrar = await form_of(request), request.app[REGISTRAR]
    publisher = await registrar.db.write(granting.clear, form.text("who", _MAX_WHO))
    tell(request, subject=f"publisher {publisher}")
    return see(request, "/operate/quotas")
