"""One run: calm, storm, calm again; and what must hold at the end, whatever happened.

* The logs of honest registrars converge: each has the whole log of each other one.
* No acknowledged event is lost.
* No fork is accepted: no two readers believe what cannot both be true, no honest registrar keeps a log that
  contradicts another's copy of it once they can speak, and evidence is never against the honest.
* Every taint reaches every storage manager that can reach a honest registrar, within :data:`TAINT_BOUND_S`.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

from seedkeep.core.errors import Error
from seedkeep.core.keys import PrivateKey, PublicKey
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.entry import read_entry
from seedkeep.core.log.evidence import Evidence
from seedkeep.core.log.tree import leaf_hash, root_of_leaves
from seedkeep.core.notes import Note
from tests.simulation.liars import LIARS, Liar
from tests.simulation.people import HEARTBEAT_S, Keeper, Reader, Submitter
from tests.simulation.registrar import POLL_S, Copy, Disk, Registrar, event, taint_of, verifier_of
from tests.simulation.world import TIMEOUT_S, Network, Violation, World

CALM_S = 200.0
STORM_S = 600.0
#: after the storm: retries, recoveries, evidence and cosignatures come round
SETTLE_S = 400.0
#: home to registrar by its poll, registrar to storage manager by its heartbeat, and one timeout each
TAINT_BOUND_S = POLL_S + HEARTBEAT_S + 2 * TIMEOUT_S


@dataclass(frozen=True)
class Outcome:
    """What a run was about, for the person who looks at it."""

    seed: int
    registrars: int
    liar: str
    events: int
    taints: int
    crashes: int
    accused: bool
    believed: int


@contextmanager
def each_signature_once() -> Iterator[None]:
    """Signatures and notes have one answer for one question: remember it, for it is asked over and over."""
    with (
        mock.patch.object(Note, "parse", functools.lru_cache(1 << 14)(Note.parse)),
        mock.patch.object(Checkpoint, "open", functools.lru_cache(1 << 14)(Checkpoint.open)),
        mock.patch.object(PublicKey, "verify", functools.lru_cache(1 << 16)(PublicKey.verify)),
        mock.patch.object(PrivateKey, "sign", functools.lru_cache(1 << 16)(PrivateKey.sign)),
    ):
        yield


class Run:
    """One seed."""

    def __init__(self, seed: int, liar: str | None = None) -> None:
        """
        Args:
            liar: which of :data:`LIARS`, "none", or None: as the seed has it.
        """
        self.world = World(seed)
        self.network = Network(self.world)
        chance = self.world.random
        drawn = chance.choice([*LIARS, "none", "none", "none"])
        self.lie = drawn if liar is None else liar
        count = chance.randint(4, 5) if self.lie != "none" else chance.randint(3, 5)
        names = [f"r{n}.example" for n in range(count)]
        kinds = [Registrar] * count
        if self.lie != "none":
            kinds[chance.randrange(count)] = LIARS[self.lie]
        self.registrars = [kind(self.network, name, names) for kind, name in zip(kinds, names, strict=True)]
        self.honest = [r for r in self.registrars if not isinstance(r, Liar)]
        self.submitter = Submitter(self.network)
        self.keepers = [Keeper(self.network, f"keeper{n}", names, self._links()) for n in range(3)]
        self.readers = [Reader(self.network, f"reader{n}", names) for n in range(2)]
        self.actors = [*self.registrars, *self.keepers, *self.readers, self.submitter]
        self.network.actors = {actor.name: actor for actor in self.actors}
        self._numbers = itertools.count()
        self._backups: dict[str, Disk] = {}
        self._taints: list[tuple[float, str, bytes]] = []

    def _links(self) -> list[str]:
        """Two registrars, one of them honest."""
        first = self.world.random.choice(self.honest)
        second = self.world.random.choice([r for r in self.registrars if r is not first])
        return [first.name, second.name]

    def go(self) -> Outcome:
        """
        Raises:
            Violation: a promise did not hold.
        """
        world = self.world
        for actor in self.actors:
            actor.start()
        for at in range(0, 100, 12):
            world.after(at, self._submit)
        self._taint(self.world.random.choice(self.honest))
        world.run_until(CALM_S)
        self._check_taints()
        storm = CALM_S + STORM_S
        world.after(world.random.uniform(0, STORM_S / 2), self._strike)
        world.after(world.random.uniform(0, STORM_S / 2), self._back_up)
        for actor in self.registrars:
            actor.fragile = 0.02
        while world.now < storm:
            world.run_until(world.now + world.random.uniform(5, 40))
            self._mishap()
            for _ in range(world.random.randint(0, 2)):
                self._submit()
        self._clear_up()
        world.run_until(storm + SETTLE_S)
        self._taint(world.random.choice(self.honest))
        world.run_until(world.now + TAINT_BOUND_S + 60)
        self._check_taints()
        self._check_logs()
        self._check_readers()
        return self._outcome()

    # --- what happens ---

    def _submit(self) -> None:
        home = self.world.random.choice(self.registrars).name
        kind = self.world.random.choice(["record", "record", "record", "taint"])
        self.submitter.submit(home, event(next(self._numbers), home, kind))

    def _taint(self, home: Registrar) -> None:
        leaf = event(next(self._numbers), home.name, "taint")
        home.seal([leaf])
        self._taints.append((self.world.now, home.name, leaf))

    def _strike(self) -> None:
        for registrar in self.registrars:
            if isinstance(registrar, Liar):
                registrar.start()
                registrar.strike()

    def _back_up(self) -> None:
        registrar = self.world.random.choice(self.honest)
        self._backups[registrar.name] = copy.deepcopy(registrar.disk)

    def _mishap(self) -> None:
        chance, network = self.world.random, self.network
        match chance.randrange(9):
            case 0:
                pair = chance.sample(sorted(network.actors), 2)
                network.cut.add(frozenset(pair))
            case 1:
                names = sorted(network.actors)
                half = set(chance.sample(names, len(names) // 2))
                network.cut |= {frozenset((a, b)) for a in half for b in names if b not in half}
            case 2:
                network.cut.clear()
            case 3:
                network.loss, network.duplication = chance.uniform(0, 0.4), chance.uniform(0, 0.5)
            case 4:
                network.slowest = chance.choice([0.1, 3.0, 12.0])
            case 5 | 6:
                actor = chance.choice([a for a in self.actors if a is not self.submitter])
                actor.crash()
                self.world.after(chance.uniform(1, 150), actor.start)
            case 7:
                actor = chance.choice(self.actors)
                actor.offset = chance.uniform(-3 * 3600, 3 * 3600)
            case 8:
                self._restore()

    def _restore(self) -> None:
        """Somebody's disk is lost and set back to a backup; only once all it had is on some honest mirror."""
        for registrar in self.honest:
            backup = self._backups.get(registrar.name)
            whole = registrar.disk.own.leaves
            kept = [r.disk.copies.get(registrar.name) for r in self.honest if r is not registrar]
            if backup and any(k and k.leaves == whole for k in kept):
                del self._backups[registrar.name]
                registrar.restore(backup)
                return

    def _clear_up(self) -> None:
        self.network.cut.clear()
        self.network.loss = self.network.duplication = 0.0
        self.network.slowest = 0.1
        for actor in self.actors:
            actor.start()
        for registrar in self.registrars:
            registrar.fragile = 0.0

    # --- what must hold ---

    def _check_taints(self) -> None:
        for keeper in self.keepers:
            for home in self.honest:
                before = self.world.now - TAINT_BOUND_S
                due = [leaf for at, name, leaf in self._taints if name == home.name and at <= before]
                for leaf in due:
                    entry = taint_of(leaf)
                    if entry is None or entry.id not in keeper.obeys(home.name):
                        raise Violation(f"a taint of {home.name} has not reached {keeper.name} in time")

    def _check_logs(self) -> None:
        for home in self.honest:
            own = home.disk.own.leaves
            if own != home.history:
                raise Violation(f"{home.name} has lost a part of its log")
            lost = [leaf for leaf in self.submitter.acknowledged.get(home.name, []) if leaf not in own]
            if lost:
                raise Violation(f"{home.name} has lost {len(lost)} acknowledged events")
            for mirror in self.honest:
                if mirror is not home and mirror.disk.copies.get(home.name, Copy()).leaves != own:
                    raise Violation(f"{mirror.name} does not have the log of {home.name}")
            if not own:
                continue
            try:
                self.readers[0].policy(home.name).judge(home.disk.believed, [verifier_of(home.name)])
            except Error as error:
                raise Violation(f"nobody can believe {home.name}: {error.what}") from error
            if Checkpoint.open(home.disk.believed, verifier_of(home.name)).size != len(own):
                raise Violation(f"the newest checkpoint of {home.name} has not been cosigned")
        self._check_evidence()

    def _check_evidence(self) -> None:
        honest = {r.name for r in self.honest}
        for registrar in self.honest:
            for name, document in registrar.disk.evidence.items():
                Evidence.parse(document).check()
                if name in honest:
                    raise Violation(f"{registrar.name} accuses {name}, which is honest")
        for registrar in self.honest:
            for origin, copy_ in registrar.disk.copies.items():
                for leaf in copy_.leaves:
                    _read(leaf, origin)
        for liar in {r.name for r in self.registrars} - honest:
            trusting = [r for r in self.honest if liar not in r.disk.evidence]
            if 0 < len(trusting) < len(self.honest):
                raise Violation(f"some have evidence against {liar}, others trust it")
            for a, b in itertools.combinations(trusting, 2):
                ours, theirs = (r.disk.copies.get(liar, Copy()).leaves for r in (a, b))
                if any(x != y for x, y in zip(ours, theirs, strict=False)):
                    raise Violation(f"{a.name} and {b.name} accept two histories of {liar}")

    def _check_readers(self) -> None:
        for origin in (r.name for r in self.registrars):
            believed = {c for reader in self.readers for c in reader.believed if c.origin == origin}
            histories = [r.disk.copies.get(origin, Copy()).leaves for r in self.honest if r.name != origin]
            histories += [r.history for r in self.honest if r.name == origin]
            if not any(_fits(history, believed) for history in histories):
                raise Violation(f"readers believe what cannot both be true of {origin}")

    def _outcome(self) -> Outcome:
        return Outcome(
            seed=self.world.seed,
            registrars=len(self.registrars),
            liar=self.lie,
            events=sum(len(r.disk.own.leaves) for r in self.registrars),
            taints=sum(len(keeper.obeys(r.name)) for keeper in self.keepers for r in self.registrars),
            crashes=sum(actor.life for actor in self.actors),
            accused=any(r.disk.evidence for r in self.honest),
            believed=sum(len(reader.believed) for reader in self.readers),
        )


@functools.cache
def _read(leaf: bytes, origin: str) -> None:
    try:
        read_entry(leaf, origin)
    except Error as error:
        raise Violation(f"an entry of {origin} was taken that is none: {error.what}") from error


def _fits(history: list[bytes], believed: set[Checkpoint]) -> bool:
    hashes = [leaf_hash(leaf) for leaf in history]
    return all(c.size <= len(hashes) and root_of_leaves(hashes[: c.size]) == c.root for c in believed)


def run(seed: int, liar: str | None = None) -> Outcome:
    """Run one seed.

    Raises:
        Violation: a promise did not hold.
    """
    with each_signature_once():
        return Run(seed, liar).go()
