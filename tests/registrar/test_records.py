"""Registering and reading datasets, through HTTP, on both databases."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

from seedkeep.core.events import Event
from seedkeep.core.log.proof import LogProof
from seedkeep.core.metadata import Metadata
from seedkeep.core.metainfo import read_metainfo
from tests.support.registrar import RegistrarUnderTest, new_key, shareable


async def test_a_registered_dataset_is_read_back(any_registrar: RegistrarUnderTest) -> None:
    sharer, what = any_registrar.person(), shareable()
    document = await sharer.register(what, metadata=Metadata(title="Phage"), copies=5)
    answer = await sharer.get(f"/api/v1/records/{document['rid']}")
    assert (answer.status, answer.json) == (200, document)
    dataset = what.dataset()
    assert document["content_id"] == dataset.content_id
    assert document["infohash_v1"] == dataset.infohash_v1
    assert (document["name"], document["title"]) == ("sample", "Phage")
    assert (document["files"], document["bytes"]) == (dataset.files, dataset.bytes)
    assert document["steward"] == str(sharer)
    assert document["home"] == any_registrar.context.origin
    assert document["copies"] == {"wanted": 5, "complete": 0, "audited": 0, "fetching": 0, "nodes": []}
    assert document["magnet_v2"].startswith(f"magnet:?xt=urn:btmh:1220{dataset.content_id}&dn=sample")
    assert document["magnet"].startswith(f"magnet:?xt=urn:btih:{dataset.infohash_v1}&dn=sample")
    assert document["trackers"] == [f"{any_registrar.url}/announce"]


async def test_a_record_comes_with_the_proof_that_it_is_in_the_log(any_registrar: RegistrarUnderTest) -> None:
    sharer = any_registrar.person()
    first = await sharer.register(shareable("one"))
    second = await sharer.register(shareable("two"))
    for position, document in enumerate((first, second)):
        proof = LogProof.parse(document["proof"])
        checkpoint = proof.verify(Event.parse(document["event"]).leaf(), any_registrar.context.vkey)
        assert proof.index == document["index"] == position < checkpoint.size


async def test_sending_the_same_event_again_gives_the_same_record(any_registrar: RegistrarUnderTest) -> None:
    sharer, what = any_registrar.person(), shareable()
    await sharer.upload(what)
    body = what.body().encode()
    event = sharer.event(body)
    first = await sharer.submit(event, body)
    any_registrar.clock.offset = sharer.clock.offset = 30 * 86400
    again = await sharer.submit(event, body)
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json


async def test_many_at_once_with_the_same_event_make_one_record(any_registrar: RegistrarUnderTest) -> None:
    sharer, what = any_registrar.person(), shareable()
    await sharer.upload(what)
    body = what.body().encode()
    event = sharer.event(body)
    answers = await asyncio.gather(*(sharer.submit(event, body) for _ in range(12)))
    assert sorted(a.status for a in answers) == [200] * 11 + [201]
    assert len({a.json["index"] for a in answers}) == 1
    assert len((await sharer.get("/api/v1/records")).json["records"]) == 1


async def test_two_writers_at_once_get_a_gapless_log(any_registrar: RegistrarUnderTest) -> None:
    people = [any_registrar.person() for _ in range(2)]
    documents = await asyncio.gather(*(people[i % 2].register(shareable(f"set {i}")) for i in range(24)))
    assert sorted(d["index"] for d in documents) == list(range(24))
    for document in documents:
        proof = LogProof.parse(document["proof"])
        proof.verify(Event.parse(document["event"]).leaf(), any_registrar.context.vkey)


async def test_two_people_may_record_the_same_content(any_registrar: RegistrarUnderTest) -> None:
    what = shareable()
    one = await any_registrar.person().register(what)
    two = await any_registrar.person().register(what)
    assert one["rid"] != two["rid"]
    assert one["ark"] != two["ark"]
    assert one["content_id"] == two["content_id"]


async def test_lists_are_newest_first_and_paged(any_registrar: RegistrarUnderTest) -> None:
    sharer = any_registrar.person()
    made = [(await sharer.register(shareable(f"set {i}")))["rid"] for i in range(5)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await sharer.get(f"/api/v1/records?limit=2{cursor}")).json
        seen += [r["rid"] for r in page["records"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == made[::-1]
    assert (await sharer.get("/api/v1/records?limit=x")).status == 400
    assert (await sharer.get("/api/v1/records?cursor=-1")).status == 400


async def test_the_manifest_is_served_as_json_lines(any_registrar: RegistrarUnderTest) -> None:
    sharer, what = any_registrar.person(), shareable()
    document = await sharer.register(what)
    answer = await sharer.get(f"/api/v1/records/{document['rid']}/manifest")
    assert answer.body == what.data.manifest.encode()
    assert answer.headers["Content-Type"] == "application/jsonl"


async def test_both_torrents_are_those_of_the_dataset(any_registrar: RegistrarUnderTest) -> None:
    sharer, what = any_registrar.person(), shareable("ü b")
    document = await sharer.register(what, web_seeds=("https://example.org/d/", "s3://bucket/x/"))
    seeds = ("https://example.org/d/", f"{any_registrar.url}/ws/{document['content_id']}/")
    assert tuple(document["web_seeds"]) == seeds
    for name, version, info_hash in (
        ("torrent", 2, document["content_id"]),
        ("torrent_v1", 1, document["infohash_v1"]),
    ):
        answer = await sharer.get(document[name].removeprefix(any_registrar.url))
        found = read_metainfo(answer.body)
        assert (answer.status, found.version, found.info_hash) == (200, version, info_hash)
        assert found.trackers == (f"{any_registrar.url}/announce",)
        assert found.web_seeds == (seeds if version == 1 else ())
        assert "filename*=UTF-8''%C3%BC%20b." in answer.headers["Content-Disposition"]


async def test_names_of_every_form_are_resolved(any_registrar: RegistrarUnderTest) -> None:
    sharer, what = any_registrar.person(), shareable()
    document = await sharer.register(what)
    files = {f.path: f for f in what.data.manifest.files}
    big = files["big.bin"]
    cid, dataset = document["content_id"], what.dataset()
    whole = (
        document["ark"],
        document["landing_page"],
        document["magnet"],
        document["magnet_v2"],
        f"urn:btmh:1220{cid}",
        cid,
        cid.upper(),
        document["rid"],
        f"rid:{document['rid']}",
        f"urn:btih:{dataset.infohash_v1}",
        f"hash://sha256/{dataset.manifest}",
        dataset.manifest,
    )
    for name, path in (
        *((name, "") for name in whole),
        (f"md5:{big.md5}", "big.bin"),
        (f"hash://sha256/{big.sha256}", "big.bin"),
        (big.sha256, "big.bin"),
        (f"{document['ark']}/sub/small.txt", "sub/small.txt"),
    ):
        answer = await sharer.session.get(f"{any_registrar.url}/api/v1/resolve", params={"id": name})
        assert answer.status == 200, name
        (match,) = (await answer.json())["matches"]
        assert (match["rid"], match["path"]) == (document["rid"], path), name


async def test_unknown_and_mistyped_names_say_so(any_registrar: RegistrarUnderTest) -> None:
    sharer = any_registrar.person()
    document = await sharer.register(shareable())

    async def resolve(name: str) -> tuple[int, str]:
        answer = await sharer.session.get(f"{any_registrar.url}/api/v1/resolve", params={"id": name})
        return answer.status, (await answer.json(content_type=None))["code"]

    assert await resolve("md5:" + "0" * 32) == (404, "not_found")
    assert await resolve("urn:btmh:1220" + "0" * 64) == (404, "not_found")
    assert await resolve(document["ark"] + "/no/such/file") == (404, "not_found")
    assert await resolve("nonsense") == (400, "invalid_input")
    assert await resolve("") == (400, "invalid_input")
    last = document["ark"][-1]
    assert await resolve(document["ark"][:-1] + ("0" if last != "0" else "1")) == (404, "not_found")
    assert (await sharer.get("/api/v1/records/" + "0" * 64)).status == 404
    assert (await sharer.get("/api/v1/records/xyz")).status == 400
    assert (await sharer.get("/torrents/" + "0" * 64 + ".torrent")).status == 404


async def test_a_file_in_two_datasets_is_found_in_both(any_registrar: RegistrarUnderTest) -> None:
    sharer, shared = any_registrar.person(), b"the same bytes"
    one = await sharer.register(shareable("one", {"a.txt": shared, "b.txt": b"b"}))
    two = await sharer.register(shareable("two", {"deep/c.txt": shared}))
    digest = hashlib.md5(shared).hexdigest()
    matches = (await sharer.get(f"/api/v1/resolve?id=md5:{digest}")).json["matches"]
    assert [(m["rid"], m["path"]) for m in matches] == [(one["rid"], "a.txt"), (two["rid"], "deep/c.txt")]


async def test_a_single_file_dataset_is_registered(any_registrar: RegistrarUnderTest) -> None:
    sharer, what = any_registrar.person(), shareable("a.txt", {"a.txt": b"hello"})
    document = await sharer.register(what)
    torrent = read_metainfo((await sharer.get(f"/torrents/{document['content_id']}.torrent")).body)
    assert [f.path for f in torrent.files] == ["a.txt"]


async def test_the_registrar_describes_itself(registrar: RegistrarUnderTest) -> None:
    about = (await registrar.person().get("/.well-known/seedkeep")).json
    assert about["vkey"] == str(registrar.context.vkey)
    assert about["origin"] == registrar.context.origin
    assert (about["naan"], about["registration"]) == ("99999", "open")
    assert (await registrar.person().get("/healthz")).status == 200


async def test_errors_are_problem_documents(registrar: RegistrarUnderTest) -> None:
    person = registrar.person(new_key())
    for path, status in (("/nowhere", 404), ("/api/v1/events", 405), ("/api/v1/records/x", 400)):
        answer = await person.get(path)
        assert answer.status == status
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        document = json.loads(answer.body)
        assert document["status"] == status
        assert {"type", "title", "detail", "hint", "code"} <= set(document)


async def test_only_torrents_that_other_clients_survive_carry_web_seeds(
    registrar: RegistrarUnderTest,
) -> None:
    sharer, seed = registrar.person(), "https://example.org/d/"
    many = await sharer.register(shareable("many", {"a": b"a", "b": b"b"}), web_seeds=(seed,))
    one = await sharer.register(shareable("one", {"one": b"1"}), web_seeds=(seed,))

    async def carried(document: dict[str, Any], suffix: str) -> tuple[str, ...]:
        answer = await sharer.get(f"/torrents/{document['content_id']}{suffix}.torrent")
        return read_metainfo(answer.body).web_seeds

    assert await carried(many, "") == ()
    assert "ws=" not in many["magnet_v2"]
    assert "ws=" in many["magnet"]
    assert await carried(many, ".v1") == await carried(one, "") == await carried(one, ".v1") == (seed,)
