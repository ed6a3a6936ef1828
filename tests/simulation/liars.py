"""Registrars that lie, each in one way."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.cosignature import cosign
from seedkeep.core.log.tiles import grow
from seedkeep.core.log.tree import leaf_hash
from seedkeep.core.log.witness import AddCheckpoint
from tests.simulation.registrar import Copy, Heads, Registrar, event, key_of
from tests.simulation.world import Network, Reply


class Liar(Registrar):
    """Honest until :meth:`strike`."""

    def __init__(self, network: Network, name: str, peers: Sequence[str]) -> None:
        super().__init__(network, name, peers)
        self.honest = False
        self.struck = False

    def strike(self) -> None:
        self.struck = True
        self.lie()

    def lie(self) -> None:
        """What changes at once."""


class Rollback(Liar):
    """Forgets its newest entries and writes others in their place."""

    def lie(self) -> None:
        keep = self.world.random.randrange(len(self.disk.own.leaves) + 1)
        self._rewrite(keep, self.world.random.randint(1, 6))

    def _rewrite(self, keep: int, others: int) -> None:
        leaves = self.disk.own.leaves[:keep]
        self.disk.own = Copy("", leaves, grow(0, {}, [leaf_hash(leaf) for leaf in leaves]))
        self.disk.believed = ""
        self.seal([event(90_000 + n, self.name) for n in range(others)])


class SignsTwice(Rollback):
    """Signs its newest size a second time, with another last entry."""

    def lie(self) -> None:
        self._rewrite(max(len(self.disk.own.leaves) - 1, 0), 1)


class BrokenEntry(Liar):
    """Appends what is no event, or an event that is addressed to somebody else."""

    def lie(self) -> None:
        broken = [b"no event", event(3, self.name).replace(b'"seq":0', b'"seq":1'), event(3, self.peers[0])]
        self.seal([self.world.random.choice(broken)])


class TwoFaces(Liar):
    """Shows one log to one half of the world, another to the other half."""

    def __init__(self, network: Network, name: str, peers: Sequence[str]) -> None:
        super().__init__(network, name, peers)
        self._other: Registrar | None = None
        self._half: set[str] = set()

    def lie(self) -> None:
        other = Registrar(self.network, self.name, [])
        other.honest, other.needed, other.disk = False, self.needed, copy.deepcopy(self.disk)
        others = sorted(set(self.network.actors) - {self.name})
        self._half = set(self.world.random.sample(others, len(others) // 2))
        other.peers = [peer for peer in self.peers if peer in self._half]
        self.peers = [peer for peer in self.peers if peer not in self._half]
        self._other = other
        for face, first in ((self, 80_000), (other, 90_000)):
            face.seal([event(first + n, self.name) for n in range(self.world.random.randint(1, 5))])
        other.start()

    def handle(self, caller: str, request: tuple[Any, ...], reply: Reply) -> None:
        if self._other is not None and caller in self._half:
            self._other.handle(caller, request, reply)
        else:
            super().handle(caller, request, reply)


class WrongBodies(Liar):
    """Answers with spoilt tiles, entries and lists, its own and those of others."""

    def handle(self, caller: str, request: tuple[Any, ...], reply: Reply) -> None:
        def spoilt(answer: Any) -> None:
            if request[0] == "tiles":
                answer = [self._spoil(data) for data in answer]
            elif request[0] == "taints":
                answer = self._spoil(answer)
            reply(answer)

        super().handle(caller, request, spoilt if self.struck else reply)

    def _spoil(self, data: bytes) -> bytes:
        at = self.world.random.randrange(len(data)) if data else 0
        changed: list[Callable[[], bytes]] = [
            lambda: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] if data else b"x",
            lambda: data[:at],
            lambda: data + b"\0" * 100_000,
            lambda: data,
        ]
        return self.world.random.choice(changed)()


class Frozen(Liar):
    """Shows for ever what it showed once, of itself and of others; what it acknowledges is never seen."""

    def lie(self) -> None:
        self._shown = super().heads()
        self._believed = self.disk.believed

    def heads(self) -> Heads:
        return self._shown if self.struck else super().heads()

    def handle(self, caller: str, request: tuple[Any, ...], reply: Reply) -> None:
        if self.struck and request[0] == "checkpoint":
            reply(self._believed)
        elif self.struck and request[0] == "append":
            reply("acknowledged")
        else:
            super().handle(caller, request, reply)


class FastForward(Liar):
    """Signs sizes far beyond what there is, so that the true log looks old for ever."""

    def heads(self) -> Heads:
        heads = super().heads()
        if self.struck:
            size = self.world.random.choice([len(self.disk.own.leaves) + 1, 2**20, 2**40, 2**62])
            heads.notes[self.name] = Checkpoint(self.name, size, bytes(32)).sign(key_of(self.name))
        return heads


class CarelessWitness(Liar):
    """Cosigns whatever it is shown, without a look."""

    def handle(self, caller: str, request: tuple[Any, ...], reply: Reply) -> None:
        if self.struck and request[0] == "add-checkpoint":
            text = AddCheckpoint.parse(request[1]).note.split("\n\n")[0] + "\n"
            reply((200, cosign(text, self.name, key_of(self.name), int(self.clock()))))
        else:
            super().handle(caller, request, reply)


LIARS: dict[str, type[Liar]] = {
    "rollback": Rollback,
    "signs-twice": SignsTwice,
    "broken-entry": BrokenEntry,
    "two-faces": TwoFaces,
    "wrong-bodies": WrongBodies,
    "frozen": Frozen,
    "fast-forward": FastForward,
    "careless-witness": CarelessWitness,
}
