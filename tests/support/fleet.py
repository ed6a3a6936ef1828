"""A whole small network as a user would run it: real ``seedkeep`` processes, one home each."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from seedkeep.demo.processes import Child, Home
from tests.support.ports import free_port


@dataclass
class Fleet:
    """Registrar, nodes and people on loopback (or each in a network namespace by ``prefixes``).

    Args:
        path: where all of them live.
        host: the address the registrar listens on.
        prefixes: command prefix by home name, e.g. to enter a namespace.
    """

    path: Path
    host: str = "127.0.0.1"
    prefixes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)
    port: int = 0
    started: list[Child] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The registrar's public URL."""
        return f"http://{self.host}:{self.port}"

    def home(self, name: str, **variables: str) -> Home:
        """A person's or machine's own place; asked for again, it is the same place."""
        place = self.path / name
        place.mkdir(parents=True, exist_ok=True)
        return Home(name, place, variables, prefix=tuple(self.prefixes.get(name, ())))

    async def registrar(self, *flags: str, **variables: str) -> Child:
        """Start the registrar (again, with the same data and port)."""
        self.port = self.port or free_port(self.host)
        defaults = {"SEEDKEEP_REGISTRAR_ZEROCONF": "false", "SEEDKEEP_REGISTRAR_HEARTBEAT_S": "2"}
        home = self.home("registrar", **{**defaults, **variables})
        child = home.start(
            "registrar", "up", "--listen", f"{self.host}:{self.port}", "--public-url", self.url,
            "--data", str(home.path / "registrar-data"), "--json", *flags,
        )  # fmt: skip
        self._keep("registrar", child)
        await child.ready(30)
        return child

    def _keep(self, name: str, child: Child) -> Child:
        self.children[name] = child
        self.started.append(child)
        return child

    def node_data(self, name: str) -> Path:
        """The data directory of a node."""
        return self.path / name / "node-data"

    def node(self, name: str, *flags: str, pledge: str = "1GB", **variables: str) -> Child:
        """Start a storage manager (again, with the same data)."""
        defaults = {
            "SEEDKEEP_NODE_ZEROCONF": "false",
            "SEEDKEEP_NODE_PRIVATE_WEB_SEEDS": "true",
            "SEEDKEEP_NODE_PORT": "0",
        }
        home = self.home(name, **{**defaults, **variables})
        child = home.start(
            "node", "up", "--pledge", pledge, "--data", str(self.node_data(name)),
            "--registrar", self.url, *flags,
        )  # fmt: skip
        return self._keep(name, child)

    def start(self, name: str, *arguments: str, **variables: str) -> Child:
        """Start a command that goes on in ``name``'s home."""
        child = self.home(name, **variables).start(*arguments)
        return self._keep(name, child)

    async def run(
        self, name: str, *arguments: str, also_ok: Sequence[int] = (), **variables: str
    ) -> dict[str, Any]:
        """Run a command with ``--json`` to its end; what it printed comes back, with its ``exit_code``."""
        code, output = await self.home(name, **variables).run(*arguments, "--json", also_ok=also_ok)
        return {**output, "exit_code": code}

    async def kill(self, name: str) -> None:
        """``kill -9`` a child and all it started, in the middle of whatever it does."""
        child = self.children.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()

    async def stop(self, *names: str) -> None:
        """Stop these children (all of them when none is named), politely."""
        for name in names or tuple(self.children):
            if child := self.children.pop(name, None):
                await child.stop()

    async def get(self, path: str) -> dict[str, Any]:
        """A JSON document of the registrar's, with its ``http_status``."""
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            return {**await answer.json(content_type=None), "http_status": answer.status}

    async def record(self, rid: str) -> dict[str, Any]:
        """The registrar's record document."""
        return await self.get(f"/api/v1/records/{rid}")

    async def until(
        self, rid: str, good: Callable[[dict[str, Any]], bool], *, seconds: float = 60, every: float = 0.1
    ) -> dict[str, Any]:
        """Poll the record document until ``good``; a child that ended meanwhile is an error."""
        last: dict[str, Any] = {}
        try:
            async with asyncio.timeout(seconds):
                while True:
                    with suppress(aiohttp.ClientError):
                        last = await self.record(rid)
                        if good(last):
                            return last
                    await asyncio.sleep(every)
        except TimeoutError:
            shown = json.dumps(last.get("copies", last))
            raise AssertionError(f"after {seconds:.0f} s the record is still: {shown}") from None

    async def copies(self, rid: str, count: int, *, seconds: float = 60) -> dict[str, Any]:
        """Wait for ``count`` complete, audited copies."""
        return await self.until(
            rid, lambda d: d.get("copies", {}).get("audited", 0) >= count, seconds=seconds
        )


@asynccontextmanager
async def fleet(
    path: Path, *, host: str = "127.0.0.1", prefixes: Mapping[str, Sequence[str]] | None = None
) -> AsyncIterator[Fleet]:
    """A fleet that is gone afterwards, whatever happened."""
    ships = Fleet(path, host, prefixes or {})
    try:
        yield ships
    finally:
        await asyncio.gather(*(c.stop(grace=5) for c in ships.started), return_exceptions=True)
