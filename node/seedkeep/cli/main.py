"""The ``seedkeep`` command: puts the groups together.

Other packages add commands through the entry-point group ``seedkeep.commands``; the registrar does. A
command's module is loaded when that command is asked for: each takes a noticeable time.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

import click

from seedkeep import __version__
from seedkeep.cli.running import Commands

GROUP = "seedkeep.commands"

#: where each built-in command is, under its own name
_MODULES = {
    "share": "share",
    "fetch": "data",
    "info": "data",
    "verify": "data",
    "whatis": "whatis",
    "edit": "record",
    "history": "record",
    "withdraw": "record",
    "rehome": "record",
    "node": "node",
    "curate": "curate",
    "taint": "taint",
    "log": "log",
    "proof": "log",
    "key": "key",
    "login": "login",
    "logout": "login",
    "whoami": "login",
    "demo": "demo",
}


class _Everything(Commands):
    """The built-in commands, and those of other packages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return sorted({*_MODULES, *(p.name for p in entry_points(group=GROUP))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command."""
        if cmd_name in _MODULES:
            found = getattr(import_module(f"seedkeep.cli.{_MODULES[cmd_name]}"), cmd_name)
        else:
            found = next((point.load() for point in entry_points(group=GROUP, name=cmd_name)), None)
        return found if isinstance(found, click.Command) else None


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


def main() -> None:
    """Run the command line."""
    cli.main(prog_name="seedkeep")
