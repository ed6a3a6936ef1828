"""The curation queue: what waits for a curator, what they decide, and the mails about a record."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web
from msgspec import Meta
from sqlalchemy import Connection

from seedkeep.core.decision import APPROVE, REJECT, RETURN
from seedkeep.core.errors import NotFound
from seedkeep_registrar import submissions, times
from seedkeep_registrar.accounts.principal import Principal, Role, json_of, require
from seedkeep_registrar.api.fields import path_hex64
from seedkeep_registrar.api.shapes import Event
from seedkeep_registrar.api.submission_shapes import Mails, Submission, SubmissionPage
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.interface.operation import PERSON, Body, Content, Link, Query, operation, query_of
from seedkeep_registrar.interface.paging import number_in, page
from seedkeep_registrar.store import mails, records
from seedkeep_registrar.store import submissions as stored
from seedkeep_registrar.store.mails import Kept

routes = web.RouteTableDef()
_ONE = {
    "submission": Link("get_submission", {"rid": "$response.body#/rid"}),
    "submission_manifest": Link("get_submission_manifest", {"rid": "$response.body#/rid"}),
}


class SubmissionQuery(Query):
    """Which submissions."""

    state: Annotated[
        Literal["", "waiting", "approved", "returned", "rejected", "replaced"],
        Meta(description="Only those in this state."),
    ] = ""
    limit: Annotated[int, Meta(ge=1, le=1000, description="Most submissions in the answer.")] = 100
    cursor: Annotated[str, Meta(max_length=200, description="The `next` of the page before.")] = ""


class DecisionMessage(Body):
    """A curator's decision: a reason, or an event of type ``decision`` with its body, signed by their key."""

    reason: Annotated[str, Meta(max_length=2000, description="Why, for the submitter and the log.")] = ""
    event: Event | None = None
    body: dict[str, Any] | None = None


@routes.get("/api/v1/submissions")
@operation(
    "List the submissions",
    tag="Curation",
    answers={200: SubmissionPage},
    query=SubmissionQuery,
    security=PERSON,
    scope="read",
    links={"next_page": Link("list_submissions", {"cursor": "$response.body#/next"})},
)
async def list_submissions(request: web.Request) -> web.Response:
    """The longest waiting first, a page at a time. Curators see all of them, others what they have sent."""
    registrar, query = request.app[REGISTRAR], query_of(request, SubmissionQuery)
    principal = await require(request, Role.VISITOR, "read")
    states = (query.state,) if query.state else ()
    after = number_in(query.cursor) or 0
    found = await registrar.db.read(submissions.listed, principal, states, after, query.limit + 1)
    shown = found[: query.limit]
    following = str(shown[-1].number) if len(found) > len(shown) else None
    documents = [submissions.short_document(registrar, one.submission) for one in shown]
    return page(request, {"submissions": documents, "next": following})


@routes.get("/api/v1/submissions/{rid}")
@operation(
    "Read a submission",
    tag="Curation",
    answers={200: Submission},
    problems=(404,),
    security=PERSON,
    scope="read",
    links=_ONE,
)
async def get_submission(request: web.Request) -> web.Response:
    """For curators, and whoever has sent it."""
    registrar, rid = request.app[REGISTRAR], path_hex64(request, "rid")
    principal = await require(request, Role.VISITOR, "read")
    return web.json_response(
        submissions.document(registrar, *await submissions.find(registrar, principal, rid))
    )


