"""``seedkeep registrar quota list | set | clear``: on the registrar's machine, also while it runs."""

from __future__ import annotations

from typing import Any

import click
from sqlalchemy import Connection

from seedkeep.core.errors import UsageError
from seedkeep.core.units import parse_size, print_size
from seedkeep_registrar.operations import granting
from seedkeep_registrar.operations.command_line import common_options, settings_of, show
from seedkeep_registrar.operations.granting import MOST, Granted
from seedkeep_registrar.operations.reading import reading
from seedkeep_registrar.operations.writing import noted, writing
from seedkeep_registrar.store.quotas import Quota

_PAGE = 500


@click.group()
def quota() -> None:
    """Quotas of single publishers, instead of what the settings say."""


@quota.command(name="list")
@common_options
def list_(*, as_json: bool, quiet: bool, **where: Any) -> None:
    """Show who has a quota of their own, and how much of it is used."""
    settings = settings_of(**where)
    with reading(settings.sqlalchemy_url) as connection:
        found = _every(connection)
    usual = granting.usual(settings)
    fields = {
        "usual": {"datasets": usual.datasets, "bytes": usual.bytes},
        "quotas": [one.document() for one in found],
    }
    lines = [f"everybody else: {granting.words(usual)}", *(_line(one) for one in found)]
    show(fields, "\n".join(lines), as_json=as_json)


def _every(connection: Connection) -> list[Granted]:
    found: list[Granted] = []
    while True:
        more = granting.page(connection, after=found[-1].publisher if found else "", limit=_PAGE)
        found += more
        if len(more) < _PAGE:
            return found


def _line(one: Granted) -> str:
    who = one.publisher + (f" ({one.name})" if one.name else "")
    used = f"{one.used.datasets} datasets, {print_size(one.used.bytes)} so far"
    return "".join(c if c.isprintable() else "?" for c in f"{who}: {granting.words(one.quota)}; {used}")


@quota.command(name="set")
@click.argument("who")
@click.option("--datasets", type=click.IntRange(0, MOST), help="At most so many datasets; 0: any number.")
@click.option("--bytes", "size", metavar="SIZE", help="At most so much, like 500GB; 0: any size.")
@common_options
def set_(
    who: str, datasets: int | None, size: str | None, *, as_json: bool, quiet: bool, **where: Any
) -> None:
    """Grant WHO (number or e-mail address of an account, or a key) a quota of their own.

    What is left out stays as it is.
    """
    if datasets is None and size is None:
        raise UsageError("nothing is to be changed", hint="Give --datasets, --bytes or both.")
    given = None if size is None else parse_size(size)
    if given is not None and given > MOST:
        raise UsageError(f"{size} is more than can be counted", hint="0 stands for no limit.")
    settings = settings_of(**where)
    with writing(settings.sqlalchemy_url) as connection:
        before = granting.read(connection, settings, granting.publisher_of(connection, who)).quota
        wanted = Quota(
            before.datasets if datasets is None else datasets, before.bytes if given is None else given
        )
        made = granting.grant(connection, settings, who, wanted)
        noted(connection, "quota.set", f"publisher {made.publisher}", granting.words(wanted))
    show(made.document(), _line(made), as_json=as_json)


@quota.command()
@click.argument("who")
@common_options
def clear(who: str, *, as_json: bool, quiet: bool, **where: Any) -> None:
    """Let the quota of the settings hold again for WHO."""
    settings = settings_of(**where)
    with writing(settings.sqlalchemy_url) as connection:
        publisher = granting.clear(connection, who)
        noted(connection, "quota.cleared", f"publisher {publisher}", "")
        now = granting.read(connection, settings, publisher)
    show(now.document(), _line(now), as_json=as_json)
