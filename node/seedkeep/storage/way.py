"""One dataset's way from its reservation to being served: claim, papers, bytes, proof.

Each step leaves a row in :mod:`seedkeep.storage.state` from which it goes on after a crash, and each may be
done again. Nothing a registrar supplies is used unchecked: the record is verified by the client, the manifest
gives the content id, the layers give the manifest's roots, and the torrent is built from those.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Collection
from dataclasses import replace

from seedkeep.core.errors import Error, NoSpace, NotFound, Tainted, Unreachable, VerificationFailed
from seedkeep.core.manifest import Manifest
from seedkeep.core.metainfo import info_v1, infohash_v1_of
from seedkeep.engine.model import TorrentSpec
from seedkeep.record_document import Record
from seedkeep.storage.checking import check_whole, copy_files, sizes_are_right
from seedkeep.storage.documents import Papers
from seedkeep.storage.layout import write_durably
from seedkeep.storage.model import Claim, Errand, Holding, Letter, Phase, Registrar
from seedkeep.storage.rooms import Rooms

#: times that files may be wrong although every piece is right, before the record is not believed any more
_CHANCES = 2


class Way:
    """The steps. One instance serves all datasets of a node; for one dataset they run one after another."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._reading = asyncio.Semaphore(2)
        self._loading = asyncio.Semaphore(16)
        self._wrong: dict[str, int] = {}
        self._resume_limits: dict[str, int] = {}
        #: datasets that wait for a source; they do not keep others from being fetched
        self.stalled: set[str] = set()

    async def step(self, holding: Holding) -> bool:
        """Do what comes next; False once the dataset is served, or is not to be worked on.

        Raises:
            Error: it went wrong; Unreachable when trying again may help.
        """
        match holding.phase:
            case Phase.RESERVED:
                await self._claim(holding)
            case Phase.CLAIMED:
                await self._papers(holding)
            case Phase.DOWNLOADING:
                await self._download(holding)
            case Phase.VERIFYING:
                await self._verify(holding)
            case Phase.COMPLETE:
                # After a start everything is loaded, but not at once.
                async with self._loading:
                    return not await self._serve(holding)
            case Phase.REMOVING:
                return False
        return True

    def forget(self, content_id: str) -> None:
        """The dataset is gone."""
        self.stalled.discard(content_id)
        self._wrong.pop(content_id, None)
        self._resume_limits.pop(content_id, None)

    def _claim_of(self, holding: Holding) -> tuple[Registrar, Claim]:
        for claim in self._rooms.state.claims_on(holding.content_id):
            if client := self._rooms.clients.get(claim.registrar):
                return client, claim
        raise NotFound("no registrar that this node serves knows this dataset any more")

    async def _claim(self, holding: Holding) -> None:
        client, claim = self._claim_of(holding)
        lease = await client.claim(holding.content_id)
        granted = replace(claim, expires=lease.expires)
        await self._rooms.state.move(holding.content_id, Phase.CLAIMED, claims=[granted])

    async def _papers(self, holding: Holding) -> None:
        rooms, cid = self._rooms, holding.content_id
        client, claim = self._claim_of(holding)
        record, papers = await _ask(client, claim)
        manifest = papers.manifest
        whole = await asyncio.to_thread(rooms.layout.footprint, manifest)
        async with rooms.pledge.turn:
            if whole > holding.reserved:
                await asyncio.to_thread(
                    rooms.pledge.require, whole, manifest.name, instead_of=holding.reserved
                )
            await rooms.state.amend(cid, reserved=whole, bytes=manifest.bytes, files=len(manifest.files))
        await rooms.documents.store(cid, papers)
        withheld = self._refuse_tainted(holding, manifest)
        trackers = (*record.trackers, *(await client.info()).trackers)
        sources = replace(
            claim,
            trackers=tuple(dict.fromkeys(trackers)),
            web_seeds=record.web_seeds,
            home=record.state.home,
        )
        await rooms.state.move(
            cid,
            Phase.DOWNLOADING,
            claims=[sources],
            name=manifest.name,
            manifest=record.dataset.manifest,
            withheld=tuple(sorted(withheld)),
        )

    def _refuse_tainted(self, holding: Holding, manifest: Manifest) -> frozenset[str]:
        """Once the manifest is stored: a taint that comes later finds the roots in there.

        Returns:
            Pieces roots of the files that must not be had.
        """
        self._rooms.duties.learn(holding.content_id, manifest)
        duty = self._rooms.duties.of(holding.content_id)
        if duty.stop:
            raise Tainted(f"{manifest.name} is tainted: {duty.binding[0].entry.reason}")
        return duty.withheld

    async def _still_withheld(self, holding: Holding) -> frozenset[str]:
        """Pieces roots of the files that are left out; those of a taint that came meanwhile too."""
        known = frozenset(holding.withheld)
        if new := self._rooms.duties.of(holding.content_id).withheld - known:
            known |= new
            await self._rooms.state.amend(holding.content_id, withheld=tuple(sorted(known)))
        return known

    async def _load(self, holding: Holding) -> Papers:
        """The stored papers; damaged ones are asked for again, for the bytes themselves may be fine."""
        rooms, cid = self._rooms, holding.content_id
        try:
            return await rooms.documents.load(cid)
        except Error as error:
            rooms.problems.tell(f"papers of {cid}", f"{error}; the registrar is asked for them again.")
        _, papers = await _ask(*self._claim_of(holding))
        await rooms.documents.store(cid, papers)
        self._refuse_tainted(holding, papers.manifest)
        rooms.problems.clear(f"papers of {cid}")
        return papers

    async def _download(self, holding: Holding) -> None:
        rooms, cid = self._rooms, holding.content_id
        papers = await self._load(holding)
        skip = await self._still_withheld(holding)
        # After a repair they are computed anew; until then nobody may have two of them on the disk.
        await asyncio.to_thread(rooms.layout.document(cid, "pieces").unlink, missing_ok=True)
        await asyncio.to_thread(rooms.layout.prepare, cid)
        whole = await asyncio.to_thread(rooms.layout.footprint, papers.manifest)
        # A repair has only the room that the complete dataset was measured to take.
        roomy = holding.reserved >= whole
        self._resume_limits[cid] = rooms.layout.resume_limit(papers.manifest) if roomy else 0
        folder = rooms.state.shared.get(cid)
        if folder is not None and not folder.problem:
            await rooms.in_thread(
                lambda stop: copy_files(
                    folder.save_path, rooms.layout.save_path(cid), papers.manifest, stop, skip
                )
            )
        else:
            await self._fetch(holding, papers, skip)
        rooms.layout.document(cid, "resume").unlink(missing_ok=True)
        await rooms.state.move(cid, Phase.VERIFYING)

    async def _fetch(self, holding: Holding, papers: Papers, skip: frozenset[str]) -> None:
        rooms, cid = self._rooms, holding.content_id
        resume = await asyncio.to_thread(self._resume, cid)
        spec = replace(await self._spec(holding, papers.manifest, skip), resume=resume)
        await rooms.engine.add(spec)
        probing = asyncio.create_task(self._add_web_seeds(spec, papers))
        try:
            # What was complete before may be the last copy: it waits for a source as long as it takes.
            await self._until_complete(cid, math.inf if holding.scrubbed else rooms.patience.give_up)
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)
            self.stalled.discard(cid)

    async def _spec(self, holding: Holding, manifest: Manifest, skip: frozenset[str]) -> TorrentSpec:
        cid = holding.content_id
        return TorrentSpec(
            metainfo=await self._rooms.documents.torrent(cid),
            save_path=self._rooms.layout.save_path(cid),
            key=cid,
            trackers=self.trackers(cid),
            wanted=wanted_without(manifest, skip),
        )

    def trackers(self, content_id: str) -> tuple[str, ...]:
        """Announce URLs of all registrars that have a claim on a dataset."""
        claims = self._rooms.state.claims_on(content_id)
        return tuple(dict.fromkeys(url for claim in claims for url in claim.trackers))

    async def _add_web_seeds(self, spec: TorrentSpec, papers: Papers) -> None:
        """Use the web seeds that pass a probe; report the others."""
        for claim in self._rooms.state.claims_on(spec.key):
            for url in claim.web_seeds:
                verdict = await self._rooms.probe(url, papers.manifest, papers.layers)
                if verdict.ok:
                    await self._rooms.engine.add(replace(spec, web_seeds=(url,)))
                else:
                    await self.report_web_seed(spec.key, url, verdict.reason)

    async def report_web_seed(self, content_id: str, url: str, reason: str) -> None:
        """Tell the registrars that named a web seed what is wrong with it."""
        fields = {"web_seed": url, "reason": reason}
        await self._rooms.state.post(
            *(
                Letter(claim.registrar, Errand.WEB_SEED, content_id, fields)
                for claim in self._rooms.state.claims_on(content_id)
                if url in claim.web_seeds
            )
        )

    async def _until_complete(self, cid: str, give_up: float) -> None:
        """Wait for the last byte, at most ``give_up`` seconds after the one before.

        Raises:
            NotFound: nobody has sent a byte for a long time.
            NoSpace, Error: the engine cannot go on.
        """
        patience, engine = self._rooms.patience, self._rooms.engine
        have, moved = -1, time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience.tick):
                    await engine.wait_complete(cid)
                    return
            status = engine.status(cid)
            if status.have > have or status.state in ("paused", "checking"):
                have, moved = status.have, time.monotonic()
                self.stalled.discard(cid)
            silent = time.monotonic() - moved
            if silent > give_up:
                raise NotFound("nobody has sent a byte of it for too long")
            if silent > patience.stall:
                self.stalled.add(cid)

    def _resume(self, cid: str) -> bytes | None:
        try:
            return self._rooms.layout.document(cid, "resume").read_bytes()
        except OSError:
            return None

    async def save_resume(self) -> None:
        """Keep what lets unfinished downloads go on without hashing; too much of it is not kept."""
        for cid, data in (await self._rooms.engine.save_changed()).items():
            await self.keep_resume(cid, data)

    async def keep_resume(self, cid: str, data: bytes) -> None:
        """Keep one dataset's resume data, if it is on its way."""
        holding = self._rooms.state.holdings.get(cid)
        if holding is None or holding.phase is not Phase.DOWNLOADING:
            return
        if len(data) <= self._resume_limits.get(cid, 0):
            # Without it the download goes on all the same, after hashing.
            with contextlib.suppress(Error):
                await asyncio.to_thread(write_durably, self._rooms.layout.document(cid, "resume"), data)

    async def _verify(self, holding: Holding) -> None:
        rooms, cid = self._rooms, holding.content_id
        manifest = (await self._load(holding)).manifest
        folder, skip = rooms.layout.save_path(cid), frozenset(holding.withheld)
        async with self._reading:
            found = await rooms.in_thread(lambda stop: check_whole(folder, manifest, stop, skip))
        if found.bad:
            await self._refetch(holding, manifest, found.bad)
            return
        measured = await asyncio.to_thread(self._seal, cid, found.pieces_v1)
        infohash_v1 = ""
        if not skip:
            infohash_v1 = infohash_v1_of(await asyncio.to_thread(info_v1, manifest, found.pieces_v1))
        self._wrong.pop(cid, None)
        rooms.problems.clear(f"dataset {cid}")
        await rooms.state.move(
            cid,
            Phase.COMPLETE,
            reserved=measured,
            infohash_v1=infohash_v1,
            scrubbed=rooms.now(),
            obeyed=holding.obeyed if skip else (),
            letters=[
                Letter(claim.registrar, Errand.ATTEST, cid, attest_fields(holding.manifest, infohash_v1))
                for claim in rooms.state.claims_on(cid)
            ],
        )

    def _seal(self, cid: str, pieces: bytes) -> int:
        """Write the v1 pieces if there are any, drop what only a download needs, and measure. Blocks."""
        layout = self._rooms.layout
        if pieces:
            write_durably(layout.document(cid, "pieces"), pieces)
        layout.document(cid, "resume").unlink(missing_ok=True)
        return layout.taken_by(cid)

    async def _refetch(self, holding: Holding, manifest: Manifest, bad: tuple[str, ...]) -> None:
        """Files are wrong although the engine had every piece: the disk changed them, or the record lies."""
        cid = holding.content_id
        self._wrong[cid] = self._wrong.get(cid, 0) + 1
        what = f"{manifest.name}: {bad[0]}" + (f" and {len(bad) - 1} more" if len(bad) > 1 else "")
        if self._wrong[cid] >= _CHANCES:
            raise VerificationFailed(f"{what} cannot have the checksums that the manifest says")
        self._rooms.problems.tell(f"dataset {cid}", f"{what} was not right on the disk; it is fetched again.")
        await self.unserve(cid)
        await self._rooms.state.move(cid, Phase.DOWNLOADING)

    async def unserve(self, cid: str) -> None:
        """Stop serving; what the engine believed of the disk is forgotten."""
        await self._rooms.engine.remove(cid)
        await asyncio.to_thread(self._rooms.layout.document(cid, "resume").unlink, missing_ok=True)

    async def start_over(self, cid: str) -> None:
        """Throw away what was fetched so far, to free its room; the dataset stays where it is on its way."""
        await self.unserve(cid)
        await asyncio.to_thread(self._rooms.layout.remove_files, cid)

    async def _serve(self, holding: Holding) -> bool:
        """Seed what is complete; False when files are missing and it was sent back."""
        rooms, cid = self._rooms, holding.content_id
        manifest = (await self._load(holding)).manifest
        folder, skip = rooms.layout.save_path(cid), frozenset(holding.withheld)
        if not await asyncio.to_thread(sizes_are_right, folder, manifest, skip):
            rooms.problems.tell(
                f"dataset {cid}", f"Files of {manifest.name} are missing on the disk; they are fetched again."
            )
            await rooms.state.move(cid, Phase.DOWNLOADING)
            return False
        if cid in rooms.state.shared:
            await rooms.engine.remove(cid)
            await rooms.state.drop_shared(cid)
            await asyncio.to_thread(rooms.layout.remove_shared, cid)
        await rooms.engine.add(replace(await self._spec(holding, manifest, skip), complete=True))
        return True


