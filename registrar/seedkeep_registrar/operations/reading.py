"""One look at the database of a registrar that may be running: everything as it is at one moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from seedkeep.core.errors import UsageError


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """A connection in a transaction that only reads, and sees one moment however long it takes.

    Args:
        url: SQLAlchemy URL of SQLite (a file) or PostgreSQL (psycopg).

    Raises:
        UsageError: there is no registrar's database.
    """
    engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only=ON")
                connection.exec_driver_sql("BEGIN")
            else:
                connection = connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            if not inspect(connection).has_table("log"):
                raise UsageError(
                    "this database holds no registrar", hint="Give its --config or --database-url."
                )
            yield connection
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        raise UsageError(f"the database cannot be read: {reason}", hint="Look at database_url.") from error
    finally:
        engine.dispose()
