"""The pages of a running registrar: what a reader finds, by which name, in which form."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import pytest

from seedkeep.core.identifiers import BETANUMERIC
from seedkeep.core.metadata import Creator, Metadata, Subject
from tests.registrar.page_world import Shot, look
from tests.registrar.published import House, house
from tests.support.chromium import Tab
from tests.support.datasets import dataset_of
from tests.support.torrents import Torrents, sample, torrents_of

TITLE = "Phage lambda, <b>whole</b> & annotated\u202e"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, name="Open Genomes", institution="Example University Library") as opened:
        yield opened


def small(name: str = "sample", seed: int = 1) -> Torrents:
    return sample(70_000, name=name, seed=seed)


async def test_the_home_page_lists_the_newest_first_and_pages(home: House) -> None:
    status, page = await home.page("/")
    assert status == 200
    assert "Nothing has been recorded here yet" in page
    for n in range(23):
        await home.publish(small(f"set-{n:02d}", seed=n))
    _, page = await home.page("/")
    assert re.findall(r"<bdi>(set-\d\d)</bdi>", page) == [f"set-{n:02d}" for n in range(22, 2, -1)]
    cursor = re.search(r'href="(/\?cursor=\d+)"', page)
    assert cursor is not None
    _, older = await home.page(cursor[1])
    assert re.findall(r"<bdi>(set-\d\d)</bdi>", older) == ["set-02", "set-01", "set-00"]
    assert "Example University Library" in older


async def test_a_dataset_page_says_what_it_is_and_how_to_get_it(home: House) -> None:
    metadata = Metadata(
        title=TITLE,
        creators=(Creator("Okafor, Ngozi"),),
        subjects=(Subject("virology"),),
        description="All of it.",
    )
    torrents = small()
    record = await home.publish(torrents, metadata=metadata, web_seeds=("https://example.org/data/",))
    for path in (f"/{record['ark']}", f"/records/{record['rid']}", f"/{record['ark'].replace(':/', ':')}"):
        status, page = await home.page(path)
        assert status == 200
        text = unescape(page)
        assert "Phage lambda, &lt;b&gt;whole&lt;/b&gt; &amp; annotated" in page
        assert "U+202E" in page
        assert "\u202e" not in text
        for said in ("Okafor, Ngozi", "virology", "All of it.", f"seedkeep fetch {record['landing_page']}"):
            assert said in text
        _, inside = await home.page(f"{path}?folder=reads")
        plain = (text + unescape(inside)).replace("<wbr>", "")
        for name in (record["content_id"], record["infohash_v1"], record["rid"], record["magnet"]):
            assert name in plain
        for file in torrents.data.manifest.files:
            assert file.sha256 in plain
            assert file.md5 in plain
        assert 'href="https://example.org/data/sample/reads/a%20b%20%C3%BC%231.fastq"' in inside
        assert record["torrent_v1"] in page
        assert "retriev" in page or "produce randomly chosen" in page


async def test_the_same_address_gives_the_record_as_json(home: House) -> None:
    record = await home.publish(small())
    for path in (f"/{record['ark']}", f"/records/{record['rid']}"):
        status, headers, body = await home.get(path, accept="application/json")
        assert (status, headers["content-type"].partition(";")[0]) == (200, "application/json")
        assert headers["vary"] == "Accept"
        assert json.loads(body)["rid"] == record["rid"]


async def test_a_file_below_an_ark_leads_to_the_file(home: House) -> None:
    record = await home.publish(small(), web_seeds=("https://example.org/data/",))
    status, headers, _ = await home.get(f"/{record['ark']}/reads/tiny.txt")
    assert (status, headers["location"]) == (302, "https://example.org/data/sample/reads/tiny.txt")
    status, page = await home.page(f"/{record['ark']}/reads/none.txt")
    assert status == 404
    assert "has no file" in page


async def test_files_are_reached_folder_by_folder_and_page_by_page(home: House) -> None:
    names = {f"d{n % 3}/file-{n:04d}": b"x" * n for n in range(450)} | {"read.me": b"1"}
    record = await home.publish(torrents_of(dataset_of("many", names)))
    to_do, seen = [f"/{record['ark']}"], []
    while to_do:
        status, page = await home.page(to_do.pop())
        assert status == 200
        assert len(page) < 200_000
        seen += re.findall(r'class="file"[^>]*><bdi>([^<]+)</bdi>', page)
        to_do += [
            f"/{record['ark']}{unescape(q)}" for q in re.findall(r'href="(\?folder=d\d)#files" data', page)
        ]
        more = re.search(r'href="(\?folder=[^"]*after=\d+)#files"', page)
        to_do += [f"/{record['ark']}{unescape(more[1])}"] if more else []
    assert sorted(seen) == sorted(n.rpartition("/")[2] for n in names)
    status, page = await home.page(f"/{record['ark']}?after=9999")
    assert status == 200
    assert "nothing more in this folder" in page
    for query in ("after=-1", "after=x", "folder=" + "x" * 5000):
        status, _ = await home.page(f"/{record['ark']}?{query}")
        assert status == 400
    for folder in ("nothing", "%00", "d1%00", "%ED%A0%80", "%FF", "d1/", "/d1", "read.me"):
        status, _ = await home.page(f"/{record['ark']}?folder={folder}")
        assert status == 404, folder
    status, headers, _ = await home.get(f"/{record['ark']}/d1")
    assert (status, headers["location"]) == (302, f"{record['landing_page']}?folder=d1")


async def test_a_tree_opens_in_place_and_goes_on(home: House, tab: Tab) -> None:
    names = {f"all/file-{n:04d}": b"x" * n for n in range(230)} | {f"all/in/{n}": b"1" for n in range(2)}
    record = await home.publish(torrents_of(dataset_of("many", names | {"read.me": b"1"})))
    await tab.open(record["landing_page"])
    where = await tab.evaluate("location.href")
    await tab.evaluate("document.querySelector('a.folder').click()")
    for count in (100, 200, 231):
        await tab.until(f"document.querySelectorAll('.tree .tree > li').length >= {count}")
        if count < 231:
            assert await tab.evaluate("document.querySelectorAll('.tree .more').length") == 1
            await tab.evaluate("document.querySelector('.tree .more a').click()")
    assert await tab.evaluate("document.activeElement.closest('.tree .tree') !== null")
    assert await tab.evaluate(
        "[...document.querySelectorAll('a.folder')].map((a) => a.getAttribute('aria-expanded'))"
    ) == ["true", "false"]
    await tab.evaluate("document.querySelector('a.folder').click()")
    assert await tab.evaluate("document.querySelector('.tree .tree').checkVisibility()") is False
    assert await tab.evaluate("location.href") == where
    assert tab.complaints == []


async def test_a_code_is_copied_by_a_button(home: House, tab: Tab) -> None:
    record = await home.publish(small())
    await tab.open(record["landing_page"])
    # the clipboard itself belongs to the system, and a browser without a window may not use it
    await tab.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text }; 0")
    await tab.evaluate("document.querySelector('.command .copier').click()")
    await tab.until("document.querySelector('.command .copier').innerText !== 'Copy'")
    assert await tab.evaluate("document.querySelector('.command [role=status]').innerText") == "Copied"
    assert await tab.evaluate("copied") == f"seedkeep fetch {record['landing_page']}"


async def test_the_page_has_a_qr_code_made_here(home: House) -> None:
    record = await home.publish(small())
    status, headers, body = await home.get(f"/records/{record['rid']}/qr.svg")
    assert (status, headers["content-type"]) == (200, "image/svg+xml")
    assert body.startswith(b"<svg")


async def test_a_tainted_dataset_answers_451_with_the_reason(home: House) -> None:
    record = await home.publish(small())
    await home.taint(f"content:{record['content_id']}", "A <script>court</script> has ordered it.")
    status, page = await home.page(f"/{record['ark']}")
    assert status == 451
    assert "A &lt;script&gt;court&lt;/script&gt; has ordered it." in page
    assert "Court order" in page
    assert "What it was" in page
    assert record["torrent"] not in page
    assert record["magnet"] not in unescape(page)
    status, headers, body = await home.get(f"/{record['ark']}", accept="application/json")
    assert (status, headers["content-type"]) == (451, "application/problem+json")
    assert json.loads(body)["taints"][0]["category"] == "court-order"
    _, taints = await home.page("/taints")
    assert "A &lt;script&gt;court&lt;/script&gt; has ordered it." in taints
    assert "standing" in taints
    _, front = await home.page("/")
    assert record["ark"] not in front


async def test_a_typing_error_in_an_ark_is_told_and_the_right_one_suggested(home: House) -> None:
    record = await home.publish(small())
    ark = record["ark"]
    wrong = ark[:-4] + BETANUMERIC[BETANUMERIC.index(ark[-4]) - 1] + ark[-3:]
    status, page = await home.page(f"/{wrong}")
    assert status == 404
    assert "typing error" in page
    assert f'<a href="/{ark}">' in page
    assert f'value="{wrong}"' in page
    status, page = await home.page(f"/find?id={wrong}")
    assert status == 404
    assert f'<a href="/{ark}">' in page


async def test_any_name_leads_to_its_dataset(home: House) -> None:
    torrents = small()
    record = await home.publish(torrents)
    file = torrents.data.manifest.files[0]
    for name in (
        record["ark"],
        f"urn:btmh:1220{record['content_id']}",
        record["rid"],
        f"md5:{file.md5}",
        f"hash://sha256/{file.sha256}",
        f"urn:btih:{record['infohash_v1']}",
    ):
        status, headers, _ = await home.get(f"/find?id={name}")
        assert (status, headers["location"]) == (303, record["landing_page"]), name
    status, _ = await home.page("/find?id=md5:" + "0" * 32)
    assert status == 404
    status, headers, _ = await home.get("/find?id=hello")
    assert (status, headers["location"]) == (303, "/search?q=hello")


async def test_a_name_of_several_datasets_lists_them(home: House) -> None:
    first = await home.publish(torrents_of(dataset_of("one", {"a": b"same bytes", "b": b"1"})))
    second = await home.publish(torrents_of(dataset_of("two", {"c": b"same bytes", "d": b"2"})))
    file = torrents_of(dataset_of("one", {"a": b"same bytes", "b": b"1"})).data.manifest.files[0]
    status, page = await home.page(f"/find?id=md5:{file.md5}")
    assert status == 200
    assert first["ark"] in page
    assert second["ark"] in page


@pytest.mark.parametrize(
    "path", ["/nope", "/records/" + "0" * 64, "/static/../routes.py", "/static/nope.css", "/ark:/99999/skx"]
)
async def test_what_is_not_there_is_a_page_for_people_and_a_problem_for_machines(
    home: House, path: str
) -> None:
    status, page = await home.page(path)
    assert status == 404
    assert "Not found" in page
    status, headers, body = await home.get(path, accept="application/json")
    assert (status, headers["content-type"]) == (404, "application/problem+json")
    assert json.loads(body)["code"] == "not_found"


async def test_an_error_of_the_registrar_is_a_page_without_a_traceback(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr("seedkeep_registrar.pages.routes.node_documents", fail)
    status, page = await home.page("/nodes")
    assert status == 500
    assert "Something went wrong here" in page
    assert "secret" not in page
    assert "Traceback" not in page


async def test_pages_are_locked_down(home: House) -> None:
    for path in ("/", "/nodes", "/taints", "/nope", "/static/seedkeep.css"):
        _, headers, _ = await home.get(path, accept="text/html")
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"


async def test_an_empty_registrar_says_what_to_do(home: House, tab: Tab, tmp_path: Path) -> None:
    for path in ("/", "/nodes", "/taints"):
        shot = Shot(f"empty-{path[1:] or 'home'}", lambda _, path=path: path)
        assert await look(tab, home, shot, tmp_path) == []
        assert "seedkeep " in await tab.evaluate("document.querySelector('.empty').innerText")
