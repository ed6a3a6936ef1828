"""The versions of this registrar's keys, as they are published; and those of others, as they are trusted."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from seedkeep.core.keyring import TrustedKeys
from seedkeep.core.notes import Verifier
from seedkeep_registrar.store.key_ring_tables import key_rings, peer_key_rings


def every(connection: Connection) -> list[str]:
    """The notes from version 0 on; none where nobody has protected or rotated the first key."""
    return list(connection.execute(select(key_rings.c.note).order_by(key_rings.c.version)).scalars())


def note(connection: Connection, version: int) -> str | None:
    """One version."""
    query = select(key_rings.c.note).where(key_rings.c.version == version)
    return connection.execute(query).scalar_one_or_none()


def add(connection: Connection, version: int, text: str) -> None:
    """Keep a new version."""
    connection.execute(insert(key_rings).values(version=version, note=text))


def of_peer(connection: Connection, peer: int) -> TrustedKeys | None:
    """What is trusted of another registrar's keys; None before it was asked for them."""
    query = select(peer_key_rings.c.note).where(peer_key_rings.c.peer == peer)
    notes = list(connection.execute(query.order_by(peer_key_rings.c.version)).scalars())
    return TrustedKeys.restore(notes[0], notes[1:]) if notes else None


def former_of_peer(connection: Connection, peer: int) -> tuple[Verifier, ...]:
    """The keys that another registrar had before."""
    keys = of_peer(connection, peer)
    return keys.former if keys else ()


def put_of_peer(connection: Connection, peer: int, keys: TrustedKeys) -> None:
    """Keep what is trusted of another registrar's keys; of that nothing ever changes but that more comes."""
    first, notes = keys.dump()
    known = select(peer_key_rings.c.version).where(peer_key_rings.c.peer == peer)
    there = len(connection.execute(known).all())
    for version, note in list(enumerate((first, *notes)))[there:]:
        connection.execute(insert(peer_key_rings).values(peer=peer, version=version, note=note))
