"""What a registrar that lies can do to those who follow it: be caught, or achieve nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from seedkeep.cli.main import cli
from seedkeep.core.log.checkpoint import MAX_CHECKPOINT_BYTES, Checkpoint
from seedkeep.core.log.evidence import Evidence
from seedkeep.core.log.witness import AddCheckpoint
from seedkeep.core.notes import Cosigner, Note, Signature
from seedkeep_registrar.cli import registrar as command
from seedkeep_registrar.store import peers
from seedkeep_registrar.store.peers import Peer
from tests.support.federating import agree, befriend, known, mirror, mirrored, poke, until
from tests.support.lying_registrar import LyingRegistrar, lying_registrar
from tests.support.registrar import RegistrarUnderTest, start_registrar


async def follow(one: RegistrarUnderTest, liar: LyingRegistrar, size: int) -> None:
    """``one`` follows it and has stored so many entries."""
    await agree(one, liar.vkey, liar.url)
    await mirrored(one, liar.vkey, size)

    async def asked() -> bool:
        return (await known(one, liar.origin)).last_poll > 0

    await until(asked)


async def accusation(one: RegistrarUnderTest, liar: LyingRegistrar) -> tuple[Peer, Evidence]:
    """How the liar stands, and the evidence that anybody can download."""

    async def caught() -> dict[str, Any] | None:
        listed = (await one.person().get("/api/v1/peers")).json["peers"]
        (found,) = [peer for peer in listed if peer["origin"] == liar.origin]
        return dict(found) if found["evidence"] else None

    shown = await until(caught)
    (entry,) = shown["evidence"]
    document = await one.person().get(entry["url"].removeprefix(one.url))
    evidence = Evidence.parse(document.body)
    assert evidence.log == liar.vkey
    assert evidence.check() == entry["says"]
    return await known(one, liar.origin), evidence


async def still_mirrored(one: RegistrarUnderTest, liar: LyingRegistrar, size: int) -> None:
    """What was stored before goes on being served."""
    note = (await one.person().get(f"{mirror(liar.origin)}/checkpoint")).body
    assert Checkpoint.open(note, liar.vkey).size == size


async def test_rollback_changes_nothing_and_is_told(registrar: RegistrarUnderTest) -> None:
    async with lying_registrar() as liar:
        events = liar.events(5)
        liar.show(events)
        await follow(registrar, liar, 5)
        liar.show(events[:3])
        peer = await poke(registrar, liar.origin)
        assert peer.state == peers.ACTIVE
        assert "older checkpoint" in peer.problem
        await still_mirrored(registrar, liar, 5)
        liar.show(events)
        assert (await poke(registrar, liar.origin)).problem == ""


async def test_a_size_that_is_signed_twice_is_evidence(any_registrar: RegistrarUnderTest) -> None:
    async with lying_registrar() as liar:
        liar.show(liar.events(3))
        await follow(any_registrar, liar, 3)
        liar.show(liar.events(3, "other "))
        assert (await poke(any_registrar, liar.origin)).state == peers.DISTRUSTED
        _, evidence = await accusation(any_registrar, liar)
        assert evidence.kind.value == "fork"
        await still_mirrored(any_registrar, liar, 3)
        # nothing new is taken, and nothing cosigned
        liar.show([*liar.leaves, liar.event("more")])
        async with any_registrar.session.post(
            f"{any_registrar.url}/add-checkpoint", data=AddCheckpoint(0, (), liar.note).encode()
        ) as answer:
            assert answer.status == 404
        assert (await known(any_registrar, liar.origin)).stored == 3


async def test_rollback_and_another_history_is_evidence(registrar: RegistrarUnderTest) -> None:
    async with lying_registrar() as liar:
        events = liar.events(5)
        liar.show(events)
        await follow(registrar, liar, 5)
        liar.show([*events[:3], *liar.events(4, "instead ")])
        await poke(registrar, liar.origin)
        peer, evidence = await accusation(registrar, liar)
        assert (peer.state, len(evidence.notes)) == (peers.DISTRUSTED, 2)


async def test_a_fork_to_two_halves_meets_at_their_mirrors(
    any_registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    one = any_registrar
    async with lying_registrar() as liar, start_registrar(tmp_path / "b") as two:
        await befriend(one, two)
        common = liar.events(2)
        liar.show([*common, liar.event("for one")])
        await follow(one, liar, 3)
        liar.show([*common, *liar.events(4, "for two ")])
        await agree(two, liar.vkey, liar.url)
        peer, evidence = await accusation(two, liar)
        assert (peer.state, evidence.kind.value) == (peers.DISTRUSTED, "fork")
        sizes = [int(note.split("\n")[1]) for note in evidence.notes]
        assert sizes == [3, 6]


@pytest.mark.parametrize("kind", ["broken-entry", "wrong-home"])
async def test_an_entry_that_cannot_be_there_is_evidence(registrar: RegistrarUnderTest, kind: str) -> None:
    async with lying_registrar() as liar:
        good = liar.events(2)
        bad = b'{"not":"an event"}' if kind == "broken-entry" else liar.event("x", home="victim.example")
        liar.show(good)
        await follow(registrar, liar, 2)
        liar.show([*good, bad, liar.event("after")])
        await poke(registrar, liar.origin)
        peer, evidence = await accusation(registrar, liar)
        assert (peer.state, evidence.kind.value, evidence.index) == (peers.DISTRUSTED, kind, 2)
        await still_mirrored(registrar, liar, 2)


async def test_oversized_answers_are_cut_off(registrar: RegistrarUnderTest) -> None:
    async with lying_registrar() as liar:
        events = liar.events(3)
        liar.show(events)
        await follow(registrar, liar, 3)
        flood = bytes(1_000_000)
        liar.show([*events, liar.event("new")])
        liar.mangle = lambda path, data: flood if path.startswith("tile/0") else data
        peer = await poke(registrar, liar.origin)
        assert "more than" in peer.problem
        liar.mangle = lambda path, data: flood if "entries" in path else data
        assert "more than" in (await poke(registrar, liar.origin)).problem
        liar.mangle = lambda path, data: flood if path == "checkpoint" else data
        peer = await poke(registrar, liar.origin)
        assert f"more than {MAX_CHECKPOINT_BYTES}" in peer.problem
        assert (peer.state, peer.stored) == (peers.ACTIVE, 3)
        liar.mangle = lambda path, data: data
        await poke(registrar, liar.origin)
        await still_mirrored(registrar, liar, 4)


async def test_what_a_stranger_writes_under_a_checkpoint_is_not_kept(registrar: RegistrarUnderTest) -> None:
    async with lying_registrar() as log:
        await follow(registrar, log, 0)
        log.show(log.events(2))
        stranger = "".join(str(Signature(f"j{i}", b"abcd", b"x" * 300)) for i in range(30))
        unknown = Cosigner("cosigner.example", log.key.public)
        forged = str(Signature(unknown.name, unknown.id, bytes(7) + b"\5" + bytes(64)))
        request = AddCheckpoint(0, (), log.note + stranger + forged).encode()
        assert (await registrar.person().send("POST", "/add-checkpoint", request.encode())).status == 200
        note = (await registrar.person().get(f"{mirror(log.origin)}/checkpoint")).body
        assert {s.name for s in Note.parse(note).signatures} == {log.origin, registrar.context.origin}
        assert (await known(registrar, log.origin)).note == log.note


async def test_a_log_that_claims_an_absurd_size_is_not_believed(registrar: RegistrarUnderTest) -> None:
    async with lying_registrar() as liar:
        events = liar.events(3)
        liar.show(events)
        await follow(registrar, liar, 3)
        liar.note = Checkpoint(liar.origin, 2**60, b"\1" * 32).sign(liar.key)
        peer = await poke(registrar, liar.origin)
        assert "claims" in peer.problem
        liar.show([*events, liar.event("new")])
        await poke(registrar, liar.origin)
        await still_mirrored(registrar, liar, 4)


async def test_a_mirror_that_serves_wrong_bodies_is_not_used(
    registrar: RegistrarUnderTest,
) -> None:
    """The mirror shows a true checkpoint and wrong entries; those stored come from the log itself."""
    async with lying_registrar() as honest, lying_registrar() as liar:
        first = honest.events(2)
        honest.show(first)
        await follow(registrar, honest, 2)
        whole = [*first, *honest.events(3, "new ")]
        name = peers.name_of(honest.origin)

        def tempted() -> bool:
            return any(path.startswith(f"/mirror/{name}/tile/entries") for path in liar.asked)

        wrong = honest.tile([*whole[:-1], honest.event("forged")], "tile/entries/000.p/5")
        liar.mirrors[name] = (whole, honest.sign(whole))
        liar.mangle = lambda path, data: wrong if "entries" in path else data
        honest.show(whole)
        honest.mangle = lambda path, data: data if tempted() else b""
        liar.show([])
        await agree(registrar, liar.vkey, liar.url)
        await mirrored(registrar, honest.vkey, 5)
        leaves = (await registrar.person().get(f"{mirror(honest.origin)}/tile/entries/000.p/5")).body
        assert leaves == honest.tile(whole, "tile/entries/000.p/5")
        for one in (honest, liar):
            assert (await known(registrar, one.origin)).state == peers.ACTIVE


async def test_another_key_under_a_peers_name_is_not_heard(registrar: RegistrarUnderTest) -> None:
    async with lying_registrar() as log:
        log.show(log.events(2))
        await follow(registrar, log, 2)
        forged = Checkpoint(log.origin, 3, b"\1" * 32).sign(registrar.person().key)
        log.note = forged
        peer = await poke(registrar, log.origin)
        assert peer.problem != ""
        assert (peer.state, peer.stored) == (peers.ACTIVE, 2)


async def test_evidence_is_checked_by_a_third_party_and_an_operator_decides(
    registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    async with lying_registrar() as liar:
        events = liar.events(3)
        liar.show(events)
        await follow(registrar, liar, 3)
        liar.show(liar.events(3, "other "))
        await poke(registrar, liar.origin)
        _, evidence = await accusation(registrar, liar)
        page = (await registrar.person().get("/federation", headers={"Accept": "text/html"})).body.decode()
        assert evidence.check().rstrip(".") in page
        place = tmp_path / "evidence.json"
        place.write_bytes(evidence.encode())

        def checked(*words: str) -> Any:
            return CliRunner().invoke(cli, ["log", "evidence", *words, "--json"])

        said = await asyncio.to_thread(checked, str(place), "--vkey", str(liar.vkey))
        assert json.loads(said.stdout)["says"] == evidence.check()
        other = await asyncio.to_thread(checked, str(place), "--vkey", str(registrar.context.vkey))
        assert other.exit_code != 0
        broken = json.loads(evidence.encode())
        broken["notes"][0] = broken["notes"][1]
        place.write_text(json.dumps(broken))
        assert (await asyncio.to_thread(checked, str(place))).exit_code != 0

        # the operator has spoken with them, and the log goes on as it was before
        liar.show([*events, liar.event("new")])
        given = ["peer", "trust", liar.origin, "--data", str(registrar.context.settings.data)]
        assert (await asyncio.to_thread(CliRunner().invoke, command, given)).exit_code == 0
        await mirrored(registrar, liar.vkey, 4)
        assert (await accusation(registrar, liar))[0].state == peers.ACTIVE
