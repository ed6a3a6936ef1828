"""``seedkeep fetch``, ``info`` and ``verify``: getting data by a name, and holding it against its record."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seedkeep.beside import read_note
from seedkeep.cli.output import Output, Step
from seedkeep.cli.running import json_option, registrar_option, run
from seedkeep.core.errors import NotFound, UsageError, VerificationFailed
from seedkeep.core.manifest import Manifest
from seedkeep.core.notes import Verifier
from seedkeep.core.paths import printable
from seedkeep.core.units import print_duration, print_size
from seedkeep.countersigned import Countersigned
from seedkeep.record_document import Record
from seedkeep.resolve import Resolved, Resolver

if TYPE_CHECKING:
    from seedkeep.known import KnownRegistrars
    from seedkeep.proof_file import ProofFile

_SHOWN_FILES = 50


async def find(resolver: Resolver, name: str) -> Resolved:
    """What a person means: a torrent file on this machine, or any form of name."""
    path = Path(name)
    if name.endswith(".torrent") and "://" not in name:
        if not await asyncio.to_thread(path.is_file):
            raise NotFound(f"there is no torrent file {printable(name)}")
        return await resolver.resolve_torrent(path)
    return await resolver.resolve(name)


@click.command()
@click.argument("uri")
@click.option(
    "-o", "--output", "out", default=".", type=click.Path(path_type=Path), help="Directory to put it into."
)
@click.option("--include", multiple=True, metavar="GLOB", help="Only files like this; may be repeated.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No files like this; may be repeated.")
@registrar_option
@click.option("--no-peers", is_flag=True, help="Only from web seeds.")
@click.option("--no-web-seeds", is_flag=True, help="Only from peers.")
@click.option("--force", is_flag=True, help="Replace files that differ.")
@json_option
def fetch(
    uri: str,
    out: Path,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    registrars: tuple[str, ...],
    no_peers: bool,
    no_web_seeds: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Fetch a dataset, or a part of it, and verify every byte.

    URI is an ARK, content id, magnet link, file hash (hash://sha256/…, md5:…), a registrar's page, or a
    .torrent file; @latest, for its newest version, and /path/in/dataset may follow. Interrupted, the same
    command goes on where it was.
    """
    from seedkeep.fetch import FetchRequest

    if no_peers and no_web_seeds:
        raise UsageError("--no-peers and --no-web-seeds together leave nobody to fetch from")
    output = Output(as_json=as_json, quiet=quiet)
    request = FetchRequest(out, include, exclude, force, peers=not no_peers, web_seeds=not no_web_seeds)
    result, counted = run(
        _fetch(uri, request, registrars, output),
        again="What came so far is kept; run the same command again to go on.",
    )
    fields = {**asdict(result), "path": str(result.path)}
    fields["countersigned"] = counted.fields() if counted else None
    text = (
        f"{result.path}\n{result.files} files, {print_size(result.bytes)} in "
        f"{print_duration(result.seconds)}, verified; {print_size(result.peers_bytes)} from peers, "
        f"{print_size(result.web_seed_bytes)} from web seeds" + (f"\n{counted}" if counted else "")
    )
    output.result(fields, text)


async def _fetch(uri: str, request: Any, registrars: Sequence[str], output: Output) -> Any:
    from seedkeep.discovery import browse
    from seedkeep.download import FetchProgress
    from seedkeep.engine.lt import libtorrent_engine
    from seedkeep.fetch import Fetcher
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars) as user:
        found, counted = await user.countersigning.check(await find(user.resolver, uri))
        if found.record is not None and _is_old(found.record):
            output.note(f"there is a newer version of this dataset: {found.record.ark}@latest")
        with output.progress() as bar:

            def report(at: FetchProgress) -> None:
                sources = f"{at.peers} peers" + (f", {at.web_seeds} web seeds" if at.web_seeds else "")
                known = at.phase == "fetching"
                bar.show(
                    Step(
                        at.phase,
                        at.bytes_done,
                        at.bytes_total,
                        at.rate if known else None,
                        sources if known else "",
                    )
                )

            fetcher = Fetcher(
                resolver=user.resolver,
                session=user.session,
                settings=user.settings,
                engine=libtorrent_engine,
                report=report,
                note=output.note,
                lan_nodes=(lambda: browse("node")) if user.settings.zeroconf else None,
            )
            return await fetcher.fetch(found, request), counted


