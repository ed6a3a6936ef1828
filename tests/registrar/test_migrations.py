"""Migrations: each one up and down with rows in every table, on both engines; several processes at once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    Boolean,
    Connection,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    create_engine,
    func,
    insert,
    inspect,
    select,
)

from seedkeep_registrar.migrations import config_for, upgrade


def engine_of(tmp_path: Path, empty_database_url: str) -> Engine:
    return create_engine(empty_database_url or f"sqlite:///{tmp_path / 'x.sqlite'}")


def versions(engine: Engine) -> list[str]:
    """All of them, oldest first."""
    with engine.connect() as connection:
        walk = ScriptDirectory.from_config(config_for(connection)).walk_revisions()
        return [script.revision for script in walk][::-1]


def tables(connection: Connection) -> list[Table]:
    """The tables of the present version but those that only an index of words keeps, parents first."""
    found = MetaData()
    own = [name for name in inspect(connection).get_table_names() if not name.startswith("search_words")]
    found.reflect(connection, only=own, resolve_fks=False)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def value(column: Any) -> Any:
    """Something that goes into a column, the same in every table, so that foreign keys hold."""
    kind = column.type
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, Integer | Float):
        return 1
    if isinstance(kind, LargeBinary):
        return b"\x01"
    if isinstance(kind, JSON):
        return []
    return "1"


def fill(engine: Engine) -> dict[str, int]:
    """Put a row into every table that has none; how many rows each has then."""
    counts = {}
    with engine.begin() as connection:
        for table in tables(connection):
            if not connection.execute(select(func.count()).select_from(table)).scalar_one():
                values = {c.name: value(c) for c in table.columns if not c.nullable and c.computed is None}
                connection.execute(insert(table).values(values))
            counts[table.name] = int(connection.execute(select(func.count()).select_from(table)).scalar_one())
    return counts


def test_every_version_goes_up_and_down_with_rows_in_every_table(
    tmp_path: Path, empty_database_url: str
) -> None:
    engine = engine_of(tmp_path, empty_database_url)
    steps = versions(engine)
    before: dict[str, int] = {}
    for version in steps:
        with engine.begin() as connection:
            command.upgrade(config_for(connection), version)
        after = fill(engine)
        assert {name: after.get(name) for name in before} == before, f"{version} loses rows"
        before = after
    for version in [*steps[-2::-1], "base"]:
        with engine.begin() as connection:
            command.downgrade(config_for(connection), version)
        with engine.begin() as connection:
            left = {
                table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
                for table in tables(connection)
            }
        assert left == {name: before[name] for name in left}, f"down to {version}, rows are lost"
    assert left == {}
    upgrade(engine)
    engine.dispose()


def test_of_several_processes_one_migrates(postgres_url: str) -> None:
    engines = [create_engine(postgres_url) for _ in range(4)]
    failed: list[Exception] = []

    def migrate(engine: Engine) -> None:
        try:
            upgrade(engine)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=migrate, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failed == []
    with engines[0].connect() as connection:
        assert inspect(connection).has_table("records")
    for engine in engines:
        engine.dispose()
