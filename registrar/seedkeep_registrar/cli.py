"""``seedkeep registrar …``: mounted by the main command through the entry point ``seedkeep.commands``."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path

import click

from seedkeep.core.errors import UsageError
from seedkeep.core.settings import load
from seedkeep_registrar.context import Registrar
from seedkeep_registrar.server import serve
from seedkeep_registrar.settings import Settings

_MAX_CONFIG_BYTES = 1 << 20


@click.group()
def registrar() -> None:
    """Run the server that records datasets and looks after their copies."""


@registrar.command()
@click.option("--listen", metavar="HOST:PORT", help="Address to listen on (0.0.0.0:8440; port 0: any free).")
@click.option("--data", metavar="DIR", help="Folder for key, database and objects.")
@click.option("--public-url", metavar="URL", help="URL under which others reach this registrar.")
@click.option("--database-url", metavar="URL", help="SQLAlchemy URL; SQLite in the data folder by default.")
@click.option("--curator", "curators", metavar="KEY", multiple=True, help="Key that may taint and lift.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML file with settings.")
@click.option("--json", "as_json", is_flag=True, help="When ready, print one JSON object on one line.")
@click.option("-v", "--verbose", is_flag=True, help="Log more, to standard error.")
def up(
    listen: str | None,
    data: str | None,
    public_url: str | None,
    database_url: str | None,
    curators: tuple[str, ...],
    config: Path | None,
    *,
    as_json: bool,
    verbose: bool,
) -> None:
    """Start a registrar; it serves until it is interrupted."""
    flags = {
        "listen": listen,
        "data": data,
        "public_url": public_url,
        "database_url": database_url,
        "curators": curators,
    }
    settings = load(
        Settings,
        toml=_read(config),
        toml_name=str(config or "the configuration file"),
        environ=os.environ,
        section="registrar",
        flags=flags,
    )
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )

    # readers and the writer share the interpreter with the loop: let it have its turn sooner
    sys.setswitchinterval(0.001)

    def ready(started: Registrar) -> None:
        if as_json:
            shown = {"url": started.public_url, "origin": started.origin, "vkey": str(started.vkey)}
            click.echo(json.dumps(shown))
        else:
            click.echo(f"listening on {started.public_url}")

    sys.exit(asyncio.run(serve(settings, ready)))


def _read(config: Path | None) -> str:
    if config is None:
        return ""
    try:
        if config.stat().st_size > _MAX_CONFIG_BYTES:
            raise UsageError(f"the configuration file {config} is over {_MAX_CONFIG_BYTES} bytes")
        return config.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"the configuration file {config} cannot be read: {reason}") from error
