"""Fetching a dataset from peers, web seeds, or both at once, into verified files.

What it promises: only bytes that belong to the content id are kept; files appear under their names whole
or not at all; nothing of the person's is overwritten unless told so; an interrupted fetch goes on where it
was, also after ``kill -9``; it goes on without its registrar as long as somebody has the bytes.

Everything is fetched into ``.seedkeep-<content id>`` beside the target, on the same file system. What came
by the v1 companion, whose hashes are only the sharer's claim, is read again and held against the v2 roots.
The md5 and SHA-256 of a record are the sharer's claim as well, until a node has attested them: then they
are not computed again here (``seedkeep verify`` does).
"""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp

from seedkeep.beside import leave_note
from seedkeep.config import ClientSettings, listen_on
from seedkeep.core.errors import Error, Unreachable, VerificationFailed
from seedkeep.core.metainfo import MetaFile, torrent_v1, torrent_v2
from seedkeep.core.paths import printable
from seedkeep.discovery import Neighbour
from seedkeep.download import Brought, Download, FetchProgress, Road
from seedkeep.engine.model import Engine, EngineSettings, PeerBanned, WebSeedDropped
from seedkeep.file_digests import Wanted, digest_files
from seedkeep.placing import Layout, already_there, check_room, put_in_place, select, work_directory
from seedkeep.proof_file import leave_proof
from seedkeep.resolve import Contents, Resolved, Resolver
from seedkeep.taint_told import heed
from seedkeep.webseeds.guard import public_addresses
from seedkeep.webseeds.probe import probe

T = TypeVar("T")

#: so many pieces more by the v2 torrent take longer than a companion that has to be loaded somewhere first
_MANY_PIECES = 20_000
#: seconds between two reports of what is read through
_TELL_S = 0.1


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What the person asked for.

    Args:
        out: the directory to put the dataset into; made when it is not there.
        include, exclude: shell patterns over paths in the dataset.
        force: replace differing files.
        peers, web_seeds: which sources may be used.
    """

    out: Path
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    force: bool = False
    peers: bool = True
    web_seeds: bool = True


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What came: ``path`` of the dataset (or of the one file that was named); bytes by their source."""

    path: Path
    files: int
    bytes: int
    seconds: float
    peers_bytes: int
    web_seed_bytes: int