@click.command()
@click.argument("uri")
@click.option("--files", "with_files", is_flag=True, help="List all files with their digests.")
@registrar_option
@json_option
def info(uri: str, with_files: bool, registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Show what is known about a dataset."""
    output = Output(as_json=as_json, quiet=quiet)
    fields, text = run(_info(uri, with_files, registrars))
    output.result(fields, text)


async def _info(uri: str, with_files: bool, registrars: Sequence[str]) -> tuple[dict[str, Any], str]:
    from seedkeep.registrar_records import WithdrawnRecord
    from seedkeep.user import open_user

    async with open_user(os.environ, registrars=registrars) as user:
        try:
            found = await find(user.resolver, uri)
        except WithdrawnRecord as error:
            return dict(error.record.document), _describe(Resolved(error.record), None, with_files)
        if found.record is None:
            return _foreign(found)
        manifest = await user.resolver.manifest(found)
        fields = dict(found.record.document)
        if with_files:
            fields["manifest"] = [asdict(f) for f in manifest.files]
        return fields, await asyncio.to_thread(_describe, found, manifest, with_files)


def _describe(found: Resolved, manifest: Manifest | None, with_files: bool) -> str:
    """
    Args:
        manifest: None for a withdrawn record, of which there are no files to be had.
    """
    record = found.record
    assert record is not None
    state, dataset = record.state, record.dataset
    meta, head = state.metadata, state.head
    rows = [
        ("ark", record.ark),
        ("title", meta.title or dataset.name),
        ("name", dataset.name),
        ("creators", "; ".join(c.name for c in meta.creators)),
        ("subjects", "; ".join(s.text for s in meta.subjects)),
        ("license", record.body.license),
        ("files", f"{dataset.files}, {print_size(dataset.bytes)} ({dataset.bytes} bytes)"),
        ("content id", f"urn:btmh:1220{record.content_id}"),
        ("v1 info-hash", dataset.infohash_v1),
        ("recorded", f"{record.event.created} by {record.event.by}"),
        ("version", meta.version),
        ("dois", " ".join(meta.dois)),
        ("revised", f"{head.created} (revision {head.seq})" if head.seq and not state.withdrawn else ""),
        ("withdrawn", f"{head.created}: {state.note}" if state.withdrawn else ""),
        ("supersedes", f"rid:{state.supersedes}" if state.supersedes else ""),
        ("superseded", f"there is a newer version: {record.ark}@latest" if _is_old(record) else ""),
        ("page", record.text("landing_page")),
        ("web seeds", " ".join(record.web_seeds)),
    ]
    if manifest is None:
        return _rows(rows)
    if found.client is not None:
        copies = record.copies
        rows.append(
            ("copies", f"{copies.audited} audited, {copies.complete} complete, {copies.wanted} wanted")
        )
    else:
        rows.append(("copies", "unknown: this is what was remembered, no registrar answered"))
    lines = [_rows(rows)]
    files = [f for f in manifest.files if not found.path or f"{f.path}/".startswith(f"{found.path}/")]
    if found.path and not files:
        raise NotFound(f"{printable(dataset.name)} has no file {printable(found.path)}")
    for file in files if with_files else files[:_SHOWN_FILES]:
        digests = f"  md5:{file.md5}  sha256:{file.sha256}" if with_files or found.path else ""
        lines.append(f"  {print_size(file.size):>8}  {file.path}{digests}")
    if len(files) > _SHOWN_FILES and not with_files:
        lines.append(f"  … and {len(files) - _SHOWN_FILES} more (--files lists all)")
    return "\n".join(lines)


def _rows(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"{name + ':':14}{value}" for name, value in rows if value)


def _is_old(record: Record) -> bool:
    return record.latest != record.rid


def _foreign(found: Resolved) -> tuple[dict[str, Any], str]:
    """A torrent file that no registrar knows."""
    assert found.torrent is not None
    meta, _ = found.torrent
    fields = {
        "name": meta.name,
        "version": meta.version,
        "info_hash": meta.info_hash,
        "files": len(meta.files),
        "bytes": sum(f.size for f in meta.files),
        "trackers": list(meta.trackers),
        "web_seeds": list(meta.web_seeds),
    }
    listed = "\n".join(f"  {print_size(f.size):>8}  {f.path}" for f in meta.files[:_SHOWN_FILES])
    return fields, f"{meta.name}: a torrent (v{meta.version}) that no registrar knows\n{listed}"


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("uri", required=False, default="")
@registrar_option
@click.option("--offline", is_flag=True, help="Ask nobody; hold it against the .tlog-proof beside it.")
@click.option("--vkey", default="", help="The registrar's key, if this machine has never met it.")
@json_option
def verify(
    directory: Path,
    uri: str,
    registrars: tuple[str, ...],
    offline: bool,
    vkey: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Hold DIRECTORY (or a single file) against its record by all four digests.

    Without URI, the note that a fetch leaves beside the data says which record; without that, the content
    id of what is there is looked up. The log proof that a fetch leaves as well, NAME.tlog-proof, is checked
    too; with --offline nothing else is needed.
    """
    output = Output(as_json=as_json, quiet=quiet)
    if offline:
        if uri or registrars:
            raise UsageError("--offline asks nobody, so it takes neither URI nor --registrar")
        fields, name = run(_verify_offline(directory.absolute(), vkey, output))
        output.result(fields, _right(fields, name))
        return
    fields, name, problem = run(_verify(directory.absolute(), uri, registrars, vkey, output))
    if problem:
        hint = "Fetch it again with --force to put the right bytes in place."
        failure = VerificationFailed(problem, hint=hint)
        if not as_json:
            for kind in ("wrong", "missing", "extra"):
                for item in fields[kind]:
                    shown = item if isinstance(item, str) else f"{item['path']}: {item['problem']}"
                    click.echo(f"{kind}: {printable(shown)}")
        failure.fields = fields  # type: ignore[attr-defined]
        raise failure
    output.result(fields, _right(fields, name))


def _right(fields: dict[str, Any], name: str) -> str:
    text = f"{printable(name)} is right: {fields['files']} files, {print_size(fields['bytes'])}, all digests"
    logged = fields["log"]
    text += f"; entry {logged['index']} in the log of {logged['origin']}" if logged else ""
    counted = fields["countersigned"]
    return f"{text}, {Countersigned(**counted)}" if counted else text


async def _verify_offline(root: Path, vkey: str, output: Output) -> tuple[dict[str, Any], str]:
    from seedkeep.ingest.run import Progress, ingest
    from seedkeep.proof_file import place_of, read_proof
    from seedkeep.user import open_user

    place = place_of(root)
    proof = await asyncio.to_thread(read_proof, place)
    if proof is None:
        raise NotFound(
            f"there is no log proof {printable(str(place))}",
            hint="`seedkeep fetch` leaves one beside the data, `seedkeep proof` writes one.",
        )
    async with open_user(os.environ) as user:
        log = _log_of(proof, user.known, vkey)
        logged = _logged(proof, log)
        counted = user.countersigning.judge(proof.proof.checkpoint, [log])
    with output.progress() as bar:

        def report(at: Progress) -> None:
            bar.show(Step("verifying", at.bytes_done, at.bytes_total))

        found = await ingest(root, name=proof.body.dataset.name, progress=report)
    proof.check_data(found.manifest, found.pieces_v1)
    dataset = proof.body.dataset
    fields = {"ok": True, "rid": proof.event.record_id, "content_id": dataset.content_id}
    fields |= {"files": dataset.files, "bytes": dataset.bytes}
    return {**fields, "log": logged, "countersigned": counted.fields()}, dataset.name


def _log_of(proof: ProofFile, known: KnownRegistrars, vkey: str) -> Verifier:
    """The key of the log that a proof is about; raises UsageError when it is not known."""
    log = Verifier.parse(vkey) if vkey else known.by_origin(proof.event.home)
    if log is None:
        raise UsageError(
            f"the key of {proof.event.home} is not known on this machine",
            hint="Give it with --vkey, as its /.well-known/seedkeep shows it.",
        )
    return log


def _logged(proof: ProofFile, log: Verifier) -> dict[str, Any]:
    """Where the record is in its log, which is checked; raises VerificationFailed when it is not there."""
    size = proof.verify(log).size
    return {"origin": log.name, "index": proof.proof.index, "size": size}


async def _verify(
    root: Path, uri: str, registrars: Sequence[str], vkey: str, output: Output
) -> tuple[dict[str, Any], str, str]:
    from seedkeep.proof_file import place_of, read_proof
    from seedkeep.taint_told import in_words, taints_in, withheld_files
    from seedkeep.user import open_user
    from seedkeep.verify import verify_folder, whole

    if not await asyncio.to_thread(os.path.lexists, root):
        raise NotFound(f"there is no {printable(str(root))}", hint="Give the directory that was fetched.")
    note = None if uri else await asyncio.to_thread(read_note, root)
    asked = list(registrars) or ([note.registrar] if note and note.registrar else [])
    async with open_user(os.environ, registrars=asked) as user:
        with output.progress() as bar:
            name = uri or (note.ark if note else await _name_of(root, output, bar))
            found, counted = await user.countersigning.check(await find(user.resolver, name))
            manifest = await user.resolver.manifest(found)
            assert found.record is not None
            dataset, done = found.record.dataset, 0

            def advance(count: int) -> None:
                nonlocal done
                done += count
                bar.show(Step("verifying", done, dataset.bytes))

            verdict = await verify_folder(root, manifest, dataset.infohash_v1, advance=advance)
        withheld = [file.path for file in withheld_files(found.record, manifest)]
        # what may not be had any more is not amiss
        verdict = replace(verdict, missing=tuple(p for p in verdict.missing if p not in withheld))
        for taint in taints_in(found.record.document):
            output.note(f"these data are tainted now: {in_words(taint, found.registrar)}")
        proof = await asyncio.to_thread(read_proof, place_of(root))
        mine = proof is not None and proof.event.record_id == found.record.rid
        logged = _logged(proof, _log_of(proof, user.known, vkey)) if proof and mine else None
    fields = {
        "ok": verdict.ok,
        "ark": found.record.ark,
        "content_id": dataset.content_id,
        "files": verdict.files,
        "bytes": verdict.bytes,
        "wrong": [asdict(w) for w in verdict.wrong],
        "missing": list(verdict.missing),
        "extra": list(verdict.extra),
        "withheld": withheld,
        "taints": [dict(taint) for taint in taints_in(found.record.document)],
        "log": logged,
        "countersigned": counted.fields() if counted else None,
    }
    return fields, dataset.name, "" if verdict.ok else whole(verdict, dataset.name)


async def _name_of(root: Path, output: Output, bar: Any) -> str:
    """The content id of what is there, for want of a name."""
    from seedkeep.ingest.run import Progress, ingest

    def report(at: Progress) -> None:
        bar.show(Step("hashing", at.bytes_done, at.bytes_total))

    manifest = (await ingest(root, progress=report)).manifest
    return f"urn:btmh:1220{manifest.content_id()}"
