"""``seedkeep edit``, ``history``, ``withdraw``, ``rehome``: what is said of a record, by whom, and where."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seedkeep.cli.data import find
from seedkeep.cli.output import Output
from seedkeep.cli.running import json_option, registrar_option, run
from seedkeep.core.errors import NotFound, UsageError

if TYPE_CHECKING:
    from seedkeep.core.metadata import Metadata
    from seedkeep.core.revision import RecordState
    from seedkeep.editing import Step


@click.command()
@click.argument("uri")
@click.option("--title", help="One line that says what it is.")
@click.option("--description", help="What it is, at length.")
@click.option("--creator", "creators", multiple=True, help="Who made it; may be repeated, replaces all.")
@click.option("--subject", "subjects", multiple=True, help="What it is about; may be repeated, replaces all.")
@click.option("--doi", "dois", multiple=True, help="A DOI of the same data; may be repeated, replaces all.")
@click.option("--metadata", "file", type=click.Path(path_type=Path), help="JSON or TOML file with all of it.")
@click.option("--editor", "in_editor", is_flag=True, help="Open what is said now in $EDITOR.")
@click.option("--web-seed", "web_seeds", multiple=True, metavar="URL", help="May be repeated, replaces all.")
@click.option("--copies", type=click.IntRange(0, 100), help="Copies wished for.")
@click.option("--steward", "stewards", multiple=True, metavar="KEY", help="Who may edit it from now on.")
@click.option("--note", default="", help="Why.")
@registrar_option
@json_option
def edit(
    uri: str,
    title: str | None,
    description: str | None,
    creators: tuple[str, ...],
    subjects: tuple[str, ...],
    dois: tuple[str, ...],
    file: Path | None,
    in_editor: bool,
    web_seeds: tuple[str, ...],
    copies: int | None,
    stewards: tuple[str, ...],
    note: str,
    registrars: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Change what is said of a dataset. Its files and licence never change.

    The change is signed with the key of this machine where that is a steward's; else the registrar is asked
    to sign it, which it does for curators and for people whose account may.
    """
    said = {"title": title, "description": description, "copies": copies}
    lists = {"creators": creators, "subjects": subjects, "dois": dois, "web_seeds": web_seeds}
    wishes: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    wishes |= {name: value for name, value in {**lists, "stewards": stewards}.items() if value}
    if not wishes and file is None and not in_editor:
        raise UsageError("nothing is to be changed", hint="Say what, for example with --title, or --editor.")

    def change(state: RecordState) -> dict[str, Any]:
        return _changes(state, wishes, file, in_editor=in_editor)

    output = Output(as_json=as_json, quiet=quiet)
    step, ark, head = run(_edit(uri, change, note, registrars))
    fields = {"ark": ark, "head": head, **(asdict(step) if step else {"changes": []})}
    output.result(fields, _told(step) if step else f"{ark} says so already; nothing was changed")


async def _edit(uri: str, change: Any, note: str, registrars: Sequence[str]) -> tuple[Step | None, str, str]:
    from seedkeep.editing import Editing, history
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars, signs=True) as user:
        found = await find(user.resolver, uri)
        record = await Editing(user.key(), time.time).revise(found, change, note)
        before = found.record.state.head if found.record else None
        step = None if record.state.head == before else history(record)[-1]
        return step, record.ark, record.state.head.hash()


def _changes(
    state: RecordState, wishes: dict[str, Any], file: Path | None, *, in_editor: bool
) -> dict[str, Any]:
    from seedkeep.core.metadata import Creator, Subject, doi
    from seedkeep.share import read_metadata

    metadata, license_ = read_metadata(file) if file else (state.metadata, "")
    if license_ not in ("", state.license):
        raise UsageError(f"the licence is {state.license} and cannot be changed")
    said: dict[str, Any] = {name: wishes[name] for name in ("title", "description") if name in wishes}
    made: dict[str, Callable[[str], Any]] = {"creators": Creator, "subjects": Subject, "dois": doi}
    said |= {name: tuple(map(make, wishes[name])) for name, make in made.items() if name in wishes}
    metadata = replace(metadata, **said)
    if in_editor:
        metadata = _edited(metadata)
    rest: dict[str, Any] = {n: wishes[n] for n in ("web_seeds", "copies", "stewards") if n in wishes}
    return {"metadata": metadata, **rest}


