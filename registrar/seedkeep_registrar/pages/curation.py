"""Pages of the curation queue, and of the mails about a record."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.decision import DECISIONS, MAX_REASON
from seedkeep.core.errors import Error, InvalidInput
from seedkeep.core.revision import RecordState
from seedkeep_registrar import submissions, times
from seedkeep_registrar.accounts.principal import Principal, Role
from seedkeep_registrar.api.submissions import mails_about
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.interface.paging import number_in
from seedkeep_registrar.pages.forms import form_of, see, signed_in
from seedkeep_registrar.pages.render import show
from seedkeep_registrar.problems import problem_of
from seedkeep_registrar.store import mails
from seedkeep_registrar.store import submissions as stored
from seedkeep_registrar.store.mails import Kept
from seedkeep_registrar.store.submissions import OPEN, STATES, WAITING, Submission
from seedkeep_registrar.verification import FileReader

routes = web.RouteTableDef()
_PER_PAGE = 50
_FILES = 100


@routes.get("/curation")
async def _queue(request: web.Request) -> web.Response:
    principal, _ = await signed_in(request)
    registrar, state = request.app[REGISTRAR], request.query.get("state", WAITING)
    if state not in (*STATES, "all"):
        raise InvalidInput("there is no such state", hint="Follow the links of the page.")
    after = number_in(request.query.get("cursor", "")) or 0
    states = () if state == "all" else (state,)
    found = await registrar.db.read(submissions.listed, principal, states, after, _PER_PAGE + 1)
    shown = found[:_PER_PAGE]
    return show(
        request,
        "curation.html",
        curates=principal.role >= Role.CURATOR,
        state=state,
        states=(*STATES, "all"),
        submissions=[submissions.short_document(registrar, one.submission) for one in shown],
        first=after > 0,
        next=str(shown[-1].number) if len(found) > len(shown) else "",
    )


@routes.get("/curation/{rid:[0-9a-f]{64}}")
async def _one(request: web.Request) -> web.Response:
    principal, _ = await signed_in(request)
    return await _page(request, principal)


async def _page(
    request: web.Request, principal: Principal, *, status: int = 200, reason: str = "", problem: str = ""
) -> web.Response:
    registrar, rid = request.app[REGISTRAR], request.match_info["rid"]
    submission, decisions = await submissions.find(registrar, principal, rid)
    after = number_in(request.query.get("files_after", "")) or 0
    told = await registrar.db.read(_around, submission, principal)
    entries = await asyncio.to_thread(_files, registrar, submission, after)
    state = RecordState.begin(submission.event, submission.body)
    return show(
        request,
        "submission.html",
        status=status,
        submission=submissions.document(registrar, submission, decisions),
        said=[(name, lines) for name, lines in state.lines().items() if lines],
        files=entries,
        after=after,
        next=after + len(entries) if entries and after + len(entries) < submission.files else 0,
        curates=principal.role >= Role.CURATOR,
        open=submission.state in OPEN,
        ark=submissions.ark_of(registrar, submission),
        reason=reason,
        most=MAX_REASON,
        problem=problem,
        **told,
    )


def _around(connection: Connection, submission: Submission, principal: Principal) -> dict[str, Any]:
    """The account that sent it, what else was submitted of the same content, and the mails about it."""
    account = submissions.submitter(connection, submission)
    kept = mails.all_about if principal.role >= Role.CURATOR else mails.about
    others = [s for s in stored.of_content(connection, submission.content_id) if s.rid != submission.rid]
    return {
        "account": account,
        "others": [
            {"rid": s.rid, "state": s.state, "received": times.text(s.received), "title": s.title or s.name}
            for s in others
            if submissions.may_read(connection, principal, s)
        ],
        "mails": [_mail(one) for one in kept(connection, submission.rid)],
    }


def _files(registrar: Registrar, submission: Submission, after: int) -> list[Any]:
    if registrar.objects.size(submission.manifest) is None:
        return []
    return list(FileReader(registrar.objects.path(submission.manifest)).read(after, _FILES))


def _mail(one: Kept) -> dict[str, Any]:
    return {
        "to": one.recipient,
        "subject": one.subject,
        "text": one.text,
        "state": one.state,
        "detail": one.detail,
        "created": times.text(one.created),
    }


@routes.post("/curation/{rid:[0-9a-f]{64}}/{decision:(approve|return|reject)}")
async def _decide(request: web.Request) -> web.Response:
    principal, _ = await signed_in(request, Role.CURATOR)
    form = await form_of(request)
    rid, decision = request.match_info["rid"], request.match_info["decision"]
    assert decision in DECISIONS
    reason = form.text("reason", MAX_REASON)
    try:
        await submissions.decide(request.app[REGISTRAR], principal, rid, decision, {"reason": reason})
    except Error as error:
        status = problem_of(error).status
        return await _page(request, principal, status=status, reason=reason, problem=error.diagnostics())
    return see(request, f"/curation/{rid}")


@routes.get("/records/{rid:[0-9a-f]{64}}/mails")
async def _mails(request: web.Request) -> web.Response:
    principal, _ = await signed_in(request)
    rid = request.match_info["rid"]
    kept = await mails_about(request.app[REGISTRAR], principal, rid)
    return show(request, "mails.html", rid=rid, mails=[_mail(one) for one in kept])
