"""One record, every form: by Accept, ?format= or an inflection of its ARK; also when its data are gone."""

from __future__ import annotations

import asyncio
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from seedkeep.core import jcs
from seedkeep.core.events import Event
from seedkeep.core.metadata import Creator, Metadata
from seedkeep.core.revision import RecordState, WithdrawalBody
from seedkeep_registrar.exports.formats import FORMATS
from tests.support.registrar import Answer, RegistrarUnderTest, shareable

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
HOSTILE = "Phages</script><script>alert(1)</script>\r\nSet-Cookie: x=1"
METADATA = Metadata(
    title=HOSTILE,
    creators=(Creator("Okafor, Ngozi", orcid="0000-0002-1825-0097"),),
    dois=("10.5281/zenodo.123",),
)


async def registered(registrar: RegistrarUnderTest) -> tuple[str, str]:
    """Its rid, and the path of its page."""
    document = await registrar.person().register(shareable(), metadata=METADATA)
    return document["rid"], f"/{document['ark']}"


async def get(registrar: RegistrarUnderTest, path: str, accept: str = "") -> Answer:
    return await registrar.curator.get(path, headers={"Accept": accept} if accept else {"Accept": "*/*"})


@pytest.mark.parametrize("accept", [BROWSER, "*/*", "text/html"])
async def test_a_browser_gets_the_page(registrar: RegistrarUnderTest, accept: str) -> None:
    _, page = await registered(registrar)
    answer = await get(registrar, page, accept)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["Vary"] == "Accept"


async def test_every_format_is_given_by_its_media_type_and_by_its_name(
    any_registrar: RegistrarUnderTest,
) -> None:
    rid, page = await registered(any_registrar)
    for made in FORMATS.values():
        for path in (page, f"/records/{rid}", f"/api/v1/records/{rid}"):
            by_type = await get(any_registrar, path, f"{made.media_type};q=0.9, text/html;q=0.2")
            by_name = await get(any_registrar, f"{path}?format={made.name}", BROWSER)
            for answer in (by_type, by_name):
                assert answer.status == 200, (path, made.name)
                assert answer.headers["Content-Type"].partition(";")[0] == made.media_type
                assert answer.headers["Vary"] == "Accept"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert by_type.body == by_name.body


async def test_the_interface_gives_json_unless_something_else_is_asked_for(
    any_registrar: RegistrarUnderTest,
) -> None:
    rid, page = await registered(any_registrar)
    plain = await get(any_registrar, f"/api/v1/records/{rid}")
    assert plain.json["rid"] == rid
    for path, accept in ((page, "application/json"), (f"{page}?format=json", BROWSER)):
        assert (await get(any_registrar, path, accept)).json == plain.json
    assert (await get(any_registrar, f"/api/v1/records/{rid}", BROWSER)).json["rid"] == rid


async def test_who_takes_nothing_that_there_is_hears_what_there_is(registrar: RegistrarUnderTest) -> None:
    rid, page = await registered(registrar)
    for path in (page, f"/api/v1/records/{rid}"):
        answer = await get(registrar, path, "image/png, text/html;q=0")
        assert (answer.status, answer.json["code"]) == (406, "not_acceptable")
        for offered in answer.json["available"]:
            other = await registrar.curator.get(offered["url"].removeprefix(registrar.url))
            assert other.headers["Content-Type"].partition(";")[0] == offered["media_type"]


async def test_an_unknown_format_or_style_is_refused_with_those_there_are(
    registrar: RegistrarUnderTest,
) -> None:
    _, page = await registered(registrar)
    for query, known in (("format=docx", "bibtex"), ("format=citation&style=mla", "vancouver")):
        answer = await get(registrar, f"{page}?{query}")
        assert answer.status == 400
        assert known in answer.json["hint"]


async def test_a_citation_comes_in_the_style_asked_for(registrar: RegistrarUnderTest) -> None:
    _, page = await registered(registrar)
    by_query = await get(registrar, f"{page}?format=citation&style=apa")
    by_accept = await get(registrar, page, "text/x-bibliography; style=apa; locale=en-GB")
    assert by_query.body == by_accept.body
    assert by_query.body.decode().startswith("Okafor, N. (")
    assert by_query.body.decode().endswith("https://doi.org/10.5281/zenodo.123")


@pytest.mark.parametrize("inflection", ["?info", "?", "??"])
async def test_an_ark_with_an_inflection_gives_its_description(
    registrar: RegistrarUnderTest, inflection: str
) -> None:
    _, page = await registered(registrar)
    host, port = registrar.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))  # HTTP clients drop a query that is empty
    request = (
        f"GET {page}{inflection} HTTP/1.1\r\nHost: {host}\r\nAccept: {BROWSER}\r\nConnection: close\r\n\r\n"
    )
    writer.write(request.encode())
    async with asyncio.timeout(60):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert b"Content-Type: text/plain; charset=utf-8" in head
    assert body.startswith(b"erc:\nwho: Okafor, Ngozi\nwhat: Phages")


class _Data(HTMLParser):
    """The content of the data script, and how many scripts there are without a source."""

    inside = False
    inline = 0
    text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script" and not dict(attrs).get("src"):
            self.inline += 1
            self.inside = dict(attrs).get("type") == "application/ld+json"

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        self.text += data if self.inside else ""


