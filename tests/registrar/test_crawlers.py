"""What search engines and harvesters read first."""

from __future__ import annotations

from urllib.robotparser import RobotFileParser
from xml.etree import ElementTree

import pytest

from seedkeep_registrar.exports.crawlers import robots
from seedkeep_registrar.store import sitemap
from tests.support.registrar import RegistrarUnderTest, shareable

SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"


async def read(registrar: RegistrarUnderTest, path: str) -> dict[str, str]:
    """Address → last change of what a sitemap lists."""
    answer = await registrar.curator.get(path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/xml; charset=utf-8")
    root = ElementTree.fromstring(answer.body)
    return {e.findtext(f"{SITEMAP}loc", ""): e.findtext(f"{SITEMAP}lastmod", "") for e in root}


async def test_the_sitemap_lists_every_dataset_that_may_be_read(
    any_registrar: RegistrarUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sitemap, "PAGE", 2)
    sharer = any_registrar.person()
    documents = [await sharer.register(shareable(f"set {n}")) for n in range(5)]
    assert (await any_registrar.curator.taint(f"record:{documents[1]['rid']}")).status == 201
    pages = await read(any_registrar, "/sitemap.xml")
    found: dict[str, str] = {}
    for url, changed in pages.items():
        page = await read(any_registrar, url.removeprefix(any_registrar.url))
        assert 0 < len(page) <= 2
        assert max(page.values()) == changed
        found |= page
    expected = [d for d in documents if d is not documents[1]]
    assert found == {d["landing_page"]: d["updated"] for d in expected}


async def test_a_registrar_without_records_has_an_empty_sitemap(registrar: RegistrarUnderTest) -> None:
    assert await read(registrar, "/sitemap.xml") == {}
    assert (await registrar.curator.get("/sitemap-0.xml")).status == 404
    assert (await registrar.curator.get("/sitemap-999999999.xml")).status == 404


async def test_robots_may_read_pages_and_descriptions_and_not_the_rest(registrar: RegistrarUnderTest) -> None:
    answer = await registrar.curator.get("/robots.txt")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    parser = RobotFileParser()
    parser.parse(answer.body.decode().splitlines())
    document = await registrar.person().register(shareable())
    for path in (
        "/",
        f"/{document['ark']}",
        f"/api/v1/records/{document['rid']}?format=jsonld",
        "/sitemap.xml",
    ):
        assert parser.can_fetch("harvester", registrar.url + path), path
    for path in ("/api/v1/nodes", "/announce?x=1", "/find?id=x", "/ws/x/y"):
        assert not parser.can_fetch("harvester", registrar.url + path), path
    assert parser.site_maps() == [f"{registrar.url}/sitemap.xml"]


def test_robots_below_a_path_names_that_path() -> None:
    assert "Disallow: /data/announce\n" in robots("https://example.edu/data")


async def test_the_description_of_the_registrar_names_its_endpoints(registrar: RegistrarUnderTest) -> None:
    document = (await registrar.curator.get("/.well-known/seedkeep")).json
    rid = (await registrar.person().register(shareable()))["rid"]
    for name, template in document["endpoints"].items():
        path = template.removeprefix(registrar.url)
        path = path.replace("{rid}", rid).replace("{name}", f"rid:{rid}").replace("{query}", "sample")
        answer = await registrar.curator.get(path)
        assert answer.status in (200, 303), (name, path, answer)
    assert set(document["formats"]) >= {"json", "jsonld", "datacite", "bibtex"}
