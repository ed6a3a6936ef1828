"""Many names are looked up at once, in the time of a few queries."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, event

from seedkeep.core import jcs
from tests.support.registrar import Answer, Person, RegistrarUnderTest, shareable


async def ask(person: Person, message: Any) -> Answer:
    """A POST that nobody signs."""
    return await person.send("POST", "/api/v1/lookup", jcs.dumps(message), headers={})


async def looked_up(person: Person, *names: str) -> list[dict[str, Any]]:
    answer = await ask(person, {"names": list(names)})
    assert answer.status == 200, answer
    assert [one["name"] for one in answer.json["results"]] == list(names)
    return list(answer.json["results"])


async def test_every_form_of_name_leads_to_what_resolve_says(any_registrar: RegistrarUnderTest) -> None:
    person, what = any_registrar.person(), shareable("moths")
    record = await person.register(what)
    entry = next(f for f in what.data.manifest.files if f.path == "big.bin")
    names = [
        record["ark"],
        record["rid"],
        record["content_id"],
        f"urn:btmh:1220{record['content_id']}",
        f"urn:btih:{record['infohash_v1']}",
        record["landing_page"],
        record["body"]["dataset"]["manifest"],
        f"hash://sha256/{entry.sha256}",
        entry.sha256,
        f"md5:{entry.md5}",
        f"{record['ark']}/big.bin",
        f"{record['ark']}@latest",
    ]
    for result in await looked_up(person, *names):
        resolved = await person.get(f"/api/v1/resolve?id={result['name']}")
        assert result["matches"] == resolved.json["matches"], result
        assert result["matches"][0]["rid"] == record["rid"]
        assert (result["withheld"], result["problem"]) == (None, "")


async def test_what_is_unknown_tainted_or_no_name_says_so(any_registrar: RegistrarUnderTest) -> None:
    person = any_registrar.person()
    kept, gone = await person.register(shareable("kept")), await person.register(shareable("gone"))
    assert (await any_registrar.curator.taint(f"content:{gone['content_id']}")).status == 201
    unknown, tainted, wrong, empty, good = await looked_up(
        person, "0" * 64, gone["ark"], "no name at all", "", kept["ark"]
    )
    assert (unknown["matches"], unknown["withheld"], unknown["problem"]) == ([], None, "")
    assert (tainted["matches"], tainted["withheld"]) == ([], "tainted")
    assert wrong["problem"] != ""
    assert empty["problem"] != ""
    assert good["matches"][0]["rid"] == kept["rid"]


async def test_a_thousand_names_cost_a_few_queries(any_registrar: RegistrarUnderTest) -> None:
    person, what = any_registrar.person(), shareable("moths")
    record = await person.register(what)
    names = [f"{number:064x}" for number in range(400)]
    names += [f"md5:{number:032x}" for number in range(400)]
    names += [f"hash://sha256/{f.sha256}" for f in what.data.manifest.files]
    names += [record["ark"]] * (1000 - len(names))
    said: list[str] = []

    def hear(*given: Any) -> None:
        said.append(given[2])

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        results = await looked_up(person, *names)
    finally:
        event.remove(Engine, "before_cursor_execute", hear)
    assert all(result["matches"] for result in results[800:])
    assert 3 < len([text for text in said if "records" in text or "files" in text]) < 16, said


async def test_a_file_in_very_many_datasets_gives_a_few_of_them(registrar: RegistrarUnderTest) -> None:
    person = registrar.person()
    for number in range(12):
        await person.register(shareable(f"set-{number}", {"own": b"%d" % number, "same.txt": b"same\n"}))
    sha256 = next(f.sha256 for f in shareable("x", {"same.txt": b"same\n", "y": b"y"}).data.manifest.files)
    (result,) = await looked_up(person, f"hash://sha256/{sha256}")
    assert [m["name"] for m in result["matches"]] == [f"set-{n}" for n in range(10)]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"names": "x"},
        {"names": [1]},
        {"names": ["x" * 1001]},
        {"names": ["x"] * 1001},
        {"names": [], "more": 1},
        [],
    ],
)
async def test_a_malformed_lookup_is_refused(registrar: RegistrarUnderTest, message: Any) -> None:
    answer = await ask(registrar.curator, message)
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")
