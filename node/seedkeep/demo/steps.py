"""What the demonstration reports: its steps while they happen, and its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

State = Literal["running", "done", "skipped"]


@dataclass(frozen=True, slots=True)
class DemoStep:
    """One step of the demonstration, or how far it has come.

    Args:
        name: stable name of the step, e.g. ``fetch``.
        text: one line for a person.
        state: ``running`` may be reported many times, ``done`` or ``skipped`` once.
        seconds: since the step began.
        bytes: bytes of the dataset that the step has moved, checked or removed; 0 where that has no meaning.
        copies: complete and audited copies known at this moment.
    """

    name: str
    text: str
    state: State = "running"
    seconds: float = 0.0
    bytes: int = 0
    copies: int = 0


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demonstration showed.

    Args:
        steps: the finished and skipped steps, in order.
        ark, landing_page: the dataset's name and its page at the registrar.
        files, bytes: of the dataset.
        nodes: storage managers that took part.
        registrar: the registrar's URL.
        directory: where everything runs; "" unless it was kept.
        stop: one line that ends what was kept running; "" otherwise.
    """

    steps: tuple[DemoStep, ...]
    ark: str
    landing_page: str
    files: int
    bytes: int
    nodes: int
    registrar: str
    directory: str = ""
    stop: str = ""

    @property
    def seconds(self) -> float:
        """Time of all steps together."""
        return round(sum(s.seconds for s in self.steps), 3)

    def as_json(self) -> dict[str, Any]:
        """The one object that ``seedkeep demo --json`` prints."""
        return {**asdict(self), "steps": [asdict(s) for s in self.steps], "seconds": self.seconds}


class Reporter:
    """Times the steps and passes every change on."""

    def __init__(self, report: Callable[[DemoStep], None]) -> None:
        self._report = report
        self._began = 0.0
        self._step = DemoStep("", "")
        self.finished: list[DemoStep] = []

    @contextmanager
    def step(self, name: str, text: str) -> Iterator[None]:
        """Run one step: reported when it begins, and as done when the block ends without an error."""
        self._began = time.monotonic()
        self._step = DemoStep(name, text)
        self._report(self._step)
        yield
        self.update(state="done")
        self.finished.append(self._step)

    def skip(self, name: str, text: str) -> None:
        """Say that a step has no meaning here, and why."""
        self._step = DemoStep(name, text, state="skipped")
        self._report(self._step)
        self.finished.append(self._step)

    def update(self, **changes: Any) -> None:
        """Report how far the running step has come; nothing is reported when nothing has changed."""
        step = replace(self._step, **changes)
        if step != self._step:
            self._step = replace(step, seconds=round(time.monotonic() - self._began, 3))
            self._report(self._step)
