"""What the commands on the registrar's machine have in common: their options, settings and output."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from seedkeep_registrar import configuration
from seedkeep_registrar.settings import Settings


def common_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--config``, ``--data``, ``--database-url``, ``--json`` and ``--quiet``."""
    for option in (
        click.option(
            "--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML file with settings."
        ),
        click.option("--data", metavar="DIR", help="Folder for key, database and objects."),
        click.option(
            "--database-url", metavar="URL", help="SQLAlchemy URL; SQLite in the data folder by default."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else."),
        click.option("--quiet", is_flag=True, help="No progress."),
    ):
        command = option(command)
    return command


def settings_of(config: Path | None, data: str | None, database_url: str | None) -> Settings:
    """
    Raises:
        UsageError: the file cannot be read, or a setting makes no sense.
    """
    return configuration.load_settings(config, {"data": data, "database_url": database_url})


def show(fields: dict[str, Any], text: str, *, as_json: bool) -> None:
    """The result: ``fields`` as one JSON object, or ``text``."""
    click.echo(json.dumps(fields, ensure_ascii=False) if as_json else text)
