"""``seedkeep node``: give disk space, and look after it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from seedkeep.cli.output import Output
from seedkeep.cli.running import json_option, run
from seedkeep.config import Places, node_settings
from seedkeep.control import call, socket_path
from seedkeep.core.errors import Unreachable
from seedkeep.core.paths import printable
from seedkeep.core.units import print_size
from seedkeep.locating import is_bare
from seedkeep.registrar_http import normal_url

F = TypeVar("F", bound=Callable[..., Any])
_ANSWER_S = 30.0
_ENDING_S = 60.0


@click.group()
def node() -> None:
    """Give disk space to keep datasets alive."""


def _data_option(command: F) -> F:
    command = click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="Settings; node.toml of your configuration by default.",
    )(command)
    return click.option("--data", type=click.Path(path_type=Path), help="The node's data directory.")(command)


@node.command()
@click.option("--pledge", metavar="SIZE", help="Most disk space it ever uses, like 50GB.")
@_data_option
@click.option("--registrar", "registrars", multiple=True, metavar="URL", help="Serve this registrar.")
@click.option("--subject", "subjects", multiple=True, help="Take datasets about this; may be repeated.")
@click.option(
    "--collection",
    "collections",
    multiple=True,
    metavar="NAME",
    help="Take what is on this collection: its short name or the address of its page; may be repeated.",
)
@json_option
def up(
    pledge: str | None,
    data: Path | None,
    config: Path | None,
    registrars: tuple[str, ...],
    subjects: tuple[str, ...],
    collections: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Run a storage manager, until Ctrl-C or `seedkeep node down`."""
    from seedkeep.node_process import run_node, summary, with_absolute_data

    output = Output(as_json=as_json, quiet=quiet)
    flags = {
        "pledge": pledge,
        "data": str(data) if data else None,
        "registrars": tuple(u if is_bare(u) else normal_url(u) for u in registrars),
        "subjects": (*subjects, *(f"collection:{c.rstrip('/').rpartition('/')[2]}" for c in collections)),
    }
    settings = with_absolute_data(node_settings(Places.of(os.environ), os.environ, flags, file=config))

    def ready(manager: Any, urls: list[str]) -> None:
        fields = summary(manager, urls)
        text = (
            f"{fields['node']} keeps up to {print_size(fields['pledge'])} in {fields['data']}\n"
            f"port {fields['port']}, for {', '.join(urls)}"
        )
        output.result(fields, text)

    async def work() -> None:
        """A node that is told to stop has done what it should: both ways end well."""
        process = asyncio.ensure_future(run_node(settings, ready=ready))
        loop, asked = asyncio.get_running_loop(), False

        def stop() -> None:
            nonlocal asked
            asked = True
            process.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        try:
            await process
        except asyncio.CancelledError:
            if not asked:
                raise

    run(work())


def _ask(do: str, data: Path | None, config: Path | None) -> Any:
    flags = {"data": str(data) if data else None}
    settings = node_settings(Places.of(os.environ), os.environ, flags, file=config)
    return run(call(socket_path(settings.data.absolute()), do, timeout=_ANSWER_S))


@node.command()
@_data_option
@json_option
def status(data: Path | None, config: Path | None, as_json: bool, quiet: bool) -> None:
    """Show how the node is."""
    found = _ask("status", data, config)
    held, room = found["datasets"], {k: print_size(found[k]) for k in ("used", "reserved", "pledge")}
    complete = held.get("complete", 0)
    rates = f"{print_size(found['down_rate'])}/s in, {print_size(found['up_rate'])}/s out"
    lines = [
        f"{found['node']}  {found['state']}{' (everything handed over)' if found.get('drained') else ''}",
        f"{room['used']} used, {room['reserved']} reserved of {room['pledge']} in {found['data']}",
        f"{complete} datasets complete, {sum(held.values()) - complete} under way",
        f"{rates}, {found['peers']} peers",
    ]
    for registrar in found["registrars"]:
        lines.append(f"registrar {registrar['url']}: {_standing(registrar)}")
    lines += [f"sharing {s['path']}{': ' + s['problem'] if s['problem'] else ''}" for s in found["shared"]]
    lines += [f"problem: {p}" for p in found["problems"]]
    Output(as_json=as_json, quiet=quiet).result(found, "\n".join(lines))


def _standing(registrar: dict[str, Any]) -> str:
    """How things stand with a registrar, in words."""
    state = "reachable" if registrar["reachable"] else f"not reachable: {registrar['error']}"
    if instead := registrar["stood_in_for_by"]:
        back = "it is back, and takes over again from" if registrar["reachable"] else "stood in for by"
        state += f"; {back} {', '.join(instead)}"
    if silent := registrar["stands_in_for"]:
        state += f"; stands in for {', '.join(silent)}"
    return state


def _tainted(dataset: dict[str, Any]) -> str:
    """What taints do to a dataset, in words."""
    from seedkeep.message_fields import one_line

    told = dataset["taints"]
    if not told:
        return ""
    done = "not served" if not dataset["served"] else "tainted"
    if dataset["served"] and dataset["withheld"]:
        done = f"{dataset['withheld']} files withheld"
    return f"  ({done}: {told[0]['effect']}, {one_line(told[0]['reason'], 80)})"


@node.command()
@_data_option
@json_option
def ls(data: Path | None, config: Path | None, as_json: bool, quiet: bool) -> None:
    """List the datasets this node holds."""
    found = _ask("ls", data, config)
    lines = [
        f"{d['content_id'][:16]}  {d['state']:11} {print_size(d['have']):>8} of {print_size(d['bytes']):>8}  "
        f"{printable(d['name'] or '?')}{_tainted(d)}"
        for d in found["datasets"]
    ]
    Output(as_json=as_json, quiet=quiet).result(found, "\n".join(lines) or "nothing yet")


@node.command()
@_data_option
@json_option
def pause(data: Path | None, config: Path | None, as_json: bool, quiet: bool) -> None:
    """Stop all traffic, until `resume`."""
    _ask("pause", data, config)
    Output(as_json=as_json, quiet=quiet).result({"state": "paused"}, "paused")


@node.command()
@_data_option
@json_option
def resume(data: Path | None, config: Path | None, as_json: bool, quiet: bool) -> None:
    """Go on after `pause` or `drain`."""
    _ask("resume", data, config)
    Output(as_json=as_json, quiet=quiet).result({"state": "active"}, "active")


@node.command()
@_data_option
@json_option
def drain(data: Path | None, config: Path | None, as_json: bool, quiet: bool) -> None:
    """Take nothing more, and hand everything over to other nodes."""
    _ask("drain", data, config)
    text = "draining; `seedkeep node status` tells when everything is handed over"
    Output(as_json=as_json, quiet=quiet).result({"state": "draining"}, text)


@node.command()
@_data_option
@json_option
def down(data: Path | None, config: Path | None, as_json: bool, quiet: bool) -> None:
    """Stop the node; what it holds stays."""
    flags = {"data": str(data) if data else None}
    settings = node_settings(Places.of(os.environ), os.environ, flags, file=config)
    run(_down(socket_path(settings.data.absolute())))
    Output(as_json=as_json, quiet=quiet).result({"state": "down"}, "down")


async def _down(socket: Path) -> None:
    """Ask it to stop, and wait until it has."""
    await call(socket, "down", timeout=_ANSWER_S)
    try:
        async with asyncio.timeout(_ENDING_S):
            while await asyncio.to_thread(socket.exists):  # noqa: ASYNC110 - another process's file
                await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise Unreachable(
            "the node is still stopping", hint="Look again with `seedkeep node status`."
        ) from error
