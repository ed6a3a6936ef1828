"""A registrar in memory that signs on demand, for fast tests of storage managers, honest and hostile.

It answers like ``docs/protocol.md`` says, through :class:`SimulatedClient`, which has the face of
:class:`seedkeep.registrar_client.RegistrarClient`. What it says can be bent: ``down``, ``head`` (another
taint head), ``manifests`` and ``layers`` (other papers than the record's), ``forget_leases``, ``hasty``
(never hold an answer back), ``taint_heads`` (of others, to pass on) and ``lists`` (theirs), ``refused``
(records that it withholds). ``mirrors`` it names as its peers; what it :meth:`mirror` s it offers while
``stands_in`` is set.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from seedkeep.core import jcs
from seedkeep.core.audit import LEAVES, LeafAt, Opening, draw_numbers, draw_opened, judge
from seedkeep.core.errors import Conflict, InvalidInput, NotFound, Tainted, Unreachable
from seedkeep.core.events import sign_event
from seedkeep.core.identifiers import mint_ark
from seedkeep.core.keys import PrivateKey
from seedkeep.core.manifest import Manifest
from seedkeep.core.metainfo import info_v1, infohash_v1_of
from seedkeep.core.notes import Verifier
from seedkeep.core.record import Dataset as RecordedDataset
from seedkeep.core.record import RecordBody
from seedkeep.core.statements import Action, Attestation, Removal
from seedkeep.core.taints.body import Effect, Order, Subject, SubjectKind
from seedkeep.core.taints.entry import Entry, encode_list
from seedkeep.core.taints.head import Head
from seedkeep.message_fields import utc
from seedkeep.record_document import Record
from seedkeep.registrar_http import TaintedRecord
from seedkeep.registrar_messages import (
    Challenge,
    Heartbeat,
    Lease,
    NodeProfile,
    Offer,
    Peer,
    RegistrarInfo,
    Report,
)
from tests.support.datasets import Dataset, all_leaves
from tests.support.event_log import EventLog

LEASE_S = 3600.0


def pieces_of(dataset: Dataset) -> bytes:
    """The v1 pieces of a dataset, from its bytes."""
    whole = b"".join(dataset.content[f.path] for f in dataset.manifest.files)
    step = dataset.manifest.piece_length
    return b"".join(
        hashlib.sha1(whole[at : at + step], usedforsecurity=False).digest()
        for at in range(0, len(whole), step)
    )


@dataclass
class Audit:
    """One audit on its way."""

    node: str
    content_id: str
    nonce: bytes
    leaves: list[LeafAt]
    commitments: list[str] = field(default_factory=list)
    asked: list[LeafAt] = field(default_factory=list)
    outcome: str = ""
    detail: str = ""


class RegistrarSimulator:
    """The registrar.

    Args:
        now: Unix seconds.
        copies: how many nodes may claim a dataset.
    """

    def __init__(self, now: Callable[[], float], *, name: str = "registrar.test", copies: int = 3) -> None:
        self.now = now
        self.url = f"http://{name}"
        self.key = PrivateKey(hashlib.sha256(name.encode()).digest())
        self.verifier = Verifier(name, self.key.public)
        self.copies = copies
        self.sharer = PrivateKey(hashlib.sha256(b"sharer").digest())
        self.records: dict[str, Record] = {}
        self.datasets: dict[str, Dataset] = {}
        self.claims: dict[tuple[str, str], float] = {}
        self.nodes: dict[str, NodeProfile] = {}
        self.reports: dict[str, Report] = {}
        self.beats: dict[str, int] = {}
        self.attested: list[Attestation] = []
        self.receipts: list[Removal] = []
        self.released: list[tuple[str, str, str]] = []
        self.web_seed_reports: list[tuple[str, str, str]] = []
        self.audits: dict[str, Audit] = {}
        self.to_release: set[str] = set()
        self.companions: set[str] = set()
        self.entries: dict[str, Entry] = {}
        self.taint_version = 1
        self.heartbeat_s = 0.2
        # how it can be bent
        self.down = False
        self.head: str | None = None
        self.manifests: dict[str, Manifest] = {}
        self.layers: dict[str, bytes] = {}
        self.forget_leases = False
        self.hasty = False
        self.taint_heads: list[str] = []
        self.lists: dict[str, bytes] = {}
        self.refused: dict[str, TaintedRecord] = {}
        self.peers: tuple[Peer, ...] = ()
        self.mirrors: list[RegistrarSimulator] = []
        self.mirrored: set[str] = set()
        self.stands_in = False
        self.log = EventLog(self.verifier.name, self.key)
        self._change = asyncio.Event()

    # --- what a test does ------------------------------------------------------------------------------

    def changed(self) -> None:
        """Wake whoever waits."""
        self._change.set()
        self._change = asyncio.Event()

    def client(self, key: PrivateKey) -> SimulatedClient:
        """The registrar as a node with this key sees it."""
        return SimulatedClient(self, key)

    def register(
        self, dataset: Dataset, *, web_seeds: Sequence[str] = (), manifest: Manifest | None = None
    ) -> str:
        """Record a dataset; gives its content id. ``manifest``: a lie about its digests."""
        m = manifest or dataset.manifest
        pieces = pieces_of(dataset)
        body = RecordBody(
            RecordedDataset(
                name=m.name,
                content_id=m.content_id(),
                infohash_v1=infohash_v1_of(info_v1(m, pieces)),
                files=len(m.files),
                bytes=m.bytes,
                piece_length=m.piece_length,
                manifest=m.digest(),
                piece_layers=hashlib.sha256(dataset.layers).hexdigest(),
                pieces_v1=hashlib.sha256(pieces).hexdigest(),
            ),
            web_seeds=tuple(web_seeds),
        )
        created = utc(self.now())
        event = sign_event(
            self.sharer, type="record", body=body.encode(), home=self.verifier.name, created=created
        )
        document: dict[str, Any] = {
            "rid": event.record_id,
            "ark": f"ark:/{mint_ark('99999', event.record_id)}",
            "content_id": m.content_id(),
            "infohash_v1": body.dataset.infohash_v1,
            "name": m.name,
            "trackers": [f"{self.url}/announce"],
            "web_seeds": list(web_seeds),
            "event": jcs.loads(event.leaf()),
            "body": jcs.loads(body.encode()),
            "proof": self.log.append(event),
        }
        record = Record.parse(document, self.verifier)
        self.records[record.rid] = record
        self.datasets[record.content_id] = dataset
        if manifest is not None:
            self.manifests[record.content_id] = manifest
        self.changed()
        return record.content_id

    def mirror(self, home: RegistrarSimulator) -> None:
        """Know all that another registrar has recorded, and be named by it."""
        self.records.update(home.records)
        self.datasets.update(home.datasets)
        self.mirrored.update(home.records)
        if self not in home.mirrors:
            home.mirrors.append(self)

    def rid_of(self, content_id: str) -> str:
        """The rid of a dataset's record."""
        return next(r.rid for r in self.records.values() if r.content_id == content_id)

    def taint(
        self, subject: str, *, reason: str = "withdrawn", effect: str = "remove", lasts: float = 0.0
    ) -> str:
        """Place a taint on ``kind:hex``; gives its id. ``lasts``: seconds, 0 for ever."""
        taint = hashlib.sha256(f"{self.url} {subject} {len(self.entries)}".encode()).hexdigest()
        by = (str(self.sharer.public),)
        until = utc(self.now() + lasts) if lasts else ""
        order = Order(Subject.parse(subject), "other", reason, Effect(effect), expires=until)
        self.entries[taint] = Entry(taint, order, utc(self.now()), by)
        self.taint_version += 1
        self.changed()
        return taint

    def lift(self, taint: str) -> None:
        """Lift a taint."""
        self.entries[taint] = replace(self.entries[taint], lifted="1" * 64)
        self.taint_version += 1
        self.changed()

    def head_note(self, *, version: int | None = None, expires: float | None = None) -> str:
        """The taint head as signed now, or one that is bent."""
        return self.taint_head(version=version, expires=expires).sign(self.key)

    def taint_head(self, *, version: int | None = None, expires: float | None = None) -> Head:
        """The same before it is signed."""
        digest = hashlib.sha256(encode_list(self.entries.values())).hexdigest()
        until = int(self.now() + 24 * 3600 if expires is None else expires)
        number = self.taint_version if version is None else version
        return Head(self.verifier.name, number, 10 + number, digest, until)

    def audit(self, node: PrivateKey, content_id: str) -> Audit:
        """Challenge a node."""
        number = f"audit-{len(self.audits)}"
        nonce = hashlib.sha256(number.encode()).digest()
        every = all_leaves(self.datasets[content_id].manifest)
        leaves = [every[n] for n in draw_numbers(nonce, len(every), LEAVES)]
        self.audits[number] = found = Audit(str(node.public), content_id, nonce, leaves)
        self.changed()
        return found

    async def until(self, condition: Callable[[], Any], *, seconds: float = 60.0) -> None:
        """Wait for something to become true, here or in a node."""
        async with asyncio.timeout(seconds):
            while not condition():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await self._change.wait()

    def holders(self, content_id: str) -> set[str]:
        """Nodes that have attested a dataset."""
        return {a.node for a in self.attested if a.content_id == content_id}


