"""The database's schema, step by step (Alembic); brought up to date at every start."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine

from seedkeep_registrar.locks import Lock, hold


def config_for(connection: Connection) -> Config:
    """Alembic's configuration for these migrations on an open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def upgrade(engine: Engine) -> None:
    """Bring the database up to date, in one transaction; does nothing when it is.

    Of several processes one does it, and the others wait.
    """
    with engine.connect() as connection, connection.begin():
        hold(connection, Lock.MIGRATING)
        command.upgrade(config_for(connection), "head")
