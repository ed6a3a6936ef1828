"""The node's memory: only the moves that are written down, and nothing acknowledged is lost by a crash."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from seedkeep.core.errors import Error
from seedkeep.storage.database import Acquaintance, Database
from seedkeep.storage.model import Claim, Errand, Holding, Letter, Phase, SharedFolder
from seedkeep.storage.state import MOVES, State

IDS = [f"{i:064x}" for i in range(4)]
URLS = ["http://one.test", "http://two.test"]
ids, urls, phases = st.sampled_from(IDS), st.sampled_from(URLS), st.sampled_from(list(Phase))


class Remembering(RuleBasedStateMachine):
    """Any order of steps and kills; a plain model says what must be there."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.holdings: dict[str, Holding] = {}
        self.claims: dict[tuple[str, str], Claim] = {}
        self.letters: list[tuple[str, Errand, str]] = []
        self.shared: dict[str, SharedFolder] = {}

    @initialize()
    def begin(self) -> None:
        self.open()
        for url in URLS:
            self.do(self.state.put_registrar(Acquaintance(url, f"vkey of {url}", "")))

    def open(self) -> None:
        self.state = State(self.folder / "state.sqlite")
        self.do(self.state.open())

    def do(self, work):  # type: ignore[no-untyped-def]
        return self.loop.run_until_complete(work)

    @rule(cid=ids, url=urls, size=st.integers(0, 10**12))
    def reserve(self, cid: str, url: str, size: int) -> None:
        holding, claim = Holding(cid, Phase.RESERVED, size, size, 1, 5.0), Claim(cid, url, "r")
        if cid in self.holdings:
            with pytest.raises(Error):
                self.do(self.state.reserve(holding, claim))
            return
        self.do(self.state.reserve(holding, claim))
        self.holdings[cid], self.claims[cid, url] = holding, claim

    @rule(cid=ids, phase=phases, url=urls)
    def move(self, cid: str, phase: Phase, url: str) -> None:
        letter = Letter(url, Errand.ATTEST, cid, {"manifest": "m"})
        old = self.holdings.get(cid)
        step = self.state.move(cid, phase, letters=[letter], scrubbed=7.0)
        if old is None or phase not in MOVES[old.phase]:
            with pytest.raises(Error):
                self.do(step)
            return
        self.do(step)
        self.holdings[cid] = replace(old, phase=phase, scrubbed=7.0)
        self.letters.append((url, Errand.ATTEST, cid))

    @rule(cid=ids, url=urls, lost=st.floats(0, 1e9))
    def claim(self, cid: str, url: str, lost: float) -> None:
        self.do(self.state.put_claims([Claim(cid, url, "r", 1.0, lost, ("t",), ("w",))]))
        if cid in self.holdings:
            self.claims[cid, url] = Claim(cid, url, "r", 1.0, lost, ("t",), ("w",))

    @rule(cid=ids, url=urls)
    def gone(self, cid: str, url: str) -> None:
        held = self.holdings.get(cid)
        letter = Letter(url, Errand.RECEIPT, cid, {"bytes": 5})
        if held is None:
            return
        if held.phase is not Phase.REMOVING:
            with pytest.raises(Error):
                self.do(self.state.gone(cid, letters=[letter]))
            return
        self.do(self.state.gone(cid, letters=[letter]))
        del self.holdings[cid]
        self.claims = {pair: c for pair, c in self.claims.items() if pair[0] != cid}
        self.letters.append((url, Errand.RECEIPT, cid))

    @rule(cid=ids, problem=st.sampled_from(["", "changed"]))
    def share(self, cid: str, problem: str) -> None:
        self.shared[cid] = SharedFolder(cid, Path("/somewhere"), ((1, 2), (3, 4)), "r", ("t",), (), problem)
        self.do(self.state.put_shared(self.shared[cid]))

    @rule(url=urls)
    def deliver(self, url: str) -> None:
        for letter in self.do(self.state.letters(url))[:1]:
            self.do(self.state.delivered(letter.number))
            self.letters.remove((url, letter.errand, letter.content_id))

    @rule()
    def kill(self) -> None:
        """What kill -9 leaves: the files as they are, nothing closed. The next run opens a copy of them."""
        copy = Path(tempfile.mkdtemp())
        shutil.copytree(self.folder, copy, dirs_exist_ok=True)
        self.do(self.state.close())
        shutil.rmtree(self.folder)
        self.folder = copy
        self.open()

    @invariant()
    def nothing_is_lost_or_made_up(self) -> None:
        if not hasattr(self, "state"):
            return
        assert dict(self.state.holdings) == self.holdings
        found = {(c.content_id, c.registrar): c for u in URLS for c in self.state.claims_by(u)}
        assert found == self.claims
        assert dict(self.state.shared) == self.shared
        posted = [(x.registrar, x.errand, x.content_id) for u in URLS for x in self.do(self.state.letters(u))]
        assert sorted(posted) == sorted(self.letters)[: len(posted)] or len(self.letters) > 100

    def teardown(self) -> None:
        self.do(self.state.close())
        self.loop.close()
        shutil.rmtree(self.folder)


Remembering.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestRemembering = Remembering.TestCase


def test_every_phase_can_end_in_removal_and_removal_only_ends() -> None:
    assert all(Phase.REMOVING in MOVES[p] for p in Phase if p is not Phase.REMOVING)
    assert not MOVES[Phase.REMOVING]


def test_the_log_beside_the_database_stays_small(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.sqlite")
    for i in range(400):
        database.put_holding(Holding(f"{i:064x}", Phase.RESERVED, 1, 1, 1, 0.0))
    assert (tmp_path / "state.sqlite-wal").stat().st_size < 600_000
    database.close()


def test_a_newer_versions_state_is_refused(tmp_path: Path) -> None:
    import sqlite3

    Database(tmp_path / "state.sqlite").close()
    with sqlite3.connect(tmp_path / "state.sqlite") as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(Error, match="another version"):
        Database(tmp_path / "state.sqlite")


def test_a_file_that_is_no_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(Error, match="not a node's database"):
        Database(tmp_path / "state.sqlite")


def test_the_state_is_for_its_owner_only(tmp_path: Path) -> None:
    Database(tmp_path / "state.sqlite").close()
    assert (tmp_path / "state.sqlite").stat().st_mode & 0o777 == 0o600
