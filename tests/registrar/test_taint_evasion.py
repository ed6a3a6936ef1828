"""Ways round a taint, and names that clash: none of them works."""

from __future__ import annotations

import hashlib
from urllib.parse import quote_from_bytes

import pytest

from seedkeep_registrar import registration
from tests.support.registrar import RegistrarUnderTest, Shareable, shareable


async def test_a_record_that_was_tainted_before_it_came_is_refused(any_registrar: RegistrarUnderTest) -> None:
    what, person = shareable(), any_registrar.person()
    await person.upload(what)
    body = what.body().encode()
    event = person.event(body)
    assert (await any_registrar.curator.taint(f"record:{event.record_id}")).status == 201
    answer = await person.submit(event, body)
    assert (answer.status, answer.json["code"]) == (451, "tainted")
    assert (await person.get(f"/api/v1/records/{event.record_id}")).status == 404


async def test_tainted_bytes_find_no_peers_under_a_record_that_borrows_their_v1_hash(
    any_registrar: RegistrarUnderTest,
) -> None:
    files = {"a.bin": hashlib.shake_256(b"bad").digest(50_000), "b.bin": b"x"}
    bad = shareable("set", files)
    innocent = shareable("set", {name: bytes(len(data)) for name, data in files.items()})
    borrowed = Shareable(innocent.data, bad.pieces_v1)
    assert borrowed.dataset().infohash_v1 == bad.dataset().infohash_v1
    assert borrowed.dataset().content_id != bad.dataset().content_id
    await any_registrar.person().register(borrowed)
    document = await any_registrar.person().register(bad)
    await any_registrar.curator.taint(f"content:{document['content_id']}")
    info_hash = quote_from_bytes(bytes.fromhex(document["infohash_v1"]))
    query = f"info_hash={info_hash}&peer_id={'x' * 20}&port=7001&left=0"
    answer = await any_registrar.person().get(f"/announce?{query}")
    assert b"tainted" in answer.body


async def test_an_ark_is_given_once(
    any_registrar: RegistrarUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = await any_registrar.person().register(shareable("one"))
    monkeypatch.setattr(registration, "mint_ark", lambda naan, rid: document["ark"].removeprefix("ark:/"))
    what, person = shareable("two"), any_registrar.person()
    await person.upload(what)
    body = what.body().encode()
    answer = await person.submit(person.event(body), body)
    assert (answer.status, answer.json["code"]) == (409, "conflict")
    assert (await person.get(f"/{document['ark']}", headers={"Accept": "application/json"})).json[
        "name"
    ] == "one"
