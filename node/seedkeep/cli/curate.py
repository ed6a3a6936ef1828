"""``seedkeep curate``: a registrar's queue, for its curators."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from seedkeep.cli.output import Output
from seedkeep.cli.running import json_option, registrar_option, run
from seedkeep.core.decision import APPROVE, MAX_REASON, REJECT, RETURN
from seedkeep.core.errors import UsageError
from seedkeep.core.manifest import Manifest
from seedkeep.core.units import print_size
from seedkeep.message_fields import one_line
from seedkeep.registrar_queue import STATES, Submission

_DONE = {APPROVE: "is approved, and a record now", RETURN: "goes back", REJECT: "is rejected"}
_SHOWN_LINES = 30


@click.group()
def curate() -> None:
    """Datasets that wait for a curator of a registrar."""


@curate.command(name="list")
@click.option(
    "--state", type=click.Choice((*STATES, "all")), default="waiting", show_default=True, help="Only these."
)
@registrar_option
@json_option
def list_(state: str, registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Show what was submitted, the longest waiting first; to those who are no curators, their own."""
    found = run(_list("" if state == "all" else state, registrars))
    text = "\n".join(_line(one) for one in found) or "nothing"
    Output(as_json=as_json, quiet=quiet).result({"submissions": [dict(one) for one in found]}, text)


async def _list(state: str, registrars: Sequence[str]) -> list[Mapping[str, Any]]:
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars, signs=True) as user:
        return await (await user.resolver.registrar()).queue.every(state)


def _line(one: Mapping[str, Any]) -> str:
    words = {k: one_line(one.get(k), 200) for k in ("rid", "state", "received", "title")}
    files, size = one.get("files"), one.get("bytes")
    facts = f"{files} files, {print_size(size)}" if isinstance(files, int) and isinstance(size, int) else ""
    return f"{words['rid'][:12]}  {words['state']:9} {words['received']:20}  {words['title']}  ({facts})"


@curate.command()
@click.argument("rid")
@click.option("--files", is_flag=True, help="Show the files, too.")
@registrar_option
@json_option
def show(rid: str, files: bool, registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Show a submission; of an open one, a unique beginning of RID is enough."""
    found, manifest = run(_show(rid, files, registrars))
    fields = dict(found.document)
    if manifest is not None:
        fields["files_listed"] = [{"path": f.path, "size": f.size} for f in manifest.files]
    Output(as_json=as_json, quiet=quiet).result(fields, _text(found, manifest))


async def _show(rid: str, files: bool, registrars: Sequence[str]) -> tuple[Submission, Manifest | None]:
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars, signs=True) as user:
        queue = (await user.resolver.registrar()).queue
        found = await queue.read(rid)
        return found, await queue.manifest(found) if files else None


def _text(found: Submission, manifest: Manifest | None) -> str:
    told, dataset = found.document, found.body.dataset
    lines = [
        one_line(found.body.metadata.title or dataset.name),
        f"{one_line(told.get('state'))}: {one_line(told.get('means'))}",
        f"submission  {found.event.record_id}",
        f"signed by   {found.event.by}",
        f"received    {one_line(told.get('received'))}",
        f"folder      {one_line(dataset.name)}: {dataset.files} files, {print_size(dataset.bytes)}",
        f"licence     {found.body.license}",
        f"page        {one_line(told.get('page'))}",
    ]
    for name, said in found.state.lines().items():
        lines += [f"{name:11} {one_line(line, 2000)}" for line in said[:_SHOWN_LINES]]
        if len(said) > _SHOWN_LINES:
            lines.append(f"{name:11} and {len(said) - _SHOWN_LINES} more")
    for one in told.get("decisions", []):
        if isinstance(one, Mapping):
            words = {k: one_line(one.get(k), 2000) for k in ("at", "decision", "reason")}
            lines.append(f"{words['at']}  {words['decision']}: {words['reason'] or 'no reason given'}")
    if manifest is not None:
        lines += [f"{print_size(f.size):>9}  {one_line(f.path, 4096)}" for f in manifest.files]
    return "\n".join(lines)


@curate.command()
@click.argument("rid")
@click.option("--reason", default="", help="For the submitter, and for everybody who reads the log.")
@registrar_option
@json_option
def approve(rid: str, reason: str, registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Record what was submitted, as its submitter has signed it."""
    _decide(APPROVE, rid, reason, registrars, Output(as_json=as_json, quiet=quiet))


@curate.command(name="return")
@click.argument("rid")
@click.option("--reason", default="", help="What has to be changed; asked for if it is left out.")
@registrar_option
@json_option
def return_(rid: str, reason: str, registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Send it back to be changed; the submitter is mailed the reason."""
    given = reason.strip() or _ask("What has to be changed")
    _decide(RETURN, rid, given, registrars, Output(as_json=as_json, quiet=quiet))


@curate.command()
@click.argument("rid")
@click.option("--reason", default="", help="Why it is not recorded; asked for if it is left out.")
@registrar_option
@json_option
def reject(rid: str, reason: str, registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Do not record it; the submitter is mailed the reason."""
    given = reason.strip() or _ask("Why is it not recorded")
    _decide(REJECT, rid, given, registrars, Output(as_json=as_json, quiet=quiet))


def _ask(question: str) -> str:
    """A reason from the person at the terminal."""
    if not sys.stdin.isatty():
        raise UsageError("this needs a reason", hint="Give it with --reason.")
    said: str = click.prompt(f"{question}? The submitter and the log are told", err=True)
    return said.strip()


def _decide(decision: str, rid: str, reason: str, registrars: Sequence[str], output: Output) -> None:
    if len(reason) > MAX_REASON:
        raise UsageError(f"the reason is longer than {MAX_REASON} characters")
    answer = run(_send(decision, rid, reason, registrars))
    title = one_line(answer.get("title"), 200)
    output.result(answer, f"{one_line(answer.get('rid'), 64)[:12]} {_DONE[decision]}: {title}")


async def _send(decision: str, rid: str, reason: str, registrars: Sequence[str]) -> Mapping[str, Any]:
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars, signs=True) as user:
        queue = (await user.resolver.registrar()).queue
        return await queue.decide(await queue.read(rid), decision, reason, time.time())
