"""``seedkeep registrar …``: mounted by the main command through the entry point ``seedkeep.commands``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from seedkeep_registrar.configuration import load_settings
from seedkeep_registrar.federation.commands import peer
from seedkeep_registrar.operations.commands import backup, check, doctor, export_log, restore
from seedkeep_registrar.operations.denylist_commands import denylist
from seedkeep_registrar.operations.key_commands import key
from seedkeep_registrar.operations.quota_commands import quota
from seedkeep_registrar.operations.request_log import set_up_logging
from seedkeep_registrar.processes.serving import Shown, serve_all
from seedkeep_registrar.settings import JSON


@click.group()
def registrar() -> None:
    """Run the server that records datasets and looks after their copies."""


@registrar.command()
@click.option("--listen", metavar="HOST:PORT", help="Address to listen on (0.0.0.0:8440; port 0: any free).")
@click.option("--data", metavar="DIR", help="Folder for key, database and objects.")
@click.option("--public-url", metavar="URL", help="URL under which others reach this registrar.")
@click.option("--database-url", metavar="URL", help="SQLAlchemy URL; SQLite in the data folder by default.")
@click.option("--processes", type=int, metavar="N", help="Processes that serve; needs PostgreSQL.")
@click.option("--curator", "curators", metavar="KEY", multiple=True, help="Key that may taint and lift.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML file with settings.")
@click.option("--json", "as_json", is_flag=True, help="When ready, print one JSON object on one line.")
@click.option("-v", "--verbose", is_flag=True, help="Log more, to standard error.")
def up(
    listen: str | None,
    data: str | None,
    public_url: str | None,
    database_url: str | None,
    processes: int | None,
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
        "processes": processes,
        "curators": curators,
    }
    settings = load_settings(config, flags)
    set_up_logging(as_json=settings.log_format == JSON, verbose=verbose)

    def ready(started: Shown) -> None:
        click.echo(json.dumps(asdict(started)) if as_json else f"listening on {started.url}")

    sys.exit(serve_all(settings, ready, verbose=verbose))


for _command in (backup, restore, check, export_log, doctor, quota, key, peer, denylist):
    registrar.add_command(_command)
