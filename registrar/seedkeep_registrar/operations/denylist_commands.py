"""``seedkeep registrar denylist export | match``: taints for other software, and lists of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from seedkeep.core.errors import UsageError
from seedkeep.core.taints import denylist as lists
from seedkeep_registrar.operations.command_line import common_options, settings_of, show
from seedkeep_registrar.operations.reading import reading
from seedkeep_registrar.store import denied, events


@click.group()
def denylist() -> None:
    """Compact denylists, as IPFS nodes and gateways read them."""


@denylist.command()
@click.argument("place", type=click.Path(path_type=Path), metavar="FILE")
@common_options
def export(place: Path, *, as_json: bool, quiet: bool, **where: Any) -> None:
    """Write what taints withhold here as a denylist to FILE (.deny).

    It says what stands now: replace the last one with it.
    """
    with reading(settings_of(**where).sqlalchemy_url) as connection:
        origin, every = events.log_state(connection).origin, list(denied.every(connection))
    text = lists.write(origin, f"What the registrar {origin} withholds, and why.", every)
    try:
        place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{place} cannot be written: {error.strerror}") from error
    show({"path": str(place), "rules": len(every)}, f"{place}: {len(every)} rules", as_json=as_json)


@denylist.command()
@click.argument("place", type=click.Path(path_type=Path), metavar="FILE")
@common_options
def match(place: Path, *, as_json: bool, quiet: bool, **where: Any) -> None:
    """Show what of a denylist in FILE is recorded here, for a curator to look at.

    Nothing is ordered by it: `seedkeep taint hold` and `add` take what is shown.
    """
    try:
        data = place.read_bytes()
    except OSError as error:
        raise UsageError(f"{place} cannot be read: {error.strerror}") from error
    told = lists.read(data)
    with reading(settings_of(**where).sqlalchemy_url) as connection:
        found = denied.here(connection, told.digests)
    fields = {
        "named": len(told.digests),
        "unknown": told.unknown,
        "here": [{"subject": str(subject), "at": at} for subject, at in found],
    }
    lines = [f"{subject}  {''.join(c if c.isprintable() else '?' for c in at)}" for subject, at in found]
    summary = f"{len(told.digests)} things are named, {len(found)} of them are here"
    if told.unknown:
        summary += f"; {told.unknown} rules mean nothing here"
    show(fields, "\n".join([*lines, summary]), as_json=as_json)
