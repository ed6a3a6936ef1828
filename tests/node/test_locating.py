"""A registrar is found by a domain alone: at its well-known place, else by DNS SRV."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from seedkeep.locating import FOUND_S, MISSED_S, Locator, answering, is_bare
from tests.support.desk import Desk
from tests.support.dns_server import name_server
from tests.support.registrar import RegistrarUnderTest, shareable
from tests.support.storage import Clock

RECORD = "_seedkeep._tcp.seeds.test."


class Sites:
    """Who answers, and who was asked."""

    def __init__(self, *urls: str) -> None:
        self.urls = set(urls)
        self.asked: list[str] = []

    async def __call__(self, url: str) -> bool:
        self.asked.append(url)
        return url in self.urls


async def test_a_domain_that_answers_itself_needs_no_dns(tmp_path: Path) -> None:
    sites = Sites("https://seeds.test")
    async with name_server({}) as dns:
        locator = Locator(sites, tmp_path / "domains", Clock(), dns=dns.resolver())
        assert await locator.url("Seeds.test") == "https://seeds.test"
        assert not dns.asked


async def test_srv_leads_to_the_registrar_in_the_order_of_priority(tmp_path: Path) -> None:
    sites = Sites("https://second.test:8443", "https://third.test")
    records = ["30 0 443 third.test.", "10 0 443 first.test.", "20 5 8443 second.test."]
    async with name_server({RECORD: records}) as dns:
        locator = Locator(sites, tmp_path / "domains", Clock(), dns=dns.resolver())
        assert await locator.url("seeds.test") == "https://second.test:8443"
    assert sites.asked == ["https://seeds.test", "https://first.test", "https://second.test:8443"]


async def test_answers_are_kept_for_a_day_and_failures_for_an_hour(tmp_path: Path) -> None:
    sites, clock = Sites(), Clock()
    async with name_server({RECORD: ["0 0 443 r.test."]}) as dns:

        def locator() -> Locator:
            return Locator(sites, tmp_path / "domains", clock, dns=dns.resolver())

        assert await locator().url("seeds.test") == "https://seeds.test"
        sites.urls.add("https://r.test")
        assert await locator().url("seeds.test") == "https://seeds.test"
        clock.ahead += MISSED_S
        assert await locator().url("seeds.test") == "https://r.test"
        sites.urls.clear()
        clock.ahead += FOUND_S - 60
        assert await locator().url("seeds.test") == "https://r.test"
        clock.ahead += 120
        assert await locator().url("seeds.test") == "https://seeds.test"
        assert len(dns.asked) == 3


@pytest.mark.parametrize("records", [["0 0 0 ."], ["0 0 443 bad_\\032name."]])
async def test_records_that_lead_nowhere_are_passed_over(tmp_path: Path, records: list[str]) -> None:
    async with name_server({RECORD: records}) as dns:
        locator = Locator(Sites(), tmp_path / "domains", Clock(), dns=dns.resolver())
        assert await locator.url("seeds.test") == "https://seeds.test"


@pytest.mark.parametrize(
    "stored", ["rubbish", "[]", '{"https://seeds.test": 1}', '{"https://seeds.test": ["ftp:", 9e99]}']
)
async def test_a_damaged_file_of_answers_counts_as_none(tmp_path: Path, stored: str) -> None:
    (tmp_path / "domains").write_text(stored)
    locator = Locator(Sites("https://seeds.test"), tmp_path / "domains", Clock())
    assert await locator.url("seeds.test") == "https://seeds.test"


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("seeds.test", True),
        ("seeds.test:8443", False),
        ("https://seeds.test", False),
        ("seeds.test/x", False),
    ],
)
def test_only_a_domain_alone_is_looked_for(text: str, bare: bool) -> None:
    assert is_bare(text) is bare


async def test_a_name_is_resolved_at_the_registrar_of_a_domain(
    registrar: RegistrarUnderTest, tmp_path: Path
) -> None:
    record = await registrar.person().register(shareable())
    (tmp_path / "desk").mkdir()

    async def locate(domain: str) -> str:
        assert domain == "seeds.test"
        return registrar.url

    async with aiohttp.ClientSession() as session:
        assert await answering(session, Clock())(registrar.url)
        assert not await answering(session, Clock())(f"{registrar.url}/nothing")
        desk = Desk(tmp_path / "desk", session)
        for given in ({"configured": ["seeds.test"]}, {"first": ["seeds.test"]}):
            more = {"configured": given.get("configured", ()), "locate": locate}
            found = await desk.resolver(*given.get("first", ()), **more).resolve(record["ark"])
            assert found.registrar == registrar.url
