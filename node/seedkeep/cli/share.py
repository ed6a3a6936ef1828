"""``seedkeep share``: record a folder and seed it until others have it."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from seedkeep.cli.data import find
from seedkeep.cli.output import Bar, Output, Step
from seedkeep.cli.running import json_option, registrar_option, run
from seedkeep.config import node_settings
from seedkeep.core.errors import Error, NotFound, UsageError
from seedkeep.core.units import print_size
from seedkeep.record_document import Record


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", default="", help="Name of the dataset; the folder's by default.")
@click.option("--title", default="", help="One line that says what it is.")
@click.option("--creator", "creators", multiple=True, help="Who made it; may be repeated.")
@click.option("--subject", "subjects", multiple=True, help="What it is about; may be repeated.")
@click.option("--license", "license_", default="", metavar="SPDX", help="Licence; CC0-1.0 by default.")
@click.option(
    "--metadata", "metadata_file", type=click.Path(path_type=Path), help="JSON or TOML file with all that."
)
@registrar_option
@click.option(
    "--web-seed", "web_seeds", multiple=True, metavar="URL", help="Base URL that serves the same files."
)
@click.option(
    "--upload", default="", metavar="PLACE", help="Copy it to s3://bucket/prefix or swift://container/prefix."
)
@click.option("--copies", type=click.IntRange(0, 100), help="Copies to wait for; 3 by default.")
@click.option("--new-version-of", default="", metavar="URI", help="The record that this one supersedes.")
@click.option("--detach", is_flag=True, help="Register, then seed in the background.")
@click.option("--dry-run", is_flag=True, help="Read and hash, show what would be recorded, send nothing.")
@click.option(
    "--save",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="With --dry-run: write manifest and torrents there.",
)
@json_option
def share(
    path: Path,
    name: str,
    title: str,
    creators: tuple[str, ...],
    subjects: tuple[str, ...],
    license_: str,
    metadata_file: Path | None,
    registrars: tuple[str, ...],
    web_seeds: tuple[str, ...],
    upload: str,
    copies: int | None,
    new_version_of: str,
    detach: bool,
    dry_run: bool,
    save: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Put a folder or file on record and seed it until enough copies exist elsewhere.

    Interrupted, the same command goes on where it was; files that did not change are not read again.
    """
    if save and not dry_run:
        raise UsageError(
            "--save goes with --dry-run", hint="The registrar has these files once it is recorded."
        )
    output = Output(as_json=as_json, quiet=quiet)
    wishes = {
        "path": path.absolute(),
        "name": name,
        "title": title,
        "creators": creators,
        "subjects": subjects,
        "license": license_,
        "metadata_file": metadata_file,
        "web_seeds": web_seeds,
        "upload": upload,
        "copies": copies,
        "new_version_of": new_version_of,
    }
    again = "Nothing is lost; run the same command again to go on."
    fields, text = run(_share(wishes, registrars, detach, dry_run, save, output), again=again)
    output.result(fields, text)


async def _share(
    wishes: dict[str, Any],
    registrars: Sequence[str],
    detach: bool,
    dry_run: bool,
    save: Path | None,
    output: Output,
) -> tuple[dict[str, Any], str]:
    from seedkeep.registrar_messages import Queued
    from seedkeep.share import ShareResult, prepare
    from seedkeep.share_files import save_files
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars, signs=not dry_run) as user:
        request = await asyncio.to_thread(_request, wishes, user.settings)
        sharer = None if dry_run else await _sharer(user, output)
        if older := await _older(user, wishes["new_version_of"]):
            request = replace(request, supersedes=older.rid)
            output.say(f"a new version of {older.ark} ({older.dataset.name})")
        with output.progress() as bar:
            checkpoint = user.checkpoint(request.path)
            await asyncio.to_thread(checkpoint.parent.mkdir, mode=0o700, parents=True, exist_ok=True)
            prepared = await prepare(
                request,
                checkpoint=checkpoint,
                session=user.session,
                report=lambda at: _show(bar, at),
                send=not dry_run,
            )
            if sharer is None:
                if save:
                    await asyncio.to_thread(save_files, prepared.ingested, save)
                planned = asdict(ShareResult.planned(prepared))
                return {**planned, "record": asdict(prepared.body)}, _planned(prepared)
            sharer = replace(sharer, report=lambda at: _show(bar, at))
            record = await sharer.register(prepared)
            if isinstance(record, Queued):
                return asdict(ShareResult.queued(prepared, record)), _queued(record, sharer.client.url)
            output.say(f"recorded as {record.ark}\n{record.text('landing_page')}")
            if detach:
                if not await sharer.hand_over(prepared, record):
                    log, pid = await asyncio.to_thread(_in_background, user.places.state, sharer.client.url)
                    output.say(f"seeding goes on in the background as process {pid}; its log is {log}")
                count = record.copies.audited
            else:
                count = (await sharer.keep_until_copied(prepared, record, request.copies)).audited
        result = ShareResult.of(record, count)
        return asdict(result), _done(result, request.copies, detach)


