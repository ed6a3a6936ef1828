"""``seedkeep registrar backup | restore | check | export-log | doctor``."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from seedkeep.core.errors import Error, UsageError, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier
from seedkeep_registrar import identity
from seedkeep_registrar.database import open_database
from seedkeep_registrar.log import export as exporting
from seedkeep_registrar.operations import check as checking
from seedkeep_registrar.operations import doctor as examination
from seedkeep_registrar.operations import restore as restoring
from seedkeep_registrar.operations import snapshot
from seedkeep_registrar.operations.command_line import common_options, settings_of, show
from seedkeep_registrar.operations.reading import reading
from seedkeep_registrar.settings import Settings
from seedkeep_registrar.store import events

_MARKS = {examination.OK: "ok     ", examination.WARNING: "warning", examination.FAILURE: "FAILURE"}


@contextmanager
def _progress(*, quiet: bool) -> Iterator[snapshot.Progress]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}"))
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def told(what: str, done: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=None)
            bars.update(tasks[what], completed=done)

        yield told


def _key(data: Path) -> PrivateKey:
    place = data / identity.KEY_FILE
    try:
        return PrivateKey.from_pem(place.read_bytes())
    except OSError as error:
        raise UsageError(
            f"there is no registrar in {data}: {place.name}: {error.strerror}",
            hint="Give its --data or --config.",
        ) from error


@click.command()
@click.argument("place", type=click.Path(path_type=Path))
@common_options
def backup(place: Path, *, as_json: bool, quiet: bool, **where: Any) -> None:
    """Write a snapshot below PLACE, of a registrar that may be running.

    Objects are copied once and shared by all snapshots in PLACE. A snapshot holds the registrar's key.
    """
    settings = settings_of(**where)
    key = _key(settings.data)
    with reading(settings.sqlalchemy_url) as connection, _progress(quiet=quiet) as progress:
        folder = snapshot.take(
            connection, key=key, data=settings.data, place=place, now=time.time(), progress=progress
        )
    found = snapshot.read(folder)
    shown = {"snapshot": str(folder), "origin": found.head.origin, "events": found.head.size}
    show(shown, f"{folder}: {found.head.size} events of {found.head.origin}", as_json=as_json)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--alone", is_flag=True, help="Wait for no peer: none that mirrors its log is left.")
@common_options
def restore(folder: Path, *, alone: bool, as_json: bool, quiet: bool, **where: Any) -> None:
    """Restore the snapshot in FOLDER into an empty data folder and database.

    The database may be of another kind than the one the snapshot was taken from. The registrar takes nothing
    new until every peer has said how far its log was, or those that are gone for good are paused.
    """
    settings = settings_of(**where)
    found = snapshot.read(folder)
    identity.prepare_folder(settings.data)
    handle = identity.lock_folder(settings.data, shared=False)
    try:
        db = open_database(settings.sqlalchemy_url)
        try:
            with _progress(quiet=quiet) as progress:
                waited_for = restoring.restore(db.engine, found, settings.data, progress, alone=alone)
        finally:
            db.engine.dispose()
    finally:
        os.close(handle)
    shown = {
        "origin": found.head.origin,
        "events": found.head.size,
        "taken": found.taken,
        "waited_for": waited_for,
    }
    show(
        shown,
        f"{found.head.size} events of {found.head.origin} are back as they were at {found.taken}; "
        "start it with the same public URL"
        + (f"; it takes nothing new before {waited_for} peers were heard" if waited_for else ""),
        as_json=as_json,
    )


@click.command()
@common_options
def check(*, as_json: bool, quiet: bool, **where: Any) -> None:
    """Verify the whole log, every record and every object."""
    settings = settings_of(**where)
    key = _key(settings.data)
    with reading(settings.sqlalchemy_url) as connection, _progress(quiet=quiet) as progress:
        state = events.log_state(connection)
        verifier = Verifier(state.origin, key.public)
        problems = list(checking.problems(connection, verifier, settings.data, progress))
    shown = {"origin": state.origin, "events": state.size, "problems": problems}
    text = "\n".join(problems) if problems else f"{state.size} events of {state.origin}: all is well"
    show(shown, text, as_json=as_json)
    if problems:
        raise SystemExit(VerificationFailed.exit_code)


@click.command("export-log")
@click.argument("place", type=click.Path(path_type=Path))
@common_options
def export_log(place: Path, *, as_json: bool, quiet: bool, **where: Any) -> None:
    """Write the log below PLACE, as files that any web server or bucket can serve.

    PLACE/log and PLACE/objects are what is below /log and /objects of the public URL. Run it again to add
    what is new. `seedkeep log verify` checks the copy.
    """
    settings = settings_of(**where)
    with reading(settings.sqlalchemy_url) as connection, _progress(quiet=quiet) as progress:
        written = exporting.export(connection, place, progress)
    shown = {"place": str(place), "events": written.size, "tiles": written.tiles, "bodies": written.bodies}
    text = f"{place}: {written.size} events; {written.tiles} tiles and {written.bodies} bodies are new"
    show(shown, text, as_json=as_json)


@click.command()
@common_options
def doctor(*, as_json: bool, quiet: bool, **where: Any) -> None:
    """Look at settings, folders, database, mail and the public URL, and say what to mend."""
    settings = settings_of(**where)
    db = open_database(settings.sqlalchemy_url)
    try:
        findings = asyncio.run(_examine(settings, db.engine))
    finally:
        db.engine.dispose()
    failed = any(f.level == examination.FAILURE for f in findings)
    shown = [{"level": f.level, "about": f.about, "what": f.what, "hint": f.hint} for f in findings]
    lines = [
        f"{_MARKS[f.level]}  {f.about}: {f.what}" + (f"\n         {f.hint}" if f.hint else "")
        for f in findings
    ]
    show({"findings": shown}, "\n".join(lines), as_json=as_json)
    if failed:
        raise SystemExit(Error.exit_code)


async def _examine(settings: Settings, engine: Any) -> list[examination.Finding]:
    return [finding async for finding in examination.examine(settings, engine, time.time())]
