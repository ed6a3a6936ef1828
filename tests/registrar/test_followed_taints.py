"""What other registrars order: it binds on their own records, and otherwise as this one's operator chose."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from seedkeep.core.events import Event
from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier
from seedkeep.core.taints.body import Effect, Order, Subject
from seedkeep.core.taints.entry import Entry, encode_list
from seedkeep.core.taints.head import Head
from seedkeep_registrar import authorities
from seedkeep_registrar.cli import registrar as command
from seedkeep_registrar.federation.asking import _keep_taints
from seedkeep_registrar.store import accounts, peers
from seedkeep_registrar.store.accounts import Role
from seedkeep_registrar.store.followed import row_id
from tests.registrar.test_taints import lift, taint
from tests.support.federating import agree, befriend, known, poke, until
from tests.support.people import Mailbox, browser
from tests.support.registrar import (
    RegistrarUnderTest,
    new_key,
    registrar_with,
    shareable,
    start_registrar,
    utc,
)


class Authority:
    """Another registrar of which only the taints are there; what it says is kept as a poll keeps it."""

    def __init__(self, at: RegistrarUnderTest, origin: str) -> None:
        self.at, self.origin = at, origin
        self.key: PrivateKey = new_key()
        self.said: dict[str, Entry] = {}
        self.version = 0

    @classmethod
    async def followed(cls, at: RegistrarUnderTest, origin: str, mode: str) -> Authority:
        one = cls(at, origin)
        await agree(at, Verifier(origin, one.key.public), f"http://127.0.0.1:9/{origin}")
        await one.follow(mode)
        return one

    async def follow(self, mode: str) -> None:
        """The operator chooses how it is followed."""
        peer, context = await known(self.at, self.origin), self.at.context
        now = self.at.clock()
        await context.db.write(authorities.follow, context.settings, peer, mode, now=now)

    def entry(self, subject: str, effect: str = "remove", **more: Any) -> Entry:
        """One that it may say."""
        order = Order(Subject.parse(subject), "other", f"{self.origin} says so", Effect(effect), **more)
        id_ = hashlib.sha256(f"{self.origin} {len(self.said)}".encode()).hexdigest()
        return Entry(id_, order, utc(self.at.clock() - 5), (str(self.key.public),))

    async def say(self, *entries: Entry) -> None:
        """Add these to its list, or put them in place of those with the same id."""
        self.said |= {one.id: one for one in entries}
        self.version += 1
        data = encode_list(self.said.values())
        digest, until_ = hashlib.sha256(data).hexdigest(), int(self.at.clock()) + 3600
        note = Head(self.origin, self.version, self.version, digest, until_).sign(self.key)
        peer = await known(self.at, self.origin)
        context = self.at.context
        before, _ = await context.db.read(peers.taints_of, peer.id)
        await context.db.write(_keep_taints, context, peer.id, before, note, data)

    async def taint(self, subject: str, effect: str = "remove", **more: Any) -> Entry:
        """Order something more."""
        made = self.entry(subject, effect, **more)
        await self.say(made)
        return made

    async def lift(self, entry: Entry) -> None:
        """Take it back."""
        await self.say(replace(entry, lifted="ab" * 32))


async def status(at: RegistrarUnderTest, document: dict[str, Any]) -> int:
    """How a record is answered, which its torrent has to agree with."""
    person = at.person()
    torrent = (await person.get(f"/torrents/{document['content_id']}.torrent")).status
    record = (await person.get(f"/api/v1/records/{document['rid']}")).status
    assert torrent == record
    return record


async def test_a_home_binds_its_mirrors_and_their_nodes_hear_of_it(
    any_registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    b, what, orders = any_registrar, shareable(), dict[str, Event]()
    async with start_registrar(tmp_path / "a") as a:
        await befriend(a, b)
        made = await a.person().register(what)
        rid, cid = made["rid"], made["content_id"]

        async def there() -> bool:
            return (await b.person().get(f"/api/v1/records/{rid}")).status == 200

        await until(there)
        keeper = b.person()
        await keeper.introduce()
        before = await keeper.beat({})
        assert [note.split("\n")[1] for note in before["taint_heads"]] == [a.context.origin]
        ordered = await taint(a.curator, f"content:{cid}", orders, "it bites")
        order = ordered.json["id"]
        await poke(b, a.context.origin)
        assert await status(b, made) == 451
        page = await b.person().get(f"/records/{rid}")
        assert (page.status, "it bites" in page.body.decode()) == (451, True)
        assert a.context.origin in page.body.decode()
        (told,) = (await b.person().get(f"/api/v1/records/{rid}")).json["taints"]
        assert (told["id"], told["authority"]) == (order, a.context.origin)
        # nor is it recorded here anew
        again = b.person()
        await again.upload(what)
        refused = await again.submit(again.event(what.body().encode()), what.body().encode())
        assert refused.status == 451
        # a node hears of it, and finds the list here
        (note,) = (await keeper.beat({}))["taint_heads"]
        assert note == (await a.person().get("/api/v1/taints/head")).body.decode()
        list_ = await keeper.get(f"/api/v1/taints/lists/{Head.open(note, a.context.vkey).list_sha256}")
        assert order in list_.body.decode()
        assert (await lift(a.curator, ordered, orders)).status == 201
        await poke(b, a.context.origin)
        assert await status(b, made) == 200


async def test_advice_is_shown_and_does_not_bind(any_registrar: RegistrarUnderTest) -> None:
    made = await any_registrar.person().register(what := shareable())
    other = await Authority.followed(any_registrar, "other.example", peers.ADVISORY)
    entry = await other.taint(f"content:{made['content_id']}")
    assert await status(any_registrar, made) == 200
    document = (await any_registrar.person().get(f"/api/v1/records/{made['rid']}")).json
    assert (document["taints"], document["withheld"]) == ([], [])
    assert [(t["id"], t["authority"]) for t in document["advice"]] == [(entry.id, "other.example")]
    async with browser(any_registrar.url) as reader:
        page = (await reader.get(f"/records/{made['rid']}")).body.decode()
    assert "other.example says so" in page
    assert "does not bind this registrar" in page
    again = await any_registrar.person().register(what)  # nor does it hinder others
    assert [t["id"] for t in again["advice"]] == [entry.id]
    await other.lift(entry)
    document = (await any_registrar.person().get(f"/api/v1/records/{made['rid']}")).json
    assert document["advice"] == []


async def test_a_forged_lift_of_another_authority_lifts_nothing(any_registrar: RegistrarUnderTest) -> None:
    made = await any_registrar.person().register(shareable())
    subject = f"content:{made['content_id']}"
    orders = dict[str, Event]()
    ordered = await taint(any_registrar.curator, subject, orders, "it bites")
    own = ordered.json["id"]
    good = await Authority.followed(any_registrar, "good.example", peers.BINDING)
    evil = await Authority.followed(any_registrar, "evil.example", peers.BINDING)
    theirs = await good.taint(subject)
    # the same ids, lifted, in another one's list
    await evil.say(replace(theirs, lifted="cd" * 32), replace(theirs, id=own, lifted="cd" * 32))
    told = (await any_registrar.person().get(f"/api/v1/records/{made['rid']}")).json["taints"]
    assert {(t["id"], t["authority"]) for t in told} == {(own, ""), (theirs.id, "good.example")}
    # nor do they stand there in the name of others, and end with them
    await evil.say(theirs)
    await evil.lift(theirs)
    assert (await lift(any_registrar.curator, ordered, orders)).status == 201
    assert await status(any_registrar, made) == 451
    await good.lift(theirs)
    assert await status(any_registrar, made) == 200


async def test_whoever_taints_the_world_is_held_back(tmp_path: Path) -> None:
    async with registrar_with(tmp_path, "", taint_flood=2) as registrar:
        made = [await registrar.person().register(shareable(f"d{i}")) for i in range(3)]
        other = await Authority.followed(registrar, "other.example", peers.BINDING)
        first = await other.taint(f"content:{made[0]['content_id']}")
        flood = [other.entry(f"content:{one['content_id']}") for one in made]
        named = [replace(one, id=hashlib.sha256(bytes([i])).hexdigest()) for i, one in enumerate(flood)]
        await other.say(*named)
        assert [await status(registrar, one) for one in made] == [451, 200, 200]
        await other.lift(first)
        assert await status(registrar, made[0]) == 200
        await other.follow(peers.BINDING)  # the operator has looked at them
        assert [await status(registrar, one) for one in made] == [451, 451, 451]
        await other.follow(peers.ADVISORY)
        assert [await status(registrar, one) for one in made] == [200, 200, 200]


async def test_of_each_authority_only_so_many_taints_count(
    registrar: RegistrarUnderTest, monkeypatch: Any
) -> None:
    monkeypatch.setattr(authorities, "MOST", 5)
    other = await Authority.followed(registrar, "other.example", peers.ADVISORY)
    ids: Iterable[str] = (hashlib.sha256(bytes([i])).hexdigest() for i in range(9))
    await other.say(*(replace(other.entry(f"content:{id_}"), id=id_) for id_ in ids))
    (shown,) = (await registrar.person().get("/api/v1/taints/authorities")).json["authorities"]
    assert (shown["origin"], shown["mode"], shown["advice"], shown["binding"]) == (
        "other.example",
        "advisory",
        5,
        0,
    )


async def test_enough_authorities_that_agree_bind(tmp_path: Path, database_url: str) -> None:
    async with registrar_with(tmp_path, database_url, taint_quorum=2) as registrar:
        made = await registrar.person().register(shareable())
        subject = f"content:{made['content_id']}"
        one = await Authority.followed(registrar, "one.example", peers.ADVISORY)
        two = await Authority.followed(registrar, "two.example", peers.ADVISORY)
        await one.say(one.entry(subject), replace(one.entry(subject), id="ab" * 32))  # twice is once
        assert await status(registrar, made) == 200
        theirs = await two.taint(subject, "warn")
        assert await status(registrar, made) == 200  # they agree that it is to be warned of
        stronger = replace(two.entry(subject, "hide"), id="ef" * 32)
        await two.say(stronger)
        assert await status(registrar, made) == 451
        await two.lift(stronger)
        assert await status(registrar, made) == 200
        await two.lift(theirs)
        document = (await registrar.person().get(f"/api/v1/records/{made['rid']}")).json
        assert (document["taints"], len(document["advice"])) == ([], 2)


async def test_a_file_that_is_tainted_elsewhere_does_not_come_with_another_dataset(
    any_registrar: RegistrarUnderTest,
) -> None:
    what = shareable("x", {"bad": b"b" * 20_000, "good": b"g" * 20_000})
    root = next(f.root for f in what.data.manifest.files if f.path == "bad")
    other = await Authority.followed(any_registrar, "other.example", peers.BINDING)
    await other.taint(f"root:{root}")
    person = any_registrar.person()
    await person.upload(what)
    assert (await person.submit(person.event(what.body().encode()), what.body().encode())).status == 451
    await other.follow(peers.ADVISORY)
    document = await any_registrar.person().register(what)
    assert (document["withheld"], len(document["advice"])) == ([], 1)
    await other.follow(peers.BINDING)
    told = (await person.get(f"/api/v1/records/{document['rid']}")).json
    assert (told["withheld"], told["advice"]) == (["bad"], [])


async def test_what_ends_by_itself_ends_here_though_its_authority_is_down(
    any_registrar: RegistrarUnderTest,
) -> None:
    made = await any_registrar.person().register(shareable())
    other = await Authority.followed(any_registrar, "other.example", peers.BINDING)
    await other.taint(f"record:{made['rid']}", "hide", expires=utc(any_registrar.clock() + 60))
    assert await status(any_registrar, made) == 451
    any_registrar.clock.offset += 61
    await any_registrar.context.db.write(authorities.end_expired, any_registrar.context)
    assert await status(any_registrar, made) == 200


async def test_an_operator_chooses_and_a_curator_orders_a_draft_with_one_click(
    tmp_path: Path, database_url: str, mailbox: Mailbox
) -> None:
    async with (
        registrar_with(tmp_path, database_url, curators=()) as registrar,
        browser(registrar.url) as olga,
        browser(registrar.url) as cleo,
    ):
        for who, role in ((olga, Role.OPERATOR), (cleo, Role.CURATOR)):
            email = f"{role.name.lower()}@example.org"
            made = {"email": email, "role": role, "now": registrar.clock(), "name": ""}
            await registrar.context.db.write(accounts.create, **made)
            await who.sign_in(email, mailbox)
        document = await registrar.person().register(shareable())
        other = await Authority.followed(registrar, "other.example", peers.ADVISORY)
        entry = await other.taint(f"content:{document['content_id']}", "hide")
        assert "other.example" in (await olga.get("/operate/peers")).body.decode()
        peer = await known(registrar, other.origin)
        way = f"/operate/peers/{peer.id}/taints"
        assert (await cleo.post(way, {"mode": "binding"})).status == 403
        assert (await olga.post(way, {"mode": "sometimes"})).status == 400
        assert (await olga.post(way, {"mode": "draft"})).status == 303
        shown = (await registrar.person().get(f"/api/v1/records/{document['rid']}")).json
        assert (shown["taints"], shown["advice"]) == ([], [])
        draft = f"/taints/drafts/{row_id(other.origin, entry)}/order"
        assert draft in (await cleo.get("/taints")).body.decode()
        ordered = await cleo.post(draft, {})
        assert ordered.status == 303
        own = ordered.headers["Location"].partition("#")[2]
        (told,) = (await cleo.get("/api/v1/taints")).json["taints"]
        assert (told["id"], told["authority"], told["reason"]) == (own, "", entry.reason)
        assert draft not in (await cleo.get("/taints")).body.decode()
        assert (await cleo.post(f"/taints/{own}/approve", {"reason": "again"})).status == 409
        other_page = (await cleo.get("/transparency")).body.decode()
        assert "other.example" in other_page
        assert "draft" in other_page


async def test_a_command_chooses_how_a_registrar_is_followed(any_registrar: RegistrarUnderTest) -> None:
    made = await any_registrar.person().register(shareable())
    other = await Authority.followed(any_registrar, "other.example", peers.ADVISORY)
    await other.taint(f"content:{made['content_id']}")
    settings = any_registrar.context.settings
    told = ["peer", "taints", "other.example", "binding", "--data", str(settings.data), "--json"]
    told += ["--database-url", settings.database_url] if settings.database_url else []
    ended = await asyncio.to_thread(CliRunner().invoke, command, told)
    assert json.loads(ended.stdout) == {"origin": "other.example", "taint_mode": "binding"}, ended.output
    assert await status(any_registrar, made) == 451
    async with browser(any_registrar.url) as reader:
        page = (await reader.get(f"/records/{made['rid']}")).body.decode()
    assert "ordered by" in page