async def test_the_page_carries_its_json_ld_which_nothing_breaks_out_of(
    registrar: RegistrarUnderTest,
) -> None:
    _, page = await registered(registrar)
    reader = _Data()
    reader.feed((await get(registrar, page, BROWSER)).body.decode())
    assert reader.inline == 1
    found = json.loads(reader.text)
    assert found == json.loads((await get(registrar, page, "application/ld+json")).body)
    assert found["name"] == "Phages</script><script>alert(1)</script> Set-Cookie: x=1"


async def test_the_links_of_the_page_lead_to_what_they_say(registrar: RegistrarUnderTest) -> None:
    _, page = await registered(registrar)
    answer = await get(registrar, page, BROWSER)
    links = re.findall(r'<([^>]+)>; rel="([^"]+)"(?:; type="([^"]+)")?', answer.headers["Link"])
    assert "Set-Cookie" not in answer.headers
    by_rel = {rel: url for url, rel, _ in links}
    assert by_rel["cite-as"] == "https://doi.org/10.5281/zenodo.123"
    assert by_rel["license"] == "https://creativecommons.org/publicdomain/zero/1.0/"
    assert by_rel["author"] == "https://orcid.org/0000-0002-1825-0097"
    whole = await registrar.curator.get(by_rel["linkset"].removeprefix(registrar.url))
    assert whole.headers["Content-Type"] == "application/linkset+json"
    context = whole.json["linkset"][0]
    for target in (*context["describedby"], *context["item"]):
        found = await registrar.curator.get(target["href"].removeprefix(registrar.url))
        assert (found.status, found.headers["Content-Type"].partition(";")[0]) == (200, target["type"])


async def test_of_a_withdrawn_record_every_description_stays(any_registrar: RegistrarUnderTest) -> None:
    steward = any_registrar.person()
    document = await steward.register(shareable(), metadata=METADATA)
    rid, page = document["rid"], f"/{document['ark']}"
    state = RecordState.begin(Event.parse(document["event"]), jcs.dumps(document["body"]))
    reason = WithdrawalBody("consent was withdrawn").encode()
    gone = await steward.submit(steward.event(reason, "withdrawal", after=state.head), reason)
    assert gone.status == 201, gone
    for made in FORMATS.values():
        for path in (page, f"/api/v1/records/{rid}"):
            answer = await get(any_registrar, f"{path}?format={made.name}", BROWSER)
            assert answer.status == 410, (path, made.name)
            assert answer.headers["Content-Type"].partition(";")[0] == made.media_type
    described = json.loads((await get(any_registrar, page, "application/ld+json")).body)
    assert described["creator"][0]["name"] == "Okafor, Ngozi"
    assert "distribution" not in described
    for accept, kind in ((BROWSER, "text/html"), ("application/json", "application/problem+json")):
        answer = await get(any_registrar, page, accept)
        assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (410, kind)


async def test_the_name_of_the_newest_version_leads_to_its_page(any_registrar: RegistrarUnderTest) -> None:
    sharer = any_registrar.person()
    first = await sharer.register(shareable("one"))
    second = await sharer.register(shareable("two"), supersedes=first["rid"])
    base = any_registrar.url
    for path, target in (
        (f"/{first['ark']}@latest", f"{base}/{second['ark']}"),
        (f"/{second['ark']}@latest?format=bibtex", f"{base}/{second['ark']}?format=bibtex"),
        (f"/{first['ark']}@latest/sub/small.txt", f"{base}/{second['ark']}/sub/small.txt"),
    ):
        answer = await get(any_registrar, path, BROWSER)
        assert (answer.status, answer.headers["Location"]) == (302, target)
    described = json.loads((await get(any_registrar, f"/{second['ark']}", "application/ld+json")).body)
    assert described["isBasedOn"] == [f"{base}/records/{first['rid']}"]


async def test_of_a_tainted_record_nothing_is_given_in_any_form(registrar: RegistrarUnderTest) -> None:
    rid, page = await registered(registrar)
    assert (await registrar.curator.taint(f"record:{rid}")).status == 201
    for made in FORMATS.values():
        for path in (page, f"/api/v1/records/{rid}"):
            answer = await get(registrar, f"{path}?format={made.name}")
            assert (answer.status, answer.json["code"]) == (451, "tainted")


async def test_a_licence_is_one_that_spdx_knows_and_every_form_says_it(registrar: RegistrarUnderTest) -> None:
    sharer, what = registrar.person(), shareable()
    await sharer.upload(what)
    for wrong, hint in (("CC-BY", "Did you mean CC-BY-4.0?"), ("cc-by-4.0", "Write CC-BY-4.0.")):
        body = what.body(license=wrong).encode()
        answer = await sharer.submit(sharer.event(body), body)
        assert (answer.status, answer.json["hint"]) == (400, hint)
    document = await sharer.register(what, license="CC-BY-4.0 OR ODbL-1.0")
    assert document["license"] == "CC-BY-4.0 OR ODbL-1.0"
    described = json.loads((await get(registrar, f"/{document['ark']}", "application/ld+json")).body)
    assert described["license"] == "CC-BY-4.0 OR ODbL-1.0"


async def test_the_xml_forms_are_xml(registrar: RegistrarUnderTest) -> None:
    _, page = await registered(registrar)
    for name in ("dc", "datacite-xml"):
        assert len(ElementTree.fromstring((await get(registrar, f"{page}?format={name}")).body)) > 3
