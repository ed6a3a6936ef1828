"""Other logs as they are kept here: entries and tiles as they come, checkpoints once all before them is here.

All of it runs in writing transactions, and takes nothing that somebody else has stored meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, literal_column, select, update

from seedkeep.core.errors import Conflict
from seedkeep.core.log.cosignature import add_cosignatures, cosignatures
from seedkeep.core.log.evidence import Evidence
from seedkeep.core.log.sync import Entry, Store
from seedkeep.core.notes import Cosigner
from seedkeep_registrar.processes.signals import Kind, announce
from seedkeep_registrar.store import events, peers, trees
from seedkeep_registrar.store.events import OWN, WAITING
from seedkeep_registrar.store.federation_tables import evidence
from seedkeep_registrar.store.log_tables import checkpoints
from seedkeep_registrar.store.tables import events as events_table
from seedkeep_registrar.store.tables import log
from seedkeep_registrar.store.trees import Signed
from seedkeep_registrar.store.upserts import upsert

_INSERT = insert(events_table)


def trust(connection: Connection, peer: int, before: str, note: str) -> None:
    """Trust a newer checkpoint.

    Raises:
        Conflict: another one was trusted meanwhile, or the peer is followed no more.
    """
    if not peers.trust(connection, peer, before=before, note=note):
        raise Conflict("this log was followed by somebody else meanwhile")


def store(connection: Connection, peer: int, step: Store, *, now: float) -> None:
    """Store verified entries, which wait to be applied then, and the tiles above them.

    Raises:
        Conflict: they are here already, or the peer is followed no more.
    """
    _store(connection, peer, step, now=now)
    if not peers.grown(connection, peer, before=step.start, stored=step.start + len(step.entries)):
        raise Conflict("this log was followed by somebody else meanwhile")


def store_own(connection: Connection, step: Store, *, now: float) -> None:
    """Store entries of this registrar's own log that it has lost.

    Raises:
        Conflict: the log has gone on meanwhile.
    """
    if events.lock(connection).size != step.start:
        raise Conflict("this registrar's log has gone on meanwhile")
    _store(connection, OWN, step, now=now)
    connection.execute(update(log).values(size=step.start + len(step.entries)))


def _store(connection: Connection, of: int, step: Store, *, now: float) -> None:
    head = events.lock(connection)
    rows = [_row(of, step.start + i, head.arrived + i, entry, now) for i, entry in enumerate(step.entries)]
    connection.execute(_INSERT, rows)
    connection.execute(update(log).values(arrived=head.arrived + len(rows)))
    trees.put_tiles(connection, of, step.tiles)
    announce(connection, Kind.MIRRORED, str(of))


def _row(of: int, index: int, position: int, entry: Entry, now: float) -> dict[str, object]:
    event = entry.event
    return {
        "position": position,
        "hash": entry.hash,
        "type": event.type[:16],  # a longer one is none of ours
        "rid": event.rid or entry.hash,
        "seq": event.seq,
        "leaf": entry.leaf,
        "received": now,
        "log": of,
        "log_index": index,
        "state": WAITING,
        "body_sha256": event.body_sha256,
    }


def checkpoint(connection: Connection, of: int, size: int) -> Signed | None:
    """The checkpoint of exactly this size."""
    columns = (checkpoints.c.size, checkpoints.c.root, checkpoints.c.note, checkpoints.c.cosigned)
    row = connection.execute(
        select(*columns).where(checkpoints.c.log == of, checkpoints.c.size == size)
    ).first()
    return Signed(*row) if row else None


def cosign(
    connection: Connection,
    of: int,
    signed: Signed,
    theirs: str,
    line: str,
    cosigners: Sequence[Cosigner],
    wanted: int,
    *,
    now: float,
) -> Signed:
    """Keep a checkpoint with its cosignatures, those that the one of that size here has, and new ones.

    Args:
        of: a log of which everything up to there is stored.
        signed: with the log's own signature alone.
        theirs: signature lines that came with it, of whomever; what ``cosigners`` did not sign is dropped.
        line: this registrar's, or its witnesses', "" for none.
        cosigners: whose lines are kept.
        wanted: how many make it cosigned.

    Raises:
        Conflict: a larger one was cosigned meanwhile (with a line, a smaller one gets none).
        VerificationFailed: a cosignature is bad.
    """
    known = checkpoint(connection, of, signed.size)
    newest = trees.newest(connection, of)
    if line and of != OWN and newest is not None and newest.size > signed.size:
        raise Conflict(f"a checkpoint of {newest.size} entries was cosigned meanwhile")
    kept = known.note if known else signed.note
    note = add_cosignatures(kept, theirs + line, cosigners) if theirs + line else kept
    made = Signed(signed.size, signed.root, note, len(cosignatures(note, cosigners)) >= wanted)
    if known is None:
        trees.add_checkpoint(connection, of, made, now)
        announce(connection, Kind.MIRRORED, str(of))  # what it covers can be applied
    elif made != known:
        held = update(checkpoints).where(checkpoints.c.log == of, checkpoints.c.size == signed.size)
        connection.execute(held.values(note=made.note, cosigned=made.cosigned))
    return made


def convict(connection: Connection, peer: int, shown: Evidence, *, now: float) -> bool:
    """Keep what shows that a log has lied, and end the trust in it (``peer`` 0: this registrar's own).

    Returns:
        Whether it was not known before.
    """
    document = shown.encode()
    put = upsert(connection, evidence).values(
        sha256=hashlib.sha256(document).hexdigest(),
        peer=peer,
        kind=shown.kind.value,
        says=shown.check(),
        document=document,
        at=now,
    )
    new = connection.execute(put.on_conflict_do_nothing()).rowcount == 1
    found = peers.by_id(connection, peer)
    if found is not None and found.state in (peers.ACTIVE, peers.PAUSED):
        peers.set_state(connection, peer, peers.DISTRUSTED)
        announce(connection, Kind.FEDERATION, str(peer))
    return new


def waiting(connection: Connection) -> dict[int, int]:
    """How many events of which log wait to be applied."""
    state = literal_column("events.state") == literal_column("'waiting'")
    query = select(events_table.c.log, func.count()).where(state).group_by(events_table.c.log)
    return {row[0]: row[1] for row in connection.execute(query)}


@dataclass(frozen=True, slots=True)
class Kept:
    """Evidence that is kept; see :data:`seedkeep_registrar.store.federation_tables.evidence`."""

    sha256: str
    peer: int
    kind: str
    says: str
    at: float


def evidence_kept(connection: Connection) -> list[Kept]:
    """All of it, newest first, without the documents."""
    columns = (evidence.c.sha256, evidence.c.peer, evidence.c.kind, evidence.c.says, evidence.c.at)
    rows = connection.execute(select(*columns).order_by(evidence.c.at.desc(), evidence.c.sha256))
    return [Kept(*row) for row in rows]


def evidence_of(connection: Connection, sha256: str) -> bytes | None:
    """One document."""
    query = select(evidence.c.document).where(evidence.c.sha256 == sha256)
    found: bytes | None = connection.execute(query).scalar_one_or_none()
    return found
