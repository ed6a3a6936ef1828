"""Clients that know more than one registrar: peers are pinned, mirrors answer for a home that is down."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from seedkeep import registrar_http
from seedkeep.copies_watch import CopiesWatch
from seedkeep.core.errors import Unreachable, VerificationFailed
from seedkeep.core.events import Event
from seedkeep.core.notes import Verifier
from seedkeep.countersigned import Countersigning
from seedkeep.known import KnownRegistrars
from seedkeep.registrar_messages import Peer
from seedkeep.registrar_records import WithdrawnRecord
from tests.support.desk import Desk
from tests.support.event_log import EventLog
from tests.support.federating import befriend, until
from tests.support.mirror import Mirror, mirror_of
from tests.support.registrar import RegistrarUnderTest, new_key, shareable, start_registrar

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registrar_http, "_LONGEST_WAIT_S", 0.02)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    (tmp_path / "desk").mkdir()
    async with aiohttp.ClientSession() as session:
        yield Desk(tmp_path / "desk", session)


def meet(desk: Desk, home: RegistrarUnderTest, *mirrors: Mirror) -> None:
    """What a client knows after its first contact with a home that names its mirrors."""
    desk.known.remember(home.url, home.context.vkey)
    desk.known.learn(home.context.vkey, Peer.parse_all([m.peer for m in mirrors]))


def resolver(desk: Desk, *registrars: str, **more: Any) -> Any:
    return desk.resolver(*registrars, known=desk.known, **more)


# --- what is pinned ------------------------------------------------------------------------------------


def verifier(name: str) -> Verifier:
    return Verifier(name, new_key().public)


def test_peers_are_pinned_with_who_named_them_and_are_not_served_for_that(tmp_path: Path) -> None:
    known, a, b, c = KnownRegistrars(tmp_path / "known"), *map(verifier, ("a.test", "b.test", "c.test"))
    known.remember("https://a.test", a)
    known.learn(a, [Peer("https://b.test", b), Peer("https://c.test", c), Peer("https://d.test")])
    assert known.peers("a.test") == {"https://b.test": b, "https://c.test": c}
    assert known.verifier("https://b.test") == b
    assert known.by_origin("c.test") == c
    assert known.urls() == ["https://a.test"]
    assert known.everybody() == ["https://a.test", "https://b.test", "https://c.test"]
    text = (tmp_path / "known").read_text()
    assert f"https://b.test {b} heard a.test\n" in text
    known.learn(a, [Peer("https://b.test", b)])  # it names c no more, but c's key stays
    assert list(known.peers("a.test")) == ["https://b.test"]
    assert known.verifier("https://c.test") == c


def test_remarks_and_lines_in_the_file_of_known_registrars_stay(tmp_path: Path) -> None:
    place, a, b = tmp_path / "known", verifier("a.test"), verifier("b.test")
    place.write_text(f"# ours\nhttps://a.test {a}\n")
    KnownRegistrars(place).learn(a, [Peer("https://b.test", b)])
    assert place.read_text() == f"# ours\nhttps://a.test {a}\nhttps://b.test {b} heard a.test\n"


def test_a_registrar_that_names_a_peer_with_a_wrong_key_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known, a, b, false = KnownRegistrars(tmp_path / "known"), *map(verifier, ("a.test", "b.test", "b.test"))
    known.remember("https://b.test", b)
    with caplog.at_level(logging.WARNING):
        known.learn(a, [Peer("https://b.test", false), Peer("https://elsewhere.test", false)])
    assert known.keys() == [b]
    assert known.peers("a.test") == {"https://b.test": b}
    assert "a.test names the registrar b.test with another key" in caplog.text


def test_a_peer_that_shows_another_key_than_it_was_named_with_is_refused(tmp_path: Path) -> None:
    known, a, b = KnownRegistrars(tmp_path / "known"), verifier("a.test"), verifier("b.test")
    known.learn(a, [Peer("http://b.test", verifier("b.test"))])
    with pytest.raises(VerificationFailed, match=r"another key than .* as a\.test told"):
        known.remember("http://b.test", b)


async def test_what_a_registrar_shows_over_https_outweighs_what_was_told_of_it(tmp_path: Path) -> None:
    known, a, b = KnownRegistrars(tmp_path / "known"), verifier("a.test"), verifier("b.test")
    known.learn(a, [Peer("https://b.test", verifier("b.test")), Peer("https://[::1]", verifier("c.test"))])
    assert known.by_origin("c.test") is None
    async with aiohttp.ClientSession() as session:
        client = known.client("https://b.test", key=None, session=session, now=time.time)
        assert client._pinned is None
    known.remember("https://b.test", b)
    known.learn(a, [Peer("https://b.test", verifier("b.test"))])
    assert known.by_origin("b.test") == b
    with pytest.raises(VerificationFailed):  # it is met now
        known.remember("https://b.test", verifier("b.test"))


def test_hearsay_has_a_limit(tmp_path: Path) -> None:
    known, a = KnownRegistrars(tmp_path / "known"), verifier("a.test")
    known.learn(a, [Peer(f"https://r{n}.test", verifier(f"r{n}.test")) for n in range(120)])
    assert len(known.peers("a.test")) == 50


@pytest.mark.parametrize(
    "told",
    [1, None, {}, {"url": 1}, {"url": "https://b.test", "vkey": "rubbish"}, "ftp://b.test", "https://u:p@b.test",
     {"url": "https://b.test", "origin": "c.test", "vkey": str(verifier("b.test"))}],
)  # fmt: skip
def test_a_malformed_peer_is_left_out(told: Any) -> None:
    assert Peer.parse_all([told, "https://good.test"]) == (Peer("https://good.test"),)


async def test_the_first_contact_teaches_the_peers(desk: Desk, registrar: RegistrarUnderTest) -> None:
    async with mirror_of(registrar.url) as other, mirror_of(registrar.url) as mirror:
        other.peers = [mirror.peer, NOBODY]
        info = await desk.client(other.url).info()
        assert info.peers == (Peer(mirror.url, mirror.verifier), Peer(NOBODY))
        assert desk.known.peers(info.origin) == {mirror.url: mirror.verifier}
        assert desk.known.urls() == [other.url]


# --- a home that is down -------------------------------------------------------------------------------


async def asked_once(desk: Desk, mirror: Mirror, name: str) -> None:
    """The mirror has what is needed to answer for this name."""
    found = await resolver(desk, mirror.url).resolve(name)
    await resolver(desk, mirror.url).contents(found)


async def test_a_mirror_answers_for_a_home_that_is_down_and_is_held_to_the_homes_key(
    desk: Desk, tmp_path: Path
) -> None:
    late = Desk(tmp_path / "late", desk.session)
    late.path.mkdir()
    async with start_registrar(tmp_path / "home") as home, mirror_of(home.url) as mirror:
        record = await home.person().register(shareable())
        meet(desk, home, mirror)
        await asked_once(desk, mirror, record["ark"])
        mirror.home = NOBODY
        # as if the home were down: its URL is taken by nobody, and the late one remembers nothing
        (late.path / "known_registrars").write_text(
            f"{NOBODY} {home.context.vkey}\n{mirror.url} {mirror.verifier} heard {home.context.origin}\n"
        )
        found = await resolver(late, configured=[NOBODY]).resolve(record["ark"])
        assert found.registrar == mirror.url
        assert found.record is not None
        assert found.record.event.home == home.context.origin
        assert (await resolver(late, configured=[NOBODY]).contents(found)).manifest


async def test_a_record_of_a_home_that_was_never_heard_of_is_refused(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    record = await registrar.person().register(shareable())
    async with mirror_of(registrar.url) as mirror:
        with pytest.raises(VerificationFailed, match="whose key is not known here") as caught:
            await resolver(desk, mirror.url).resolve(record["ark"])
        assert registrar.context.origin in caught.value.hint


async def test_a_mirror_that_answers_with_a_record_of_its_own_log_under_the_homes_name_is_refused(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    record = await registrar.person().register(shareable())
    async with mirror_of(registrar.url) as mirror:
        mine = EventLog(registrar.context.origin, mirror.key)

        def bend(path: str, value: Any) -> Any:
            if not path.startswith("/api/v1/records/"):
                return value
            return {**value, "proof": mine.append(Event.parse(value["event"]))}

        mirror.bend = bend
        meet(desk, registrar, mirror)
        with pytest.raises(VerificationFailed):
            await desk.client(mirror.url).record(record["rid"])
        # and whoever asks for the name gets the true one from the home
        assert (await resolver(desk, mirror.url).resolve(record["ark"])).registrar == registrar.url


async def test_a_mirror_that_names_its_own_key_as_the_homes_is_refused(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    record = await registrar.person().register(shareable())
    async with mirror_of(registrar.url) as mirror:
        meet(desk, registrar, mirror)
        lie = {"url": registrar.url, "origin": registrar.context.origin}
        mirror.peers = [{**lie, "vkey": str(Verifier(registrar.context.origin, mirror.key.public))}]
        await asked_once(desk, mirror, record["ark"])
        assert desk.known.by_origin(registrar.context.origin) == registrar.context.vkey


async def test_a_stale_mirror_does_not_take_back_what_was_seen(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    steward = registrar.person()
    record = await steward.register(shareable())
    async with mirror_of(registrar.url) as mirror:
        meet(desk, registrar, mirror)
        await asked_once(desk, mirror, record["ark"])
        client = replace(desk, key=steward.key).client(registrar.url)
        await client.chains.withdraw(await client.record(record["rid"]), "it was wrong")
        with pytest.raises(WithdrawnRecord):
            await resolver(desk, registrar.url).resolve(record["ark"])
        stale = f"/api/v1/records/{record['rid']}"
        mirror.home = NOBODY
        assert mirror.stored[stale][0] == 200
        with pytest.raises(WithdrawnRecord, match="it was wrong"):
            await resolver(desk, mirror.url).resolve(record["ark"])


async def test_a_share_is_taken_by_the_next_registrar_unless_one_was_named(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    down = NOBODY
    gone = verifier("127.0.0.1:9")
    desk.known.remember(down, gone)
    desk.known.learn(gone, [Peer(registrar.url, registrar.context.vkey)])
    assert (await resolver(desk, configured=[down]).registrar()).url == registrar.url
    with pytest.raises(Unreachable):
        await resolver(desk, down).registrar()


async def test_a_registrar_that_was_merely_met_takes_no_share(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    desk.known.remember(registrar.url, registrar.context.vkey)
    with pytest.raises(Unreachable):
        await resolver(desk, configured=[NOBODY]).registrar()


async def test_while_its_registrar_is_down_a_share_is_watched_at_a_mirror(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    record = await registrar.person().register(shareable())
    async with mirror_of(registrar.url) as mirror:
        meet(desk, registrar, mirror)
        desk.known.remember(NOBODY, registrar.context.vkey)
        client, chain = desk.client(NOBODY), resolver(desk)
        watch = CopiesWatch(client, chain.mirrors, desk.notes.append)
        for _ in range(2):
            told = await watch.ask(record["rid"])
            assert told is not None
            assert told.copies.wanted == 3
        assert len(desk.notes) == 1
        assert f"its mirror {mirror.url} tells of the copies" in desk.notes[0]
    assert await watch.ask(record["rid"]) is None
    assert "seeding goes on" in desk.notes[-1]


async def test_of_two_real_registrars_the_one_that_is_left_answers_for_both(
    desk: Desk, tmp_path: Path
) -> None:
    what = shareable()
    async with start_registrar(tmp_path / "b") as b:
        async with start_registrar(tmp_path / "a") as a:
            await befriend(a, b)
            record = await a.person().register(what)
            # the first contact tells of the peer
            await desk.client(a.url).info()
            assert desk.known.peers(a.context.origin) == {b.url: b.context.vkey}

            async def there() -> bool:
                return (await b.person().get(f"/api/v1/records/{record['rid']}")).status == 200

            await until(there)
        found = await resolver(desk, configured=[a.url]).resolve(record["ark"])
        assert found.registrar == b.url
        contents = await resolver(desk, configured=[a.url]).contents(found)
        assert contents.manifest.content_id() == record["content_id"]
        _, counted = await Countersigning(desk.known, None, pauses=()).check(found)
        assert counted is not None
        assert counted.of == (b.context.origin,)
        assert (await resolver(desk, configured=[a.url]).registrar()).url == b.url
