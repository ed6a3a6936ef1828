"""Advisory locks of PostgreSQL, by which the processes of one registrar keep out of each other's way."""

from __future__ import annotations

from enum import IntEnum

from sqlalchemy import Connection, text

#: sets our locks apart from other programs' in the same database
_OURS = 0x5EEDC0DE


class Lock(IntEnum):
    """What is locked."""

    MIGRATING = 1
    WRITING = 2
    STARTING = 3
    ALIVE = 4
    LEADER = 5


def key_of(lock: Lock) -> int:
    """The lock's number at the server, 64 bits."""
    return (_OURS << 16) | lock


def hold(connection: Connection, lock: Lock) -> None:
    """Wait for a lock and keep it until the transaction ends; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key_of(lock)})
