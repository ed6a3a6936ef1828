"""Pages of taints: all of them, how they are obeyed, and the forms of curators."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.errors import Error, InvalidInput
from seedkeep.core.taints.body import CATEGORIES, MAX_HOLD_S, Effect, Subject, SubjectKind
from seedkeep_registrar import curation, times
from seedkeep_registrar.accounts import curators
from seedkeep_registrar.accounts.principal import Principal, Role, principal_of
from seedkeep_registrar.api.followed_taints import newest as newest_of_others
from seedkeep_registrar.api.taints import all_taint_documents
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.pages.authorities import draft_documents
from seedkeep_registrar.pages.forms import Form, form_of, see, signed_in
from seedkeep_registrar.pages.render import EFFECT_WORDS, show
from seedkeep_registrar.problems import problem_of
from seedkeep_registrar.store import records
from seedkeep_registrar.store.taints import STANDING

routes = web.RouteTableDef()
_ID = "{id:[0-9a-f]{64}}"
_HOLD = "hold"
_MOST_OF_OTHERS = 200
#: fields of the form, and how long they may be
_TYPED = {
    "subject": 100,
    "category": 40,
    "effect": 20,
    "reason": 2000,
    "basis": 300,
    "jurisdiction": 60,
    "evidence": 64,
    "appeal": 300,
    "expires": 10,
}
_EFFECTS = (
    ("", "What is usual for that"),
    (_HOLD, "Hold: hide it for 72 hours, until others have looked at it"),
    *((effect.value, EFFECT_WORDS[effect.value]) for effect in Effect),
)


@routes.get("/taints")
async def _taints(request: web.Request) -> web.Response:
    return await _list(request, await principal_of(request))


async def _list(
    request: web.Request, principal: Principal, *, status: int = 200, problem: str = ""
) -> web.Response:
    registrar = request.app[REGISTRAR]
    curates = principal.account is not None and principal.role >= Role.CURATOR
    return show(
        request,
        "taints.html",
        status=status,
        approvals=(await registrar.db.read(curators.read, registrar.settings)).needed,
        taints=await all_taint_documents(registrar),
        curates=curates,
        drafts=await draft_documents(registrar) if curates else [],
        problem=problem,
    )


@routes.get("/transparency")
async def _transparency(request: web.Request) -> web.Response:
    registrar = request.app[REGISTRAR]
    every = await all_taint_documents(registrar)
    decided = [t for t in every if t["state"] != "proposed"]
    stands = Counter(t["category"] for t in decided if t["state"] == STANDING)
    over = Counter(t["category"] for t in decided if t["state"] != STANDING)
    totals = {
        "all": len(decided),
        "standing": stands.total(),
        "over": over.total(),
        "receipts": sum(t["obeyed"] for t in decided),
        "categories": [(c, stands[c], over[c]) for c in CATEGORIES if stands[c] or over[c]],
    }
    others = await registrar.db.read(newest_of_others, _MOST_OF_OTHERS)
    return show(request, "transparency.html", taints=decided, totals=totals, others=others)


@routes.get("/taints/new")
async def _new(request: web.Request) -> web.Response:
    await signed_in(request, Role.CURATOR)
    subject = request.query.get("subject", "")[:100]
    return await _form(request, {**dict.fromkeys(_TYPED, ""), "subject": subject, "category": "other"})


async def _form(
    request: web.Request, typed: dict[str, str], *, status: int = 200, problem: str = ""
) -> web.Response:
    registrar = request.app[REGISTRAR]
    return show(
        request,
        "taint_new.html",
        status=status,
        typed=typed,
        about=await registrar.db.read(_about, typed["subject"]),
        categories=[(c, c.replace("-", " ").capitalize()) for c in CATEGORIES],
        effects=_EFFECTS,
        problems=[problem] if problem else [],
    )


def _about(connection: Connection, text: str) -> dict[str, str] | None:
    """The dataset that a subject names, if it is here."""
    try:
        subject = Subject.parse(text)
    except InvalidInput:
        return None
    if subject.kind is SubjectKind.CONTENT:
        found = records.by_content_id(connection, subject.value)[:1]
    else:
        one = records.by_rid(connection, subject.value)
        found = [one] if one else []
    return {"ark": f"ark:/{found[0].ark}", "title": found[0].title or found[0].name} if found else None


@routes.post("/taints/new")
async def _order(request: web.Request) -> web.Response:
    principal, _ = await signed_in(request, Role.CURATOR)
    form = await form_of(request)
    typed = {name: form.text(name, limit) for name, limit in _TYPED.items()}
    try:
        decision = await curation.taint(
            request.app[REGISTRAR], principal, _message(request.app[REGISTRAR], typed)
        )
    except Error as error:
        return await _form(request, typed, status=problem_of(error).status, problem=error.diagnostics())
    return see(request, f"/taints#{decision.taint.id}")


def _message(registrar: Registrar, typed: dict[str, str]) -> dict[str, Any]:
    said = {name: text for name, text in typed.items() if text}
    if typed["expires"]:
        said["expires"] = f"{typed['expires']}T00:00:00Z"
    if typed["effect"] == _HOLD:
        said["effect"] = Effect.HIDE.value
        until = times.text(registrar.clock() + MAX_HOLD_S)
        said["expires"] = min(until, said.get("expires", until))
    return said


@routes.post(f"/taints/{_ID}/approve")
async def _approve(request: web.Request) -> web.Response:
    registrar, principal, reason = request.app[REGISTRAR], *await _decided(request)
    try:
        known = await registrar.db.read(curation.known, request.match_info["id"])
        await curation.taint(registrar, principal, {**known.order.fields(), "reason": reason})
    except Error as error:
        return await _refused(request, principal, error)
    return see(request, f"/taints#{known.id}")


@routes.post(f"/taints/{_ID}/lift")
async def _lift(request: web.Request) -> web.Response:
    principal, reason = await _decided(request)
    taint_id = request.match_info["id"]
    try:
        await curation.lift(request.app[REGISTRAR], taint_id, principal, {"reason": reason})
    except Error as error:
        return await _refused(request, principal, error)
    return see(request, f"/taints#{taint_id}")


async def _decided(request: web.Request) -> tuple[Principal, str]:
    principal, _ = await signed_in(request, Role.CURATOR)
    form: Form = await form_of(request)
    return principal, form.text("reason", 2000)


async def _refused(request: web.Request, principal: Principal, error: Error) -> web.Response:
    status = problem_of(error).status
    return await _list(request, principal, status=status, problem=error.diagnostics())
