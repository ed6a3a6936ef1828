"""Sharing a folder: one read of the bytes, a signed record, and seeding until enough others have it.

What it promises: every step can be interrupted and taken up again. Files that were hashed and did not
change are not read again; lists that the registrar has are not sent again; the same bytes shared again by
the same key find their record instead of making a second one.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from seedkeep import control
from seedkeep.config import ClientSettings, listen_on
from seedkeep.copies_watch import CopiesWatch
from seedkeep.core import jcs
from seedkeep.core.errors import Error, Refused, Unreachable, UsageError, VerificationFailed
from seedkeep.core.events import MAX_BODY_BYTES, sign_event
from seedkeep.core.keys import PrivateKey
from seedkeep.core.metadata import Metadata, parse_metadata
from seedkeep.core.metainfo import (
    info_v1,
    infohash_v1_of,
    magnet_v1,
    magnet_v2,
    torrent_v1,
    torrent_v2,
)
from seedkeep.core.paths import is_utf8
from seedkeep.core.record import Dataset, RecordBody, check_web_seed
from seedkeep.engine.model import Engine, EngineSettings, TorrentSpec
from seedkeep.ingest.run import Ingested, Progress, ingest
from seedkeep.message_fields import utc
from seedkeep.record_document import Copies, Record
from seedkeep.registrar_client import RegistrarClient
from seedkeep.registrar_messages import Queued
from seedkeep.registrar_records import WithdrawnRecord
from seedkeep.webseeds.probe import probe
from seedkeep.webseeds.upload import UploadProgress, upload

#: how often the registrar is asked for copies: half its heartbeat, within these seconds
_SOONEST_S, _LATEST_S = 0.5, 10.0
#: how often the tracker is told that the bytes are here, while nobody takes them: it may have been restarted
_ANNOUNCE_S = 10.0


@dataclass(frozen=True, slots=True)
class ShareRequest:
    """What the person asked for.

    Args:
        path: the folder or file.
        name: of the dataset; the folder's name when "".
        upload: ``s3://…`` or ``swift://…`` to copy the bytes to, or "".
        supersedes: rid of the record of which this is a new version, or "".
    """

    path: Path
    name: str = ""
    metadata: Metadata = Metadata()  # noqa: RUF009 - immutable
    license: str = "CC0-1.0"
    web_seeds: tuple[str, ...] = ()
    upload: str = ""
    copies: int = 3
    supersedes: str = ""


@dataclass(frozen=True, slots=True)
class Seeding:
    """While others copy: ``sent`` bytes in total, ``rate`` in bytes per second; copies None while unknown."""

    copies: Copies | None
    wanted: int
    sent: int
    rate: int
    peers: int


ShareProgress = Progress | UploadProgress | Seeding


@dataclass(frozen=True, slots=True)
class Prepared:
    """A folder that was read: its lists and the body its record would have."""

    ingested: Ingested
    body: RecordBody

    @property
    def dataset(self) -> Dataset:
        """What would be recorded."""
        return self.body.dataset


@dataclass(frozen=True, slots=True)
class ShareResult:
    """What a share gives; the field names are those of ``--json``.

    Args:
        state: ``recorded``, ``queued`` while a curator has to agree, or ``planned`` by a dry run.
        supersedes: rid of the record of which it is a new version, or "".
    """

    ark: str
    rid: str
    content_id: str
    infohash_v1: str
    magnet: str
    magnet_v2: str
    landing_page: str
    files: int
    bytes: int
    copies: int
    state: str
    supersedes: str

    @classmethod
    def of(cls, record: Record, copies: int) -> ShareResult:
        """The result for a record that has so many complete, audited copies."""
        d = record.dataset
        return cls(
            ark=record.ark,
            rid=record.rid,
            content_id=d.content_id,
            infohash_v1=d.infohash_v1,
            magnet=record.text("magnet") or magnet_v1(d.infohash_v1, d.name, record.trackers),
            magnet_v2=record.text("magnet_v2") or magnet_v2(d.content_id, d.name, record.trackers),
            landing_page=record.text("landing_page"),
            files=d.files,
            bytes=d.bytes,
            copies=copies,
            state="recorded",
            supersedes=record.body.supersedes,
        )

    @classmethod
    def planned(cls, prepared: Prepared) -> ShareResult:
        """What would be recorded, before any registrar has given it a name."""
        d = prepared.dataset
        magnets = magnet_v1(d.infohash_v1, d.name), magnet_v2(d.content_id, d.name)
        state, older = "planned", prepared.body.supersedes
        return cls("", "", d.content_id, d.infohash_v1, *magnets, "", d.files, d.bytes, 0, state, older)

    @classmethod
    def queued(cls, prepared: Prepared, queued: Queued) -> ShareResult:
        """What is recorded as soon as a curator agrees."""
        planned = cls.planned(prepared)
        return replace(planned, rid=queued.rid, landing_page=queued.page, state="queued")


async def seed_through_node(data: Path, ingested: Ingested, record: Record) -> None:
    """Ask the node on this machine to seed a folder in place, until it is told otherwise.

    Args:
        data: the node's data directory.

    Raises:
        Unreachable: none runs there. UsageError: it cannot read the folder.
        Error: what else it answers.
    """
    manifest = await asyncio.to_thread(ingested.manifest.encode)
    await control.call(
        control.socket_path(data),
        "seed",
        {
            "path": str(ingested.root),
            "rid": record.rid,
            "trackers": list(record.trackers),
            "web_seeds": list(record.web_seeds),
        },
        blobs=(manifest, ingested.layers, ingested.pieces_v1),
    )


async def _no_mirrors(client: RegistrarClient) -> Sequence[RegistrarClient]:
    return ()


@dataclass(frozen=True, slots=True)
class _Seed:
    """Bytes that are being seeded: a look at (bytes sent, rate, peers), and a way to use more trackers."""

    sent: Callable[[], tuple[int, int, int]]
    announce_at: Callable[[tuple[str, ...]], Awaitable[None]]


@dataclass(frozen=True)
class Sharer:
    """What sharing needs of the world.

    Args:
        client: the registrar to write to.
        engine: makes an engine from its settings.
        aside: a directory of our own for links to folders that are shared under another name.
        local_node: asks the node on this machine to seed instead; see :func:`seed_through_node`.
        mirrors: finds the registrars that tell of the copies while the registrar is down.
        report, note: are told of progress, and of what was survived.
    """

    client: RegistrarClient
    key: PrivateKey
    session: aiohttp.ClientSession
    settings: ClientSettings
    engine: Callable[[EngineSettings], Engine]
    aside: Path
    report: Callable[[ShareProgress], None]
    note: Callable[[str], None]
    local_node: Callable[[Ingested, Record], Awaitable[None]] | None = None
    mirrors: Callable[[RegistrarClient], Awaitable[Sequence[RegistrarClient]]] = _no_mirrors

    async def register(self, prepared: Prepared) -> Record | Queued:
        """Make the record, or find the one this key has made of the same bytes.

        Returns:
            The record, or what waits for a curator, where the registrar asks for one.

        Raises:
            Conflict: a curator wants something changed first.
            TaintedRecord: this content may not be shared.
            Refused, InvalidInput, Unreachable: the registrar said no, or nothing.
        """
        found = await self._own_record(prepared)
        if found is not None:
            if found.body != prepared.body:
                self.note(
                    f"these bytes are recorded by you already, as {found.ark}; that record was left as it is"
                )
            return found
        ingested, dataset = prepared.ingested, prepared.dataset
        manifest = await asyncio.to_thread(ingested.manifest.encode)
        for sha256, data in (
            (dataset.manifest, manifest),
            (dataset.piece_layers, ingested.layers),
            (dataset.pieces_v1, ingested.pieces_v1),
        ):
            await self.client.put_object(sha256, data)
        body = prepared.body.encode()
        home = (await self.client.info()).origin
        event = sign_event(self.key, type="record", body=body, home=home, created=utc(time.time()))
        return await self.client.submit(event, body)

    async def _own_record(self, prepared: Prepared) -> Record | None:
        try:
            matches = await self.client.resolve(f"urn:btmh:1220{prepared.dataset.content_id}")
        except WithdrawnRecord:
            return None  # what was withdrawn may be shared anew
        for match in matches:
            record = await self.client.record(match.rid)
            if record.event.by == str(self.key.public):
                return record
        return None

    async def keep_until_copied(self, prepared: Prepared, record: Record, copies: int) -> Copies:
        """Seed the bytes where they lie until ``copies`` complete, audited copies exist elsewhere.

        Raises:
            TaintedRecord: it was tainted meanwhile.
            Error: the files cannot be seeded.
        """
        found = record.copies
        if found.wanted < copies:
            self.note(f"this record asks for {found.wanted} copies, not {copies}; waiting for {found.wanted}")
            copies = found.wanted
        if found.audited >= copies:
            return found
        async with self._seeding(prepared, record) as seed:
            return await self._wait(record, copies, seed)

    async def hand_over(self, prepared: Prepared, record: Record) -> bool:
        """Let the local node seed the folder; False when none runs."""
        ingested = prepared.ingested
        nameable = ingested.root.name == ingested.manifest.name and is_utf8(str(ingested.root))
        if self.local_node is None or not nameable:
            # a node seeds a folder under its own name only, and that has to be UTF-8 from the root on
            return False
        try:
            await self.local_node(ingested, record)
        except Unreachable:
            return False
        except UsageError as error:
            self.note(f"{error.what}; seeding from here instead")
            return False
        return True

    async def _wait(self, record: Record, wanted: int, seed: _Seed) -> Copies:
        pause = min(max((await self.client.info()).heartbeat_s / 2, _SOONEST_S), _LATEST_S)
        watch = CopiesWatch(self.client, self.mirrors, self.note)
        trackers = set(record.trackers)
        while True:
            told = await watch.ask(record.rid)
            if told is not None and not trackers.issuperset(told.trackers):
                # a mirror that stands in for the registrar has a tracker of its own
                trackers.update(told.trackers)
                await seed.announce_at(tuple(trackers))
            self.report(Seeding(told.copies if told else None, wanted, *seed.sent()))
            if told is not None and told.copies.audited >= wanted:
                return told.copies
            await asyncio.sleep(pause)

    @asynccontextmanager
    async def _seeding(self, prepared: Prepared, record: Record) -> AsyncIterator[_Seed]:
        """Seed, through the local node if there is one."""
        if await self.hand_over(prepared, record):

            async def announce_at(trackers: tuple[str, ...]) -> None:
                """The node goes by its own registrars."""

            yield _Seed(lambda: (0, 0, 0), announce_at)
            return
        ingested, dataset = prepared.ingested, prepared.dataset
        folder = await asyncio.to_thread(_folder_with, ingested, self.aside)
        engine = self.engine(
            EngineSettings(
                listen=listen_on(self.settings.listen, self.settings.port),
                dht=self.settings.dht,
                lsd=self.settings.lsd,
                down_limit=self.settings.down_limit,
                up_limit=self.settings.up_limit,
            )
        )
        try:
            await engine.start()
            manifest = ingested.manifest
            v2 = await asyncio.to_thread(torrent_v2, manifest, ingested.layers)
            v1 = await asyncio.to_thread(torrent_v1, manifest, ingested.pieces_v1)
            specs = [
                TorrentSpec(metainfo, folder, key, trackers=record.trackers, complete=True, read_only=True)
                for key, metainfo in ((dataset.content_id, v2), (dataset.infohash_v1, v1))
            ]
            for spec in specs:
                await engine.add(spec)
                await engine.wait_complete(spec.key)

            async def announce_at(trackers: tuple[str, ...]) -> None:
                for spec in specs:
                    await engine.add(replace(spec, trackers=trackers))

            def sent() -> tuple[int, int, int]:
                now = engine.statuses()
                if failed := [s.error for s in now if s.state == "failed"]:
                    raise Error(failed[0], hint="Share it again: what is in the registrar stays there.")
                return sum(s.uploaded for s in now), sum(s.up_rate for s in now), sum(s.peers for s in now)

            announcing = asyncio.create_task(_announce_while_alone(engine))
            try:
                yield _Seed(sent, announce_at)
            finally:
                announcing.cancel()
                await asyncio.gather(announcing, return_exceptions=True)
        finally:
            await engine.close()


async def _announce_while_alone(engine: Engine) -> None:
    """Tell the tracker again and again as long as no peer has come; runs until cancelled."""
    while True:
        await asyncio.sleep(_ANNOUNCE_S)
        if not any(status.peers for status in engine.statuses()):
            await engine.announce_all()


async def prepare(
    request: ShareRequest,
    *,
    checkpoint: Path | None,
    session: aiohttp.ClientSession,
    report: Callable[[ShareProgress], None],
    send: bool,
) -> Prepared:
    """Read the bytes, upload them if asked to, check the web seeds.

    Args:
        checkpoint: remembers what was hashed.
        send: False for a dry run: nothing leaves this machine.

    Raises:
        InvalidInput: something in the folder cannot be shared, or a wish is malformed.
        VerificationFailed, Refused, Unreachable: a web seed does not serve these bytes.
    """
    for url in request.web_seeds:
        check_web_seed(url)
    ingested = await ingest(request.path, name=request.name or None, checkpoint=checkpoint, progress=report)
    manifest = ingested.manifest
    web_seeds = list(request.web_seeds)
    if send:
        for url in web_seeds:
            await _check_seed(session, url, ingested)
        if request.upload:
            web_seeds.append(await upload(request.upload, ingested.root, manifest, progress=report))

    def body() -> RecordBody:
        dataset = Dataset(
            name=manifest.name,
            content_id=manifest.content_id(),
            infohash_v1=infohash_v1_of(info_v1(manifest, ingested.pieces_v1)),
            files=len(manifest.files),
            bytes=manifest.bytes,
            piece_length=manifest.piece_length,
            manifest=manifest.digest(),
            piece_layers=hashlib.sha256(ingested.layers).hexdigest(),
            pieces_v1=hashlib.sha256(ingested.pieces_v1).hexdigest(),
        )
        seeds = tuple(dict.fromkeys(web_seeds))
        made = RecordBody(
            dataset, request.metadata, request.license, seeds, request.copies, request.supersedes
        )
        return RecordBody.parse(made.encode())

    return Prepared(ingested, await asyncio.to_thread(body))


async def _check_seed(session: aiohttp.ClientSession, url: str, ingested: Ingested) -> None:
    if not url.startswith(("http://", "https://")):
        return
    verdict = await probe(session, url, ingested.manifest, ingested.layers, allow_private=True)
    if not verdict.ok:
        kind = VerificationFailed if verdict.lies else Refused
        raise kind(
            f"the web seed {url} cannot be recorded: {verdict.reason}",
            hint=f"It must serve {ingested.manifest.name}/… below that URL, with ranges.",
        )


def _folder_with(ingested: Ingested, aside: Path) -> Path:
    """A folder in which the shared files are found under the dataset's name."""
    name = ingested.manifest.name
    if ingested.root.name == name and is_utf8(str(ingested.root)):
        return ingested.root.parent
    mark = hashlib.sha256(str(ingested.root).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    link = aside / mark / name
    try:
        link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(ingested.root)
    except OSError as error:
        raise Error(f"{link} cannot be made: {error.strerror}") from error
    return link.parent


def read_metadata(path: Path) -> tuple[Metadata, str]:
    """Descriptive metadata from a JSON or TOML file, and its licence or "".

    Raises:
        UsageError: it cannot be read.
        InvalidInput: it holds something else; names the field.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BODY_BYTES)
        fields: Mapping[str, Any]
        fields = tomllib.loads(data.decode()) if path.suffix == ".toml" else jcs.loads(data)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"the metadata file {path} cannot be read: {why}") from error
    if not isinstance(fields, Mapping):
        raise UsageError(f"the metadata file {path} does not hold an object")
    rest = dict(fields)
    terms = rest.pop("license", "")
    if not isinstance(terms, str):
        raise UsageError(f"license in {path} is not text")
    return parse_metadata(rest), terms
