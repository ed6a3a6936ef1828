"""Other registrars: what is known of them, how far their logs are kept here, and what they have ordered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from seedkeep.core.notes import Cosigner, Verifier
from seedkeep_registrar.store.federation_tables import peer_taints, peers
from seedkeep_registrar.store.upserts import upsert

#: ``state``: this registrar's operator wants it and it has not agreed yet; it wants this one, and no operator
#: has agreed yet; both do; not followed for now; no more followed; caught lying
ASKED, PROPOSED, ACTIVE = "asked", "proposed", "active"
PAUSED, REMOVED, DISTRUSTED = "paused", "removed", "distrusted"
#: those of which there may be records here, which stay whatever happens
MIRRORED = (ASKED, ACTIVE, PAUSED, REMOVED, DISTRUSTED)
#: ``taint_mode``: what it orders binds as what is ordered here, is shown, or waits for a curator; for its own
#: records it binds in any case
BINDING, ADVISORY, DRAFT = "binding", "advisory", "draft"
TAINT_MODES = (BINDING, ADVISORY, DRAFT)

_COLUMNS = (
    peers.c.id,
    peers.c.origin,
    peers.c.url,
    peers.c.vkey,
    peers.c.naan,
    peers.c.state,
    peers.c.taint_mode,
    peers.c.note,
    peers.c.stored,
    peers.c.added,
    peers.c.last_poll,
    peers.c.last_ok,
    peers.c.problem,
    peers.c.unheard,
)
_URL_OF = select(peers.c.url).where(peers.c.origin == bindparam("named"))


@dataclass(frozen=True, slots=True)
class Peer:
    """Another registrar; see :data:`seedkeep_registrar.store.federation_tables.peers`."""

    id: int
    origin: str
    url: str
    vkey: str
    naan: str
    state: str
    taint_mode: str
    note: str
    stored: int
    added: float
    last_poll: float
    last_ok: float
    problem: str
    unheard: bool

    @property
    def verifier(self) -> Verifier:
        """Its pinned name and key."""
        return Verifier.parse(self.vkey)

    @property
    def cosigner(self) -> Cosigner:
        """The same key, as that of a witness."""
        return Cosigner(self.origin, self.verifier.key)


def name_of(origin: str) -> str:
    """How a log is named below ``/mirror/``: the SHA-256 of its origin, hex."""
    return hashlib.sha256(origin.encode()).hexdigest()


def _peer(row: Sequence[Any]) -> Peer:
    return Peer(*row)


def every(connection: Connection, *states: str) -> list[Peer]:
    """All of them, or those in these states, in the order in which they came."""
    query = select(*_COLUMNS).order_by(peers.c.id)
    return [
        _peer(row) for row in connection.execute(query.where(peers.c.state.in_(states)) if states else query)
    ]


def by_id(connection: Connection, id_: int) -> Peer | None:
    """The peer with this number."""
    row = connection.execute(select(*_COLUMNS).where(peers.c.id == id_)).first()
    return _peer(row) if row else None


def by_origin(connection: Connection, origin: str) -> Peer | None:
    """The peer of this name."""
    row = connection.execute(select(*_COLUMNS).where(peers.c.origin == origin)).first()
    return _peer(row) if row else None


def url_of(connection: Connection, origin: str) -> str:
    """Where the peer of this name is; "" for any other registrar."""
    found = connection.execute(_URL_OF, {"named": origin}).scalar_one_or_none()
    return str(found or "")


def by_name(connection: Connection, name: str) -> Peer | None:
    """The peer whose log is at ``/mirror/<name>/``."""
    row = connection.execute(select(*_COLUMNS).where(peers.c.origin_sha256 == name)).first()
    return _peer(row) if row else None


def add(connection: Connection, verifier: Verifier, *, url: str, naan: str, state: str, now: float) -> Peer:
    """Add one of a name that is new here."""
    last = connection.execute(select(func.max(peers.c.id))).scalar_one_or_none() or 0
    connection.execute(
        insert(peers).values(
            id=last + 1,
            origin=verifier.name,
            origin_sha256=name_of(verifier.name),
            url=url,
            vkey=str(verifier),
            naan=naan,
            state=state,
            taint_mode=ADVISORY,
            note="",
            stored=0,
            added=now,
            last_poll=0.0,
            last_ok=0.0,
            problem="",
            unheard=False,
        )
    )
    added = by_id(connection, last + 1)
    assert added is not None
    return added


def drop(connection: Connection, id_: int) -> None:
    """Forget one that was never followed."""
    connection.execute(peers.delete().where(peers.c.id == id_))


def expect_all(connection: Connection) -> int:
    """Append nothing before each that is followed has said how far this registrar's log was; how many."""
    waited_for = update(peers).where(peers.c.state == ACTIVE).values(unheard=True)
    return connection.execute(waited_for).rowcount


