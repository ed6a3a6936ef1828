"""``seedkeep taint``: a curator's orders that data must be removed, or need not be any more."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from seedkeep.cli.data import find
from seedkeep.cli.output import Output
from seedkeep.cli.running import json_option, registrar_option, run
from seedkeep.core.errors import NotFound
from seedkeep.core.events import sign_event, sign_second
from seedkeep.core.taints.body import (
    CATEGORIES,
    MAX_HOLD_S,
    Effect,
    LiftBody,
    Order,
    Subject,
    SubjectKind,
    TaintBody,
    usual_effect,
)
from seedkeep.message_fields import one_line, utc
from seedkeep.registrar_http import TaintedRecord


@click.group()
def taint() -> None:
    """Orders to remove data (for curators)."""


def _what(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every command that orders something."""
    for option in (
        click.option("--appeal", default="", help="How somebody can object: an address or a sentence."),
        click.option("--evidence", default="", help="A document that shows it, or its SHA-256."),
        click.option("--jurisdiction", default="", help="Where the basis holds, such as DE or EU."),
        click.option("--basis", default="", help="The law, ruling or policy it rests on."),
        click.option("--record", "only_record", is_flag=True, help="This record alone, not its bytes."),
        click.option("--reason", required=True, help="Shown to everybody who asks for the data."),
        click.argument("uri"),
    ):
        command = option(command)
    return command


@taint.command()
@_what
@click.option("--category", type=click.Choice(CATEGORIES), required=True)
@click.option(
    "--effect",
    type=click.Choice([effect.value for effect in Effect]),
    help="Delete now; stop serving and delete after 14 days; stop serving; or only warn. "
    "Without it, what is usual for the category.",
)
@click.option("--expires", default="", metavar="TIME", help="Ends by itself then: 2026-12-31T00:00:00Z.")
@registrar_option
@json_option
def add(
    uri: str,
    category: str,
    effect: str | None,
    registrars: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **said: Any,
) -> None:
    """Taint a dataset, or one file of it when URI names a file: every node obeys.

    A second curator who orders the same approves the first one's taint; see also `seedkeep taint approve`.
    """
    chosen = Effect(effect) if effect else usual_effect(category)
    _told(run(_add(uri, {"category": category, "effect": chosen.value, **said}, registrars)), as_json, quiet)


@taint.command()
@_what
@click.option("--category", type=click.Choice(CATEGORIES), default="other", show_default=True)
@click.option("--hours", type=click.IntRange(1, MAX_HOLD_S // 3600), default=72, show_default=True)
@registrar_option
@json_option
def hold(uri: str, hours: int, registrars: tuple[str, ...], as_json: bool, quiet: bool, **said: Any) -> None:
    """Hide a dataset or file at once, until curators have decided: one curator suffices, for 72 hours."""
    until = {"effect": Effect.HIDE.value, "expires": utc(time.time() + hours * 3600)}
    _told(run(_add(uri, {**said, **until}, registrars)), as_json, quiet)


def _told(answer: Mapping[str, Any], as_json: bool, quiet: bool) -> None:
    if answer.get("state") == "standing":
        text = f"taint {answer.get('id')} stands: nodes obey within a heartbeat"
    else:
        votes = f"{answer.get('approvals')} of {answer.get('needed')} approvals"
        text = f"taint {answer.get('id')} is proposed: {votes}"
    Output(as_json=as_json, quiet=quiet).result(answer, text)


async def _add(uri: str, said: Mapping[str, Any], registrars: Sequence[str]) -> dict[str, Any]:
    from seedkeep.user import open_user

    evidence = await asyncio.to_thread(_digest, said["evidence"])
    async with open_user(os.environ, registrars=registrars, signs=True) as user:
        subject = await _subject(user, uri, said["only_record"])
        fields = {name: value for name, value in said.items() if name != "only_record"}
        order = Order.read({**fields, "subject": str(subject), "evidence": evidence})
        return await _send(user, order)


async def _send(user: Any, order: Order) -> dict[str, Any]:
    client, body = await user.resolver.registrar(), TaintBody(order).encode()
    home = (await client.info()).origin
    event = sign_event(user.key(), type="taint", body=body, home=home, created=utc(time.time()))
    return {**await client.add_taint(event, body), "subject": str(order.subject)}


def _digest(evidence: str) -> str:
    """The SHA-256 of a document that is there, or what was given."""
    place = Path(evidence)
    if not evidence or not place.is_file():
        return evidence
    with place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@taint.command()
@click.argument("taint_id")
@click.option("--reason", required=True, help="Why you agree.")
@registrar_option
@json_option
def approve(taint_id: str, reason: str, registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Agree to a taint that another curator proposed (a unique beginning of its id is enough)."""
    _told(run(_approve(taint_id.lower(), reason, registrars)), as_json, quiet)


async def _approve(taint_id: str, reason: str, registrars: Sequence[str]) -> dict[str, Any]:
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars, signs=True) as user:
        known = await _known(user, taint_id)
        return await _send(user, Order.read({**known, "reason": reason}))


async def _known(user: Any, taint_id: str) -> Mapping[str, Any]:
    """The one taint whose id begins so."""
    client = await user.resolver.registrar()
    every: dict[str, Mapping[str, Any]] = {str(t.get("id", "")): t for t in await client.taints()}
    matches = [t for t in every if taint_id and t.startswith(taint_id)]
    if len(matches) != 1:
        problem = "is not known" if not matches else f"begins {len(matches)} taints' ids"
        raise NotFound(f"taint {taint_id!r} {problem} at {client.url}", hint="See `seedkeep taint list`.")
    return every[matches[0]]


async def _subject(user: Any, uri: str, only_record: bool) -> Subject:
    try:
        found = await find(user.resolver, uri)
    except TaintedRecord as error:
        # something about it stands already; a further taint is still possible, of the same file if it is one
        about = {reason.get("subject", "") for reason in error.reasons}
        if not only_record and len(about) == 1 and min(about).startswith(f"{SubjectKind.ROOT.value}:"):
            return Subject.parse(min(about))
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
        client, known = await user.resolver.registrar(), str((await _known(user, taint_id))["id"])
        body = LiftBody(reason).encode()
        LiftBody.parse(body)
        event = sign_second(
            user.key(),
            type="lift",
            body=body,
            home=(await client.info()).origin,
            created=utc(time.time()),
            first=known,
        )
        return {"id": known, **await client.lift_taint(known, event, body)}


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
    names = ("id", "state", "effect", "subject", "category", "reason")
    words = {k: one_line(entry.get(k), 300) for k in names}
    return (
        f"{words['id'][:12]}  {words['state']:9} {words['effect']:10} {words['category']:18} "
        f"{words['subject']}  {words['reason']}"
    )