def _request(wishes: dict[str, Any], settings: Any) -> Any:
    from seedkeep.core.licenses import check_license
    from seedkeep.core.metadata import Creator, Metadata, Subject
    from seedkeep.share import ShareRequest, read_metadata

    path: Path = wishes["path"]
    if not os.path.lexists(path):
        raise UsageError(f"there is no {path}", hint="Give the path of a folder or file.")
    given, license_ = Metadata(), ""
    if wishes["metadata_file"]:
        given, license_ = read_metadata(wishes["metadata_file"])
    metadata = replace(
        given,
        title=wishes["title"] or given.title,
        creators=tuple(map(Creator, wishes["creators"]))
        or given.creators
        or tuple(map(Creator, settings.creators)),
        subjects=tuple(map(Subject, wishes["subjects"])) or given.subjects,
    )
    metadata.check()
    return ShareRequest(
        path=path,
        name=wishes["name"],
        metadata=metadata,
        license=check_license(wishes["license"] or license_ or settings.license),
        web_seeds=wishes["web_seeds"],
        upload=wishes["upload"],
        copies=settings.copies if wishes["copies"] is None else wishes["copies"],
    )


async def _sharer(user: Any, output: Output) -> Any:
    """Finds the registrar before hours go into hashing."""
    from seedkeep.engine.lt import libtorrent_engine
    from seedkeep.share import Sharer, seed_through_node

    data = node_settings(user.places, os.environ).data
    client = await user.resolver.registrar()
    wanted = user.resolver.preferred
    if wanted and client.url not in wanted:
        output.note(f"{wanted[0]} does not answer; {client.url} takes this dataset")
    return Sharer(
        client=client,
        key=user.key(),
        session=user.session,
        settings=user.settings,
        engine=libtorrent_engine,
        aside=user.places.state / "seeding",
        report=lambda at: None,
        note=output.note,
        local_node=functools.partial(seed_through_node, data),
        mirrors=user.resolver.mirrors,
    )


async def _older(user: Any, uri: str) -> Record | None:
    """The record that is to be superseded; it may be withdrawn."""
    from seedkeep.registrar_records import WithdrawnRecord

    if not uri:
        return None
    try:
        found = await find(user.resolver, uri)
    except WithdrawnRecord as error:
        return error.record
    if found.record is None:
        raise NotFound("no registrar knows this torrent, so nothing can be a new version of it")
    return found.record


def _show(bar: Bar, at: Any) -> None:
    from seedkeep.ingest.run import Progress
    from seedkeep.share import Seeding

    if isinstance(at, Seeding):
        known = at.copies
        state = f"{known.audited} of {at.wanted} copies ready, {known.fetching} on their way" if known else ""
        bar.show(Step("seeding: sent", at.sent, 0, at.rate, f"{at.peers} peers, {state}".strip(", ")))
    else:
        phase = at.phase if isinstance(at, Progress) else "uploading"
        files = f"{at.files_done} of {at.files_total} files"
        bar.show(Step(phase, at.bytes_done, at.bytes_total, None, files))


def _planned(prepared: Any) -> str:
    d = prepared.dataset
    return (
        f"would record {d.name}: {d.files} files, {print_size(d.bytes)}\n"
        f"content id: urn:btmh:1220{d.content_id}\nv1 info-hash: {d.infohash_v1}\n"
        f"license: {prepared.body.license}\nnothing was sent"
    )


def _queued(queued: Any, registrar: str) -> str:
    return (
        f"queued: a curator of {registrar} has to approve it before it is recorded\n"
        + (f"{queued.page}\n" if queued.page else "")
        + "Nothing is seeded yet. Run the same command again later: it tells how it stands, and goes on "
        "without reading the files again."
    )


def _done(result: Any, wanted: int, detach: bool) -> str:
    text = f"{result.ark}\n{result.landing_page}\n{result.files} files, {print_size(result.bytes)}; "
    if detach or result.copies < wanted:
        return f"{text}{result.copies} of {wanted} copies exist elsewhere: leave this machine on"
    return f"{text}{result.copies} complete, audited copies exist elsewhere: you may switch this machine off"


def _in_background(state: Path, registrar: str) -> tuple[Path, int]:
    """Start the same command once more, detached from this terminal; its checkpoint spares the hashing.

    Gives the log and the process id.
    """
    arguments = [a for a in sys.argv[1:] if a not in ("--detach", "--json")]
    if "--registrar" not in arguments:
        arguments += ["--registrar", registrar]
    log = state / "share.log"
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with log.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "seedkeep", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
    except OSError as error:
        raise Error(f"seeding cannot go on in the background: {error.strerror}") from error
    return log, process.pid
