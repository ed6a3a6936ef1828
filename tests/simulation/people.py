"""Those who depend on registrars: who submits, who keeps data and obeys taints, who reads."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from seedkeep.core.errors import Error
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.policy import Policy
from seedkeep.core.log.tiles import Tile
from seedkeep.core.log.trusted_log import Relation, TrustedLog
from seedkeep.core.taints.trusted import TrustedTaints
from tests.simulation import registrar
from tests.simulation.registrar import Heads, cosigner_of, hear_taints, verifier_of
from tests.simulation.world import Actor, Answer, Network, Reply

HEARTBEAT_S = 30.0
READ_S = 70.0
RETRY_S = 5.0


class Submitter(Actor):
    """Submits events until they are acknowledged, and remembers which were."""

    def __init__(self, network: Network) -> None:
        super().__init__(network, "submitter")
        self.acknowledged: dict[str, list[bytes]] = {}

    def begin(self) -> None:
        pass

    def handle(self, caller: str, request: tuple[Any, ...], reply: Reply) -> None:
        pass

    def submit(self, origin: str, leaf: bytes) -> None:
        def then(answer: Answer) -> None:
            if answer == "acknowledged":
                self.acknowledged.setdefault(origin, []).append(leaf)
            else:
                self.world.after(RETRY_S, functools.partial(self.submit, origin, leaf))

        self.call(origin, ("append", leaf), then)


class Keeper(Actor):
    """A storage manager: hears taints by its heartbeats to some registrars, of every registrar."""

    def __init__(self, network: Network, name: str, registrars: Sequence[str], linked: Sequence[str]) -> None:
        super().__init__(network, name)
        self.registrars, self.linked = registrars, linked
        self.disk: dict[str, tuple[str, bytes]] = {}
        self._taints: dict[str, TrustedTaints] = {}

    def begin(self) -> None:
        self._taints = {
            origin: TrustedTaints.restore(verifier_of(origin), *self.disk.get(origin, ("", b"")))
            for origin in self.registrars
        }
        for name in self.linked:
            self.every(HEARTBEAT_S, functools.partial(self._beat, name))

    def _beat(self, registrar: str) -> None:
        def then(answer: Answer) -> None:
            if isinstance(answer, Heads):
                for origin, note in answer.taints.items():
                    hear_taints(self, origin, note, registrar, self.disk, self._taints[origin])

        self.call(registrar, ("heads",), then)

    def handle(self, caller: str, request: tuple[Any, ...], reply: Reply) -> None:
        pass

    def obeys(self, origin: str) -> set[str]:
        """The ids of the taints of ``origin`` that it has heard of."""
        return {entry.id for entry in self._taints[origin].entries}


class Reader(Actor):
    """Believes a checkpoint that most of its log's peers have cosigned, and that continues the one before."""

    def __init__(self, network: Network, name: str, registrars: Sequence[str]) -> None:
        super().__init__(network, name)
        self.registrars = registrars
        self.notes: dict[str, str] = {}
        self.believed: list[Checkpoint] = []

    def begin(self) -> None:
        for origin in self.registrars:
            self.every(READ_S, functools.partial(self._read, origin))

    def handle(self, caller: str, request: tuple[Any, ...], reply: Reply) -> None:
        pass

    def policy(self, origin: str) -> Policy:
        return policy_of(origin, tuple(self.registrars))

    def _read(self, origin: str) -> None:
        self.call(origin, ("checkpoint", origin), functools.partial(self._take, origin))

    def _take(self, origin: str, note: Answer) -> None:
        if not note or note == self.notes.get(origin):
            return
        trusted = TrustedLog.restore(verifier_of(origin), self.notes.get(origin, ""))

        def accept(tiles: Sequence[Tile], answer: Answer) -> None:
            try:
                trusted.accept(offer, dict(zip(tiles, answer or (), strict=False)))
            except (Error, KeyError):
                return
            self.notes[origin] = trusted.note
            self.believed.append(trusted.checkpoint)

        try:
            self.policy(origin).judge(note, [verifier_of(origin)])
            offer = trusted.offer(note)
        except Error:
            return
        if offer.relation is Relation.NEWER:
            if offer.tiles:
                request = ("tiles", origin, [tile.path for tile in offer.tiles])
                self.call(origin, request, functools.partial(accept, offer.tiles))
            else:
                accept((), ())


def policy_of(origin: str, registrars: tuple[str, ...]) -> Policy:
    peers = [name for name in registrars if name != origin]
    return Policy.of_peers([cosigner_of(peer) for peer in peers], registrar.quorum(len(peers)))
