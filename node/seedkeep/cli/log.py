"""``seedkeep log verify | evidence`` and ``seedkeep proof``: a registrar's log, and what it has done."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seedkeep.cli.data import find
from seedkeep.cli.output import Output, Step
from seedkeep.cli.running import json_option, registrar_option, run
from seedkeep.core.errors import NotFound, VerificationFailed
from seedkeep.core.log.evidence import MAX_EVIDENCE_BYTES, Evidence
from seedkeep.core.notes import Verifier
from seedkeep.core.paths import printable
from seedkeep.core.units import print_size

if TYPE_CHECKING:
    import aiohttp

    from seedkeep.log_checking import Get


@click.group()
def log() -> None:
    """A registrar's log."""


@log.command("verify")
@click.argument("url")
@click.option("--vkey", default="", help="The log's key; URL is then where its checkpoint lies.")
@json_option
def verify_log(url: str, vkey: str, as_json: bool, quiet: bool) -> None:
    """Re-compute the whole log of the registrar at URL.

    Every event, its signature and its place, the tree over all of them, and the signed head of it. With
    --vkey, URL may be the address or the folder of any copy of a log, such as `seedkeep registrar
    export-log` writes.
    """
    output = Output(as_json=as_json, quiet=quiet)
    fields = run(_verify(url, vkey, output))
    kinds = ", ".join(f"{count} {kind}" for kind, count in fields["events"].items())
    text = f"the log of {fields['origin']} holds: {fields['size']} events" + (f" ({kinds})" if kinds else "")
    output.result(fields, f"{text}, {print_size(fields['bytes'])}, root {fields['root']}")


@log.command("evidence")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--vkey", default="", help="The key of the registrar that one knows; it must be its evidence.")
@json_option
def check_evidence(file: Path, vkey: str, as_json: bool, quiet: bool) -> None:
    """Check the evidence in FILE that a registrar has signed what cannot be; nobody is asked.

    Registrars show such files on their page /federation.
    """
    try:
        shown = Evidence.parse(_read(file, MAX_EVIDENCE_BYTES + 1))
    except OSError as error:
        raise NotFound(f"{printable(str(file))} cannot be read: {error.strerror}") from error
    if vkey and Verifier.parse(vkey) != shown.log:
        raise VerificationFailed(f"this is not about the key given, but about {shown.log}")
    says = shown.check()
    fields = {"ok": True, "kind": shown.kind.value, "origin": shown.log.name, "vkey": str(shown.log)}
    text = says if vkey else f"{says}\nIts key is {shown.log}; compare it with the one that you know."
    Output(as_json=as_json, quiet=quiet).result({**fields, "says": says}, text)


async def _verify(url: str, vkey: str, output: Output) -> dict[str, Any]:
    from seedkeep.log_checking import check_log
    from seedkeep.user import open_user

    async with open_user(os.environ) as user:
        if vkey:
            verifier = Verifier.parse(vkey)
            folder = Path(url) if await asyncio.to_thread(Path(url).is_dir) else None
            get = _of_folder(folder) if folder else _of_site(url, user.session)
        else:
            client = user.known.client(url, key=None, session=user.session, now=time.time)
            verifier, get = (await client.info()).vkey, _of_site(f"{client.url}/log", user.session)

        with output.progress() as bar:

            def advance(done: int, of: int, size: int) -> None:
                bar.show(Step("verifying", size, 0, detail=f"{done} of {of} events"))

            found = await check_log(get, verifier, advance=advance)
    return {
        "ok": True,
        "origin": found.checkpoint.origin,
        "size": found.checkpoint.size,
        "root": found.checkpoint.root.hex(),
        "events": found.kinds,
        "bytes": found.bytes,
        "checkpoint": found.note,
    }


def _of_site(url: str, session: aiohttp.ClientSession) -> Get:
    from seedkeep.registrar_http import Transport

    http = Transport(url, key=None, session=session, now=time.time)

    async def get(path: str, limit: int) -> bytes:
        return (await http.get(f"/{path}", limit=limit, accept="*/*")).body

    return get


def _of_folder(folder: Path) -> Get:
    async def get(path: str, limit: int) -> bytes:
        try:
            return await asyncio.to_thread(_read, folder / path, limit)
        except OSError as error:
            raise NotFound(f"{printable(str(folder / path))} cannot be read: {error.strerror}") from error

    return get


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit)


@click.command()
@click.argument("uri")
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path),
    help="File; NAME.tlog-proof by default.",
)
@registrar_option
@json_option
def proof(uri: str, out: Path | None, registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Write the proof that the record of URI is in its registrar's log.

    It is a C2SP tlog-proof: the event, its way up the tree, the signed checkpoint with all cosignatures.
    `seedkeep verify --offline` holds data against it without asking anybody.
    """
    output = Output(as_json=as_json, quiet=quiet)
    fields, counted = run(_proof(uri, out, registrars))
    text = f"{fields['path']}: entry {fields['index']} in the log of {fields['origin']}"
    output.result(fields, f"{text}, {counted}")


async def _proof(uri: str, out: Path | None, registrars: Sequence[str]) -> tuple[dict[str, Any], str]:
    from seedkeep.proof_file import SUFFIX, ProofFile
    from seedkeep.registrar_records import WithdrawnRecord
    from seedkeep.resolve import Resolved
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars) as user:
        try:
            found = await find(user.resolver, uri)
        except WithdrawnRecord as error:
            found = Resolved(error.record, keys=error.keys)
        found, counted = await user.countersigning.check(found)
    record = found.record
    if record is None or counted is None:
        raise NotFound(f"no registrar has recorded {printable(uri)}")
    place = out or Path(f"{record.dataset.name}{SUFFIX}")
    await asyncio.to_thread(place.write_text, ProofFile.of(record).encode(), encoding="utf-8")
    said = {"rid": record.rid, "origin": record.event.home, "index": record.proof.index}
    return {"path": str(place), **said, "countersigned": counted.fields()}, str(counted)