@dataclass(frozen=True)
class Fetcher:
    """What a fetch needs of the world.

    Args:
        engine: makes an engine from its settings.
        report: is told of progress.
        note: is told, in one sentence, of what was survived: a lying web seed, a banned peer.
        lan_nodes: finds nodes on the local network; asked when no registrar answered.
    """

    resolver: Resolver
    session: aiohttp.ClientSession
    settings: ClientSettings
    engine: Callable[[EngineSettings], Engine]
    report: Callable[[FetchProgress], None]
    note: Callable[[str], None]
    lan_nodes: Callable[[], Awaitable[list[Neighbour]]] | None = None

    async def fetch(self, found: Resolved, request: FetchRequest) -> FetchResult:
        """Get what ``found`` names.

        Raises:
            Refused: something else is in the way (nothing was changed).
            NotFound: there is no such file in it.
            NoSpace: the disk cannot take it.
            Tainted: files that are wanted are withheld.
            VerificationFailed: the bytes that came, or the record's lists, are not what they claim to be.
            Unreachable: nobody gives the bytes.
        """
        began = time.monotonic()
        contents = await self._contents(found)
        layout, roads = await asyncio.to_thread(_plan, found, contents, request.out.absolute())
        wanted = select(layout, found.path, request.include, request.exclude)
        if found.record is not None and contents is not None:
            paths = [layout.files[index].path for index in wanted]
            heed(found.record, contents.manifest, paths, found.registrar, self.note)
        total = layout.size(wanted)
        present = await self._read_through(
            "checking",
            total,
            lambda stop, advance: already_there(
                layout, wanted, force=request.force, stop=stop, advance=advance
            ),
        )
        missing = wanted - present
        brought = Brought(2, 0, 0)
        if missing:
            with work_directory(layout.out, roads[0].key[:16]) as work:
                await asyncio.to_thread(check_room, layout, missing, work)
                if layout.size(missing):
                    brought = await self._download(found, contents, request, layout, roads, missing, work)
                await self._verify(found, layout, missing, brought.version, work)
                self.report(FetchProgress("placing", total, total))
                await asyncio.to_thread(put_in_place, layout, missing, work, force=request.force)
                await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
        if found.record is not None:
            await asyncio.to_thread(leave_note, layout.out, found.record, found.registrar)
            await asyncio.to_thread(leave_proof, layout.out, found.record)
        return FetchResult(
            _shown(layout, found.path),
            len(wanted),
            total,
            round(time.monotonic() - began, 3),
            brought.peers_bytes,
            brought.web_seed_bytes,
        )

    async def _contents(self, found: Resolved) -> Contents | None:
        if found.record is None:
            return None
        try:
            return await self.resolver.contents(found)
        except Unreachable:
            # a torrent file is enough to go on
            if found.torrent is None:
                raise
            return None

    # -------------------------------------------------------------------------------------------------

    async def _download(
        self,
        found: Resolved,
        contents: Contents | None,
        request: FetchRequest,
        layout: Layout,
        roads: tuple[Road, ...],
        missing: frozenset[int],
        work: Path,
    ) -> Brought:
        private = self.settings.private_web_seeds or await _is_private(found.registrar)
        engine = self.engine(
            EngineSettings(
                listen=listen_on(self.settings.listen, self.settings.port),
                dht=self.settings.dht and request.peers,
                lsd=self.settings.lsd and request.peers,
                down_limit=self.settings.down_limit,
                up_limit=self.settings.up_limit,
                private_web_seeds=private,
            )
        )
        download = Download(
            engine,
            _quicker_first(roads, layout, missing),
            layout,
            work,
            missing,
            trackers=found.trackers if request.peers else (),
            peers=found.peers if request.peers else (),
            stall=self.settings.stall,
            report=self.report,
        )
        try:
            await engine.start()
            async with (
                _beside(self._tell_events(engine, found)),
                _beside(self._find_neighbours(found, request, download)),
            ):
                return await self._run(found, contents, request, download, private)
        finally:
            resumes = await engine.close()
            await asyncio.to_thread(download.keep_resume, dict(resumes))

    async def _run(
        self,
        found: Resolved,
        contents: Contents | None,
        request: FetchRequest,
        download: Download,
        private: bool,
    ) -> Brought:
        """Run the download and probe web seeds beside it; their failure counts when there are no peers."""
        run = asyncio.ensure_future(download.run())
        seeds = asyncio.ensure_future(self._web_seeds(found, contents, request, download, private))
        try:
            await asyncio.wait({run, seeds}, return_when=asyncio.FIRST_COMPLETED)
            if seeds.done():
                await seeds
            return await run
        finally:
            for task in (run, seeds):
                task.cancel()
            await asyncio.gather(run, seeds, return_exceptions=True)

    async def _web_seeds(
        self,
        found: Resolved,
        contents: Contents | None,
        request: FetchRequest,
        download: Download,
        private: bool,
    ) -> None:
        """Probe every web seed and use the good ones.

        Raises:
            Unreachable, VerificationFailed: none is good, and peers may not be used.
        """
        urls = found.web_seeds if request.web_seeds else ()
        failures: list[tuple[str, bool]] = []

        async def one(url: str) -> None:
            if contents is not None:
                verdict = await probe(
                    self.session, url, contents.manifest, contents.layers, allow_private=private
                )
                if not verdict.ok:
                    failures.append((f"{url}: {verdict.reason}", verdict.lies))
                    self.note(f"the web seed {url} is not used: {verdict.reason}")
                    await self._report_seed(found, url, verdict.reason)
                    return
            await download.use_web_seed(url)

        await asyncio.gather(*(one(url) for url in urls))
        if request.peers or len(failures) < len(urls):
            return
        if not urls:
            raise Unreachable(
                f"{printable(_name(found))} has no web seeds, and peers are not to be asked",
                hint="Leave out --no-peers and --no-web-seeds.",
            )
        kind = VerificationFailed if any(lies for _, lies in failures) else Unreachable
        raise kind(
            "no web seed can be used: " + "; ".join(text for text, _ in failures[:5]),
            hint="Try again later, or without --no-peers.",
        )

    async def _report_seed(self, found: Resolved, url: str, reason: str) -> None:
        """Tell the registrar; only about the record's own web seeds, and only if it listens."""
        if found.client is not None and found.record is not None and url in found.record.web_seeds:
            with suppress(Error):
                await found.client.report_web_seed(
                    content_id=found.record.content_id, web_seed=url, reason=reason
                )

    async def _tell_events(self, engine: Engine, found: Resolved) -> None:
        async for event in engine.events():
            if isinstance(event, WebSeedDropped):
                self.note(f"the web seed {event.url} was dropped: {event.reason}")
                await self._report_seed(found, event.url, event.reason)
            elif isinstance(event, PeerBanned):
                self.note(f"the peer {event.peer} sent wrong bytes and was banned")

    async def _find_neighbours(self, found: Resolved, request: FetchRequest, download: Download) -> None:
        """Without a registrar there is no tracker: ask the nodes on the local network."""
        if found.client is None and request.peers and self.lan_nodes is not None:
            for node in await self.lan_nodes():
                for address in node.addresses[:4]:
                    await download.use_peer(address, node.port)

    # -------------------------------------------------------------------------------------------------

    async def _verify(
        self, found: Resolved, layout: Layout, indexes: frozenset[int], version: int, work: Path
    ) -> None:
        """Read what came once more where the torrent alone does not prove it."""
        manifest = layout.manifest
        by_name = found.by_hash or (found.record is not None and not _attested(found))
        if manifest is None or not (by_name or version == 1):
            return
        total = layout.size(indexes)

        def wrong(stop: threading.Event, advance: Callable[[int], None]) -> list[str]:
            wanted = [
                Wanted(str(i), layout.place(i, work), layout.files[i].size)
                for i in sorted(indexes)
                if layout.files[i].size
            ]
            problems = []
            for got in digest_files(wanted, layout.piece_length, stop=stop, advance=advance):
                entry = manifest.files[int(got.path)]
                names = [
                    name for name in ("md5", "sha256", "root") if getattr(got, name) != getattr(entry, name)
                ]
                if names:
                    problems.append(f"{entry.path} ({got.problem or ', '.join(names)})")
                    layout.place(int(got.path), work).unlink(missing_ok=True)
            return problems

        problems = await self._read_through("verifying", total, wrong)
        if problems:
            more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
            raise VerificationFailed(
                f"the record of {printable(layout.name)} contradicts itself: what its torrent gives has "
                f"other digests than its manifest says: {', '.join(problems[:5])}{more}",
                hint="Nothing was put in place. Tell the registrar, or try another record of these data.",
            )

    async def _read_through(
        self, phase: str, total: int, work: Callable[[threading.Event, Callable[[int], None]], T]
    ) -> T:
        """Run blocking reading in a thread, with progress, ending when cancelled."""
        loop, stop, lock = asyncio.get_running_loop(), threading.Event(), threading.Lock()
        done, told = 0, 0.0

        def advance(count: int) -> None:
            nonlocal done, told
            with lock:
                done += count
                now = time.monotonic()
                # the loop is not to be woken for each of very many files
                if now - told < _TELL_S and done < total:
                    return
                told = now
            loop.call_soon_threadsafe(self.report, FetchProgress(phase, min(done, total), total))

        try:
            return await asyncio.to_thread(work, stop, advance)
        finally:
            stop.set()


