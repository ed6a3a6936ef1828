"""Pages that change what is said of a record, withdraw it, and tell who changed what, when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from seedkeep.core.errors import Error, InvalidInput, NotFound, Refused
from seedkeep.core.metadata import Metadata
from seedkeep.core.revision import MAX_NOTE, MAX_REVISIONS, RecordState
from seedkeep_registrar import documents, histories, revising
from seedkeep_registrar.accounts.principal import Principal
from seedkeep_registrar.context import REGISTRAR, Registrar
from seedkeep_registrar.pages.forms import Form, form_of, see, signed_in
from seedkeep_registrar.pages.metadata_form import (
    FURTHER,
    LISTS,
    MOST_ROWS,
    columns_of,
    further_of,
    metadata_of,
    rows_of,
    typed_rows,
)
from seedkeep_registrar.pages.render import show
from seedkeep_registrar.pages.views import number_of
from seedkeep_registrar.problems import MovedOn
from seedkeep_registrar.store import records, taints
from seedkeep_registrar.store.records import Record

routes = web.RouteTableDef()
_RID = "{rid:[0-9a-f]{64}}"
_PER_PAGE = 20
_TEXTS = {"title": 1000, "description": 100_000, "publisher": 500, "version": 100, "language": 40}
_MAX_LINE = 2000
#: what is said of a record has 256 KiB at most, of which a browser writes each byte as three
_MAX_FORM = 1 << 20
_MAX_FIELDS = 1000
_MAX_FURTHER = 256 * 1024


@routes.get(f"/records/{_RID}/edit")
async def _edit(request: web.Request) -> web.Response:
    principal, _ = await signed_in(request)
    record, state = await _editable(request, principal)
    return _form(request, record, state, _typed(state.metadata), rows_of(state.metadata))


@routes.post(f"/records/{_RID}/edit")
async def _save(request: web.Request) -> web.Response:
    principal, _ = await signed_in(request)
    form = await form_of(request, _MAX_FORM, _MAX_FIELDS)
    record, state = await _editable(request, principal)
    text = _reader(form)
    typed = {
        **{name: form.text(name, limit) for name, limit in _TEXTS.items()},
        "dois": form.text("dois", 4000),
        "note": form.text("note", MAX_NOTE),
        **{name + FURTHER: text(name + FURTHER) for name in LISTS},
    }
    if more := form.text("more", 40):
        return _form(request, record, state, typed, typed_rows(text, more), head=form.text("head", 64))
    try:
        metadata = metadata_of(text, state.metadata)
        await revising.revise(
            request.app[REGISTRAR],
            principal,
            record.rid,
            lambda _: {"metadata": metadata},
            note=typed["note"],
            expected_head=form.text("head", 64),
        )
    except MovedOn:
        # What was typed is kept; sent again, it goes on top of what the others did.
        problem = (
            "Somebody else has changed this record meanwhile. Look at its history before you save again."
        )
        return _form(request, record, state, typed, typed_rows(text), status=409, problem=problem)
    except InvalidInput as error:
        rows = typed_rows(text)
        head = form.text("head", 64)
        return _form(request, record, state, typed, rows, status=400, problem=error.what, head=head)
    return see(request, f"/records/{record.rid}")


@routes.post(f"/records/{_RID}/withdraw")
async def _withdraw(request: web.Request) -> web.Response:
    principal, _ = await signed_in(request)
    form = await form_of(request)
    record, state = await _editable(request, principal)
    reason = form.text("reason", MAX_NOTE)
    try:
        if not form.text("sure"):
            raise InvalidInput("tick the box if you are sure: this cannot be taken back")
        await revising.withdraw(request.app[REGISTRAR], principal, record.rid, reason)
    except Error as error:
        typed, rows = _typed(state.metadata), rows_of(state.metadata)
        return _form(request, record, state, typed, rows, status=400, problem=error.what, reason=reason)
    return see(request, f"/records/{record.rid}")


@routes.get(f"/records/{_RID}/history")
async def _history(request: web.Request) -> web.Response:
    registrar = request.app[REGISTRAR]
    first = min(number_of(request, "from") or 0, MAX_REVISIONS)

    def read(connection: Connection) -> tuple[Record, list[dict[str, Any]], list[dict[str, Any]]]:
        record = _known(connection, request.match_info["rid"])
        entries = histories.history(connection, registrar, record, first, _PER_PAGE + 1)
        return record, entries, histories.versions(connection, registrar, record)

    record, entries, versions = await registrar.db.read(read)
    shown = entries[:_PER_PAGE]
    return show(
        request,
        "history.html",
        record=documents.short_document(registrar, record),
        entries=shown,
        versions=versions,
        first=first > 0,
        next=first + len(shown) if shown and shown[-1]["seq"] < record.seq else None,
    )


def _reader(form: Form) -> Callable[[str], str]:
    def text(name: str) -> str:
        if name.endswith(FURTHER):
            return form.text(name, _MAX_FURTHER)
        return form.text(name, _TEXTS.get(name, _MAX_LINE if name != "dois" else 4000))

    return text


def _typed(metadata: Metadata) -> dict[str, str]:
    return {
        **{name: getattr(metadata, name) for name in _TEXTS},
        "dois": "\n".join(metadata.dois),
        "note": "",
        **further_of(metadata),
    }


def _known(connection: Connection, rid: str) -> Record:
    record = records.by_rid(connection, rid)
    if record is None:
        raise NotFound(f"this registrar has no record {rid[:12]}…", hint="Follow the links of its page.")
    return record


async def _editable(request: web.Request, principal: Principal) -> tuple[Record, RecordState]:
    """The record as it is now, which this person may change.

    Raises:
        NotFound, TaintedRecord, WithdrawnRecord: there is none to change.
        Refused: they may not.
    """
    registrar = request.app[REGISTRAR]

    def read(connection: Connection) -> tuple[Record, RecordState]:
        record = _known(connection, request.match_info["rid"])
        if standing := tuple(taints.standing_on_record(connection, record.rid)):
            raise documents.tainted_record(record, standing)
        if not revising.may_edit(connection, registrar, principal, record):
            raise Refused(
                "only a steward of this record or a curator may change what is said of it",
                hint="Ask its steward; or bind the key that signed it to your account with `seedkeep login`.",
            )
        revising.check_changeable(connection, registrar, record)
        return record, revising.state_of(connection, record)

    record, state = await registrar.db.read(read)
    if state.withdrawn:
        raise Refused("this record is withdrawn, nothing follows that")
    return record, state


def _form(
    request: web.Request,
    record: Record,
    state: RecordState,
    typed: dict[str, str],
    rows: dict[str, list[dict[str, str]]],
    *,
    status: int = 200,
    problem: str = "",
    head: str = "",
    reason: str = "",
) -> web.Response:
    registrar: Registrar = request.app[REGISTRAR]
    return show(
        request,
        "edit.html",
        status=status,
        record=documents.short_document(registrar, record),
        head=head or state.head.hash(),
        typed=typed,
        rows=rows,
        lists=LISTS,
        columns={name: columns_of(name) for name in LISTS},
        most_rows=MOST_ROWS,
        problem=problem,
        reason=reason,
    )
