"""Who has countersigned: half of a home's peers by default, or whoever the person's policy names."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from seedkeep.core.errors import Unreachable, UsageError, VerificationFailed
from seedkeep.core.keys import PrivateKey
from seedkeep.core.log.cosignature import cosign
from seedkeep.core.log.proof import LogProof
from seedkeep.core.notes import Cosigner, Note, Verifier
from seedkeep.countersigned import Countersigned, Countersigning
from seedkeep.known import KnownRegistrars
from seedkeep.record_document import Record
from seedkeep.registrar_messages import Peer
from seedkeep.resolve import Resolved
from tests.support.datasets import dataset_of
from tests.support.registrar import new_key
from tests.support.registrar_simulator import RegistrarSimulator


@dataclass
class Scene:
    """A home with a record, its peers, and a client that has met the home."""

    path: Path

    def __post_init__(self) -> None:
        self.home = RegistrarSimulator(time.time, name="home.test")
        self.record = self.home.records[self.home.rid_of(self.home.register(dataset_of("a", {"a": b"x"})))]
        self.known = KnownRegistrars(self.path / "known")
        self.known.remember("https://home.test", self.home.verifier)

    def name_peers(self, *keys: PrivateKey) -> list[str]:
        names = [f"peer{n}.test" for n in range(len(keys))]
        peers = [
            Peer(f"https://{name}", Verifier(name, key.public)) for name, key in zip(names, keys, strict=True)
        ]
        self.known.learn(self.home.verifier, peers)
        return names

    def signed_by(self, **keys: PrivateKey) -> Record:
        """The record with these cosignatures (``peer0`` is peer0.test)."""
        note = self.record.proof.checkpoint
        for name, key in keys.items():
            note += cosign(Note.parse(note).text, f"{name}.test", key, 1_700_000_000)
        return replace(self.record, proof=replace(self.record.proof, checkpoint=note))

    def judge(self, record: Record, policy: Path | None = None) -> Countersigned:
        judge = Countersigning(self.known, policy, pauses=())
        return judge.judge(record.proof.checkpoint, [self.home.verifier])


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_one_key_under_several_names_counts_once_and_the_homes_own_never(scene: Scene) -> None:
    one, two = new_key(), new_key()
    names = scene.name_peers(scene.home.key, one, one, two, one)
    found = scene.judge(scene.signed_by(peer3=two))
    assert (set(found.by), len(found.of)) == ({names[3]}, 2)
    with pytest.raises(VerificationFailed):
        scene.judge(scene.signed_by(peer0=scene.home.key))


@pytest.mark.parametrize(("peers", "needed"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2)])
def test_half_of_the_homes_peers_are_asked_for(scene: Scene, peers: int, needed: int) -> None:
    keys = [new_key() for _ in range(peers)]
    names = scene.name_peers(*keys)
    signers = {f"peer{n}": keys[n] for n in range(needed)}
    found = scene.judge(scene.signed_by(**signers))
    assert found == Countersigned(tuple(names[:needed]), tuple(names))
    if needed:
        signers.popitem()
        with pytest.raises(VerificationFailed) as caught:
            scene.judge(scene.signed_by(**signers))
        assert names[-1] in caught.value.what
        assert "ask the operator of home.test to remove it" in caught.value.hint


def test_a_cosignature_of_a_peer_that_the_home_names_no_more_does_not_count(scene: Scene) -> None:
    keys = [new_key(), new_key()]
    scene.name_peers(*keys)
    scene.known.learn(scene.home.verifier, [])
    assert scene.judge(scene.signed_by(peer0=keys[0])) == Countersigned((), ())
    assert "nobody" in str(Countersigned((), ()))


def test_a_cosignature_by_another_key_of_that_name_does_not_count(scene: Scene) -> None:
    scene.name_peers(new_key(), new_key())
    with pytest.raises(VerificationFailed, match="lacks cosignatures"):
        scene.judge(scene.signed_by(peer0=new_key()))


def test_a_policy_file_says_whose_cosignatures_are_needed(scene: Scene, tmp_path: Path) -> None:
    key, place = new_key(), tmp_path / "policy"
    place.write_text(f"witness alpha {Cosigner('alpha.test', key.public)}\nquorum alpha\n")
    with pytest.raises(VerificationFailed, match=r"alpha\.test") as caught:
        scene.judge(scene.signed_by(), place)
    assert str(place) in caught.value.hint
    assert scene.judge(scene.signed_by(alpha=key), place).by == ("alpha.test",)
    # a policy that names logs trusts no others
    other = Verifier("other.test", key.public)
    place.write_text(f"log {other}\nquorum none\n")
    with pytest.raises(VerificationFailed, match="not one that is trusted here"):
        scene.judge(scene.signed_by(), place)


@pytest.mark.parametrize("content", ["rubbish\n", None])
def test_a_policy_file_that_cannot_be_used_is_named(
    scene: Scene, tmp_path: Path, content: str | None
) -> None:
    place = tmp_path / "policy"
    if content is not None:
        place.write_text(content)
    with pytest.raises(UsageError, match=str(place)):
        scene.judge(scene.record, place)


class _Client:
    """Answers with one record after the other."""

    def __init__(self, *records: Record) -> None:
        self._records = list(records)
        self.chains = self

    async def read_even_withdrawn(self, rid: str) -> Record:
        return self._records.pop(0)


async def test_what_was_recorded_this_very_moment_is_asked_for_again(scene: Scene) -> None:
    keys = [new_key(), new_key()]
    scene.name_peers(*keys)
    bare, signed = scene.signed_by(), scene.signed_by(peer1=keys[1])
    client: Any = _Client(bare, signed)
    asked = Resolved(bare, client=client, keys=(scene.home.verifier,))
    found, counted = await Countersigning(scene.known, None, pauses=(0, 0)).check(asked)
    assert counted == Countersigned(("peer1.test",), ("peer0.test", "peer1.test"))
    assert found.record is not None
    assert LogProof.parse(found.record.proof.encode()).checkpoint == signed.proof.checkpoint
    client = _Client(bare, bare)
    with pytest.raises(VerificationFailed, match="lacks cosignatures"):
        await Countersigning(scene.known, None, pauses=(0, 0)).check(replace(asked, client=client))


async def test_a_torrent_that_nobody_has_recorded_needs_no_cosignatures(scene: Scene) -> None:
    found, counted = await Countersigning(scene.known, None).check(Resolved(None))
    assert (found.record, counted) == (None, None)


async def test_a_peer_that_has_another_key_now_is_asked_for_it(scene: Scene) -> None:
    """What it shows is for the client to follow; here it is only seen that it is asked."""
    names = scene.name_peers(new_key(), new_key())
    asked: list[str] = []

    async def meet(url: str) -> None:
        asked.append(url)
        raise Unreachable("it does not answer")

    client: Any = _Client(scene.signed_by())
    found = Resolved(scene.signed_by(), client=client, keys=(scene.home.verifier,))
    with pytest.raises(VerificationFailed):
        await Countersigning(scene.known, None, meet=meet, pauses=(0,)).check(found)
    assert asked == [f"https://{name}" for name in names]
