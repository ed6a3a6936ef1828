"""``seedkeep taint``: a curator's orders that data must be removed, or need not be any more."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from seedkeep.cli.data import find
from seedkeep.cli.output import Output
from seedkeep.cli.running import json_option, registrar_option, run
from seedkeep.core.errors import NotFound
from seedkeep.core.events import sign_event, sign_second
from seedkeep.core.taints.body import (
    CATEGORIES,
    LiftBody,
    Order,
    Subject,
    SubjectKind,
    TaintBody,
    usual_effect,
)
from seedkeep.message_fields import utc
from seedkeep.registrar_http import TaintedRecord, one_line


@click.group()
def taint() -> None:
    """Orders to remove data (for curators)."""


@taint.command()
@click.argument("uri")
@click.option("--category", type=click.Choice(CATEGORIES), required=True)
@click.option("--reason", required=True, help="Shown to everybody who asks for the data.")
@click.option("--record", "only_record", is_flag=True, help="Taint this record alone, not its bytes.")
@registrar_option
@json_option
def add(
    uri: str,
    category: str,
    reason: str,
    only_record: bool,
    registrars: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Taint a dataset, or one file of it when URI names a file: every node removes it.

    A second curator who taints the same thing approves the first one's taint.
    """
    output = Output(as_json=as_json, quiet=quiet)
    answer = run(_add(uri, category, reason, only_record, registrars))
    if answer.get("state") == "standing":
        text = f"taint {answer.get('id')} stands: nodes remove the data within a heartbeat"
    else:
        votes = f"{answer.get('approvals')} of {answer.get('needed')} approvals"
        text = f"taint {answer.get('id')} is proposed: {votes}"
    output.result(answer, text)


async def _add(
    uri: str, category: str, reason: str, only_record: bool, registrars: Sequence[str]
) -> dict[str, Any]:
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars, signs=True) as user:
        subject = await _subject(user, uri, only_record)
        client = await user.resolver.registrar()
        body = TaintBody(Order(subject, category, reason, usual_effect(category)))
        TaintBody.parse(body.encode())
        home = (await client.info()).origin
        event = sign_event(user.key(), type="taint", body=body.encode(), home=home, created=utc(time.time()))
        return {**await client.add_taint(event, body.encode()), "subject": str(subject)}


async def _subject(user: Any, uri: str, only_record: bool) -> Subject:
    try:
        found = await find(user.resolver, uri)
    except TaintedRecord as error:
        # something about it stands already; a further taint is still possible
        kind, value = (
            (SubjectKind.RECORD, error.rid) if only_record else (SubjectKind.CONTENT, error.content_id)
        )
        return Subject.parse(f"{kind.value}:{value}")
    if found.record is None:
        raise NotFound("no registrar knows this torrent, so there is nothing to taint")
    if only_record:
        return Subject(SubjectKind.RECORD, found.record.rid)
    if not found.path:
        return Subject(SubjectKind.CONTENT, found.record.content_id)
    for file in (await user.resolver.manifest(found)).files:
        if file.path == found.path and file.root:
            return Subject(SubjectKind.ROOT, file.root)
    raise NotFound(f"{found.record.ark} has no file {found.path!r} with bytes in it")


@taint.command()
@click.argument("taint_id")
@click.option("--reason", required=True, help="Why it is lifted.")
@registrar_option
@json_option
def lift(taint_id: str, reason: str, registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Lift a taint; `seedkeep taint list` shows their ids (a unique beginning is enough)."""
    answer = run(_lift(taint_id.lower(), reason, registrars))
    Output(as_json=as_json, quiet=quiet).result(answer, f"taint {answer['id']} is lifted")


async def _lift(taint_id: str, reason: str, registrars: Sequence[str]) -> dict[str, Any]:
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars, signs=True) as user:
        client = await user.resolver.registrar()
        known = [str(t.get("id", "")) for t in await client.taints()]
        matches = [t for t in known if taint_id and t.startswith(taint_id)]
        if len(matches) != 1:
            problem = "is not known" if not matches else f"begins {len(matches)} taints' ids"
            raise NotFound(f"taint {taint_id!r} {problem} at {client.url}", hint="See `seedkeep taint list`.")
        body = LiftBody(reason).encode()
        LiftBody.parse(body)
        event = sign_second(
            user.key(),
            type="lift",
            body=body,
            home=(await client.info()).origin,
            created=utc(time.time()),
            first=matches[0],
        )
        return {"id": matches[0], **await client.lift_taint(matches[0], event, body)}


@taint.command(name="list")
@registrar_option
@json_option
def list_(registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Show a registrar's taints."""
    taints = run(_list(registrars))
    text = "\n".join(_line(t) for t in taints) or "no taints"
    Output(as_json=as_json, quiet=quiet).result({"taints": [dict(t) for t in taints]}, text)


async def _list(registrars: Sequence[str]) -> list[Mapping[str, Any]]:
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars) as user:
        return await (await user.resolver.registrar()).taints()


def _line(entry: Mapping[str, Any]) -> str:
    words = {k: one_line(entry.get(k), 300) for k in ("id", "state", "subject", "category", "reason")}
    return (
        f"{words['id'][:12]}  {words['state']:9} {words['category']:18} {words['subject']}  {words['reason']}"
    )
