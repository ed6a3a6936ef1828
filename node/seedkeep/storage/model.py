"""What the rooms of the storage manager pass to each other, and what they need from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from seedkeep.core.audit import LeafAt, Opening
from seedkeep.core.manifest import Manifest
from seedkeep.core.statements import Action
from seedkeep.message_fields import utc
from seedkeep.record_document import Record
from seedkeep.registrar_messages import Heartbeat, Lease, NodeProfile, RegistrarInfo, Report


class Phase(StrEnum):
    """Where a dataset is on its way; see :mod:`seedkeep.storage.state` for the moves between them."""

    RESERVED = "reserved"
    CLAIMED = "claimed"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    COMPLETE = "complete"
    REMOVING = "removing"


@dataclass(frozen=True, slots=True)
class Holding:
    """One dataset of this node.

    Args:
        content_id: 64 hex digits.
        phase: where it is on its way.
        reserved: allocated bytes it may take; once complete, what it was measured to take.
        name, bytes, files: of the dataset; the name is "" until the manifest is there.
        manifest: digest of the manifest, "" until it is there.
        infohash_v1: of the companion, from the bytes on disk; "" until all of them were verified.
        since: Unix seconds of the reservation.
        scrubbed: Unix seconds of the last time all bytes were hashed, 0 for never.
        reason: why it is being removed.
        receipts: (registrar, taint id) that get a signed receipt once it is removed.
        withheld: pieces roots of the files that taints have put out of the engine's reach, or deleted.
        obeyed: (registrar, taint id, action) of receipts for what was done short of its removal.
    """

    content_id: str
    phase: Phase
    reserved: int
    bytes: int
    files: int
    since: float
    name: str = ""
    manifest: str = ""
    infohash_v1: str = ""
    scrubbed: float = 0.0
    reason: str = ""
    receipts: tuple[tuple[str, str], ...] = ()
    withheld: tuple[str, ...] = ()
    obeyed: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """One registrar's lease on a dataset.

    Args:
        registrar: its URL.
        expires: Unix seconds, 0 before it was granted.
        lost: Unix seconds since when the registrar does not renew it, 0 while it does.
        trackers, web_seeds: where the registrar says the bytes are to be had.
        home: origin of the registrar that the record belongs to, "" while it was not read.
    """

    content_id: str
    registrar: str
    rid: str
    expires: float = 0.0
    lost: float = 0.0
    trackers: tuple[str, ...] = ()
    web_seeds: tuple[str, ...] = ()
    home: str = ""


class Errand(StrEnum):
    """What has to be told to a registrar, sooner or later."""

    ATTEST = "attest"
    RELEASE = "release"
    RECEIPT = "receipt"
    WEB_SEED = "web-seed"


@dataclass(frozen=True, slots=True)
class Letter:
    """An entry of the outbox. ``fields`` are the arguments of the client's method."""

    registrar: str
    errand: Errand
    content_id: str
    fields: Mapping[str, Any]
    number: int = 0


def receipt_fields(taint: str, action: Action, freed: int, now: float) -> dict[str, Any]:
    """What a receipt says of how a taint was obeyed; ``freed`` in bytes, ``now`` in Unix seconds."""
    return {"taint": taint, "action": action.value, "bytes": freed, "at": utc(now)}


@dataclass(frozen=True, slots=True)
class SharedFolder:
    """Data that a sharer on this machine seeds in place; never deleted, not part of the pledge.

    Args:
        save_path: the folder that holds ``<name>``.
        stamps: (size, mtime in ns) of every file in the manifest's order, as they were shared.
        rid: of the record, "" when not known.
        problem: why it is not seeded, "" while it is.
    """

    content_id: str
    save_path: Path
    stamps: tuple[tuple[int, int], ...]
    rid: str = ""
    trackers: tuple[str, ...] = ()
    web_seeds: tuple[str, ...] = ()
    problem: str = ""


class Registrar(Protocol):
    """What the storage manager asks of :class:`seedkeep.registrar_client.RegistrarClient`."""

    @property
    def url(self) -> str: ...
    async def info(self) -> RegistrarInfo: ...
    async def record(self, rid_or_content_id: str) -> Record: ...
    async def manifest(self, record: Record) -> Manifest: ...
    async def layers(self, record: Record, manifest: Manifest | None = None) -> bytes: ...
    async def enrol(self, profile: NodeProfile) -> Mapping[str, Any]: ...
    async def heartbeat(self, report: Report, *, wait: float = 0.0) -> Heartbeat: ...
    async def claim(self, content_id: str) -> Lease: ...
    async def release(self, content_id: str, reason: str) -> None: ...
    async def attest(self, *, content_id: str, manifest: str, infohash_v1: str) -> None: ...
    async def audit_commit(self, audit: str, commitments: Sequence[str]) -> tuple[LeafAt, ...]: ...
    async def audit_refuse(self, audit: str, why: str) -> None: ...
    async def audit_open(self, audit: str, openings: Sequence[Opening]) -> tuple[str, str]: ...
    async def removal_receipt(
        self, *, taint: str, content_id: str, action: Action, bytes: int, at: str
    ) -> None: ...
    async def report_web_seed(self, *, content_id: str, web_seed: str, reason: str) -> None: ...
    async def taint_head(self) -> str: ...
    async def taint_list(self, sha256: str) -> bytes: ...
