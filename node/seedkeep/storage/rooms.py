"""The parts of a node that work on its datasets, handed around together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from seedkeep.config import NodeSettings
from seedkeep.core.manifest import Manifest
from seedkeep.engine.model import Engine
from seedkeep.storage.documents import Documents
from seedkeep.storage.duties import Duties
from seedkeep.storage.layout import Layout
from seedkeep.storage.model import Registrar
from seedkeep.storage.pledge import Pledge
from seedkeep.storage.problems import Problems
from seedkeep.storage.state import State
from seedkeep.storage.taints import Taints

T = TypeVar("T")


class ProbeVerdict(Protocol):
    """What :func:`seedkeep.webseeds.probe.probe` gives."""

    @property
    def ok(self) -> bool: ...
    @property
    def reason(self) -> str: ...


#: asks a web seed (URL, manifest, layers) for samples before it is used
Probe = Callable[[str, Manifest, bytes], Awaitable[ProbeVerdict]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds.

    Args:
        retry, retry_most: the first and the longest pause before something is tried again.
        stall: a download without a byte for so long gives its place to another one.
        give_up: a download without a byte for so long is given back.
        lost: a dataset whose lease is not renewed is kept this long, should it have been an accident.
        shrink: complete datasets above a lowered pledge are kept this long after the start.
        idle: a companion without peers for so long is unloaded.
        tick: between two looks at everything.
        save: between two savings of resume data.
        clock: between two looks at the clock for what taints let end.
        settle: a registrar that was silent is back when it has answered for so long.
    """

    retry: float = 2.0
    retry_most: float = 300.0
    stall: float = 600.0
    give_up: float = 86_400.0
    lost: float = 3600.0
    shrink: float = 600.0
    idle: float = 900.0
    tick: float = 5.0
    save: float = 30.0
    clock: float = 60.0
    settle: float = 60.0


@dataclass(frozen=True)
class Rooms:
    """Everything a dataset's way needs. ``now`` is Unix seconds."""

    settings: NodeSettings
    state: State
    layout: Layout
    pledge: Pledge
    documents: Documents
    taints: Taints
    duties: Duties
    engine: Engine
    problems: Problems
    clients: Mapping[str, Registrar]
    probe: Probe
    now: Callable[[], float]
    patience: Patience = Patience()

    async def in_thread(self, work: Callable[[threading.Event], T]) -> T:
        """Run ``work`` in a thread; when the caller is cancelled, ``work`` is told to stop, and awaited."""
        stop = threading.Event()
        job = asyncio.ensure_future(asyncio.to_thread(work, stop))
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([job])
            if not job.cancelled():
                job.exception()
            raise
