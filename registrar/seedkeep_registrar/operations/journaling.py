"""Writes into the journal what people do to the registrar: roles, tokens, keys, decisions, edits, taints.

Every route that changes something is either in :data:`ACTIONS` or in :data:`NOT_TOLD`. What nodes and sharers
do all day is not told here: it stands in the log, in the request log, and in the tables themselves. A line is
written after the act; where both must stand or fall together, the act is an event of the log besides.
"""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from seedkeep_registrar.accounts.browser import ENTERED
from seedkeep_registrar.accounts.principal import page_principal
from seedkeep_registrar.auth import SIGNER
from seedkeep_registrar.context import REGISTRAR
from seedkeep_registrar.operations.request_log import current
from seedkeep_registrar.store import journal

_LOG = logging.getLogger(__name__)

#: what is told, by method and route
ACTIONS = {
    ("POST", "/account/bind"): "key.decided",
    ("POST", "/account/delete"): "account.deleted",
    ("POST", "/account/email/code"): "account.readdressed",
    ("POST", "/account/keys/remove"): "key.removed",
    ("POST", "/account/mails"): "account.changed",
    ("POST", "/account/services/remove"): "service.removed",
    ("POST", "/account/profile"): "account.changed",
    ("POST", "/account/sessions/end"): "session.ended",
    ("POST", "/account/tokens"): "token.made",
    ("POST", "/account/tokens/revoke"): "token.revoked",
    ("POST", "/accounts"): "account.added",
    ("POST", "/accounts/{account}"): "account.governed",
    ("GET", "/sign-in/with/{provider}/back"): "session.begun",
    ("DELETE", "/api/v1/account"): "account.deleted",
    ("PATCH", "/api/v1/account"): "account.changed",
    ("POST", "/api/v1/account/email/code"): "account.readdressed",
    ("DELETE", "/api/v1/account/services/{service}"): "service.removed",
    ("POST", "/api/v1/account/bindings/{binding}/code"): "key.decided",
    ("DELETE", "/api/v1/account/keys/{key}"): "key.removed",
    ("POST", "/api/v1/account/tokens"): "token.made",
    ("DELETE", "/api/v1/account/tokens/{token}"): "token.revoked",
    ("POST", "/api/v1/accounts"): "account.added",
    ("PATCH", "/api/v1/accounts/{account}"): "account.governed",
    ("POST", "/api/v1/collections"): "collection.made",
    ("DELETE", "/api/v1/collections/{slug}"): "collection.dropped",
    ("PUT", "/api/v1/collections/{slug}"): "collection.changed",
    ("POST", "/api/v1/collections/{slug}/datasets"): "collection.changed",
    ("POST", "/api/v1/groups"): "group.made",
    ("DELETE", "/api/v1/groups/{group}"): "group.dropped",
    ("DELETE", "/api/v1/groups/{group}/members/{account}"): "group.left",
    ("PUT", "/api/v1/groups/{group}/members/{account}"): "group.joined",
    ("PATCH", "/api/v1/records/{rid}/metadata"): "record.revised",
    ("POST", "/api/v1/records/{rid}/names"): "name.confirmed",
    ("PUT", "/api/v1/records/{rid}/metadata"): "record.revised",
    ("POST", "/api/v1/records/{rid}/withdrawal"): "record.withdrawn",
    ("POST", "/api/v1/submissions/{rid}/approve"): "submission.approved",
    ("POST", "/api/v1/submissions/{rid}/reject"): "submission.rejected",
    ("POST", "/api/v1/submissions/{rid}/return"): "submission.returned",
    ("POST", "/api/v1/taints"): "taint.placed",
    ("POST", "/api/v1/taints/{id}/lift"): "taint.lifted",
    ("POST", "/taints/drafts/{id}/order"): "taint.placed",
    ("POST", "/taints/new"): "taint.placed",
    ("POST", "/taints/{id}/approve"): "taint.placed",
    ("POST", "/taints/{id}/lift"): "taint.lifted",
    ("DELETE", "/api/v1/quotas/{publisher}"): "quota.cleared",
    ("PUT", "/api/v1/quotas/{publisher}"): "quota.set",
    ("POST", "/collections"): "collection.made",
    ("POST", "/collections/{slug}"): "collection.changed",
    ("POST", "/curation/{rid}/{decision}"): "submission.decided",
    ("POST", "/groups"): "group.made",
    ("POST", "/groups/{group}/delete"): "group.dropped",
    ("POST", "/groups/{group}/members"): "group.joined",
    ("POST", "/groups/{group}/remove"): "group.left",
    ("POST", "/operate/peers/{id}/taints"): "peer.taints",
    ("POST", "/operate/quotas"): "quota.set",
    ("POST", "/operate/quotas/clear"): "quota.cleared",
    ("POST", "/records/{rid}/edit"): "record.revised",
    ("POST", "/records/{rid}/withdraw"): "record.withdrawn",
    ("POST", "/register"): "record.registered",
    ("POST", "/sign-in/code"): "session.begun",
    ("POST", "/sign-in/link/{link}"): "session.begun",
    ("POST", "/sign-out"): "session.ended",
    ("POST", "/sign-out/everywhere"): "session.ended",
}
#: what nodes, sharers, clients and other registrars do all day, and what changes nothing yet
NOT_TOLD = {
    "/add-checkpoint",
    "/account/email",
    "/api/v1/account/email",
    "/api/v1/account/bindings",
    "/api/v1/attestations",
    "/api/v1/audits/{id}/commit",
    "/api/v1/audits/{id}/open",
    "/api/v1/bundles",
    "/api/v1/claims",
    "/api/v1/claims/{content_id}/release",
    "/api/v1/events",
    "/api/v1/heartbeat",
    "/api/v1/lookup",
    "/api/v1/nodes",
    "/api/v1/objects/{sha256}",
    "/api/v1/peers",
    "/api/v1/receipts",
    "/api/v1/web-seed-reports",
    "/sign-in",
}
#: pages that show what was done; the others lead on to another page then
_SHOWN = frozenset({"/account/bind", "/account/tokens"})
#: parts of a path that name what was acted on; the others may be secret
_SUBJECTS = ("account", "group", "rid", "slug", "id", "key", "token", "decision")
_TOLD: web.RequestKey[tuple[str, str]] = web.RequestKey("told", tuple)


