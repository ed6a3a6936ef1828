"""The record document: everything a client or a page needs to know of one record, as plain JSON values.

:func:`record_document` raises :class:`TaintedRecord` for a tainted record; nothing else gives out torrents,
magnets and web seeds of a record. A withdrawn record raises :class:`WithdrawnRecord`, whose members are all
that is still said of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from seedkeep.core import jcs
from seedkeep.core.errors import NotFound
from seedkeep.core.events import MAX_BODY_BYTES
from seedkeep.core.identifiers import Kind
from seedkeep.core.metainfo import carried_web_seeds, magnet_v1, magnet_v2
from seedkeep_registrar import times
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.problems import TaintedRecord, WithdrawnRecord
from seedkeep_registrar.store import claims, datasets, events, peers, records, taint_marks, taints
from seedkeep_registrar.store.claims import COMPLETE, Copy
from seedkeep_registrar.store.events import OWN, Stored
from seedkeep_registrar.store.records import Record, Version
from seedkeep_registrar.store.taints import Taint

_TAINTS_TOLD = 1000
_OF_RECORD = tuple(name for name in Version.__slots__ if name != "tainted")


@dataclass(frozen=True, slots=True)
class Found:
    """What the database knows of one record, read in one transaction.

    Args:
        event, body: of its first event, which is ``first``.
        newest: event and body of its newest one, which is ``last``; None when it has only one.
        metadata: what is said of it now.
        versions: all of its series, oldest first.
        taints: that withhold it.
        notes: taints that do not, but warn of it or withhold the files at the paths ``withheld``.
        advice: taints of other registrars that bind nobody here.
        home_url: see :func:`home_url`, written down with the proofs.
        proofs: that ``first``, and ``last`` if there is one, are in the log, see :func:`proven`; what was
            written in this transaction has none yet.
    """

    record: Record
    first: Stored
    event: dict[str, Any]
    body: dict[str, Any]
    last: Stored | None
    newest: dict[str, Any] | None
    metadata: dict[str, Any]
    versions: tuple[Version, ...]
    wanted: int
    copies: tuple[Copy, ...]
    taints: tuple[Taint, ...]
    notes: tuple[Taint, ...] = ()
    withheld: tuple[str, ...] = ()
    advice: tuple[Taint, ...] = ()
    home_url: str = ""
    proofs: tuple[str, ...] = ()


def of_new(record: Record, first: Stored, body: bytes, *, wanted: int) -> Found:
    """What :func:`read` says of a record just made that replaces none, of content that is new here."""
    state = jcs.loads(body)
    version = Version(**{name: getattr(record, name) for name in _OF_RECORD}, tainted=False)
    return Found(
        record,
        first,
        jcs.loads(first.event.leaf()),
        state,
        None,
        None,
        state.get("metadata", {}),
        (version,),
        wanted,
        (),
        (),
    )


def read(connection: Connection, record: Record) -> Found:
    """Read the rest of a record, all but the proofs that :func:`render` needs."""
    first = events.at(connection, record.position)
    newest = events.head_of(connection, record.rid) if record.seq else None
    assert first is not None
    dataset = datasets.by_content_id(connection, record.content_id)
    body = _body(connection, record.body_sha256)
    noted = taint_marks.notes(connection, record.rid)
    state = body if record.state_sha256 == record.body_sha256 else _body(connection, record.state_sha256)
    return Found(
        record,
        first,
        jcs.loads(first.event.leaf()),
        body,
        newest,
        signed_document(newest, _body(connection, newest.event.body_sha256)) if newest else None,
        state.get("metadata", {}),
        tuple(records.versions(connection, record.series)),
        dataset.wanted if dataset else record.copies,
        tuple(claims.copies(connection, record.content_id)),
        tuple(taints.standing_on_record(connection, record.rid)),
        tuple(noted),
        tuple(taint_marks.withheld_paths(connection, record.manifest_id, noted)) if noted else (),
        tuple(taint_marks.advice(connection, record.rid)),
    )


def _body(connection: Connection, sha256: str) -> dict[str, Any]:
    """A body, or nothing when it has been dropped."""
    body = events.body(connection, sha256)
    return dict(jcs.loads(body, limit=MAX_BODY_BYTES)) if body is not None else {}


def signed_document(stored: Stored, body: dict[str, Any]) -> dict[str, Any]:
    """An event with its body, as others verify it."""
    return {"event": jcs.loads(stored.event.leaf()), "body": body}


def proven(connection: Connection, registrar: Registrar, found: Found) -> Found:
    """A record with the proofs that its events are in the log; not in a transaction that writes."""
    there = [found.first, *([found.last] if found.last else [])]
    made = [registrar.proofs.of(connection, one.log, one.index) for one in there]
    return replace(found, proofs=tuple(made), home_url=home_url(connection, registrar, found.record))


def home_url(connection: Connection, registrar: Registrar, record: Record) -> str:
    """The URL of the registrar that a record belongs to; "" when it is not known here."""
    if record.home == registrar.origin:
        return registrar.public_url
    return peers.url_of(connection, record.home)


def web_seeds_of(connection: Connection, registrar: Registrar, content_id: str) -> tuple[str, ...]:
    """The base URLs a client can use for this content, those of private storage last."""
    found = {
        seed: None
        for record in records.servable(connection, content_id)
        for seed in registrar.web_seeds(content_id, record.web_seeds, home_url(connection, registrar, record))
    }
    return tuple(sorted(found, key=lambda seed: seed.endswith(f"/ws/{content_id}/")))


async def proven_now(registrar: Registrar, found: Found) -> Found:
    """:func:`proven` for a record that was just written: what it takes is in memory, mostly."""
    if found.last is None and found.first.log == OWN:
        fresh = registrar.proofs.fresh(found.first.index)
        if fresh is not None:
            return replace(found, proofs=(fresh,), home_url=registrar.public_url)
    return await registrar.db.read(proven, registrar, found)


def _find(connection: Connection, kind: Kind, value: str) -> Record | None:
    if kind is Kind.CONTENT_ID:
        # of several records of the same content, the oldest that no taint forbids
        found = records.servable(connection, value) or records.by_content_id(connection, value)
        return found[0] if found else None
    if kind is Kind.INFOHASH_V1:
        companions = records.by_infohash_v1(connection, value)
        return min(companions, key=lambda r: bool(r.withdrawn)) if companions else None
    look_up = records.by_ark if kind is Kind.ARK else records.by_rid
    return look_up(connection, value)


def read_proven(connection: Connection, registrar: Registrar, record: Record) -> Found:
    """All that :func:`render` needs."""
    return proven(connection, registrar, read(connection, record))


def _read_by(connection: Connection, registrar: Registrar, kind: Kind, value: str) -> Found | None:
    record = _find(connection, kind, value)
    return read_proven(connection, registrar, record) if record else None


def _with_taints(connection: Connection, kind: Kind, value: str) -> tuple[Record, tuple[Taint, ...]] | None:
    record = _find(connection, kind, value)
    return (record, tuple(taints.standing_on_record(connection, record.rid))) if record else None


def _unknown(value: str) -> NotFound:
    return NotFound(
        f"this registrar has no record {value[:64]}",
        hint="Compare the name with its source, or ask another registrar.",
    )


async def untainted(registrar: Registrar, kind: Kind, value: str) -> Record:
    """The record with this name, see :func:`record_document`, without its document.

    Raises:
        NotFound: there is no such record.
        TaintedRecord: a taint stands on it.
        WithdrawnRecord: it is withdrawn.
    """
    found = await registrar.db.read(_with_taints, kind, value)
    if found is None:
        raise _unknown(value)
    record, standing = found
    if standing:
        raise tainted_record(record, standing)
    if record.withdrawn:
        raise await gone(registrar, record)
    return record


async def record_document(registrar: Registrar, kind: Kind, value: str) -> dict[str, Any]:
    """The record document (see docs/protocol.md) of the record with this name.

    Args:
        kind: RID, ARK, CONTENT_ID or INFOHASH_V1.
        value: as in :class:`seedkeep.core.identifiers.Identifier`.

    Raises:
        NotFound: there is no such record.
        TaintedRecord: a taint stands on it, its content or one of its files; ``members`` says which.
        WithdrawnRecord: it is withdrawn.
    """
    found = await registrar.db.read(_read_by, registrar, kind, value)
    if found is None:
        raise _unknown(value)
    return render(registrar, found)


def taint_documents(standing: tuple[Taint, ...]) -> list[dict[str, str]]:
    """The ``taints`` of a record document."""
    return [
        {
            "id": t.name,
            "authority": t.authority,
            "subject": str(t.order.subject),
            "effect": t.order.effect.value,
            "category": t.order.category,
            "reason": t.order.reason,
            "basis": t.order.basis,
            "jurisdiction": t.order.jurisdiction,
            "evidence": t.order.evidence,
            "appeal": t.order.appeal,
            "expires": t.order.expires,
            "created": t.effective or t.created,
        }
        for t in standing
    ]


def tainted_record(record: Record, standing: tuple[Taint, ...], path: str = "") -> TaintedRecord:
    """The error that tells why a record, or the file at ``path`` in it, is withheld."""
    order = standing[0].order
    what = f"{path} of {record.name}" if path else record.name
    by = f" by {standing[0].authority}" if standing[0].authority else ""
    return TaintedRecord(
        f"{what} is tainted{by} ({order.category}): {order.reason}",
        hint=f"It must not be passed on. {order.appeal or 'Ask the registrar if you think this is wrong.'}",
        members={
            "taints": taint_documents(standing[:_TAINTS_TOLD]),
            **({"path": path} if path else {}),
            "rid": record.rid,
            "ark": f"ark:/{record.ark}",
            "content_id": record.content_id,
        },
    )


async def gone(registrar: Registrar, record: Record) -> WithdrawnRecord:
    """:func:`withdrawn_record` for a record of which the rest is not read yet."""
    return withdrawn_record(registrar, await registrar.db.read(read_proven, registrar, record))


def withdrawn_record(registrar: Registrar, found: Found) -> WithdrawnRecord:
    """The error that tells why the data of a withdrawn record is not offered."""
    document = said_of(registrar, found)
    gone, others = document["withdrawn"], [v for v in found.versions if v.live]
    newer = f"There is another version of it: ark:/{others[-1].ark}." if others else ""
    return WithdrawnRecord(
        f"{found.record.name} was withdrawn on {gone['created'][:10]}: {gone['reason']}",
        hint=newer or f"What was said of it stays at {document['landing_page']}.",
        members=document,
    )


def said_of(registrar: Registrar, found: Found) -> dict[str, Any]:
    """The part of a record document that stays when the record is withdrawn.

    Raises:
        TaintedRecord: a taint stands on it.
    """
    record, newest = found.record, found.newest
    if found.taints:
        raise tainted_record(record, found.taints)
    assert found.proofs
    live = [v.rid for v in found.versions if v.live]
    gone = newest["body"] if record.withdrawn and newest else {}
    return {
        **short_document(registrar, record),
        "home": record.home,
        "home_url": found.home_url,
        "mirrored": record.home != registrar.origin,
        "fork": record.fork or None,
        "steward": record.steward,
        "event": found.event,
        "body": found.body,
        "proof": found.proofs[0],
        "index": found.first.index,
        "seq": record.seq,
        "head": record.head,
        "updated": record.updated,
        "stewards": list(record.stewards),
        "metadata": found.metadata,
        "revision": {**newest, "proof": found.proofs[1]} if newest else None,
        "supersedes": record.supersedes,
        "superseded_by": [v.rid for v in found.versions if v.supersedes == record.rid],
        "latest": live[-1] if live else record.rid,
        "withdrawn": {"created": record.withdrawn, "reason": gone.get("reason", "")}
        if record.withdrawn
        else None,
        "taints": taint_documents(found.notes[:_TAINTS_TOLD]),
        "withheld": list(found.withheld),
        "advice": taint_documents(found.advice[:_TAINTS_TOLD]),
    }


def statement(registrar: Registrar, found: Found) -> dict[str, Any]:
    """The record document, or what stays of it when the record is withdrawn.

    Raises:
        TaintedRecord: a taint stands on it.
    """
    return said_of(registrar, found) if found.record.withdrawn else render(registrar, found)


def render(registrar: Registrar, found: Found) -> dict[str, Any]:
    """The record document.

    Raises:
        TaintedRecord: a taint stands on it.
        WithdrawnRecord: it is withdrawn.
    """
    record = found.record
    if record.withdrawn and not found.taints:
        raise withdrawn_record(registrar, found)
    document = said_of(registrar, found)
    base, content_id = registrar.public_url, record.content_id
    seeds = registrar.web_seeds(content_id, record.web_seeds, document["home_url"])
    return {
        **document,
        "torrent": f"{base}/torrents/{content_id}.torrent",
        "torrent_v1": f"{base}/torrents/{content_id}.v1.torrent",
        "manifest_url": f"{base}/api/v1/records/{record.rid}/manifest",
        "magnet": magnet_v1(record.infohash_v1, record.name, registrar.trackers, seeds),
        "magnet_v2": magnet_v2(
            content_id, record.name, registrar.trackers, carried_web_seeds(2, record.files, seeds)
        ),
        "trackers": list(registrar.trackers),
        "web_seeds": list(seeds),
        "copies": copies_document(registrar, found.wanted, found.copies),
    }


def short_document(registrar: Registrar, record: Record) -> dict[str, Any]:
    """What lists show of a record."""
    return {
        "rid": record.rid,
        "ark": f"ark:/{record.ark}",
        "content_id": record.content_id,
        "infohash_v1": record.infohash_v1,
        "name": record.name,
        "title": record.title or record.name,
        "files": record.files,
        "bytes": record.bytes,
        "license": record.license,
        "created": record.created,
        "landing_page": f"{registrar.public_url}/ark:/{record.ark}",
    }


def copies_document(registrar: Registrar, wanted: int, copies: tuple[Copy, ...]) -> dict[str, Any]:
    """The ``copies`` of a record document; numbers count distinct failure domains."""
    now = registrar.clock()
    complete = {c.domain for c in copies if c.claim.state == COMPLETE}
    audited = {c.domain for c in copies if c.claim.state == COMPLETE and c.claim.audited is not None}
    offline_after = registrar.settings.offline_after_s
    return {
        "wanted": wanted,
        "complete": len(complete),
        "audited": len(audited),
        "fetching": len({c.domain for c in copies} - complete),
        "nodes": [
            {
                "node": c.claim.node,
                "operator": c.operator,
                "institution": c.institution,
                "country": c.country,
                "state": c.claim.state if now - c.last_seen <= offline_after else "offline",
                "attested": times.text(c.claim.attested) if c.claim.attested else None,
                "audited": times.text(c.claim.audited) if c.claim.audited else None,
                "last_seen": times.text(c.last_seen),
            }
            for c in copies
        ],
    }
