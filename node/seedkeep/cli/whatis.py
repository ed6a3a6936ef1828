"""``seedkeep whatis``: the datasets that a file in hand, or a checksum, belongs to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from seedkeep.cli.output import Output, Step
from seedkeep.cli.running import json_option, registrar_option, run
from seedkeep.core.errors import NotFound
from seedkeep.core.paths import printable

if TYPE_CHECKING:
    from seedkeep.resolve import Resolved
    from seedkeep.whatis import Meaning


@click.command()
@click.argument("what", nargs=-1, required=True)
@registrar_option
@json_option
def whatis(what: tuple[str, ...], registrars: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Find the datasets that a file, a folder or a checksum belongs to.

    WHAT is a file or folder on this machine, md5:…, sha256:… or any other name. Nothing but the checksum is
    sent. Exit code 3 when one of them is in no dataset.
    """
    output = Output(as_json=as_json, quiet=quiet)
    found, unknown = run(_whatis(what, registrars, output))
    fields = {"found": [_fields(meaning) for meaning in found], "unknown": unknown}
    if unknown and (as_json or not found):
        failure = NotFound(f"{', '.join(map(printable, unknown[:5]))}: in no dataset that a registrar knows")
        failure.fields = fields  # type: ignore[attr-defined]
        raise failure
    output.result(fields, "\n".join(_text(meaning) for meaning in found))
    if unknown:
        raise NotFound(f"{', '.join(map(printable, unknown[:5]))}: in no dataset that a registrar knows")


async def _whatis(
    what: Sequence[str], registrars: Sequence[str], output: Output
) -> tuple[list[Meaning], list[str]]:
    from seedkeep.user import open_user
    from seedkeep.whatis import whatis as ask

    found, unknown = [], []
    async with open_user(os.environ, registrars=registrars) as user:
        with output.progress() as bar:
            for asked in what:
                try:
                    found.append(
                        await ask(
                            user.resolver, asked, lambda done, total: bar.show(Step("hashing", done, total))
                        )
                    )
                except NotFound:
                    unknown.append(asked)
    return found, unknown


def _fields(meaning: Meaning) -> dict[str, Any]:
    return {
        "asked": meaning.asked,
        "name": str(meaning.name),
        "datasets": [_dataset(found) for found in meaning.found],
    }


def _dataset(found: Resolved) -> dict[str, str]:
    record = found.record
    assert record is not None
    return {
        "ark": record.ark,
        "title": record.state.metadata.title or record.dataset.name,
        "path": found.path,
        "license": record.body.license,
        "landing_page": record.text("landing_page"),
        "registrar": found.registrar,
    }


def _text(meaning: Meaning) -> str:
    lines = [f"{printable(meaning.asked)} ({meaning.name})"]
    for found in meaning.found:
        shown = _dataset(found)
        inside = f", as {shown['path']}" if shown["path"] else ""
        lines.append(
            f"  {shown['ark']}  {shown['title']}{inside} ({shown['license']})\n    {shown['landing_page']}"
        )
    return "\n".join(lines)
