"""Objects that were uploaded and that no record names yet: how much of that whose is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, delete, func, select

from seedkeep_registrar.store.uploads_tables import uploads
from seedkeep_registrar.store.upserts import prepared

_CHARGE = prepared(
    uploads,
    lambda into: into.on_conflict_do_update(
        index_elements=["sha256", "sender"], set_={"bytes": into.excluded.bytes, "at": into.excluded.at}
    ),
)
_NAMED = delete(uploads).where(uploads.c.sha256 == bindparam("object"))


def held(connection: Connection, senders: Sequence[str], without: str) -> dict[str, int]:
    """Bytes that each of some senders has uploaded and not registered, apart from one object."""
    query = (
        select(uploads.c.sender, func.sum(uploads.c.bytes))
        .where(uploads.c.sender.in_(senders), uploads.c.sha256 != without)
        .group_by(uploads.c.sender)
    )
    return {sender: int(total) for sender, total in connection.execute(query)}


def charge(connection: Connection, sha256: str, senders: Sequence[str], size: int, now: float) -> None:
    """Write an object of ``size`` bytes down as theirs."""
    rows = [{"sha256": sha256, "sender": sender, "bytes": size, "at": now} for sender in senders]
    connection.execute(_CHARGE[connection.dialect.name], rows)


def named(connection: Connection, objects: Iterable[str]) -> None:
    """A record names these objects, or they are gone: they are charged to nobody any more."""
    connection.execute(_NAMED, [{"object": sha256} for sha256 in sorted(set(objects))])


def purge(connection: Connection, before: float) -> int:
    """Forget what was uploaded before then and is dropped as an orphan; how many."""
    return connection.execute(delete(uploads).where(uploads.c.at < before)).rowcount