@dataclass(frozen=True)
class SimulatedClient:
    """One node's client."""

    sim: RegistrarSimulator
    key: PrivateKey

    @property
    def url(self) -> str:
        return self.sim.url

    @property
    def _node(self) -> str:
        return str(self.key.public)

    async def _up(self) -> None:
        await asyncio.sleep(0)
        if self.sim.down:
            raise Unreachable(f"the registrar {self.url} cannot be reached")

    async def info(self) -> RegistrarInfo:
        await self._up()
        sim = self.sim
        return RegistrarInfo(
            origin=sim.verifier.name,
            public_url=sim.url,
            vkey=sim.verifier,
            naan="99999",
            version="test",
            trackers=(f"{sim.url}/announce",),
            heartbeat_s=sim.heartbeat_s,
            registration="open",
            peers=(*sim.peers, *(Peer(m.url, m.verifier) for m in sim.mirrors)),
            max_object_bytes=1 << 30,
            now=sim.now(),
        )

    async def record(self, rid_or_content_id: str) -> Record:
        await self._up()
        if refusal := self.sim.refused.get(rid_or_content_id):
            raise refusal
        for record in self.sim.records.values():
            if rid_or_content_id in (record.rid, record.content_id):
                return record
        raise NotFound("no such record")

    async def manifest(self, record: Record) -> Manifest:
        await self._up()
        return self.sim.manifests.get(record.content_id, self.sim.datasets[record.content_id].manifest)

    async def layers(self, record: Record, manifest: Manifest | None = None) -> bytes:
        await self._up()
        return self.sim.layers.get(record.content_id, self.sim.datasets[record.content_id].layers)

    async def enrol(self, profile: NodeProfile) -> Mapping[str, Any]:
        await self._up()
        self.sim.nodes[self._node] = profile
        return {}

    async def heartbeat(self, report: Report, *, wait: float = 0.0) -> Heartbeat:
        sim, node = self.sim, self._node
        await self._up()
        sim.reports[node] = report
        sim.beats[node] = sim.beats.get(node, 0) + 1
        sim.changed()
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            change = sim._change
            answer = self._answer(report)
            news = answer.offers or answer.release or answer.challenges
            news = news or set(answer.companions) - set(report.companions)
            stale = report.taints is None or report.taints[0] < sim.taint_version
            left = until - loop.time()
            if news or stale or sim.hasty or left <= 0:
                return answer
            try:
                async with asyncio.timeout(left):
                    await change.wait()
            except TimeoutError:
                continue
            await self._up()

    def _answer(self, report: Report) -> Heartbeat:
        sim, node = self.sim, self._node
        named = {c.content_id for c in report.claims}
        mine = {cid for (cid, who) in sim.claims if who == node}
        leases = () if sim.forget_leases else tuple(sorted(named & mine))
        challenges = tuple(
            Challenge(number, a.content_id, a.nonce, tuple(a.leaves), 20.0)
            for number, a in sim.audits.items()
            if a.node == node and not a.outcome and not a.commitments
        )
        return Heartbeat(
            now=sim.now(),
            taint_head=sim.head or sim.head_note(),
            taint_heads=tuple(sim.taint_heads),
            offers=self._offers(report, mine | named),
            leases=tuple(Lease(cid, sim.now() + LEASE_S) for cid in leases),
            release=tuple(sorted(sim.to_release & mine)),
            challenges=challenges,
            companions=tuple(sorted(sim.companions & named)),
        )

    def _offers(self, report: Report, held: set[str]) -> tuple[Offer, ...]:
        if report.state != "active":
            return ()
        # Sizes are not looked at: what is too large for a node is for the node to notice.
        return tuple(
            Offer(r.content_id, r.rid, r.dataset.bytes, r.dataset.files)
            for r in self.sim.records.values()
            if r.content_id not in held and self._wanted(r) and not self._tainted(r.content_id)
            if self.sim.stands_in or r.rid not in self.sim.mirrored
        )[:10]

    def _wanted(self, record: Record) -> bool:
        return sum(cid == record.content_id for cid, _ in self.sim.claims) < self.sim.copies

    def _tainted(self, content_id: str) -> bool:
        roots = {f.root for f in self.sim.datasets[content_id].manifest.files if f.root}
        standing = [
            e.subject.value
            for e in self.sim.entries.values()
            if e.effect.withholds and e.stands(self.sim.now())
        ]
        return content_id in standing or self.sim.rid_of(content_id) in standing or roots <= set(standing)

    async def claim(self, content_id: str) -> Lease:
        await self._up()
        pair = (content_id, self._node)
        if self._tainted(content_id):
            raise Tainted("this is tainted")
        if pair not in self.sim.claims and not self._wanted(await self.record(content_id)):
            raise Conflict("enough nodes have it")
        self.sim.claims[pair] = self.sim.now() + LEASE_S
        self.sim.changed()
        return Lease(content_id, self.sim.claims[pair])

    async def release(self, content_id: str, reason: str) -> None:
        await self._up()
        if self.sim.claims.pop((content_id, self._node), None) is None:
            raise NotFound("there is no such claim")
        self.sim.released.append((self._node, content_id, reason))
        self.sim.changed()

    async def attest(self, *, content_id: str, manifest: str, infohash_v1: str) -> None:
        await self._up()
        said = Attestation(content_id, manifest, infohash_v1, self._node, utc(self.sim.now()))
        self.sim.attested.append(Attestation.parse(said.sign(self.key)))
        self.sim.changed()

    async def audit_commit(self, audit: str, commitments: Sequence[str]) -> tuple[LeafAt, ...]:
        await self._up()
        found = self.sim.audits[audit]
        found.commitments = list(commitments)
        found.asked = draw_opened(found.leaves, b"second")
        return tuple(found.asked)

    async def audit_refuse(self, audit: str, why: str) -> None:
        await self._up()
        self.sim.audits[audit].outcome = f"refused: {why}"
        self.sim.changed()

    async def audit_open(self, audit: str, openings: Sequence[Opening]) -> tuple[str, str]:
        await self._up()
        a = self.sim.audits[audit]
        outcome, detail = judge(
            self.sim.datasets[a.content_id].manifest.files,
            nonce=a.nonce,
            commitments=dict(zip(a.leaves, a.commitments, strict=True)),
            asked=a.asked,
            openings=list(openings),
        )
        a.outcome, a.detail = outcome.value, detail
        self.sim.changed()
        return a.outcome, detail

    async def removal_receipt(
        self, *, taint: str, content_id: str, action: Action, bytes: int, at: str
    ) -> None:
        await self._up()
        said = Removal(taint, content_id, action, bytes, self._node, at)
        self.sim.receipts.append(Removal.parse(said.sign(self.key)))
        if action is Action.REMOVED and self.sim.entries[taint].subject.kind is not SubjectKind.ROOT:
            self.sim.claims.pop((content_id, self._node), None)
        self.sim.changed()

    async def report_web_seed(self, *, content_id: str, web_seed: str, reason: str) -> None:
        await self._up()
        self.sim.web_seed_reports.append((content_id, web_seed, reason))
        self.sim.changed()

    async def taint_head(self) -> str:
        await self._up()
        return self.sim.head or self.sim.head_note()

    async def taint_list(self, sha256: str) -> bytes:
        await self._up()
        data = self.sim.lists.get(sha256) or encode_list(self.sim.entries.values())
        if hashlib.sha256(data).hexdigest() != sha256:
            raise InvalidInput("no such list")
        return data
