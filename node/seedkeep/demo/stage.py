"""The demonstration's stage: a temporary place, the processes in it, and their certain end."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from seedkeep.core.errors import Error
from seedkeep.demo.processes import Child, Home

POLL_SECONDS = 0.1

# politely, then by force: a registrar under load may take longer to end than a person expects
_STOP = """\
groups="{groups}"
for group in $groups; do kill -s TERM -- "-$group"; done 2>/dev/null
for group in $groups; do
    for moment in $(seq 150); do
        kill -s 0 -- "-$group" || break
        sleep 0.1
    done
    kill -s KILL -- "-$group"
done 2>/dev/null
rm -rf {place}
"""


class Patience:
    """Waits a moment at a time, as long as something still changes and no process fails."""

    def __init__(self, children: Sequence[Child], seconds: float) -> None:
        self._children = children
        self._seconds = seconds
        self._seen: object = None
        self._since = self._woke = time.monotonic()

    async def wait(self, seen: object) -> None:
        """Wait a moment.

        Args:
            seen: what is observed now; patience ends when it has been the same for too long.

        Raises:
            Error: a process has failed, or nothing has changed for too long.
        """
        now = time.monotonic()
        if seen != self._seen:
            self._seen, self._since = seen, now
        for child in self._children:
            child.check()
        if now - self._since > self._seconds:
            logs = "\n".join(f"{child.name}:\n{child.last_lines(4)}" for child in self._children)
            raise Error(f"nothing has happened for {self._seconds:.0f} s", hint=f"Last log lines:\n{logs}")
        # a look that takes long, such as at 100,000 files, is taken less often
        await asyncio.sleep(max(POLL_SECONDS, now - self._woke))
        self._woke = time.monotonic()


class Stage:
    """An asynchronous context manager: whatever was started on it has ended when it is left.

    That holds for success, errors, cancellation (also twice) and a closed terminal; only :meth:`keep` makes
    the processes and the place stay.
    """

    def __init__(self) -> None:
        self.place = Path()
        self._children: list[Child] = []
        self._kept = False

    async def __aenter__(self) -> Stage:
        self.place = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="seedkeep-demo-"))
        task = asyncio.current_task()
        if task is not None:
            # only the main thread's loop may do this; elsewhere the caller has to cancel
            with suppress(ValueError, RuntimeError):
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, task.cancel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if not self._kept or kind is not None:
                await self._clear()
        finally:
            with suppress(ValueError, RuntimeError):
                asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)

    async def _clear(self) -> None:
        ending = asyncio.gather(*(child.stop() for child in self._children), return_exceptions=True)
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            ending.cancel()  # a second Ctrl-C: by force
            with suppress(asyncio.CancelledError):
                await ending
            raise
        finally:
            shutil.rmtree(self.place, ignore_errors=True)

    def home(self, name: str, variables: Mapping[str, str] | None = None) -> Home:
        """A home for one person or machine."""
        path = self.place / name.replace(" ", "-")
        path.mkdir(mode=0o700, exist_ok=True)
        return Home(name, path, variables or {})

    def start(self, home: Home, *arguments: str) -> Child:
        """Start a command that goes on until the stage is cleared, or :meth:`Child.stop`."""
        child = home.start(*arguments)
        self._children.append(child)
        return child

    def check(self) -> None:
        """
        Raises:
            Error: a process has failed.
        """
        for child in self._children:
            child.check()

    def patience(self, seconds: float) -> Patience:
        """To wait for something that these processes bring about."""
        return Patience(self._children, seconds)

    async def end(self, child: Child) -> None:
        """End one process now."""
        await child.stop()
        self._children.remove(child)

    def keep(self) -> str:
        """Leave everything running; gives the one line that ends it and returns when nothing is left."""
        self._kept = True
        groups = " ".join(str(child.pid) for child in self._children if not child.ended)
        script = self.place / "stop"
        script.write_text(_STOP.format(groups=groups, place=shlex.quote(str(self.place))))
        return f"sh {shlex.quote(str(script))}"