def heard(connection: Connection, id_: int) -> None:
    """One has said it, and what was lacking here is on its way."""
    connection.execute(update(peers).where(peers.c.id == id_).values(unheard=False))


def set_state(connection: Connection, id_: int, state: str) -> None:
    """Change its state; what was wrong before is over."""
    connection.execute(update(peers).where(peers.c.id == id_).values(state=state, problem=""))


def set_taint_mode(connection: Connection, id_: int, mode: str) -> None:
    """Change how its taints are followed."""
    connection.execute(update(peers).where(peers.c.id == id_).values(taint_mode=mode))


def set_key(connection: Connection, id_: int, verifier: Verifier) -> None:
    """Its key was rotated; the caller has verified that."""
    connection.execute(update(peers).where(peers.c.id == id_).values(vkey=str(verifier)))


def polled(connection: Connection, id_: int, *, now: float, problem: str) -> None:
    """Note a poll and what was wrong with it ("": nothing)."""
    good = {} if problem else {"last_ok": now}
    connection.execute(update(peers).where(peers.c.id == id_).values(last_poll=now, problem=problem, **good))


def trust(connection: Connection, id_: int, *, before: str, note: str) -> bool:
    """Replace the trusted checkpoint, unless somebody else has done so or the peer is followed no more."""
    held = update(peers).where(peers.c.id == id_, peers.c.state == ACTIVE, peers.c.note == before)
    return connection.execute(held.values(note=note)).rowcount == 1


def grown(connection: Connection, id_: int, *, before: int, stored: int) -> bool:
    """Count entries that were stored, under the same conditions."""
    held = update(peers).where(peers.c.id == id_, peers.c.state == ACTIVE, peers.c.stored == before)
    return connection.execute(held.values(stored=stored)).rowcount == 1


def taints_of(connection: Connection, id_: int) -> tuple[str, bytes]:
    """The newest verified head of its taint list, and the list; "" before the first."""
    row = connection.execute(select(peer_taints.c.note, peer_taints.c.list).where(peer_taints.c.peer == id_))
    found = row.first()
    return (found.note, found.list) if found else ("", b"")


def taint_notes(connection: Connection) -> list[str]:
    """The newest heads of all peers that are followed."""
    query = (
        select(peer_taints.c.note)
        .join(peers, peers.c.id == peer_taints.c.peer)
        .where(peers.c.state == ACTIVE)
        .order_by(peers.c.id)
    )
    return list(connection.execute(query).scalars())


def taint_list(connection: Connection, sha256: str) -> bytes | None:
    """The list of a followed registrar that is kept here, by its digest."""
    for note in taint_notes(connection):
        if note.split("\n")[4] == sha256:
            found = select(peer_taints.c.list).where(peer_taints.c.note == note)
            return bytes(connection.execute(found).scalar_one())
    return None


def put_taints(connection: Connection, id_: int, note: str, list_: bytes, *, now: float) -> None:
    """Keep a newer head with its list."""
    put = upsert(connection, peer_taints).values(peer=id_, note=note, list=list_, at=now)
    new = {"note": note, "list": list_, "at": now}
    connection.execute(put.on_conflict_do_update(index_elements=["peer"], set_=new))
