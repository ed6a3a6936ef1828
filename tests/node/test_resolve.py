"""Resolving a name: a chain without a single point of failure, and nothing believed that was not verified."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from seedkeep.core.errors import (
    Conflict,
    HostileMetainfo,
    InvalidInput,
    NotFound,
    Tainted,
    Unreachable,
    UsageError,
    VerificationFailed,
)
from seedkeep.core.identifiers import Kind
from seedkeep.core.metadata import Metadata
from seedkeep.core.metainfo import magnet_v2, torrent_v2
from seedkeep.registrar_http import TaintedRecord
from seedkeep.resolve import MAX_TORRENT_BYTES, parse_name
from tests.node.test_client import between
from tests.support.desk import Desk
from tests.support.mirror import mirror_of
from tests.support.registrar import RegistrarUnderTest, registrar_with, shareable, start_registrar

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    (tmp_path / "desk").mkdir()
    async with aiohttp.ClientSession() as session:
        yield Desk(tmp_path / "desk", session)


async def test_the_given_registrar_is_asked_first_and_others_when_it_is_down_or_does_not_know(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    record = await registrar.person().register(shareable())
    async with start_registrar(tmp_path / "empty") as empty:
        for first in (NOBODY, empty.url):
            found = await desk.resolver(first, configured=[registrar.url]).resolve(record["ark"])
            assert found.record is not None
            assert found.record.rid == record["rid"]
            assert found.registrar == registrar.url


async def test_the_registrar_in_the_name_is_asked_without_being_configured(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    record = await registrar.person().register(shareable())
    for name in (
        record["landing_page"],
        record["torrent"],
        f"{registrar.url}/api/v1/records/{record['rid']}",
    ):
        found = await desk.resolver().resolve(name)
        assert found.record is not None
        assert found.record.rid == record["rid"], name


async def test_a_registrar_that_takes_the_question_and_never_answers_is_passed_over(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    document = await registrar.person().register(shareable())

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        mute = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        found = await desk.resolver(mute, registrar.url, patience=3).resolve(document["ark"])
    assert found.record is not None
    assert found.record.rid == document["rid"]


async def test_registrars_that_others_list_as_peers_are_asked_last(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    record = await registrar.person().register(shareable())
    async with mirror_of(NOBODY, peers=(registrar.url,)) as other:
        found = await desk.resolver(other.url).resolve(record["ark"])
    assert found.registrar == registrar.url


async def test_neighbours_are_looked_for_only_when_no_registrar_was_given(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    record = await registrar.person().register(shareable())
    looked = 0

    async def neighbours() -> list[str]:
        nonlocal looked
        looked += 1
        return [registrar.url]

    found = await desk.resolver(neighbours=neighbours).resolve(record["ark"])
    assert found.registrar == registrar.url
    assert looked == 1
    assert (await desk.resolver(neighbours=neighbours).registrar()).url == registrar.url
    with pytest.raises(NotFound):
        await desk.resolver(registrar.url, neighbours=neighbours).resolve("md5:" + "0" * 32)
    assert looked == 2


async def test_a_magnet_of_a_registrar_leads_to_it_by_its_tracker(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    record = await registrar.person().register(shareable())
    for link in (record["magnet"], record["magnet_v2"]):
        found = await desk.resolver().resolve(link)
        assert found.registrar == registrar.url


async def test_an_unknown_name_is_not_found_and_a_mistyped_ark_says_where_to_look(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    record = await registrar.person().register(shareable())
    with pytest.raises(NotFound, match="not known to"):
        await desk.resolver(registrar.url).resolve("urn:btmh:1220" + "0" * 64)
    ark: str = record["ark"]
    at = len("ark:/99999/sk") + 2
    typo = ark[:at] + ("b" if ark[at] != "b" else "c") + ark[at + 1 :]
    with pytest.raises(NotFound, match="check character") as caught:
        await desk.resolver(registrar.url).resolve(typo)
    assert caught.value.exit_code == 3
    assert caught.value.hint == f"Did you mean {ark}?"
    with pytest.raises(NotFound, match="check character") as caught:
        await desk.resolver(NOBODY).resolve(typo)
    assert "character by character" in caught.value.hint


async def test_nobody_to_ask_is_said(desk: Desk) -> None:
    name = "urn:btmh:1220" + "0" * 64
    with pytest.raises(UsageError, match="no registrar is known"):
        await desk.resolver().resolve(name)
    with pytest.raises(Unreachable):
        await desk.resolver(NOBODY).resolve(name)
    with pytest.raises(Unreachable):
        await desk.resolver(NOBODY).registrar()


async def test_a_registrar_that_answers_with_another_dataset_is_found_out(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    person = registrar.person()
    mine, other = await person.register(shareable("a")), await person.register(shareable("b"))

    def lie(path: str, value: Any) -> Any:
        if path == "/api/v1/resolve":
            keys = ("rid", "ark", "content_id", "name")
            return {"matches": [{**{k: other[k] for k in keys}, "path": None}]}
        return value

    small = hashlib.md5(shareable("a").data.content["sub/small.txt"]).hexdigest()
    async with between(registrar, lie) as liar:
        for name in (mine["ark"], mine["content_id"], f"rid:{mine['rid']}", f"md5:{small}"):
            with pytest.raises(VerificationFailed):
                await desk.resolver(liar).resolve(name)
        # an honest one further down the chain is enough
        found = await desk.resolver(liar, configured=[registrar.url]).resolve(mine["ark"])
    assert found.record is not None
    assert found.record.rid == mine["rid"]


async def test_several_records_of_one_content_are_fine(desk: Desk, registrar: RegistrarUnderTest) -> None:
    what = shareable()
    rids = {(await registrar.person().register(what))["rid"] for _ in range(2)}
    assert len(rids) == 2
    found = await desk.resolver(registrar.url).resolve(what.dataset().content_id)
    assert found.record is not None
    assert found.record.rid in rids


async def test_a_doi_that_several_datasets_claim_is_not_guessed(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    doi = Metadata(dois=("10.5281/zenodo.7",))
    one, two = [await registrar.person().register(shareable(n), metadata=doi) for n in ("one", "two")]
    await desk.resolver(registrar.url).resolve(one["ark"])  # remembering one is no reason to take it
    with pytest.raises(Conflict) as told:
        await desk.resolver(registrar.url).resolve("doi:10.5281/zenodo.7")
    assert one["ark"] in told.value.hint
    assert two["ark"] in told.value.hint
    path = f"/api/v1/records/{two['rid']}/names"
    assert (await registrar.curator.post(path, {"name": "doi:10.5281/zenodo.7"})).status == 200
    found = await desk.resolver(registrar.url).resolve("doi:10.5281/zenodo.7")
    assert found.record is not None
    assert found.record.rid == two["rid"]


async def test_a_tainted_record_does_not_hide_another_one_of_the_same_bytes(
    desk: Desk, registrar: RegistrarUnderTest
) -> None:
    what = shareable()
    one, two = [await registrar.person().register(what) for _ in range(2)]
    await registrar.curator.taint(f"record:{one['rid']}")
    found = await desk.resolver(registrar.url).resolve(what.dataset().content_id)
    assert found.record is not None
    assert found.record.rid == two["rid"]
    with pytest.raises(Tainted):
        await desk.resolver(registrar.url).resolve(one["ark"])


async def test_what_is_remembered_is_verified_again(desk: Desk, tmp_path: Path) -> None:
    async with registrar_with(tmp_path) as registrar:
        record = await registrar.person().register(shareable())
        resolver = desk.resolver(registrar.url)
        await resolver.contents(await resolver.resolve(record["ark"]))
    again = desk.resolver(NOBODY)
    found = await again.resolve(record["ark"])
    assert found.client is None
    assert (await again.contents(found)).manifest == shareable().data.manifest
    for place in (desk.path / "cache/objects").iterdir():
        place.write_bytes(place.read_bytes() + b"x")
    with pytest.raises(Unreachable):
        await again.contents(found)
    for place in (desk.path / "cache/records").iterdir():
        fields = json.loads(place.read_text())
        fields["document"]["name"] = "other"
        place.write_text(json.dumps(fields))
    with pytest.raises(Unreachable):
        await again.resolve(record["ark"])


async def test_a_torrent_file_finds_its_record(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    record = await registrar.person().register(shareable())
    for kind in ("torrent", "torrent_v1"):
        async with registrar.session.get(record[kind]) as answer:
            (tmp_path / f"{kind}.torrent").write_bytes(await answer.read())
        found = await desk.resolver().resolve_torrent(tmp_path / f"{kind}.torrent")
        assert found.record is not None
        assert found.record.rid == record["rid"]


async def test_hostile_torrent_files_are_refused(desk: Desk, tmp_path: Path) -> None:
    what = shareable()
    good = torrent_v2(what.data.manifest, what.data.layers)
    place = tmp_path / "bad.torrent"
    for bad in (b"", b"hello", good[:-1], good.replace(b"9:small.txt", b"9:../ll.txt"), b"d" * 100_000):
        place.write_bytes(bad)
        with pytest.raises(HostileMetainfo):
            await desk.resolver().resolve_torrent(place)
    place.write_bytes(b"0" * (MAX_TORRENT_BYTES + 1))
    with pytest.raises(InvalidInput, match="larger"):
        await desk.resolver().resolve_torrent(place)
    with pytest.raises(InvalidInput, match="cannot be read"):
        await desk.resolver().resolve_torrent(tmp_path / "none.torrent")


async def test_a_hostile_magnet_adds_no_harmful_hints(desk: Desk, registrar: RegistrarUnderTest) -> None:
    record = await registrar.person().register(shareable())
    trackers = [
        "file:///etc/passwd",
        "http://u:p@x/announce",
        "udp://t.example:1/",
        "http://x\x07y/",
        "javascript:1",
    ]
    seeds = ["file:///etc/", "ftp://x/", "https://w.example/data/?q=1", "https://w.example/data/"]
    link = (
        magnet_v2(record["content_id"], "../../etc", trackers, seeds)
        + "&x.pe=evil.example:1&x.pe=127.0.0.1:5"
    )
    found = await desk.resolver(registrar.url).resolve(link)
    assert found.record is not None
    assert found.trackers == (*found.record.trackers, "udp://t.example:1/")
    assert found.web_seeds == ("https://w.example/data/",)
    assert found.peers == (("127.0.0.1", 5),)
    assert found.record.dataset.name == "sample", "names in links mean nothing"
    for bad in ("magnet:?dn=x", "magnet:?xt=urn:sha1:00", "magnet:?" + "tr=a&" * 300):
        with pytest.raises((InvalidInput, UsageError)):
            await desk.resolver(registrar.url).resolve(bad)


def test_names_are_read_in_every_form() -> None:
    content = "a" * 64
    for text in (content, f"urn:btmh:1220{content}", f"magnet:?xt=urn:btmh:1220{content}"):
        assert parse_name(text).kind is Kind.CONTENT_ID
    with pytest.raises(UsageError):
        parse_name("my favourite dataset")


async def test_a_stranger_in_the_network_cannot_talk_a_dataset_away(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    """Neighbours, and registrars that others name, may be anybody."""
    record = await registrar.person().register(shareable())
    await desk.resolver(registrar.url).resolve(record["ark"])
    async with start_registrar(tmp_path / "stranger", listen="127.0.0.1:0") as stranger:
        await stranger.person().register(shareable())
        await stranger.curator.taint(f"content:{record['content_id']}")

        async def neighbours() -> list[str]:
            return [stranger.url, registrar.url]

        found = await desk.resolver(neighbours=neighbours).resolve(record["content_id"])
        assert found.registrar == registrar.url
        # its own curators' word binds
        await registrar.curator.taint(f"content:{record['content_id']}")
        with pytest.raises(TaintedRecord):
            await desk.resolver(neighbours=neighbours).resolve(record["content_id"])
        # and when the person chose to ask the stranger, so does the stranger's
        with pytest.raises(TaintedRecord):
            await desk.resolver(stranger.url).resolve(record["content_id"])


async def test_a_stranger_who_answers_with_something_else_does_not_hide_what_is_remembered(
    desk: Desk, registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    mine, other = [await registrar.person().register(shareable(name)) for name in ("a", "b")]
    await desk.resolver(registrar.url).resolve(mine["ark"])
    true = (await registrar.person().get(f"/api/v1/records/{other['rid']}")).json

    def bend(path: str, value: Any) -> Any:
        return true if path.startswith("/api/v1/records/") else value

    async with between(registrar, bend) as stranger:

        async def neighbours() -> list[str]:
            return [stranger]

        found = await desk.resolver(neighbours=neighbours).resolve(mine["ark"])
    assert found.record is not None
    assert found.record.rid == mine["rid"]
    assert found.client is None
