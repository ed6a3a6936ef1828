"""The versions of this registrar's keys, as they are published."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from seedkeep_registrar.store.key_ring_tables import key_rings


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
