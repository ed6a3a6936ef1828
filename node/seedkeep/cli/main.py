"""The ``seedkeep`` command: puts the groups together.

Other packages add commands through the entry-point group ``seedkeep.commands``; the registrar does.
"""

from __future__ import annotations

from importlib.metadata import entry_points

import click

from seedkeep import __version__
from seedkeep.cli.data import fetch, info, verify
from seedkeep.cli.demo import demo
from seedkeep.cli.key import key
from seedkeep.cli.login import login, logout, whoami
from seedkeep.cli.node import node
from seedkeep.cli.record import edit, history, withdraw
from seedkeep.cli.running import Commands
from seedkeep.cli.share import share
from seedkeep.cli.taint import taint
from seedkeep.cli.whatis import whatis

GROUP = "seedkeep.commands"


class _Everything(Commands):
    """The built-in commands, and those of other packages when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return sorted({*super().list_commands(ctx), *(p.name for p in entry_points(group=GROUP))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command; only then is its package loaded."""
        found = super().get_command(ctx, cmd_name)
        if found is None:
            for point in entry_points(group=GROUP, name=cmd_name):
                loaded = point.load()
                return loaded if isinstance(loaded, click.Command) else None
        return found


@click.group(
    cls=_Everything, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="seedkeep")
def cli() -> None:
    """Keep public research data alive, together.

    \b
    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 tainted,
    5 verification failed, 130 interrupted.
    """


for command in (
    share,
    fetch,
    info,
    verify,
    whatis,
    edit,
    history,
    withdraw,
    node,
    taint,
    key,
    login,
    logout,
    whoami,
    demo,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line."""
    cli.main(prog_name="seedkeep")