def _plan(found: Resolved, contents: Contents | None, out: Path) -> tuple[Layout, tuple[Road, ...]]:
    if contents is not None:
        manifest = contents.manifest
        files = tuple(MetaFile(f.path, f.size, f.root or None) for f in manifest.files)
        record = found.record
        assert record is not None
        roads = (
            Road(2, record.content_id, torrent_v2(manifest, contents.layers)),
            Road(1, record.dataset.infohash_v1, torrent_v1(manifest, contents.pieces_v1)),
        )
        return Layout(manifest.name, files, manifest.piece_length, out, manifest), roads
    if found.torrent is None:
        raise Unreachable("neither a record nor a torrent is at hand")
    meta, data = found.torrent
    layout = Layout(meta.name, meta.files, meta.piece_length, out, None, meta.pieces)
    return layout, (Road(meta.version, meta.info_hash, data),)


def _quicker_first(roads: tuple[Road, ...], layout: Layout, wanted: frozenset[int]) -> tuple[Road, ...]:
    """For a tree of very many small files, the v1 companion: a v2 piece never spans files, and each costs."""
    by_file = sum(-(-layout.files[i].size // layout.piece_length) for i in wanted)
    end_to_end = layout.size(wanted) // layout.piece_length
    return roads[::-1] if by_file - end_to_end > _MANY_PIECES else roads


def _name(found: Resolved) -> str:
    if found.record is not None:
        return found.record.dataset.name
    return found.torrent[0].name if found.torrent else "it"


def _attested(found: Resolved) -> bool:
    """Whether, by its registrar's word, some node has read all bytes and found the digests right."""
    copies = found.record.document.get("copies") if found.record else None
    nodes = copies.get("nodes") if isinstance(copies, dict) else None
    return isinstance(nodes, list) and any(isinstance(n, dict) and bool(n.get("attested")) for n in nodes)


def _shown(layout: Layout, path: str) -> Path:
    for index, file in enumerate(layout.files):
        if path and file.path == path:
            return layout.place(index)
    return layout.out / layout.name


async def _is_private(registrar: str) -> bool:
    """Whether the registrar itself is in a private network, so that its web seeds may be as well."""
    parts = urlsplit(registrar)
    if not parts.hostname:
        return False
    try:
        await public_addresses(parts.hostname, parts.port or 443)
    except Unreachable:
        return False
    except Error:
        return True
    return False


@asynccontextmanager
async def _beside(work: Awaitable[None]) -> AsyncIterator[None]:
    """Run something beside the block; what goes wrong in it is no harm, and it ends with the block."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