def tell(request: web.Request, *, subject: str, detail: str = "") -> None:
    """Have the line of this request name what was acted on, and say more; no secret."""
    request[_TOLD] = (subject, detail)


@web.middleware
async def journalled(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Adds a line when somebody did something that is told."""
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else ""
    action = ACTIONS.get((request.method, route))
    answer = await handler(request)
    # a form that was not taken, or is not ready, comes back as a page
    done = answer.status in (201, 204, 303)
    done = done or (answer.status == 200 and (route.startswith("/api/") or route in _SHOWN))
    if action and done:
        registrar = request.app[REGISTRAR]
        named = [f"{n} {request.match_info[n]}" for n in _SUBJECTS if n in request.match_info]
        subject, detail = request.get(_TOLD, (", ".join(named), ""))
        try:
            await registrar.db.write(
                journal.note,
                at=registrar.clock(),
                actor=_actor(request),
                action=action,
                subject=subject,
                detail=detail,
                request=current(),
            )
        except Exception:
            _LOG.exception("the journal lacks: %s", action)
    return answer


def _actor(request: web.Request) -> str:
    """Who it was: whom a session, token or signature names, or who was signed in by this very request."""
    principal = page_principal(request)
    account = request.get(ENTERED) or principal.account
    if account is not None:
        name = account.name or account.email
        return f"account {account.id}" + (f" ({name})" if name else "")
    return principal.key or request.get(SIGNER, "somebody")
