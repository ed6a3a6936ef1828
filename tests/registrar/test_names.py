"""Every name of a dataset leads to it, and a mistyped one to those that may have been meant."""

from __future__ import annotations

import base64
from urllib.parse import quote, urlsplit

import pytest

from seedkeep.core.identifiers import BETANUMERIC
from seedkeep.core.metadata import Metadata
from tests.support.registrar import Answer, RegistrarUnderTest, shareable


async def ask(registrar: RegistrarUnderTest, name: str) -> Answer:
    return await registrar.curator.get(f"/api/v1/resolve?id={quote(name, safe='')}")


async def test_a_dataset_is_found_by_every_form_of_its_name(any_registrar: RegistrarUnderTest) -> None:
    what = shareable()
    document = await any_registrar.person().register(what, metadata=Metadata(dois=("10.5281/zenodo.123",)))
    rid, ark, cid, manifest = (
        document["rid"],
        document["ark"],
        document["content_id"],
        what.dataset().manifest,
    )
    host, local = urlsplit(any_registrar.url).hostname, ark.rpartition("/")[2]
    names = [
        ark,
        ark.replace(":/", ":").upper(),
        f"https://n2t.net/{ark}",
        f"{any_registrar.url}/{ark}",
        f"{any_registrar.url}/records/{rid}",
        f"{any_registrar.url}/find?id={quote(ark)}",
        f"rid:{rid}",
        rid,
        f"urn:btmh:1220{cid}",
        cid,
        document["magnet"],
        document["magnet_v2"],
        document["torrent_v1"],
        manifest,
        f"hash://sha256/{manifest}",
        f"urn:lsid:{host}:dataset:{local}",
        f"URN:LSID:{host}:dataset:{local.upper()}:0",
        f"drs://{host}/{rid}",
        f"drs://{host}/{cid}",
        f"drs://{ark.replace('ark:/', 'ark:').replace('/', '%2F')}",
        "doi:10.5281/zenodo.123",
        "10.5281/ZENODO.123",
        "https://doi.org/10.5281/zenodo.123",
    ]
    for name in names:
        answer = await ask(any_registrar, name)
        assert answer.status == 200, (name, answer)
        assert [(m["rid"], m["path"]) for m in answer.json["matches"]] == [(rid, "")], name


async def test_no_record_takes_over_a_doi_by_claiming_it(any_registrar: RegistrarUnderTest) -> None:
    doi, old_doi = Metadata(dois=("10.5281/zenodo.7",)), Metadata(dois=("10.5281/zenodo.8",))
    eve, ann = any_registrar.person(), any_registrar.person()
    squatter = await eve.register(shareable("squatter"), metadata=old_doi)
    one = await ann.register(shareable("one"), metadata=doi)
    two = await ann.register(shareable("two"), metadata=doi, supersedes=one["rid"])
    # versions of one dataset may share it
    assert [m["rid"] for m in (await ask(any_registrar, "doi:10.5281/zenodo.7")).json["matches"]] == [
        one["rid"],
        two["rid"],
    ]
    path = f"/api/v1/records/{squatter['rid']}/metadata"
    both = b'{"metadata":{"dois":["10.5281/zenodo.7","10.5281/zenodo.8"]},"note":""}'
    assert (await eve.send("PATCH", path, both)).status == 200
    contested = await ask(any_registrar, "https://doi.org/10.5281/ZENODO.7")
    assert (contested.status, contested.json["code"]) == (409, "conflict")
    assert {m["rid"] for m in contested.json["matches"]} == {d["rid"] for d in (squatter, one, two)}
    assert one["ark"] in contested.json["hint"]

    message = {"name": "doi:10.5281/zenodo.7"}
    for person, document, status in (
        (eve, squatter, 403),
        (any_registrar.curator, await ann.register(shareable("other")), 404),
        (any_registrar.curator, squatter, 200),
        (any_registrar.curator, one, 200),
    ):
        answer = await person.post(f"/api/v1/records/{document['rid']}/names", message)
        assert answer.status == status, answer
    found = await ask(any_registrar, "doi:10.5281/zenodo.7")
    assert [m["rid"] for m in found.json["matches"]] == [one["rid"]]
    # a tainted record's name does not fall to who else claims it
    await any_registrar.curator.taint(f"record:{one['rid']}")
    assert (await ask(any_registrar, "doi:10.5281/zenodo.7")).status == 451


