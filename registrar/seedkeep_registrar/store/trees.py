"""Tiles and checkpoints of the logs; see :mod:`seedkeep.core.log.tiles`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, literal_column, select, tuple_

from seedkeep.core.log.tiles import Place
from seedkeep_registrar.store.log_tables import checkpoints, log_tiles
from seedkeep_registrar.store.upserts import prepared


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint that a log has signed; ``note`` with the cosignatures that came for it."""

    size: int
    root: bytes
    note: str
    cosigned: bool


_CHECKPOINT = select(
    checkpoints.c.size, checkpoints.c.root, checkpoints.c.note, checkpoints.c.cosigned
).where(checkpoints.c.log == bindparam("of"))
_NEWEST = _CHECKPOINT.order_by(checkpoints.c.size.desc()).limit(1)
_UP_TO = _NEWEST.where(checkpoints.c.size <= bindparam("most"))
_COVERING = _CHECKPOINT.where(checkpoints.c.size > bindparam("at")).order_by(checkpoints.c.size).limit(1)
# spelt out, so that both engines see that their partial index will do
_COSIGNED = _COVERING.where(literal_column("checkpoints.cosigned"))
_TILE = select(log_tiles.c.data).where(
    log_tiles.c.log == bindparam("of"),
    log_tiles.c.level == bindparam("height"),
    log_tiles.c.number == bindparam("at"),
)
_TILES = select(log_tiles.c.level, log_tiles.c.number, log_tiles.c.data).where(
    log_tiles.c.log == bindparam("of"),
    tuple_(log_tiles.c.level, log_tiles.c.number).in_(bindparam("places", expanding=True)),
)
_PUT_TILES = prepared(
    log_tiles,
    lambda put: put.on_conflict_do_update(
        index_elements=["log", "level", "number"], set_={"data": put.excluded.data}
    ),
)
_INSERT = insert(checkpoints)


def newest(connection: Connection, log: int) -> Signed | None:
    """The checkpoint of the greatest size."""
    row = connection.execute(_NEWEST, {"of": log}).first()
    return Signed(*row) if row else None


def newest_up_to(connection: Connection, log: int, size: int) -> Signed | None:
    """The checkpoint of the greatest size that is no larger than this one."""
    row = connection.execute(_UP_TO, {"of": log, "most": size}).first()
    return Signed(*row) if row else None


def covering(connection: Connection, log: int, index: int) -> Signed | None:
    """The oldest checkpoint with enough cosignatures that covers an entry, else the oldest that covers it."""
    given = {"of": log, "at": index}
    row = connection.execute(_COSIGNED, given).first() or connection.execute(_COVERING, given).first()
    return Signed(*row) if row else None


def add_checkpoint(connection: Connection, log: int, signed: Signed, at: float) -> None:
    """Keep a checkpoint; there must be none of that size."""
    connection.execute(
        _INSERT,
        {
            "log": log,
            "size": signed.size,
            "root": signed.root,
            "note": signed.note,
            "cosigned": signed.cosigned,
            "at": at,
        },
    )


def sign_anew(connection: Connection, log: int, signed: Signed, at: float) -> None:
    """Let this checkpoint, which another key has signed, take the place of all before it."""
    forget_checkpoints(connection, log)
    add_checkpoint(connection, log, signed, at)


def forget_checkpoints(connection: Connection, log: int) -> None:
    """Forget those of a log, of which a newer one is kept in the same transaction."""
    connection.execute(delete(checkpoints).where(checkpoints.c.log == log))


def tile(connection: Connection, log: int, place: Place) -> bytes | None:
    """A tile, as long as it is now."""
    level, number = place
    given = {"of": log, "height": level, "at": number}
    found: bytes | None = connection.execute(_TILE, given).scalar_one_or_none()
    return found


def tiles(connection: Connection, log: int, places: Collection[Place]) -> dict[Place, bytes]:
    """Several tiles, those that are there."""
    if not places:
        return {}
    rows = connection.execute(_TILES, {"of": log, "places": list(places)})
    return {(row.level, row.number): row.data for row in rows}


def put_tiles(connection: Connection, log: int, changed: Mapping[Place, bytes]) -> None:
    """Store tiles that are new or have grown."""
    rows = [
        {"log": log, "level": level, "number": number, "data": data}
        for (level, number), data in changed.items()
    ]
    connection.execute(_PUT_TILES[connection.dialect.name], rows)
