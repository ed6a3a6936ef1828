"""Registrars that follow each other: consent, mirrors, cosignatures, lost events, and the witness."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from seedkeep.core.errors import UsageError
from seedkeep.core.log.checkpoint import Checkpoint
from seedkeep.core.log.cosignature import cosignatures
from seedkeep.core.log.proof import LogProof
from seedkeep.core.log.tiles import parse_bundle
from seedkeep.core.log.tree import leaf_hash, root_of_leaves
from seedkeep.core.log.witness import SIZE_TYPE, AddCheckpoint
from seedkeep.core.notes import Cosigner
from seedkeep_registrar.operations.acknowledged import FILE, Acknowledged
from seedkeep_registrar.store import peers
from tests.support.federating import agree, befriend, commanded, known, mirror, mirrored, poke, until
from tests.support.lying_registrar import LyingRegistrar, lying_registrar
from tests.support.ports import free_port
from tests.support.registrar import Answer, RegistrarUnderTest, registrar_with, shareable, start_registrar


def cosigner(one: RegistrarUnderTest) -> Cosigner:
    return Cosigner(one.context.origin, one.context.key.public)


async def test_an_event_is_soon_at_the_peer_and_cosigned(
    any_registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    a = any_registrar
    async with start_registrar(tmp_path / "b") as b:
        await befriend(a, b)
        record = await a.person().register(shareable())
        head = await mirrored(b, a.context.vkey, 1)
        there = mirror(a.context.origin)
        for path in ("/tile/0/000.p/1", "/tile/entries/000.p/1"):
            kept = await b.person().get(there + path)
            assert kept.body == (await a.person().get(f"/log{path}")).body
        assert len(parse_bundle(kept.body, 1)) == 1
        # the other way round
        await b.person().register(shareable("b's"))
        await mirrored(a, b.context.vkey, 1)

        async def cosigned() -> bytes | None:
            note = (await a.person().get("/log/checkpoint")).body
            return note if cosignatures(note, [cosigner(b)]) else None

        note = await until(cosigned)
        assert Checkpoint.open(note, a.context.vkey) == head
        # from now on proofs carry it
        again = (await a.person().get(f"/api/v1/records/{record['rid']}")).json
        proof = LogProof.parse(again["proof"])
        assert [made.name for made in cosignatures(proof.checkpoint, [cosigner(b)])] == [b.context.origin]
        found = (await b.person().get("/.well-known/seedkeep")).json["peers"]
        assert found == [
            {
                "url": a.url,
                "origin": a.context.origin,
                "vkey": str(a.context.vkey),
                "cosigner": str(cosigner(a)),
            }
        ]

        async def trackers() -> bool:
            told = (await b.person().get("/.well-known/seedkeep")).json["trackers"]
            return bool(told == [f"{b.url}/announce", f"{a.url}/announce"])

        await until(trackers)
        note, list_ = await b.context.db.read(peers.taints_of, (await known(b, a.context.origin)).id)
        assert (note.split("\n")[1], list_) == (a.context.origin, b"")
        assert (await a.person().get(f"/mirror/{'0' * 64}/checkpoint")).status == 404


async def test_both_operators_have_to_agree(any_registrar: RegistrarUnderTest, tmp_path: Path) -> None:
    a = any_registrar
    async with start_registrar(tmp_path / "b") as b:
        told = await commanded(a, "add", b.url, "--yes")
        assert (told["origin"], told["state"]) == (b.context.origin, "asked")

        async def proposed() -> bool:
            return bool((await commanded(b, "list"))["peers"])

        await until(proposed)
        (shown,) = (await commanded(b, "list"))["peers"]
        assert (shown["origin"], shown["state"]) == (a.context.origin, "proposed")
        assert (await b.person().get("/api/v1/peers")).json["peers"] == []  # not of this one's choosing
        error = await commanded(b, "add", a.url, "--fingerprint", told["fingerprint"], fails=True)
        assert a.context.origin in str(error)
        await commanded(b, "add", a.url, "--fingerprint", shown["fingerprint"])
        for one, other in ((a, b), (b, a)):

            async def active(one: RegistrarUnderTest = one, other: RegistrarUnderTest = other) -> bool:
                return (await known(one, other.context.origin)).state == peers.ACTIVE

            await until(active)
        await commanded(a, "pause", b.url)
        assert (await commanded(a, "list"))["peers"][0]["state"] == "paused"
        await commanded(a, "resume", b.context.origin)
        await commanded(a, "resume", b.context.origin, fails=True)
        await commanded(a, "remove", b.context.origin)
        assert (await a.person().get("/.well-known/seedkeep")).json["peers"] == []
        await commanded(a, "pause", "nobody.example", fails=True)


async def ask(one: RegistrarUnderTest, body: str) -> Answer:
    async with one.session.post(f"{one.url}/add-checkpoint", data=body.encode()) as answer:
        return Answer(answer.status, answer.headers, await answer.read())


async def followed(one: RegistrarUnderTest, liar: LyingRegistrar) -> None:
    """``one`` follows it, and has asked it once."""
    await agree(one, liar.vkey, liar.url)

    async def asked() -> bool:
        peer = await known(one, liar.origin)
        return peer.state == peers.ACTIVE and peer.last_poll > 0

    await until(asked)


async def test_a_witness_answers_as_the_specification_says(any_registrar: RegistrarUnderTest) -> None:
    one = any_registrar
    async with lying_registrar() as log:
        await followed(one, log)
        first, more = log.events(3), log.events(5)
        log.show(first)
        good = await ask(one, AddCheckpoint(0, (), log.note).encode())
        assert good.status == 200
        made = cosignatures(f"{log.note}{good.body.decode()}", [cosigner(one)])
        assert [one.time > 0 for one in made] == [True]
        # it was stored before it was cosigned
        assert (await known(one, log.origin)).stored == 3
        again = await ask(one, AddCheckpoint(3, (), log.note).encode())
        assert (again.status, again.body) == (200, good.body)
        behind = await ask(one, AddCheckpoint(0, (), log.show(more)).encode())
        assert (behind.status, behind.body) == (409, b"3\n")
        assert behind.headers["Content-Type"].startswith(SIZE_TYPE)
        assert (await ask(one, AddCheckpoint(9, (), log.note).encode())).status == 400
        assert (await ask(one, "old 3\nnonsense")).status == 400
        assert (await ask(one, AddCheckpoint(3, (b"\0" * 32,), log.note).encode())).status == 422
        forged = log.note.replace("\n5\n", "\n6\n")
        assert (await ask(one, AddCheckpoint(3, (), forged).encode())).status == 403
        stranger = Checkpoint("stranger.example", 0, b"\0" * 32).sign(log.key)
        assert (await ask(one, AddCheckpoint(0, (), stranger).encode())).status == 404
        assert (await known(one, log.origin)).state == peers.ACTIVE


async def test_what_cannot_be_stored_is_not_cosigned(registrar: RegistrarUnderTest) -> None:
    async with lying_registrar() as log:
        await followed(registrar, log)
        log.show(log.events(3))
        log.mangle = lambda path, data: b"" if "entries" in path else data
        assert (await ask(registrar, AddCheckpoint(0, (), log.note).encode())).status == 503
        note = (await registrar.person().get(f"{mirror(log.origin)}/checkpoint")).body
        assert b"\n3\n" not in note
        log.mangle = lambda path, data: data
        assert (await ask(registrar, AddCheckpoint(0, (), log.note).encode())).status == 200


async def test_a_registrar_set_back_to_an_old_backup_gets_its_events_back(
    tmp_path: Path, database_url: str
) -> None:
    settings = {"listen": f"127.0.0.1:{free_port()}"}
    async with registrar_with(tmp_path, database_url) as b:
        async with start_registrar(tmp_path / "a", **settings) as a:
            await befriend(a, b)
            await a.person().register(shareable("old"))
            await mirrored(b, a.context.vkey, 1)
        shutil.copytree(tmp_path / "a", tmp_path / "backup")
        async with start_registrar(tmp_path / "a", **settings) as a:
            for name in ("lost one", "lost two"):
                await a.person().register(shareable(name))
            head = await mirrored(b, a.context.vkey, 3)
        shutil.rmtree(tmp_path / "a")
        shutil.copytree(tmp_path / "backup", tmp_path / "a")
        async with start_registrar(tmp_path / "a", **settings) as a:
            back = Checkpoint.open((await a.person().get("/log/checkpoint")).body, a.context.vkey)
            assert back == head
            leaves = (await a.person().get("/log/tile/entries/000.p/3")).body
            assert leaves == (await b.person().get(f"{mirror(a.context.origin)}/tile/entries/000.p/3")).body
            assert (await poke(b, a.context.origin)).problem == ""
            assert (await b.person().get("/api/v1/peers")).json["peers"][0]["evidence"] == []


@pytest.mark.parametrize("way", ["replayed", "for another registrar", "another key", "unsigned"])
async def test_consent_that_is_not_a_registrars_own_is_refused(
    registrar: RegistrarUnderTest, way: str
) -> None:
    sender = registrar.person()
    body = b'{"naan":"99999","url":"https://other.example","v":1}'
    path = "/api/v1/peers"
    headers = sender.signature("POST", path, body)
    if way == "for another registrar":
        there = registrar.person(sender.key)
        there.url = "https://elsewhere.example"
        headers = there.signature("POST", path, body)
    first = await sender.send("POST", path, body, headers={} if way == "unsigned" else headers)
    if way in ("unsigned", "for another registrar"):
        assert first.status == 401
        return
    assert (first.status, first.json["state"]) == (202, "proposed")
    if way == "replayed":
        assert (await sender.send("POST", path, body, headers=headers)).status == 401
        return
    # once an operator has compared the key, no other one speaks for that name
    known_one = await known(registrar, "other.example")
    await agree(registrar, known_one.verifier, known_one.url)
    assert (await registrar.person().send("POST", path, body)).status == 403


async def test_what_a_registrar_has_signed_is_waited_for(
    any_registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    """A mirror names a newer head of the registrar's own log, and has no entries of it yet."""
    one, person = any_registrar, any_registrar.person()
    await person.register(shareable("first"))
    first = (await person.get("/log/tile/entries/000.p/1")).body[2:]
    async with lying_registrar() as peer:
        other = one.person()
        lost = [other.event(b'{"v":1}'), other.event(b'{"v":2}')]
        whole = [first, *(event.leaf() for event in lost)]
        root = root_of_leaves([leaf_hash(leaf) for leaf in whole])
        note = Checkpoint(one.context.origin, 3, root).sign(one.context.key)
        name = peers.name_of(one.context.origin)
        peer.mirrors[name] = ([], note)
        await followed(one, peer)
        await poke(one, peer.origin)
        what = shareable("second")
        await person.upload(what)
        body = what.body().encode()
        assert (await person.submit(person.event(body), body)).status == 503
        # what is not here yet is not said to have been here: it would not start again
        await Acknowledged(one.context.db, one.context.signals, tmp_path).keep()
        assert Checkpoint.open((tmp_path / FILE).read_bytes(), one.context.vkey).size == 1
        peer.mirrors[name] = (whole, note)
        await poke(one, peer.origin)
        back = (await person.get("/log/tile/entries/000.p/3")).body
        assert back == peer.tile(whole, "tile/entries/000.p/3")


async def test_a_registrar_that_has_forked_its_log_does_not_start(tmp_path: Path) -> None:
    settings = {"listen": f"127.0.0.1:{free_port()}"}
    async with start_registrar(tmp_path / "b", listen=f"127.0.0.1:{free_port()}") as b:
        async with start_registrar(tmp_path / "a", **settings) as a:
            await befriend(a, b)
        shutil.copytree(tmp_path / "a", tmp_path / "backup")
        async with start_registrar(tmp_path / "a", **settings) as a:
            await a.person().register(shareable("lost"))
            await mirrored(b, a.context.vkey, 1)
            b_at = {"listen": b.context.settings.listen}
    shutil.rmtree(tmp_path / "a")
    shutil.copytree(tmp_path / "backup", tmp_path / "a")
    async with start_registrar(tmp_path / "a", **settings) as a:  # nobody can tell it
        await a.person().register(shareable("another"))
    async with start_registrar(tmp_path / "b", **b_at):
        with pytest.raises(UsageError, match="another log"):
            async with start_registrar(tmp_path / "a", **settings):
                pass
