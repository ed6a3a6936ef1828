"""Writing into the database of a registrar that may be running, from another program on its machine."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import OperationalError

from seedkeep.core.errors import UsageError
from seedkeep_registrar.database import Unavailable, open_database
from seedkeep_registrar.locks import Lock, hold
from seedkeep_registrar.store import journal


@contextmanager
def writing(url: str) -> Iterator[Connection]:
    """A connection in a transaction that is committed at the end of the block, unless the block fails.

    Args:
        url: SQLAlchemy URL of SQLite (a file) or PostgreSQL (psycopg).

    Raises:
        UsageError: there is no registrar's database.
        Unavailable: the registrar, or another program, keeps it busy.
    """
    engine = open_database(url).engine
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("quotas"):
                raise UsageError(
                    "this database holds no registrar of this version",
                    hint="Give its --config or --database-url; start the registrar once after an update.",
                )
            connection.rollback()
            if engine.dialect.name == "sqlite":
                # only the registrar's own writer may checkpoint while it runs
                connection.exec_driver_sql("PRAGMA wal_autocheckpoint=0")
                connection.rollback()
            with connection.begin():
                hold(connection, Lock.WRITING)
                yield connection
    except OperationalError as error:
        raise Unavailable("the database does not take this now", hint="Try again later.") from error
    finally:
        engine.dispose()


def noted(connection: Connection, action: str, subject: str, detail: str) -> None:
    """Enter into the journal what somebody did on the registrar's machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "somebody"
    actor = f"{user} on the registrar's machine"
    journal.note(connection, at=time.time(), actor=actor, action=action, subject=subject, detail=detail)
