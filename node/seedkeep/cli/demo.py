"""``seedkeep demo``: the whole promise on one machine."""

from __future__ import annotations

from pathlib import Path

import click

from seedkeep.cli.output import Output
from seedkeep.cli.running import json_option, run
from seedkeep.core.units import print_duration, print_size


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option(
    "--nodes", default=3, show_default=True, type=click.IntRange(1), help="Storage managers to start."
)
@click.option("--keep", is_flag=True, help="Stop after the fetch and leave everything running.")
@json_option
def demo(path: Path | None, nodes: int, keep: bool, as_json: bool, quiet: bool) -> None:
    """Record, mirror, fetch, lose a node, fetch again, taint: everything, with real processes.

    PATH is a folder or file to use; without it, a small real sample that comes with Seedkeep.
    """
    from seedkeep.demo import DemoStep, run_demo

    output = Output(as_json=as_json, quiet=quiet)
    last = ["", ""]

    def report(step: DemoStep) -> None:
        if [step.state, step.text] == last:
            return
        last[:] = [step.state, step.text]
        mark = {"running": "…", "done": "✓", "skipped": "–"}[step.state]
        took = f"  ({step.seconds:.1f} s)" if step.state == "done" else ""
        output.say(f"{mark} {step.text}{took}")

    result = run(run_demo(path, nodes=nodes, keep=keep, report=report), again="Nothing is left behind.")
    kept = ""
    if result.stop:
        kept = f"\nStill running: {result.registrar}\n{result.landing_page}\nTo stop it: {result.stop}"
    text = (
        f"{result.files} files, {print_size(result.bytes)}, {result.nodes} storage managers, "
        f"{print_duration(result.seconds)}: every promise held.\n{result.ark}{kept}"
    )
    output.result(result.as_json(), text)
