"""Records of other registrars: applied here, served when their home is gone, changed nowhere else."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Connection

from seedkeep.core.bencode import decode
from seedkeep.core.errors import InvalidInput, Unreachable, VerificationFailed
from seedkeep.core.events import Event
from seedkeep.core.metadata import Metadata
from seedkeep.core.notes import Verifier
from seedkeep.core.revision import RehomeBody, RevisionBody, WithdrawalBody
from seedkeep.editing import Editing
from seedkeep.known import KnownRegistrars
from seedkeep.record_document import Record
from seedkeep.resolve import Resolved
from seedkeep_registrar.federation import bundle
from seedkeep_registrar.federation.bodies import Bodies
from seedkeep_registrar.federation.client import PeerClient
from seedkeep_registrar.federation.repair import repair
from seedkeep_registrar.federation.takeover import Takeover
from seedkeep_registrar.processes.signals import Kind, Signal
from seedkeep_registrar.store import events, peers, totals
from tests.support.federating import agree, befriend, commanded, known, poke, until
from tests.support.ports import free_port
from tests.support.registrar import (
    Answer,
    Person,
    RegistrarUnderTest,
    new_key,
    shareable,
    start_registrar,
)


async def record_at(one: RegistrarUnderTest, rid: str, *, seq: int = 0) -> dict[str, Any]:
    """The document of a record at a registrar, once it has that many events."""

    async def look() -> dict[str, Any] | None:
        answer = await one.person().get(f"/api/v1/records/{rid}")
        return dict(answer.json) if answer.status == 200 and answer.json["seq"] >= seq else None

    found: dict[str, Any] = await until(look)
    return found


def at(one: RegistrarUnderTest, person: Person) -> Person:
    """The same person, who talks to another registrar."""
    return one.person(person.key)


async def revise(person: Person, head: Event, title: str) -> Answer:
    """Send a revision on top of an event to a registrar, addressed to it."""
    body = RevisionBody(Metadata(title=title), (), 3, (str(person),)).encode()
    return await person.submit(person.event(body, "revision", after=head), body)


async def move(person: Person, head: Event, source: str) -> Answer:
    """Make the registrar to which this person talks the home of a record."""
    body = RehomeBody(source, person.origin, "it burnt down").encode()
    return await person.submit(person.event(body, "rehome", after=head), body)


async def test_a_record_is_found_and_served_by_a_mirror_when_its_home_is_gone(
    any_registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    b, what = any_registrar, shareable()
    async with start_registrar(tmp_path / "a", naan="12345") as a:
        await befriend(a, b)
        made = await a.person().register(what)
        told = await record_at(b, made["rid"])
        home, vkey = a.context.origin, a.context.vkey
    assert told["ark"] == made["ark"]
    assert told["ark"].startswith("ark:/12345/")
    assert (told["home"], told["home_url"], told["mirrored"]) == (home, a.url, True)
    assert Record.parse(told, b.context.vkey, vkey).rid == made["rid"]
    someone, content = b.person(), what.dataset().content_id
    for name in (made["ark"], content, f"hash://sha256/{what.data.manifest.files[0].sha256}"):
        found = await someone.get(f"/api/v1/resolve?id={name}")
        assert [m["rid"] for m in found.json["matches"]] == [made["rid"]]
    assert [r["rid"] for r in (await someone.get("/api/v1/search?q=test")).json["results"]] == [made["rid"]]
    torrent = decode((await someone.get(f"/torrents/{content}.torrent")).body)
    assert torrent[b"announce"].decode() == f"{b.url}/announce"
    page = (await someone.get(f"/records/{made['rid']}")).body.decode()
    assert f'<a href="{a.url}/{made["ark"]}">' in page
    assert "mirrored here" in page
    for sha256, data in what.objects.items():
        assert (await someone.get(f"/objects/{sha256}")).body == data
    hashed = "".join(f"%{content[i : i + 2]}" for i in range(0, 40, 2))
    announced = await someone.get(
        f"/announce?info_hash={hashed}&peer_id={'x' * 20}&port=6881&left=0&compact=1"
    )
    assert b"failure" not in announced.body


async def test_edits_go_on_at_a_new_home_and_the_old_one_follows(
    any_registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    b, settings = any_registrar, {"listen": f"127.0.0.1:{free_port()}"}
    async with start_registrar(tmp_path / "a", **settings) as a:
        await befriend(a, b)
        alice = a.person()
        made = await alice.register(shareable())
        first, home, rid = Event.parse(made["event"]), a.context.origin, made["rid"]
        assert (await revise(alice, first, "As A says")).status == 201
        told = await record_at(b, rid, seq=1)
        second, there = Event.parse(told["revision"]["event"]), at(b, alice)
        refused = await revise(there, second, "As B says")
        assert (refused.status, refused.json["home"], refused.json["home_url"]) == (409, home, a.url)
        assert "seedkeep rehome" in refused.json["hint"]
        stranger = await move(b.person(), second, home)
        assert stranger.status == 403
    met = KnownRegistrars(tmp_path / "known")
    client = met.client(b.url, key=alice.key, session=b.session, now=b.clock)
    found = Resolved(await client.record(rid))
    moved = await Editing(alice.key, b.clock).rehome(found, client, "it burnt down")
    assert (moved.state.home, moved.document["mirrored"]) == (b.context.origin, False)
    third = moved.state.head
    assert await Editing(alice.key, b.clock).rehome(found, client, "twice") == moved
    assert (await revise(there, third, "As B says")).status == 201
    history = await there.get(f"/api/v1/records/{rid}/revisions")
    assert [e["type"] for e in history.json["revisions"]] == ["record", "revision", "rehome", "revision"]
    assert history.json["revisions"][2]["changes"] == [
        {"field": "home", "before": [home], "after": [b.context.origin]}
    ]
    async with start_registrar(tmp_path / "a", **settings) as a:
        await poke(a, b.context.origin)
        told = await record_at(a, rid, seq=3)
        chain = (await a.person().get(f"/api/v1/records/{rid}/revisions")).json["revisions"][1:]
        record = Record.parse({**told, "chain": chain}, a.context.vkey, b.context.vkey)
        assert (record.state.home, record.state.metadata.title) == (b.context.origin, "As B says")
        assert (told["home"], told["mirrored"]) == (b.context.origin, True)
        late = await revise(at(a, alice), record.state.head, "As A says again")
        assert (late.status, late.json["home"]) == (409, b.context.origin)


async def set_state(one: RegistrarUnderTest, other: RegistrarUnderTest, state: str) -> None:
    """Let a registrar follow another one, or not."""
    peer = await known(one, other.context.origin)
    await one.context.db.write(peers.set_state, peer.id, state)
    one.context.signals.hear([Signal(Kind.FEDERATION, "")])


async def test_two_changes_in_one_place_freeze_a_record_which_is_still_found(
    any_registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    b = any_registrar
    async with start_registrar(tmp_path / "a") as a:
        await befriend(a, b)
        alice = a.person()
        made = await alice.register(shareable())
        first, rid = Event.parse(made["event"]), made["rid"]
        await record_at(b, rid)
        for one, other in ((a, b), (b, a)):
            await set_state(one, other, peers.PAUSED)
        assert (await move(at(b, alice), first, a.context.origin)).status == 201
        assert (await revise(alice, first, "As A says")).status == 201
        for one, other in ((a, b), (b, a)):
            await set_state(one, other, peers.ACTIVE)
        for one in (a, b):

            async def frozen(one: RegistrarUnderTest = one) -> bool:
                return bool((await record_at(one, rid))["fork"])

            await until(frozen)
            told = await record_at(one, rid)
            refused = await revise(at(one, alice), Event.parse(told["revision"]["event"]), "Once more")
            assert refused.status == 409
            assert "two registrars have taken different changes" in refused.json["detail"]
            page = (await one.person().get(f"/records/{rid}")).body.decode()
            assert "Two registrars tell different things" in page
            assert (await one.person().get(f"/api/v1/resolve?id={made['ark']}")).status == 200


async def test_who_is_a_steward_no_more_freezes_nothing(
    registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    a = registrar
    async with start_registrar(tmp_path / "b") as b:
        await befriend(a, b)
        alice, bob = a.person(), a.person()
        made = await alice.register(shareable())
        first, rid = Event.parse(made["event"]), made["rid"]
        both = RevisionBody(Metadata(title="Two"), (), 3, (str(alice), str(bob))).encode()
        second = alice.event(both, "revision", after=first)
        assert (await alice.submit(second, both)).status == 201
        await record_at(b, rid, seq=1)
        await set_state(b, a, peers.PAUSED)
        third = await revise(alice, second, "Bob is out")
        assert third.status == 201
        # a registrar that has not heard of it takes what he signs
        assert (await move(at(b, bob), second, a.context.origin)).status == 201
        await poke(a, b.context.origin)

        async def told() -> list[dict[str, Any]]:
            return list((await a.person().get("/api/v1/peers/problems")).json["problems"])

        (problem,) = await until(told)
        assert (problem["state"], problem["seq"]) == ("fork", 2)
        here = await record_at(a, rid)
        assert here["fork"] is None
        head = Event.parse(here["revision"]["event"])
        assert (await revise(alice, head, "Still mine")).status == 201


async def offered(node: Person) -> list[str]:
    """What a registrar offers to a node."""
    return [offer["content_id"] for offer in (await node.beat())["offers"]]


async def test_datasets_are_offered_while_their_home_is_silent(
    any_registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    b, what, settings = any_registrar, shareable(), {"listen": f"127.0.0.1:{free_port()}"}
    content, takeover = what.dataset().content_id, Takeover(b.context)
    async with start_registrar(tmp_path / "a", **settings) as a:
        await befriend(a, b)
        made = await a.person().register(what)
        await record_at(b, made["rid"])
        await takeover.look()
        node = b.person()
        await node.introduce()
        assert await offered(node) == []
        assert (await b.context.db.read(totals.read)).lacking == 0
        home = a.context.origin
    b.clock.offset = 700.0
    node = b.person(node.key)
    await takeover.look()
    assert await offered(node) == [content]
    assert (await b.context.db.read(totals.read)).lacking == 1
    await node.hold(what)
    assert (await record_at(b, made["rid"]))["copies"]["complete"] == 1
    async with start_registrar(tmp_path / "a", **settings) as a:
        a.clock.offset = 700.0

        async def heard() -> bool:
            return not (await poke(b, home)).problem

        await until(heard)
        await takeover.look()
        other = b.person()
        await other.introduce()
        assert await offered(other) == []
        assert (await b.context.db.read(totals.read)).lacking == 0


async def test_a_stranger_neither_changes_nor_freezes_nor_takes_a_record(
    any_registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    a = any_registrar
    alice = a.person()
    made = await alice.register(shareable())
    first, rid = Event.parse(made["event"]), made["rid"]
    async with start_registrar(tmp_path / "m") as m:
        await befriend(a, m)
        await record_at(m, rid)
        # this registrar takes into its log what it likes
        context, mallory = m.context, m.person()
        taken = RehomeBody(a.context.origin, context.origin, "mine").encode()
        event = mallory.event(taken, "rehome", after=first)

        def take(connection: Connection) -> None:
            events.append(connection, events.lock(connection), event, taken, now=m.clock())

        await context.db.write(take)

        async def refused() -> list[dict[str, Any]]:
            return list((await a.person().get("/api/v1/peers/problems")).json["problems"])

        (problem,) = await until(refused)
        assert (problem["origin"], problem["state"], problem["rid"]) == (context.origin, "refused", rid)
        assert "only a steward" in problem["problem"]
        told = await commanded(a, "problems")
        assert told["problems"] == [problem]
        assert (await revise(alice, first, "Still mine")).status == 201
        assert (await record_at(a, rid, seq=1))["fork"] is None


async def status_of(one: RegistrarUnderTest, rid: str, wanted: int) -> Answer:
    """What a registrar answers to who asks for a record, once that has this status."""

    async def look() -> Answer | None:
        answer = await one.person().get(f"/api/v1/records/{rid}")
        return answer if answer.status == wanted else None

    found: Answer = await until(look)
    return found


async def test_what_is_tainted_here_or_withdrawn_there_is_known_and_not_served(
    any_registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    b, bad, gone = any_registrar, shareable("bad"), shareable("gone")
    content = bad.dataset().content_id
    assert (await b.curator.taint(f"content:{content}")).status == 201
    async with start_registrar(tmp_path / "a") as a:
        alice = a.person()
        made = await alice.register(gone)
        body = WithdrawalBody("consent was withdrawn").encode()
        last = alice.event(body, "withdrawal", after=Event.parse(made["event"]))
        assert (await alice.submit(last, body)).status == 201
        tainted = await alice.register(bad)
        await befriend(a, b)
        told = await status_of(b, made["rid"], 410)
        assert told.json["withdrawn"]["reason"] == "consent was withdrawn"
        assert (await status_of(b, tainted["rid"], 451)).json["taints"]
    assert (await b.person().get(f"/torrents/{content}.torrent")).status == 451
    assert (await b.person().get("/api/v1/search")).json["results"] == []


async def test_what_a_stop_interrupted_goes_on(tmp_path: Path) -> None:
    every, settings = [shareable(f"d{n}") for n in range(8)], {"listen": f"127.0.0.1:{free_port()}"}
    async with start_registrar(tmp_path / "a") as a:
        alice = a.person()
        rids = [(await alice.register(what))["rid"] for what in every]
        async with start_registrar(tmp_path / "b", **settings) as b:
            await befriend(a, b)

            async def begun(b: RegistrarUnderTest = b) -> bool:
                return bool((await b.person().get("/api/v1/records")).json["records"])

            await until(begun)
        async with start_registrar(tmp_path / "b", **settings) as b:
            for rid in rids:
                await record_at(b, rid)
            listed = (await b.person().get("/api/v1/records")).json["records"]
            assert sorted(record["rid"] for record in listed) == sorted(rids)
            assert (await b.person().get("/api/v1/peers/problems")).json["problems"] == []
            assert f"/{listed[0]['ark']}" not in (await b.person().get("/sitemap-0.xml")).body.decode()


async def test_lost_objects_come_back(registrar: RegistrarUnderTest) -> None:
    what, context = shareable(), registrar.context
    await registrar.person().register(what)
    await agree(registrar, Verifier("honest.example", new_key().public), "http://honest.example")
    await context.db.write(peers.set_state, 1, peers.ACTIVE)
    for sha256 in what.objects:
        context.objects.path(sha256).unlink()
    bodies = Bodies(context, cast(PeerClient, Liar(what.objects)))
    assert await repair(context, bodies) == len(what.objects)
    assert [context.objects.read(sha256) for sha256 in what.objects] == list(what.objects.values())
    assert await repair(context, bodies) == 0


class Liar:
    """Answers for two registrars, of which the first gives wrong bytes."""

    def __init__(self, true: dict[str, bytes]) -> None:
        self.true, self.asked = true, list[str]()

    async def ask(self, url: str, message: dict[str, list[str]], *, limit: int) -> bytes:
        self.asked.append(url)
        small = {name: data for name, data in self.true.items() if len(data) < 1000}
        given = bundle.encode({name: small[name] for name in message["sha256"] if name in small})
        return given if url.startswith("http://honest") else given[:-1] + b"?"

    async def chunks(self, url: str) -> AsyncIterator[bytes]:
        self.asked.append(url)
        data = self.true.get(url.rpartition("/")[2], b"nothing of the kind")
        yield data if url.startswith("http://honest") else b"wrong"


async def test_a_registrar_that_gives_wrong_bytes_is_passed_over(registrar: RegistrarUnderTest) -> None:
    for name in ("liar.example", "honest.example"):
        await agree(registrar, Verifier(name, new_key().public), f"http://{name}")
        peer = await known(registrar, name)
        await registrar.context.db.write(peers.set_state, peer.id, peers.PAUSED)
    every = {hashlib.sha256(data).hexdigest(): data for data in (b"{}", b"small", b"large" * 1000)}
    http = Liar(every)
    bodies = Bodies(registrar.context, cast(PeerClient, http))
    for id_ in (1, 2):
        await registrar.context.db.write(peers.set_state, id_, peers.ACTIVE)
    body, *objects = every
    await bodies.bodies(1, [body])
    await bodies.objects(1, objects)
    assert await registrar.context.db.read(events.body, body) == b"{}"
    assert [registrar.context.objects.read(name) for name in objects] == [every[name] for name in objects]
    assert http.asked[0].startswith("http://liar")
    with pytest.raises(Unreachable):
        await bodies.objects(1, [hashlib.sha256(b"nobody has it").hexdigest()])


_NOTHING = hashlib.sha256(b"").hexdigest().encode()


@pytest.mark.parametrize(
    "answer", [b"x", b"0" * 64 + b" 5\nfour", _NOTHING + b" 0\n", b"0" * 64 + b" 9999999999\n"]
)
def test_a_malformed_bundle_is_refused(answer: bytes) -> None:
    with pytest.raises((InvalidInput, VerificationFailed)):
        bundle.parse(answer, ["0" * 64])