@routes.get("/api/v1/submissions/{rid}/manifest")
@operation(
    "Read a submission's manifest",
    tag="Curation",
    answers={200: Content("application/jsonl", "The files: path, size, digests.")},
    problems=(404,),
    security=PERSON,
    scope="read",
)
async def get_submission_manifest(request: web.Request) -> web.StreamResponse:
    """The manifest as JSON Lines, for curators, and whoever has sent it."""
    registrar, rid = request.app[REGISTRAR], path_hex64(request, "rid")
    principal = await require(request, Role.VISITOR, "read")
    submission, _ = await submissions.find(registrar, principal, rid)
    if registrar.objects.size(submission.manifest) is None:
        raise NotFound("the manifest of this submission was dropped", hint="It was decided long ago.")
    return web.FileResponse(
        registrar.objects.path(submission.manifest),
        headers={
            "Content-Type": "application/jsonl",
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _decide(request: web.Request, decision: str) -> web.Response:
    registrar, rid = request.app[REGISTRAR], path_hex64(request, "rid")
    principal = await require(request, Role.CURATOR, "curate")
    message = {name: value for name, value in (await json_of(request)).items() if value is not None}
    await submissions.decide(registrar, principal, rid, decision, message)
    return web.json_response(
        submissions.document(registrar, *await submissions.find(registrar, principal, rid))
    )


@routes.post("/api/v1/submissions/{rid}/approve")
@operation(
    "Approve a submission",
    tag="Curation",
    answers={200: Submission},
    problems=(404, 409, 451),
    body=DecisionMessage,
    security=PERSON,
    scope="curate",
    links=_ONE,
    repeatable=True,
)
async def approve_submission(request: web.Request) -> web.Response:
    """For curators: the event that was submitted is appended as it was signed, and the record is made."""
    return await _decide(request, APPROVE)


@routes.post("/api/v1/submissions/{rid}/return")
@operation(
    "Return a submission",
    tag="Curation",
    answers={200: Submission},
    problems=(404, 409),
    body=DecisionMessage,
    security=PERSON,
    scope="curate",
    links=_ONE,
    repeatable=True,
)
async def return_submission(request: web.Request) -> web.Response:
    """For curators: something has to be changed first; the reason says what."""
    return await _decide(request, RETURN)


@routes.post("/api/v1/submissions/{rid}/reject")
@operation(
    "Reject a submission",
    tag="Curation",
    answers={200: Submission},
    problems=(404, 409),
    body=DecisionMessage,
    security=PERSON,
    scope="curate",
    links=_ONE,
    repeatable=True,
)
async def reject_submission(request: web.Request) -> web.Response:
    """For curators: it is not recorded here; the reason says why."""
    return await _decide(request, REJECT)


# --- mails -----------------------------------------------------------------------------------------------


@routes.get("/api/v1/records/{rid}/mails")
@operation(
    "List the mails about a record",
    tag="Curation",
    answers={200: Mails},
    problems=(404,),
    security=PERSON,
    scope="read",
)
async def list_mails(request: web.Request) -> web.Response:
    """For its stewards, whoever submitted it, curators and operators; newest first, at most 200."""
    registrar, rid = request.app[REGISTRAR], path_hex64(request, "rid")
    principal = await require(request, Role.VISITOR, "read")
    kept = await mails_about(registrar, principal, rid)
    return web.json_response({"mails": [_mail_document(mail) for mail in kept]})


async def mails_about(registrar: Registrar, principal: Principal, rid: str) -> list[Kept]:
    """The mails about a record or submission, newest first.

    Raises:
        NotFound: there is no such thing, or its mails are not for them.
    """
    found = await registrar.db.read(_mails_about, principal, rid)
    if found is None:
        raise NotFound("there are no mails about this that you may read")
    return found


def _mails_about(connection: Connection, principal: Principal, rid: str) -> list[Kept] | None:
    sender = submissions.sender_of(connection, principal)
    record, submission = records.by_rid(connection, rid), stored.by_rid(connection, rid)
    if record is None and submission is None:
        return None
    allowed = False
    if submission is not None:
        allowed |= sender.sent(submission)
    if record is not None:
        allowed |= bool(sender.keys & set(record.stewards))
        allowed |= sender.account_id is not None and record.account == str(sender.account_id)
    if principal.role >= Role.CURATOR:
        return mails.all_about(connection, rid)
    return mails.about(connection, rid) if allowed else None


def _mail_document(mail: Kept) -> dict[str, Any]:
    return {
        "id": mail.id,
        "to": mail.recipient,
        "subject": mail.subject,
        "text": mail.text,
        "state": mail.state,
        "detail": mail.detail,
        "created": times.text(mail.created),
        "ended": None if mail.ended is None else times.text(mail.ended),
    }
