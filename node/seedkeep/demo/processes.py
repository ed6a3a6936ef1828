"""The demonstration's processes: each a ``seedkeep`` command with its own home, log and process group.

Nothing of the user's is read or written: HOME and the XDG directories point into the temporary place and
the user's ``SEEDKEEP_*`` variables are left out. Ctrl-C in the terminal reaches the demonstration only,
which then ends its processes itself, each with everything that it started.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedkeep.core.errors import Error

STOP_SECONDS = 15.0
_POLL_SECONDS = 0.05
_PROGRESS_SECONDS = 1.0
_LOG_LINES = 12
_LOG_BYTES = 64 * 1024


def environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that lives in ``home``; the directories are made, for the owner alone."""
    places = {
        "HOME": home,
        "XDG_CONFIG_HOME": home / "config",
        "XDG_DATA_HOME": home / "data",
        "XDG_STATE_HOME": home / "state",
        "XDG_CACHE_HOME": home / "cache",
        "XDG_RUNTIME_DIR": home / "run",
    }
    for place in places.values():
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SEEDKEEP_")}
    return {**kept, **{k: str(v) for k, v in places.items()}, **extra}


@dataclass(frozen=True, slots=True)
class Home:
    """A place of its own for one person or machine of the demonstration.

    Args:
        name: e.g. ``node 2``; errors call its processes so.
        path: its directory.
        variables: its ``SEEDKEEP_*`` settings.
        prefix: a command that runs the command, e.g. in another network namespace.
    """

    name: str
    path: Path
    variables: Mapping[str, str]
    prefix: tuple[str, ...] = ()

    async def run(
        self, *arguments: str, also_ok: Sequence[int] = (), progress: Callable[[str], None] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Run one command that ends by itself and prints one JSON object.

        Args:
            also_ok: exit codes besides 0 that are no failure.
            progress: is told the last line of the command's log about once a second.

        Returns:
            its exit code, and the object (empty when it printed none).

        Raises:
            Error: it ended with a code other than 0 and ``also_ok``.
        """
        child = self.start(*arguments)
        ending = asyncio.ensure_future(child.wait())
        try:
            while not (await asyncio.wait([ending], timeout=_PROGRESS_SECONDS))[0]:
                if progress:
                    progress(child.last_lines(1).strip())
            code = ending.result()
        finally:
            await child.stop()
        if code != 0 and code not in also_ok:
            raise child.failure()
        return code, child.output()

    def start(self, *arguments: str) -> Child:
        """Start one command and return at once; its output goes to files in this home."""
        variables = environment(self.path, self.variables)
        number = len(list(self.path.glob("*.out")))
        base = self.path / f"{number:02d}-{'-'.join(a for a in arguments[:2] if a.isalpha())}"
        out, log = base.with_suffix(".out"), base.with_suffix(".log")
        with out.open("wb") as stdout, log.open("wb") as stderr:
            process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "seedkeep", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=variables,
                cwd=self.path,
                start_new_session=True,
            )
        return Child(f"{self.name} (seedkeep {' '.join(arguments[:2])})", process, out, log)


class Child:
    """One running command; it outlives the demonstration unless :meth:`stop` is called."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], out: Path, log: Path) -> None:
        self.name = name
        self._process = process
        self._out = out
        self._log = log

    @property
    def pid(self) -> int:
        """Its process id, which is its process group's as well."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """True when the command has ended, for whatever reason."""
        return self._process.poll() is not None

    async def wait(self) -> int:
        """Its exit code, when it has ended."""
        # a waiting thread for each child would use up the loop's few
        while True:
            if (code := self._process.poll()) is not None:
                return code
            await asyncio.sleep(_POLL_SECONDS)

    def output(self) -> dict[str, Any]:
        """The first JSON object on its standard output; empty as long as there is none."""
        text = self._out.read_bytes().decode("utf-8", errors="replace").lstrip()
        with suppress(ValueError):
            found, _ = json.JSONDecoder().raw_decode(text)
            if isinstance(found, dict):
                return found
        return {}

    async def ready(self, seconds: float) -> dict[str, Any]:
        """Wait for its first JSON object.

        Raises:
            Error: it ended before, said what is wrong, or did not print one in time.
        """
        until = time.monotonic() + seconds
        while not (output := self.output()):
            if self.ended:
                raise self.failure()
            if time.monotonic() > until:
                raise self.failure(f"was not ready within {seconds:.0f} s")
            await asyncio.sleep(_POLL_SECONDS)
        if isinstance(output.get("error"), dict):  # what a command says just before it ends
            raise self.failure("did not start")
        return output

    def check(self) -> None:
        """
        Raises:
            Error: the command has failed.
        """
        if self._process.poll():
            raise self.failure()

    def failure(self, what: str = "") -> Error:
        """What went wrong with this command: its own words, or else the last lines of its log."""
        what = what or f"ended with exit code {self._process.returncode}"
        told = self.output().get("error")
        if isinstance(told, dict):
            what, hint = f"{what}: {told.get('message')}", str(told.get("hint") or "")
        else:
            hint = ""
        if lines := self.last_lines(_LOG_LINES):
            hint = f"{hint}\nThe last lines of its log:\n{lines}".lstrip()
        return Error(f"{self.name} {what}", hint=hint or "Its log is empty.")

    def last_lines(self, count: int) -> str:
        """The last lines of its log, indented."""
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _LOG_BYTES))
            lines = log.read().decode("utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in [x for x in lines if x.strip()][-count:])

    async def stop(self, grace: float = STOP_SECONDS) -> None:
        """End it and everything that it started: politely, then, after ``grace`` seconds, by force.

        By force at once when the wait is cancelled.
        """
        try:
            if not self.ended:
                self._signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    await asyncio.to_thread(self._process.wait, grace)
        finally:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
