"""The operator's page: what needs looking at, what is kept, what waits, and who did what."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from aiohttp import web
from sqlalchemy import Connection, func, select

from seedkeep.core.errors import InvalidInput
from seedkeep_registrar import times
from seedkeep_registrar.accounts import curators
from seedkeep_registrar.accounts.principal import Role
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.operations.health import ready
from seedkeep_registrar.pages.forms import signed_in
from seedkeep_registrar.pages.render import show
from seedkeep_registrar.pages.views import number_of
from seedkeep_registrar.store import figures, journal, totals
from seedkeep_registrar.store.accounts_tables import accounts
from seedkeep_registrar.store.curation_tables import mails, submissions
from seedkeep_registrar.store.tables import audits, log, nodes, taints

routes = web.RouteTableDef()
_PER_PAGE = 50
_DAY = 86400.0


@routes.get("/operate")
async def _dashboard(request: web.Request) -> web.Response:
    await signed_in(request, Role.OPERATOR)
    registrar = request.app[REGISTRAR]
    started = time.monotonic()
    counted = await registrar.db.read(_counted, registrar)
    return show(
        request,
        "operate.html",
        approvals=(await registrar.db.read(curators.read, registrar.settings)).needed,
        checks=await ready(registrar),
        took=round(1000 * (time.monotonic() - started)),
        settings=registrar.settings,
        typed={"who": "", "datasets": "", "bytes": ""},
        **counted,
    )


def _counted(connection: Connection, registrar: Registrar) -> dict[str, Any]:
    settings, now = registrar.settings, registrar.clock()
    since = now - settings.offline_after_s

    def count(table: Any, *conditions: Any) -> int:
        found = connection.execute(select(func.count()).select_from(table).where(*conditions))
        return int(found.scalar_one())

    recent = connection.execute(
        select(audits.c.outcome, func.count())
        .where(audits.c.created >= now - _DAY, audits.c.state == "done")
        .group_by(audits.c.outcome)
    )
    held = totals.read(connection)
    state = connection.execute(select(log.c.size, log.c.taint_version)).one()
    return {
        "figures": figures.read(connection, since),
        "events": state.size,
        "taint_version": state.taint_version,
        "short": held.lacking,
        "unheld": held.without,
        "waiting": count(submissions, submissions.c.state == "waiting"),
        "unsent": count(mails, mails.c.state == "waiting"),
        "failed_mails": count(mails, mails.c.state == "failed"),
        "proposed": count(taints, taints.c.state == "proposed"),
        "silent": count(nodes, nodes.c.last_seen < since),
        "people": count(accounts),
        "audits": {outcome: number for outcome, number in recent if outcome},
        "entries": [_line(e) for e in journal.newest(connection, before=None, action="", limit=10)],
    }


def _line(entry: journal.Entry) -> dict[str, Any]:
    return {**asdict(entry), "at": times.text(entry.at)}


@routes.get("/operate/journal")
async def _journal(request: web.Request) -> web.Response:
    await signed_in(request, Role.OPERATOR)
    before, action = number_of(request, "before"), request.query.get("action", "")[:64]
    if "\x00" in action:
        raise InvalidInput("this page does not exist", hint="Follow the links of the page.")
    found = await request.app[REGISTRAR].db.read(
        journal.newest, before=before, action=action, limit=_PER_PAGE + 1
    )
    shown = found[:_PER_PAGE]
    return show(
        request,
        "journal.html",
        entries=[_line(e) for e in shown],
        action=action,
        first=before is not None,
        next=str(shown[-1].id) if len(found) > _PER_PAGE else "",
    )
