"""Feeds of torrents: valid, paged, cheap to poll, and understood by a real torrent client."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import feedparser
import pytest

from seedkeep.core.metadata import Creator, Metadata, Subject
from seedkeep_registrar.feeds import routes
from seedkeep_registrar.feeds.documents import Feed, Item, atom, rss
from tests.support.registrar import Answer, RegistrarUnderTest, shareable

HOSTILE = "a\x01\ufffe<b>&amp;]]>\u202e"
FEEDS = ("/feeds/newest", "/feeds/search?q=set", "/feeds/collections/all")


def at(feed: str, form: str, query: str = "") -> str:
    path, _, asked = feed.partition("?")
    more = "&".join(part for part in (asked, query) if part)
    return f"{path}.{form}" + (f"?{more}" if more else "")


async def fill(registrar: RegistrarUnderTest, count: int) -> list[dict[str, Any]]:
    found = []
    for n in range(count):
        about = Metadata(
            title=f"Set {n} {HOSTILE if n == 0 else ''}".strip().replace("\x00", ""),
            creators=(Creator("Okafor, Ngozi"),),
            subjects=(Subject("virology"),),
        )
        found.append(await registrar.person().register(shareable(f"set-{n}"), metadata=about))
    made = {"slug": "all", "title": "All of <it>", "description": "Everything & more"}
    assert (await registrar.curator.post("/api/v1/collections", made)).status == 201
    rids = [record["rid"] for record in found]
    added = await registrar.curator.post("/api/v1/collections/all/datasets", {"add": rids})
    assert added.status == 200
    return found


def parsed(answer: Answer) -> Any:
    assert answer.status == 200, answer
    ElementTree.fromstring(answer.body)
    feed = feedparser.parse(answer.body, response_headers={"content-type": answer.headers["Content-Type"]})
    assert not feed.bozo, feed.bozo_exception
    return feed


@pytest.mark.parametrize(("form", "version"), [("rss", "rss20"), ("atom", "atom10")])
async def test_a_feed_is_valid_and_has_a_torrent_for_every_dataset(
    any_registrar: RegistrarUnderTest, form: str, version: str
) -> None:
    records = await fill(any_registrar, 3)
    person = any_registrar.person()
    for name in FEEDS:
        for client, torrent in (("", "torrent"), ("client=v1", "torrent_v1"), ("client=v2", "torrent")):
            feed = parsed(await person.get(at(name, form, client)))
            assert feed.version == version
            assert [entry.enclosures[0].href for entry in feed.entries] == [r[torrent] for r in records[::-1]]
            assert {entry.enclosures[0].type for entry in feed.entries} == {"application/x-bittorrent"}
            assert [entry.id for entry in feed.entries] == [r["landing_page"] for r in records[::-1]]
            assert feed.entries[0].title == "Set 2"
            assert feed.entries[0].author == "Okafor, Ngozi"
            assert [tag.term for tag in feed.entries[0].tags] == ["virology"]
            assert feed.entries[0].published_parsed is not None
        links = {link.rel: link.href for link in feed.feed.links}
        assert links["self"].startswith(f"{any_registrar.url}{at(name, form)}")
    assert feed.feed.title == "All of <it>"
    torrent_file = await person.get(feed.entries[0].enclosures[0].href.removeprefix(any_registrar.url))
    assert torrent_file.body.startswith(b"d")


@pytest.mark.parametrize("form", ["rss", "atom"])
async def test_a_feed_is_paged(
    any_registrar: RegistrarUnderTest, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "PER_PAGE", 2)
    records = await fill(any_registrar, 5)
    for name in FEEDS:
        path, seen = at(name, form, "client=v1"), []
        while path:
            feed = parsed(await any_registrar.person().get(path))
            seen += [entry.id for entry in feed.entries]
            links = {link.rel: link.href for link in feed.feed.links}
            assert links["first"] == any_registrar.url + at(name, form, "client=v1")
            assert len(feed.entries) <= 2
            path = links.get("next", "").removeprefix(any_registrar.url)
        assert seen == [record["landing_page"] for record in records[::-1]], name


async def test_who_has_the_newest_feed_gets_304(any_registrar: RegistrarUnderTest) -> None:
    await fill(any_registrar, 1)
    person = any_registrar.person()
    for name in FEEDS:
        path = at(name, "rss")
        first = await person.get(path)
        tag, changed = first.headers["ETag"], first.headers["Last-Modified"]
        for headers in (
            {"If-None-Match": tag},
            {"If-Modified-Since": changed},
            {"If-None-Match": f'"x", {tag}'},
        ):
            answer = await person.get(path, headers=headers)
            assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag), headers
        stale = {"If-None-Match": '"x"', "If-Modified-Since": changed}
        assert (await person.get(path, headers=stale)).status == 200
    any_registrar.clock.offset += 5
    later = await any_registrar.person().register(
        shareable("later"), metadata=Metadata(title="A set that came later")
    )
    await any_registrar.curator.post("/api/v1/collections/all/datasets", {"add": [later["rid"]]})
    for name in FEEDS:
        answer = await person.get(at(name, "rss"), headers={"If-Modified-Since": changed})
        assert parsed(answer).entries[0].id == later["landing_page"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/feeds/newest.rss?client=v3", 400), ("/feeds/newest.rss?cursor=x", 400), ("/feeds/newest.xml", 404),
     ("/feeds/collections/none.rss", 404), ("/feeds/search.rss?copies=9", 400)],
)  # fmt: skip
async def test_a_feed_that_is_not_there_is_told(
    registrar: RegistrarUnderTest, path: str, status: int
) -> None:
    assert (await registrar.person().get(path)).status == status


async def test_a_feed_of_a_search_takes_its_filters_along(registrar: RegistrarUnderTest) -> None:
    await fill(registrar, 2)
    person = registrar.person()
    feed = parsed(await person.get("/feeds/search.atom?subject=virology&q=set+1"))
    assert [entry.title for entry in feed.entries] == ["Set 1"]
    assert parsed(await person.get("/feeds/search.atom?subject=yeast")).entries == []


def test_no_text_breaks_a_feed() -> None:
    item = Item(
        "https://x/1", HOSTILE, HOSTILE, "https://x/1.torrent?a=1&b=2", (HOSTILE,), (HOSTILE,), "", 0.0, 1.0
    )
    feed = Feed(HOSTILE, HOSTILE, "https://x", "https://x/f", "https://x/f", "", 0.0, HOSTILE, [item])
    for document in (rss(feed), atom(feed)):
        assert b"\x01" not in document
        assert b"<b>" not in document
        assert not feedparser.parse(document).bozo
