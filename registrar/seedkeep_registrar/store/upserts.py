"""INSERT … ON CONFLICT, which SQLAlchemy has for each engine apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")


def upsert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT into ``table`` that takes ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
    made = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return made(table)


def prepared(table: Table, finish: Callable[[postgresql.Insert | sqlite.Insert], T]) -> Mapping[str, T]:
    """By the engine's name, what ``finish`` makes of an INSERT into ``table``.

    For statements that are made once, with the module: to make one costs as much as to run it.
    """
    return {"postgresql": finish(postgresql.insert(table)), "sqlite": finish(sqlite.insert(table))}
