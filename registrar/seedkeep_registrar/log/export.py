"""The log as files that any web server or bucket can serve, in the place of this registrar or beside it.

Layout, as below the public URL::

    log/checkpoint  log/tile/…       C2SP tlog-tiles
    objects/<sha256>                 the bodies that events name; those that are withheld are not there

A second export adds what is new. The checkpoint is replaced last, so whoever reads meanwhile finds all that
it promises.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select

from seedkeep.core.errors import Error, NotFound
from seedkeep.core.log.tiles import ENTRIES, FULL, Tile
from seedkeep_registrar import durable
from seedkeep_registrar.log.serving import public_body, read_tile
from seedkeep_registrar.store import trees
from seedkeep_registrar.store.events import OWN
from seedkeep_registrar.store.tables import events

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """How large the log is, and what was written now."""

    size: int
    tiles: int
    bodies: int


def export(connection: Connection, place: Path, progress: Progress) -> Exported:
    """Write this registrar's own log below ``place``.

    Args:
        connection: in a transaction that sees one moment of the database.
        progress: told ``tiles`` or ``bodies``, and how many were looked at.

    Raises:
        Error: the log is damaged, or ``place`` cannot be written.
    """
    newest = trees.newest(connection, OWN)
    if newest is None:
        raise NotFound("this log has no checkpoint yet", hint="Start the registrar once.")
    try:
        tiles = 0
        for number, tile in enumerate(_tiles(newest.size), 1):
            target = place / "log" / tile.path
            if not _is_there(target):
                _put(target, read_tile(connection, OWN, tile))
                tiles += 1
            progress("tiles", number)
        bodies = _bodies(connection, place / "objects", newest.size, progress)
        os.sync()
        durable.replace(place / "log" / "checkpoint", newest.note.encode())
    except OSError as error:
        raise Error(f"{place} cannot be written: {error.strerror}") from error
    return Exported(newest.size, tiles, bodies)


def _tiles(size: int) -> Iterator[Tile]:
    """All tiles and bundles of a log."""
    for level in (ENTRIES, *range(8)):
        count = size >> 8 * max(level, 0)
        for index in range(-(-count // FULL)):
            yield Tile(level, index, min(FULL, count - index * FULL))


def _bodies(connection: Connection, folder: Path, size: int, progress: Progress) -> int:
    written = 0
    for first in range(0, size, FULL):
        query = select(events.c.body_sha256).where(
            events.c.log == OWN, events.c.log_index >= first, events.c.log_index < first + FULL
        )
        for sha256 in connection.execute(query).scalars().all():
            try:
                body = public_body(connection, sha256)
            except Error:
                body = None
            if body is None:
                (folder / sha256).unlink(missing_ok=True)
            elif not _is_there(folder / sha256):
                _put(folder / sha256, body)
                written += 1
        progress("bodies", min(size, first + FULL))
    return written


def _is_there(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _put(path: Path, data: bytes) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        draft.write_bytes(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
    draft.replace(path)