def _edited(metadata: Metadata) -> Metadata:
    from seedkeep.core import jcs
    from seedkeep.core.metadata import parse_metadata

    shown = json.dumps(metadata.encode(), indent=2, ensure_ascii=False) + "\n"
    text = click.edit(shown, extension=".json")
    return metadata if text is None else parse_metadata(jcs.loads(text))


@click.command()
@click.argument("uri")
@registrar_option
@json_option
def history(uri: str, registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Show who changed what of a record, and when; every line is backed by a signature that was checked."""
    output = Output(as_json=as_json, quiet=quiet)
    ark, steps = run(_history(uri, registrars))
    output.result(
        {"ark": ark, "history": [asdict(step) for step in steps]}, "\n".join(map(_told, reversed(steps)))
    )


async def _history(uri: str, registrars: Sequence[str]) -> tuple[str, list[Step]]:
    from seedkeep.editing import history as history_of
    from seedkeep.registrar_records import WithdrawnRecord
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars) as user:
        try:
            record = (await find(user.resolver, uri)).record
        except WithdrawnRecord as error:
            record = error.record
        if record is None:
            raise NotFound("no registrar knows this torrent, so it has no history")
        return record.ark, history_of(record)


@click.command()
@click.argument("uri")
@click.option("--reason", required=True, help="Shown to everybody who asks for the data.")
@registrar_option
@json_option
def withdraw(uri: str, reason: str, registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Withdraw a record, for good: its data is offered no more, what was said of it stays to be read.

    Storage managers delete the data unless another record offers it. Nothing follows a withdrawal; whoever
    wants to offer the data again shares it anew.
    """
    output = Output(as_json=as_json, quiet=quiet)
    fields = run(_withdraw(uri, reason, registrars))
    output.result(fields, f"{fields['ark']} is withdrawn; its page stays: {fields['landing_page']}")


async def _withdraw(uri: str, reason: str, registrars: Sequence[str]) -> dict[str, Any]:
    from seedkeep.editing import Editing
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars, signs=True) as user:
        found = await find(user.resolver, uri)
        record = await Editing(user.key(), time.time).withdraw(found, reason)
        return {
            "ark": record.ark,
            "rid": record.rid,
            "reason": record.state.note,
            "head": record.state.head.hash(),
            "landing_page": record.text("landing_page"),
        }


@click.command()
@click.argument("uri")
@click.option("--to", "to", required=True, metavar="URL", help="The registrar that is its home from now on.")
@click.option("--reason", default="", help="Why; shown in its history.")
@registrar_option
@json_option
def rehome(uri: str, to: str, reason: str, registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Make another registrar the home of a record: where it is changed from now on.

    For when its registrar is gone. The other one must mirror the record, and be willing to take it. Names and
    data stay what they are. Only a steward's own key can do this.
    """
    output = Output(as_json=as_json, quiet=quiet)
    fields = run(_rehome(uri, to, reason, registrars))
    output.result(fields, f"{fields['ark']} belongs to {fields['home']} now: {fields['landing_page']}")


async def _rehome(uri: str, to: str, reason: str, registrars: Sequence[str]) -> dict[str, Any]:
    from seedkeep.editing import Editing
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=(*registrars, to), signs=True) as user:
        found = await find(user.resolver, uri)
        new_home = user.known.client(to, key=user.key(), session=user.session, now=time.time)
        record = await Editing(user.key(), time.time).rehome(found, new_home, reason)
        return {
            "ark": record.ark,
            "rid": record.rid,
            "home": record.state.home,
            "head": record.state.head.hash(),
            "landing_page": record.text("landing_page") or record.ark,
        }


def _told(step: Step) -> str:
    """One event as lines: what, when, by whom, why; then what it changed."""
    who = f"{step.editor}, signed by the registrar" if step.editor else step.by
    kinds = {"record": "recorded", "withdrawal": "withdrawn", "rehome": "another home"}
    what = kinds.get(step.type, f"revision {step.seq}")
    lines = [f"{what}, {step.created} by {who}" + (f": {step.note}" if step.note else "")]
    for change in step.changes:
        before, after = ("; ".join(change[side]) or "–" for side in ("before", "after"))
        lines.append(f"  {change['field']}: {before} → {after}")
    return "\n".join(lines)
