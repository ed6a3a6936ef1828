"""Entering a record: every table that knows of it, in the transaction in which its first event counts.

Whoever calls this has checked the event and its objects, and has indexed the manifest: for a dataset that is
registered here :mod:`.registration`, for one of another registrar :mod:`.federation.applying`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from seedkeep.core.errors import Conflict
from seedkeep.core.record import RecordBody
from seedkeep_registrar import documents
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.database import Unavailable
from seedkeep_registrar.documents import Found
from seedkeep_registrar.indexing import Slice, index_slice
from seedkeep_registrar.search import index as search_index
from seedkeep_registrar.store import (
    aliases,
    datasets,
    files,
    private_seeds,
    records,
    taint_marks,
    taints,
    uploads,
)
from seedkeep_registrar.store.datasets import Dataset
from seedkeep_registrar.store.events import Stored
from seedkeep_registrar.store.records import Record
from seedkeep_registrar.store.taints import Taint


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was made ready outside the transaction.

    Args:
        body, data: what the event says, read and as it is stored.
        paths: the first ones of the dataset, to be searched.
        rest: the last slice of its files, which is indexed with the record.
    """

    body: RecordBody
    data: bytes
    paths: list[str]
    rest: Slice


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record belongs.

    Args:
        ark: ``NAAN/sk…``
        series: rid of the first of its versions.
        account: id of the account here for which this registrar has signed, or "".
        offered: its dataset is offered to nodes of this registrar.
    """

    ark: str
    series: str
    account: str
    offered: bool


def touch_objects(registrar: Registrar, body: RecordBody) -> None:
    """Keep a dataset's objects from being dropped as orphans; in the transaction that names them.

    Raises:
        Conflict: one is gone.
    """
    for what, sha256 in objects_of(body):
        if not registrar.objects.touch(sha256):
            raise Conflict(f"the {what} {sha256[:12]}… is gone", hint="Upload it again.")


def objects_of(body: RecordBody) -> tuple[tuple[str, str], ...]:
    """What the objects of a dataset are, and their digests."""
    d = body.dataset
    return (("manifest", d.manifest), ("piece layers", d.piece_layers), ("v1 pieces", d.pieces_v1))


def index_rest(connection: Connection, ready: Prepared, now: float) -> int:
    """Index the last slice, unless that was done for another record; the manifest's id.

    Raises:
        Unavailable: somebody else is at it.
    """
    dataset, rest = ready.body.dataset, ready.rest
    manifest_id, indexed = files.begin_manifest(connection, dataset.manifest, dataset.content_id, now)
    if indexed == rest.first:
        indexed = index_slice(connection, manifest_id, rest)
    if indexed != dataset.files:
        raise Unavailable("this dataset is being registered by somebody else now", hint="Try again.")
    return manifest_id


def standing_on(
    connection: Connection, rid: str, ready: Prepared, manifest_id: int, home: str
) -> list[Taint]:
    """The taints that bind here on a record to be made, whose home this is."""
    return taints.standing_on_new_record(connection, rid, ready.body.dataset.content_id, manifest_id, home)


def enter(
    connection: Connection,
    registrar: Registrar,
    stored: Stored,
    ready: Prepared,
    place: Place,
    manifest_id: int,
    standing: list[Taint],
) -> Found:
    """Make the record of an event that counts since this transaction.

    Args:
        manifest_id, standing: of :func:`index_rest` and :func:`standing_on`.
    """
    event, body, dataset = stored.event, ready.body, ready.body.dataset
    rid = event.record_id
    wanted = max(body.copies, registrar.settings.min_copies)
    new_content = datasets.put(
        connection,
        Dataset(
            content_id=dataset.content_id,
            short_id=dataset.content_id[:40],
            name=dataset.name,
            files=dataset.files,
            bytes=dataset.bytes,
            publisher=event.by,
            subjects=body.metadata.keywords,
            wanted=wanted,
            created=registrar.clock(),
            servable=True,
            offered=place.offered,
            complete=0,
            held=0,
            missing=wanted,
        ),
    )
    record = Record(
        rid=rid,
        position=stored.position,
        ark=place.ark,
        content_id=dataset.content_id,
        infohash_v1=dataset.infohash_v1,
        manifest_id=manifest_id,
        steward=event.by,
        name=dataset.name,
        title=body.metadata.title,
        files=dataset.files,
        bytes=dataset.bytes,
        license=body.license,
        copies=body.copies,
        created=event.created,
        web_seeds=body.web_seeds,
        body_sha256=event.body_sha256,
        manifest=dataset.manifest,
        piece_layers=dataset.piece_layers,
        pieces_v1=dataset.pieces_v1,
        seq=0,
        head=rid,
        state_sha256=event.body_sha256,
        updated=event.created,
        stewards=body.stewards or (event.by,),
        subjects=body.metadata.keywords,
        supersedes=body.supersedes,
        series=place.series,
        account=place.account,
        withdrawn="",
        home=event.home,
        fork="",
    )
    records.add(connection, record)
    content_id, home = dataset.content_id, event.home
    withheld = taint_marks.mark_new(connection, rid, content_id, standing)
    advised = taint_marks.advise_new(connection, rid, content_id, manifest_id, home, standing)
    if any(map(private_seeds.is_private, body.web_seeds)):
        namer = private_seeds.Namer(event.by, place.account)
        private_seeds.put(connection, rid, body.web_seeds, namer)
    uploads.named(connection, (dataset.manifest, dataset.piece_layers, dataset.pieces_v1))
    aliases.add(connection, rid, aliases.DOI, body.metadata.dois)
    if not withheld:
        search_index.add(connection, record, body.metadata, ready.paths)
    if new_content and not body.supersedes and not (standing or advised):
        return documents.of_new(record, stored, ready.data, wanted=wanted)
    return documents.read(connection, record)
