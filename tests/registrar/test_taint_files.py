"""A taint on a file: it alone is withheld, wherever it is; the rest of each dataset goes on."""

from __future__ import annotations

import hashlib
from typing import Any

from seedkeep_registrar.housekeeping import Housekeeping
from tests.support.registrar import Person, RegistrarUnderTest, shareable, utc

BAD = b"the tainted bytes"
ROOT = hashlib.sha256(BAD).hexdigest()  # a file of one block


async def record(person: Person, document: dict[str, Any]) -> dict[str, Any]:
    answer = await person.get(f"/api/v1/records/{document['rid']}")
    assert answer.status == 200, answer
    return dict(answer.json)


async def test_one_file_is_withheld_and_the_rest_goes_on(any_registrar: RegistrarUnderTest) -> None:
    sharer, curator = any_registrar.person(), any_registrar.curator
    one = await sharer.register(shareable("one", {"a": BAD, "sub/again": BAD, "b": b"1"}))
    two = await sharer.register(shareable("two", {"deep/down/c": BAD, "d": b"2"}))
    three = await sharer.register(shareable("three", {"e": b"3", "f": b"4"}))
    made = await curator.taint(f"root:{ROOT}", basis="Art. 17 GDPR", jurisdiction="EU", appeal="write to us")
    shown = [await record(sharer, d) for d in (one, two, three)]
    assert [d["withheld"] for d in shown] == [["a", "sub/again"], ["deep/down/c"], []]
    assert [[t["id"] for t in d["taints"]] for d in shown] == [[made.json["id"]]] * 2 + [[]]
    told = shown[0]["taints"][0]
    assert (told["basis"], told["jurisdiction"], told["appeal"]) == ("Art. 17 GDPR", "EU", "write to us")
    cid, ark = one["content_id"], one["ark"]
    assert (await sharer.get(f"/torrents/{cid}.torrent")).status == 200
    assert [r["rid"] for r in (await sharer.get("/api/v1/records")).json["records"]][-1] == one["rid"]
    names = [f"{ark}/a", f"sha256:{ROOT}"]
    for path in (f"/ws/{cid}/one/a", *(f"/api/v1/resolve?id={name}" for name in names)):
        answer = await sharer.get(path)
        assert (answer.status, answer.json["taints"][0]["subject"]) == (451, f"root:{ROOT}"), path
        assert "write to us" in answer.json["hint"]
    assert (await sharer.get(f"/ws/{cid}/one/b")).status == 404  # there is no web seed
    looked = (await sharer.post("/api/v1/lookup", {"names": [*names, f"{ark}/b"]})).json["results"]
    assert [(len(r["matches"]), r["withheld"]) for r in looked] == [(0, "tainted")] * 2 + [(1, None)]


async def test_a_dataset_whose_files_are_all_withheld_is_withheld(any_registrar: RegistrarUnderTest) -> None:
    sharer, curator = any_registrar.person(), any_registrar.curator
    document = await sharer.register(shareable("both", {"a": BAD, "b": b"other", "c": BAD, "empty": b""}))
    path, other = f"/api/v1/records/{document['rid']}", hashlib.sha256(b"other").hexdigest()
    await curator.taint(f"root:{ROOT}")
    assert (await sharer.get(path)).status == 200
    until = any_registrar.clock() + 3600
    await curator.taint(f"root:{other}", effect="hide", expires=utc(until))
    told = await sharer.get(path)
    assert (told.status, len(told.json["taints"])) == (451, 2)
    any_registrar.clock.offset += 3601
    await Housekeeping(any_registrar.context).end_taints()
    assert (await record(sharer, document))["withheld"] == ["a", "c"]
