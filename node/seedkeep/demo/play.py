"""The demonstration's course: from an empty machine to data that is kept, found again, and taken back."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from seedkeep.core.errors import Error, NoSpace, UsageError, VerificationFailed
from seedkeep.core.units import print_size
from seedkeep.demo.disk import Source
from seedkeep.demo.processes import Child, Home
from seedkeep.demo.stage import POLL_SECONDS, Stage
from seedkeep.demo.steps import DemoResult, DemoStep, Reporter
from seedkeep.record_document import Record
from seedkeep.registrar_client import RegistrarClient

#: what is shown without a path: the genome of phage lambda
SAMPLE = Path(__file__).parent.parent / "sample" / "lambda-phage"
MAX_NODES = 100
START_SECONDS = 60.0
#: longest wait without any visible progress, in seconds
STALL_SECONDS = 180.0
_HEARTBEAT_SECONDS = 1
#: settings of everybody's commands: nothing leaves this machine
_PERSON = {"SEEDKEEP_CLIENT_LISTEN": "127.0.0.1", "SEEDKEEP_CLIENT_ZEROCONF": "false"}
_TAINTED = 4
_SPARE_BYTES = 256 * 1024 * 1024


async def run_demo(
    path: Path | None, *, nodes: int, keep: bool, report: Callable[[DemoStep], None]
) -> DemoResult:
    """Show the whole promise on this machine.

    Args:
        path: what to share; None takes the sample that the package carries.
        nodes: storage managers to start, and copies to ask for.
        keep: stop after the fetch and leave everything running.
        report: is told of every step, when it begins, gets on and is done.

    Returns:
        what was shown; all processes have ended and the temporary place is gone, unless kept.

    Raises:
        Error: a process failed (its last log lines are in the hint), or a promise did not hold.
        UsageError, NoSpace, InvalidInput: it cannot be shown with this path, number or disk.
    """
    if not 1 <= nodes <= MAX_NODES:
        raise UsageError(
            f"a demonstration with {nodes} nodes is not possible", hint=f"Give 1 to {MAX_NODES}."
        )
    source = await asyncio.to_thread(Source.scan, path or SAMPLE)
    async with Stage() as stage, aiohttp.ClientSession() as session:
        return await _Play(stage, session, source, nodes, Reporter(report)).run(keep=keep)


class _Play:
    """One demonstration; every method is a scene, in the order of :meth:`run`."""

    def __init__(
        self, stage: Stage, session: aiohttp.ClientSession, source: Source, nodes: int, reporter: Reporter
    ) -> None:
        self._stage = stage
        self._session = session
        self._source = source
        self._reporter = reporter
        self._count = nodes
        self._nodes: dict[str, tuple[Home, Child]] = {}
        self._url = ""
        self._registrar: RegistrarClient

    async def run(self, *, keep: bool) -> DemoResult:
        """Play it all; with ``keep`` only as far as the first fetch."""
        stage = self._stage
        self._check_space()
        curator, reader = stage.home("curator", _PERSON), stage.home("reader", _PERSON)
        await self._start_registrar(curator)
        await self._start_nodes()
        record = await self._share()
        await self._fetch(reader, record.ark, "fetch", "fetched by its name, without the sharer")
        directory = stop = ""
        if keep:
            directory, stop = str(stage.place), stage.keep()
        else:
            stopped = await self._lose_a_node(reader, record.ark)
            held = await asyncio.to_thread(self._bytes_held)
            await self._taint(curator, record)
            await self._look_at_the_disks(held, stopped)
            await self._fetch_in_vain(reader, record.ark)
        return DemoResult(
            steps=tuple(self._reporter.finished),
            ark=record.ark,
            landing_page=record.text("landing_page"),
            files=record.dataset.files,
            bytes=record.dataset.bytes,
            nodes=self._count,
            registrar=self._url,
            directory=directory,
            stop=stop,
        )

    def _tell(self, line: str) -> None:
        """A command's own words while it is at work."""
        if line:
            self._reporter.update(text=line)

    def _check_space(self) -> None:
        # one copy for each node, two fetched ones
        needed = (self._count + 2) * self._source.bytes + _SPARE_BYTES
        free = shutil.disk_usage(self._stage.place).free
        if free < needed:
            raise NoSpace(
                f"the demonstration needs {print_size(needed)} in {self._stage.place.parent}, "
                f"where {print_size(free)} are free",
                hint="Set TMPDIR to a place with more room, or give fewer --nodes or less data.",
            )

    # --- the cast ----------------------------------------------------------------------------------------

    async def _start_registrar(self, curator: Home) -> None:
        with self._reporter.step("registrar", "starting a registrar on SQLite"):
            _, key = await curator.run("key", "new", "--json")
            variables = {
                "CURATORS": str(key["key"]),
                "HEARTBEAT_S": str(_HEARTBEAT_SECONDS),
                "MIN_COPIES": "1",
                "NAME": "Demonstration",
                "ZEROCONF": "false",
            }
            home = self._stage.home("registrar", {f"SEEDKEEP_REGISTRAR_{k}": v for k, v in variables.items()})
            data = home.path / "registrar"
            child = self._stage.start(
                home, "registrar", "up", "--listen", "127.0.0.1:0", "--data", str(data), "--json"
            )
            self._url = str((await child.ready(START_SECONDS))["url"]).rstrip("/")
            self._registrar = RegistrarClient(
                self._url, key=None, session=self._session, now=time.time, pinned=None
            )
            self._reporter.update(text=f"registrar at {self._url}")

    async def _start_nodes(self) -> None:
        pledge = 4 * self._source.bytes + _SPARE_BYTES
        text = f"{self._count} storage manager{'s' * (self._count > 1)}, pledging {print_size(pledge)} each"
        with self._reporter.step("nodes", f"starting {text}"):
            for number in range(1, self._count + 1):
                name = f"node {number}"
                variables = {
                    "FLOOR": "0",
                    "LISTEN": "127.0.0.1",
                    "OPERATOR": f"Operator {number}",
                    "INSTITUTION": f"Institution {number}",
                    "PLEDGE": str(pledge),
                    "PORT": "0",
                    "ZEROCONF": "false",
                }
                home = self._stage.home(name, {f"SEEDKEEP_NODE_{k}": v for k, v in variables.items()})
                self._nodes[name] = (home, self._start_node(home))
            patience = self._stage.patience(START_SECONDS)
            while (known := len(await self._registrar.nodes())) < self._count:
                self._reporter.update(text=f"{known} of {text}")
                await patience.wait(known)
            self._reporter.update(text=text)

    def _start_node(self, home: Home) -> Child:
        data = str(home.path / "node")
        return self._stage.start(home, "node", "up", "--data", data, "--registrar", self._url)

    # --- sharing -----------------------------------------------------------------------------------------

    async def _share(self) -> Record:
        root, size = self._source.root, self._source.bytes
        sharer = self._stage.home("sharer", _PERSON)
        with self._reporter.step("share", f"sharing {root.name}, {print_size(size)}"):
            share = self._stage.start(
                sharer,
                *("share", str(root), "--registrar", self._url, "--copies", str(self._count), "--json"),
            )
            record = await self._recorded(share)
            self._reporter.update(text=f"recorded as {record.ark}", bytes=size)
        with self._reporter.step("copies", f"0 of {self._count} copies are complete and audited"):
            await self._audited(record)
        with self._reporter.step("leave", "the sharer switches off"):
            if not await self._ended(share):
                await self._stage.end(share)
            self._reporter.update(text="the sharer is switched off")
        return record

    async def _recorded(self, share: Child) -> Record:
        while not (records := (await self._registrar.records(limit=1))[0]):
            # hashing takes as long as it takes; a sharer that fails is noticed
            self._stage.check()
            if share.ended:
                raise share.failure("ended without a record")
            self._tell(share.last_lines(1).strip())
            await asyncio.sleep(POLL_SECONDS)
        return await self._registrar.record(str(records[0]["rid"]))

    async def _audited(self, record: Record) -> None:
        patience = self._stage.patience(STALL_SECONDS)
        while True:
            copies = (await self._registrar.record(record.rid)).copies
            moved = await asyncio.to_thread(self._bytes_on_nodes)
            self._reporter.update(
                text=f"{copies.audited} of {self._count} copies are complete and audited",
                bytes=min(moved, self._count * self._source.bytes),
                copies=copies.audited,
            )
            if min(copies.audited, copies.complete) >= self._count:
                break
            await patience.wait((copies, moved))
        for name, (home, _) in self._nodes.items():
            if await asyncio.to_thread(self._source.held_in, home.path / "node") != self._source.sizes:
                raise VerificationFailed(f"{name} does not hold all files, although its copy was audited")

    def _bytes_on_nodes(self) -> int:
        return sum(self._source.bytes_in(home.path / "node") for home, _ in self._nodes.values())

    def _bytes_held(self) -> int:
        held = [self._source.held_in(home.path / "node") for home, _ in self._nodes.values()]
        return sum(sum(sizes.values()) for sizes in held)

    async def _ended(self, share: Child) -> bool:
        """Whether the sharer has ended by itself, now that it may; an error when it failed."""
        try:
            async with asyncio.timeout(10 * _HEARTBEAT_SECONDS):
                code = await share.wait()
        except TimeoutError:
            return False
        if code != 0:
            raise share.failure()
        return True

    # --- fetching ----------------------------------------------------------------------------------------

    async def _fetch(self, reader: Home, ark: str, name: str, text: str) -> None:
        with self._reporter.step(name, f"fetching {ark}"):
            place = reader.path / name
            arguments = ("fetch", ark, "-o", str(place), "--registrar", self._url, "--json")
            _, told = await reader.run(*arguments, progress=self._tell)
            moved = int(told["peers_bytes"]) + int(told["web_seed_bytes"])
            self._reporter.update(text=f"{text}: {print_size(moved)} from the nodes", bytes=moved)
        with self._reporter.step(f"verify {name}", "verifying every file"):
            check = ("verify", str(told["path"]), ark, "--registrar", self._url, "--json")
            await reader.run(*check, progress=self._tell)
            self._reporter.update(text="every file verified by all its digests", bytes=self._source.bytes)

    async def _lose_a_node(self, reader: Home, ark: str) -> str:
        """Gives the name of the node that is off now, or ""."""
        if self._count == 1:
            self._reporter.skip("lose a node", "there is only one node; it has to stay")
            return ""
        name = next(reversed(self._nodes))
        home, child = self._nodes[name]
        with self._reporter.step("lose a node", f"stopping {name}"):
            await self._stage.end(child)
            self._reporter.update(text=f"{name} is gone")
        await self._fetch(reader, ark, "fetch again", f"fetched without {name} as well")
        self._nodes[name] = (home, child)
        return name

    # --- taking back -------------------------------------------------------------------------------------

    async def _taint(self, curator: Home, record: Record) -> None:
        with self._reporter.step("taint", "a curator taints the dataset"):
            why = ("--category", "other", "--effect", "remove", "--reason", "The demonstration ends.")
            await curator.run("taint", "add", record.ark, *why, "--registrar", self._url, "--json")
            self._reporter.update(text="tainted by a curator")

    async def _look_at_the_disks(self, held: int, stopped: str) -> None:
        """Wait until nothing is left of the ``held`` bytes; the ``stopped`` node is started again first."""
        with self._reporter.step("removal", "waiting until the files are gone from every node"):
            if stopped:
                home, _ = self._nodes[stopped]
                self._nodes[stopped] = (home, self._start_node(home))
            patience = self._stage.patience(STALL_SECONDS)
            while any(left := await asyncio.to_thread(self._traces)):
                holders = sum(1 for count in left if count)
                self._reporter.update(
                    text=f"{holders} of {self._count} nodes still hold files", copies=holders
                )
                await patience.wait(left)
            back = f", {stopped} too when it came back" if stopped else ""
            self._reporter.update(text=f"no file is left on any node{back}", bytes=held, copies=0)

    def _traces(self) -> list[int]:
        """How many files of the dataset each node still has."""
        return [len(self._source.traces_in(home.path / "node")) for home, _ in self._nodes.values()]

    async def _fetch_in_vain(self, reader: Home, ark: str) -> None:
        with self._reporter.step("fetch tainted", f"fetching {ark} once more"):
            arguments = ("fetch", ark, "-o", str(reader.path / "tainted"), "--registrar", self._url, "--json")
            code, _ = await reader.run(*arguments, also_ok=(_TAINTED,))
            if code != _TAINTED:
                raise Error("a tainted dataset could still be fetched")
            self._reporter.update(text=f"refused with exit code {code}, as it should be")
