"""Virtual time, a network that fails, and actors that die; all chance comes from one seed."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from random import Random
from typing import Any

#: how long a caller waits, seconds
TIMEOUT_S = 10.0
#: the real time at which every run begins
EPOCH = 1_900_000_000.0

Answer = Any
Reply = Callable[[Answer], None]


class Violation(AssertionError):
    """A promise that did not hold."""


class Crashed(Exception):
    """An actor's process died here, between two of its steps."""

    def __init__(self, actor: Actor) -> None:
        super().__init__(actor.name)
        self.actor = actor


class World:
    """The queue of what happens next."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.now = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def after(self, delay: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._numbers), what))

    def run_until(self, time: float) -> None:
        while self._queue and self._queue[0][0] <= time:
            self.now, _, what = heapq.heappop(self._queue)
            try:
                what()
            except Crashed as crashed:
                crashed.actor.crash()
                self.after(self.random.uniform(1, 40), crashed.actor.start)
        self.now = time


class Network:
    """Carries requests and answers: late, twice, in another order, or not at all."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.actors: dict[str, Actor] = {}
        self.cut: set[frozenset[str]] = set()
        self.loss = self.duplication = 0.0
        self.slowest = 0.1

    def call(self, caller: Actor, to: str, request: tuple[Any, ...], then: Reply) -> None:
        """Send ``request``; ``then`` gets the answer, or None when there is none in time."""
        life, done = caller.life, False

        def finish(answer: Answer) -> None:
            nonlocal done
            if not done and caller.life == life:
                done = True
                then(answer)

        def deliver() -> None:
            actor = self.actors[to]
            if not actor.down:
                actor.handle(
                    caller.name, request, lambda answer: self._carry(to, caller.name, finish, answer)
                )

        self._carry(caller.name, to, lambda _: deliver(), None)
        self.world.after(TIMEOUT_S, lambda: finish(None))

    def _carry(self, a: str, b: str, what: Reply, answer: Answer) -> None:
        chance = self.world.random
        for _ in range(2 if chance.random() < self.duplication else 1):
            if frozenset((a, b)) not in self.cut and chance.random() >= self.loss:
                self.world.after(chance.uniform(0.005, self.slowest), lambda: what(answer))


class Actor:
    """A process with a clock of its own; only what a subclass calls its disk survives :meth:`crash`."""

    def __init__(self, network: Network, name: str) -> None:
        self.network, self.world, self.name = network, network.world, name
        self.life = 0
        self.down = True
        self.offset = 0.0

    def clock(self) -> float:
        """Its own idea of the time, Unix seconds."""
        return EPOCH + self.world.now + self.offset

    def start(self) -> None:
        if self.down:
            self.down = False
            self.begin()

    def crash(self) -> None:
        self.down = True
        self.life += 1

    def begin(self) -> None:
        """Start afresh from the disk."""
        raise NotImplementedError

    def handle(self, caller: str, request: tuple[Any, ...], reply: Reply) -> None:
        """Answer a request, now, later or never."""
        raise NotImplementedError

    def call(self, to: str, request: tuple[Any, ...], then: Reply) -> None:
        self.network.call(self, to, request, then)

    def every(self, interval: float, what: Callable[[], None]) -> None:
        """Do ``what`` about every ``interval`` seconds, for as long as this life lasts."""
        life = self.life

        def again() -> None:
            if self.life == life:
                self.world.after(interval * self.world.random.uniform(0.85, 1.0), again)
                what()

        self.world.after(self.world.random.uniform(0, interval), again)