def wanted_without(manifest: Manifest, skip: Collection[str]) -> frozenset[int] | None:
    """Numbers of the files that are left when those with these pieces roots are not wanted; None for all."""
    if not skip:
        return None
    return frozenset(number for number, file in enumerate(manifest.files) if file.root not in skip)


def attest_fields(manifest: str, infohash_v1: str) -> dict[str, str]:
    """What an attestation says besides the content id."""
    return {"manifest": manifest, "infohash_v1": infohash_v1}


async def _ask(client: Registrar, claim: Claim) -> tuple[Record, Papers]:
    """A dataset's record and papers, from the registrar that has the claim.

    Raises:
        VerificationFailed: they are not those of the dataset. Error: it does not give them.
    """
    cid = claim.content_id
    record = await client.record(claim.rid)
    if record.content_id != cid:
        raise VerificationFailed(f"{client.url} offered {cid[:12]}… under the record of other data")
    manifest = await client.manifest(record)
    if await asyncio.to_thread(manifest.content_id) != cid:
        raise VerificationFailed(f"{client.url} sent the manifest of other data for {cid[:12]}…")
    return record, Papers(manifest, await client.layers(record, manifest))


def is_worth_keeping(holding: Holding, error: Error) -> bool:
    """Whether a dataset stays although something that lasts is wrong with it: it is, or was, complete."""
    if holding.phase is Phase.COMPLETE:
        return True
    return bool(holding.scrubbed) and not isinstance(error, VerificationFailed | Tainted)


def is_lasting(error: Error) -> bool:
    """Whether trying again unchanged will not help."""
    return not isinstance(error, Unreachable) and (isinstance(error, NoSpace) or error.code != Error.code)
