"""Some seeds in every run of the suite, and proof that the simulation notices: rules broken one by one.

``python -m tests.simulation --seeds 1000`` runs more of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from seedkeep.core.log import sync
from seedkeep.core.log.sync import Store
from seedkeep.core.log.tiles import Tile, edge_of, grow, parse_bundle
from seedkeep.core.log.tree import leaf_hash
from seedkeep.core.log.trusted_log import Offer, TrustedLog
from seedkeep.core.taints.entry import parse_list
from seedkeep.core.taints.trusted import TrustedTaints
from tests.simulation import registrar
from tests.simulation.liars import LIARS, CarelessWitness
from tests.simulation.registrar import Heads, Registrar
from tests.simulation.run import Run, each_signature_once, run
from tests.simulation.world import Reply, Violation

SEEDS = 3
TRIES = 40


@pytest.fixture(autouse=True, scope="module")
def _each_signature_once() -> Iterator[None]:
    with each_signature_once():
        yield


@pytest.mark.parametrize("liar", [*LIARS, "none"])
def test_whatever_happens_the_promises_hold(liar: str) -> None:
    for seed in range(SEEDS):
        Run(seed, liar).go()


def test_a_seed_is_one_run() -> None:
    assert run(11) == run(11)
    assert run(11) != replace(run(12), seed=11)


# --- rules, broken one by one ---


def _accept_any(self: TrustedLog, offer: Offer, path: Sequence[bytes]) -> None:
    self._checkpoint, self._note = offer.checkpoint, offer.note


def _take_unseen(self: Any, bundle: Tile, data: bytes) -> Iterator[Store]:
    leaves = parse_bundle(data, bundle.width)[self.stored :]
    tiles = grow(self.stored, self._own, [leaf_hash(leaf) for leaf in leaves])
    entries = tuple(sync.Entry(leaf, "", None) for leaf in leaves)  # type: ignore[arg-type]
    places = self._own | tiles
    start, self.stored = self.stored, self.stored + len(leaves)
    self._own = {place: places[place] for place in edge_of(self.stored)}
    yield Store(start, entries, tiles)


def _load_any_head(self: TrustedTaints, note: str, *, now: float) -> bool:
    self._note = note
    return True


def _load_any_list(self: TrustedTaints, data: bytes) -> None:
    self._entries = parse_list(data)


def _acknowledge_first(self: Registrar) -> None:
    pending, self._pending = self._pending, []
    for _, reply in pending:
        reply("acknowledged")
    self._step()
    known = set(self.disk.own.leaves)
    fresh = list(dict.fromkeys(leaf for leaf, _ in pending if leaf not in known))
    if fresh:
        self.seal(fresh)


def _cosign_unseen(self: Registrar, caller: str, body: str, reply: Reply) -> None:
    self.struck = True  # type: ignore[attr-defined]
    CarelessWitness.handle(self, caller, ("add-checkpoint", body), reply)  # type: ignore[arg-type]


def _forget_what_others_say(heads: Callable[[Registrar], Heads]) -> Callable[[Registrar], Heads]:
    def own(self: Registrar) -> Heads:
        told = heads(self)
        return replace(told, taints={name: n for name, n in told.taints.items() if name == self.name})

    return own


def _restore_and_go_on(restore: Callable[..., None]) -> Callable[..., None]:
    def careless(self: Registrar, backup: Any) -> None:
        restore(self, backup)
        self.to_hear.clear()

    return careless


def test_two_readers_believe_a_fork_when_nobody_checks_consistency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrustedLog, "accept_path", _accept_any)
    _is_noticed("rollback", "two-faces")


def test_wrong_entries_are_kept_when_bundles_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync._Copy, "_take", _take_unseen)
    _is_noticed("wrong-bodies")


def test_broken_entries_are_kept_when_signatures_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "read_entry", lambda leaf, origin: ("", None))
    _is_noticed("broken-entry")


def test_a_fork_is_believed_when_witnesses_cosign_what_they_do_not_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Registrar, "_add_checkpoint", _cosign_unseen)
    _is_noticed("two-faces")


def test_a_fork_is_believed_when_half_of_the_peers_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registrar, "quorum", lambda peers: peers // 2)
    _is_noticed("two-faces", first=20)


def test_taints_are_taken_back_when_any_signed_head_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrustedTaints, "load_head", _load_any_head)
    monkeypatch.setattr(TrustedTaints, "load_list", _load_any_list)
    _is_noticed("frozen")


def test_taints_come_late_when_registrars_do_not_carry_those_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Registrar, "heads", _forget_what_others_say(Registrar.heads))
    _is_noticed("none")


def test_events_are_lost_when_they_are_acknowledged_before_they_are_durable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Registrar, "_seal_pending", _acknowledge_first)
    _is_noticed("none")


def test_an_honest_log_forks_when_a_backup_is_not_caught_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registrar, "restore", _restore_and_go_on(Registrar.restore))
    _is_noticed("none")


def _is_noticed(*liars: str, first: int = 0) -> None:
    """Some seed from ``first`` on must fail; ``first`` saves time where few of them do."""
    for seed in range(first, first + TRIES):
        for liar in liars:
            try:
                Run(seed, liar).go()
            except Violation:
                return
    pytest.fail(f"{TRIES} runs with a broken rule, and nobody noticed")
