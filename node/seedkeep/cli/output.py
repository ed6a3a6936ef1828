"""What the command line shows, and where: results on standard output, everything else on standard error.

With ``--json`` standard output holds exactly one JSON object, also when the command fails.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from seedkeep.core.errors import Error
from seedkeep.core.units import print_duration, print_size

#: without a terminal, a line of progress is printed this often
PLAIN_S = 5.0
_ENDLESS = re.compile(r"\S{1000,}")


class Interrupted(Error):
    """The person (or the system) stopped the command."""

    exit_code = 130
    code = "interrupted"


def plain(text: str) -> str:
    """Text as it may go to a terminal: line breaks stay, other control characters do not."""
    return "".join(c if c == "\n" or c.isprintable() else "�" for c in text)


def short(text: str) -> str:
    """``text`` with every word that nobody would read to its end (a path, a URL) cut in the middle."""
    return _ENDLESS.sub(lambda word: f"{word[0][:120]}…{word[0][-60:]}", text)


@dataclass(frozen=True, slots=True)
class Step:
    """A moment of progress: bytes (``total`` 0: unknown), ``rate`` in bytes per second (None: unknown)."""

    phase: str
    done: int
    total: int
    rate: float | None = None
    detail: str = ""


class Output:
    """One command's voice.

    Args:
        as_json: one JSON object on standard output.
        quiet: no progress and no notes.
    """

    def __init__(
        self, *, as_json: bool, quiet: bool, out: TextIO | None = None, err: TextIO | None = None
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._bar: Bar | None = None

    def result(self, fields: Mapping[str, Any], text: str) -> None:
        """The command's result: ``fields`` with ``--json``, else ``text``."""
        shown = json.dumps(fields, ensure_ascii=False, indent=2) if self.as_json else plain(text)
        # a lone surrogate from a file's name must not end the program
        self._out.write(shown.encode("utf-8", "replace").decode() + "\n")
        self._out.flush()

    def error(self, error: Error, fields: Mapping[str, Any] | None = None) -> None:
        """A failure, with its code and hint."""
        what, hint = short(error.what), short(error.hint)
        if self.as_json:
            self.result({**(fields or {}), "error": {"code": error.code, "message": what, "hint": hint}}, "")
        else:
            self._line(f"error: {what}" + (f"\nhint: {hint}" if hint else ""))

    def note(self, text: str) -> None:
        """Something worth knowing that is no failure."""
        if not self.quiet:
            self._line(f"note: {text}")

    def say(self, text: str) -> None:
        """A line of how it goes, on standard error."""
        if not self.quiet:
            self._line(text)

    def instruct(self, text: str) -> None:
        """What the person has to do for the command to go on; also with ``--quiet``."""
        self._line(text)

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.above(plain(text))
        else:
            print(plain(text), file=self._err, flush=True)

    @contextmanager
    def progress(self) -> Iterator[Bar]:
        """Progress for the time of the block: a bar on a terminal, a line now and then elsewhere."""
        if self.quiet:
            yield Bar()
            return
        bar = _RichBar(self._err) if self._err.isatty() else _PlainBar(self._err)
        self._bar = bar
        try:
            yield bar
        finally:
            self._bar = None
            bar.close()


class Bar:
    """Takes steps and shows nothing."""

    def show(self, step: Step) -> None:
        """Show how far it is."""

    def above(self, text: str) -> None:
        """Show a line without disturbing the bar."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def describe(step: Step, rate: float) -> str:
    """``fetching 12.0 MB of 18.4 MB (65 %), 3.1 MB/s, 2 s left, 3 peers``."""
    parts = [f"{step.phase} {print_size(step.done)}"]
    if step.total:
        parts[0] += f" of {print_size(step.total)} ({step.done * 100 // step.total} %)"
    if rate > 0:
        parts.append(f"{print_size(rate)}/s")
        if step.total > step.done:
            parts.append(f"{print_duration((step.total - step.done) / rate)} left")
    if step.detail:
        parts.append(step.detail)
    return ", ".join(parts)


class _Rate:
    """Bytes per second over about the last ten seconds."""

    def __init__(self) -> None:
        self._phase = ""
        self._seen: list[tuple[float, int]] = []

    def of(self, step: Step) -> float:
        now = time.monotonic()
        if step.phase != self._phase or (self._seen and step.done < self._seen[-1][1]):
            self._phase, self._seen = step.phase, []
        self._seen = [(t, n) for t, n in self._seen if now - t < 10] + [(now, step.done)]
        if step.rate is not None:
            return step.rate
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - first) if last - first > 0.2 else 0.0


class _PlainBar(Bar):
    def __init__(self, err: TextIO) -> None:
        self._err = err
        self._rate = _Rate()
        self._phase = ""
        self._shown = 0.0

    def show(self, step: Step) -> None:
        rate, now = self._rate.of(step), time.monotonic()
        if step.phase == self._phase and now - self._shown < PLAIN_S:
            return
        self._phase, self._shown = step.phase, now
        self.above(plain(describe(step, rate)))

    def above(self, text: str) -> None:
        print(text, file=self._err, flush=True)


class _RichBar(Bar):
    def __init__(self, err: TextIO) -> None:
        self._console = Console(file=err, markup=False, highlight=False)
        self._rate = _Rate()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            console=self._console,
            transient=True,
            refresh_per_second=5,
        )
        self._task: TaskID | None = None
        self._progress.start()

    def show(self, step: Step) -> None:
        text = plain(describe(step, self._rate.of(step)))
        total = step.total or None
        if self._task is None:
            self._task = self._progress.add_task(text, total=total, completed=step.done)
        else:
            self._progress.update(self._task, description=text, total=total, completed=step.done)

    def above(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def close(self) -> None:
        self._progress.stop()