async def test_a_file_is_found_by_every_digest_of_it(any_registrar: RegistrarUnderTest) -> None:
    what = shareable()
    rids = [(await any_registrar.person().register(what))["rid"] for _ in range(2)]
    file = next(f for f in what.data.manifest.files if f.path == "big.bin")
    sri = base64.b64encode(bytes.fromhex(file.sha256)).decode()
    for name in (
        f"md5:{file.md5}",
        file.md5,
        f"hash://sha256/{file.sha256}",
        file.sha256,
        f"sha256-{sri}",
        f"root:{file.root}",
    ):
        answer = await ask(any_registrar, name)
        assert [(m["rid"], m["path"]) for m in answer.json["matches"]] == [(r, "big.bin") for r in rids], name


async def test_a_path_follows_any_name_of_the_dataset(any_registrar: RegistrarUnderTest) -> None:
    document = await any_registrar.person().register(shareable())
    host, local = urlsplit(any_registrar.url).hostname, document["ark"].rpartition("/")[2]
    for name in (document["ark"], f"urn:lsid:{host}:dataset:{local}", f"drs://{host}/{document['rid']}"):
        if name.startswith("drs"):
            name = name.replace(document["rid"], f"rid:{document['rid']}")
        found = await ask(any_registrar, f"{name}/sub/small.txt")
        assert [m["path"] for m in found.json["matches"]] == ["sub/small.txt"]
        assert (await ask(any_registrar, f"{name}/sub/none.txt")).status == 404


@pytest.mark.parametrize(
    "name",
    [
        "doi:10.5281/none",
        "minid:11RHwdYqWNBZL",
        "urn:lsid:elsewhere.example:dataset:sk123",
        f"root:{'ab' * 32}",
    ],
)
async def test_a_name_nobody_has_is_not_found(registrar: RegistrarUnderTest, name: str) -> None:
    answer = await ask(registrar, name)
    assert (answer.status, answer.json["code"]) == (404, "not_found")


async def test_an_lsid_of_a_revision_that_is_not_there_is_not_found(registrar: RegistrarUnderTest) -> None:
    document = await registrar.person().register(shareable())
    name = f"urn:lsid:{urlsplit(registrar.url).hostname}:dataset:{document['ark'].rpartition('/')[2]}:1"
    assert (await ask(registrar, name)).status == 404


async def test_a_mistyped_ark_leads_to_those_that_may_have_been_meant(
    any_registrar: RegistrarUnderTest,
) -> None:
    ark = (await any_registrar.person().register(shareable()))["ark"]
    at = len(ark) - 4
    wrong = ark[:at] + next(c for c in BETANUMERIC if c != ark[at]) + ark[at + 1 :]
    for typed in (wrong, f"{any_registrar.url}/{wrong}/sub/small.txt", ark[:-1], ark.replace("/sk", "/5k")):
        answer = await ask(any_registrar, typed)
        assert (answer.status, answer.json["code"]) == (404, "not_found"), typed
        assert answer.json["suggestions"] == [{"ark": ark, "landing_page": f"{any_registrar.url}/{ark}"}]
        assert answer.json["hint"] == f"Did you mean {ark}?"
    program = await any_registrar.curator.get(f"/{wrong}", headers={"Accept": "application/json"})
    assert program.json["suggestions"][0]["ark"] == ark
    page = await any_registrar.curator.get(f"/{wrong}", headers={"Accept": "text/html"})
    assert page.status == 404
    assert f'href="/{ark}"' in page.body.decode()


async def test_nothing_is_suggested_that_is_not_recorded(registrar: RegistrarUnderTest) -> None:
    answer = await ask(registrar, "ark:/99999/sk0123456789bcdfg")
    assert answer.status == 404
    assert answer.json["suggestions"] == []
