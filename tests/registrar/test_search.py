"""Searching a registrar, as a reader does it: what is found, in which order, narrowed by what."""

from __future__ import annotations

import random
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from seedkeep.core.metadata import Creator, Date, Metadata, Subject
from seedkeep.core.taints.body import Effect, LiftBody, Order, TaintBody
from seedkeep.core.taints.body import Subject as TaintSubject
from seedkeep_registrar.search import find as find_module
from seedkeep_registrar.search import tsvector
from seedkeep_registrar.search.cursor import TOP, After, Below, decode, encode
from seedkeep_registrar.search.document import Document, size_class
from seedkeep_registrar.search.index import rebuild
from seedkeep_registrar.search.terms import Terms
from seedkeep_registrar.search.words import LONGEST_WORD, Phrase, parse, words_of
from tests.support.registrar import RegistrarUnderTest, shareable

ORCID = "0000-0002-1825-0097"


async def record(registrar: RegistrarUnderTest, title: str, name: str = "", **about: Any) -> dict[str, Any]:
    """Register a small dataset of its own with this title."""
    what = shareable(name or title.replace(" ", "-")[:60] or "x")
    return await registrar.person().register(what, metadata=Metadata(title=title, **about))


async def search(registrar: RegistrarUnderTest, q: str = "", **more: Any) -> dict[str, Any]:
    answer = await registrar.person().get("/api/v1/search?" + urlencode({"q": q, **more}, doseq=True))
    assert answer.status == 200, answer
    return dict(answer.json)


async def titles(registrar: RegistrarUnderTest, q: str = "", **more: Any) -> list[str]:
    return [found["title"] for found in (await search(registrar, q, **more))["results"]]


async def test_every_part_of_a_record_is_found(any_registrar: RegistrarUnderTest) -> None:
    given = await record(
        any_registrar,
        "Genomes of lambda phages",
        name="lambda-2024",
        creators=(Creator("Müller-Okafor, Ngozi", orcid=ORCID),),
        subjects=(Subject("virology"), Subject("Lambda", "NCBITaxon", "10710")),
        description="Sequenced on a flow cell in Zürich. 噬菌体基因组",
        publisher="Example University Library",
        dois=("10.5281/zenodo.123",),
    )
    await record(any_registrar, "Something else")
    found = (
        "lambda",
        "LAMBDA Phage",
        '"lambda phage"',
        "genom*",
        "muller okafor",
        "Müller-Okafor",
        ORCID,
        "virology",
        "NCBITaxon:10710",
        "zurich flow cells",
        "基因",
        "library",
        "doi:10.5281/zenodo.123",
        given["ark"],
        f"urn:btmh:1220{given['content_id']}",
        "sub/small.txt lambda",
        "lambda-2024",
        "lambda -bacterium",
        "-something",
    )
    for q in found:
        assert await titles(any_registrar, q) == ["Genomes of lambda phages"], q
    for q in ('"phage lambda"', "lambda -virology", "genomics", "基组", "bacteri*"):
        assert await titles(any_registrar, q) == [], q


async def test_the_title_counts_most_and_the_newest_comes_first(any_registrar: RegistrarUnderTest) -> None:
    await record(any_registrar, "Yeast in the title, the older")
    await record(any_registrar, "Subject", subjects=(Subject("yeast"),))
    await record(any_registrar, "Yeast in the title, the newer")
    await record(any_registrar, "Described", description="Something with yeast.")
    expected = ["Yeast in the title, the newer", "Yeast in the title, the older", "Subject", "Described"]
    assert await titles(any_registrar, "yeast") == expected
    newest = ["Described", "Yeast in the title, the newer", "Subject", "Yeast in the title, the older"]
    assert await titles(any_registrar, "yeast", sort="newest") == newest
    assert await titles(any_registrar) == newest


async def test_facets_count_and_narrow(any_registrar: RegistrarUnderTest) -> None:
    virus, yeast = Subject("virology"), Subject("yeast")
    okafor, li = Creator("Okafor, Ngozi", orcid=ORCID), Creator("Li, Wei")
    await record(any_registrar, "One", subjects=(virus,), creators=(okafor,), dates=(Date("Issued", "2019"),))
    await record(any_registrar, "Two", subjects=(virus, yeast), creators=(okafor, li))
    await record(
        any_registrar, "Three", subjects=(yeast,), creators=(li,), dates=(Date("Issued", "2019-05"),)
    )
    await any_registrar.person().hold(shareable("Three"))
    everything = await search(any_registrar)
    this_year = everything["results"][1]["created"][:4]
    assert everything["total"] == 3
    assert (everything["more"], everything["counted"]) == (False, None)

    def counts(found: dict[str, Any], name: str) -> dict[str, int]:
        return {one["value"]: one["count"] for one in found["facets"][name]}

    for found in (everything, await search(any_registrar, "small*")):  # of all, and of what is found
        assert counts(found, "subject") == {"virology": 2, "yeast": 2}
        assert counts(found, "creator") == {"Okafor, Ngozi": 2, "Li, Wei": 2}
        assert counts(found, "year") == {"2019": 2, this_year: 1}
        assert counts(found, "license") == {"CC0-1.0": 3}
        assert counts(found, "size") == {"under-1MB": 3}
        assert counts(found, "copies") == {"0": 2, "1": 1}
    for filters, expected in (
        ({"subject": "virology"}, ["Two", "One"]),
        ({"subject": ["virology", "yeast"]}, ["Two"]),
        ({"creator": "Li, Wei"}, ["Three", "Two"]),
        ({"creator": f"https://orcid.org/{ORCID}"}, ["Two", "One"]),
        ({"year": "2019"}, ["Three", "One"]),
        ({"year": ["2019", this_year]}, ["Three", "Two", "One"]),
        ({"license": "CC0-1.0", "year": this_year}, ["Two"]),
        ({"copies": "1"}, ["Three"]),
        ({"copies": ["0", "3+"], "subject": "virology"}, ["Two", "One"]),
        ({"copies": "1", "subject": "virology"}, []),
        ({"size": "under-1MB", "q": "small.txt -two"}, ["Three", "One"]),
        ({"subject": "nobody's"}, []),
        ({"subject": "a\0b"}, []),
        ({"q": "three", "subject": "yeast"}, ["Three"]),
    ):
        assert await titles(any_registrar, **{"q": "", **filters}) == expected, filters
    narrowed = await search(any_registrar, subject="virology")
    assert counts(narrowed, "subject") == {"virology": 2, "yeast": 1}
    assert counts(narrowed, "copies") == {"0": 2}
    result = narrowed["results"][0]
    assert (result["creators"], result["subjects"]) == (["Okafor, Ngozi", "Li, Wei"], ["virology", "yeast"])
    assert (result["copies"], result["year"]) == (0, this_year)


async def test_pages_show_each_match_once_while_others_register(
    any_registrar: RegistrarUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find_module, "SAMPLE", 5)  # so that ranked matches end, and older ones follow
    for n in range(9):
        about = {"description": "yeast"} if n % 2 else {}
        await record(any_registrar, f"{'Plain' if n % 2 else 'Yeast'} {n}", **about)
    for sort, expected in (
        ("relevance", ["Yeast 8", "Yeast 6", "Yeast 4", "Plain 7", "Plain 5", *"PYPY"]),
        ("newest", None),
    ):
        seen, cursor = [], ""
        while True:
            page = await search(any_registrar, "yeast", sort=sort, limit=2, cursor=cursor)
            seen += [found["title"] for found in page["results"]]
            if not cursor:
                assert (page["total"], page["more"], page["counted"]) == (5, True, 5)
                await record(any_registrar, f"Yeast that came during {sort}")
            else:
                assert (page["total"], page["facets"]) == (None, None)
            if page["next"] is None:
                break
            cursor = page["next"]
        of_before = [title for title in seen if "during" not in title]
        if expected:
            assert of_before == [*expected[:5], "Plain 3", "Yeast 2", "Plain 1", "Yeast 0"]
        assert len(of_before) == len(set(of_before)) == 9
        assert f"Yeast that came during {sort}" not in seen


async def test_words_in_order_subjects_and_copies_narrow_each_other(
    any_registrar: RegistrarUnderTest,
) -> None:
    virus = (Subject("virology"),)
    await record(any_registrar, "Cold room yeast", subjects=virus)
    await record(any_registrar, "Yeast in a room that was cold")
    await any_registrar.person().hold(shareable("Cold-room-yeast"))
    for n in range(4):
        await record(any_registrar, f"Other {n}")
    both = ["Yeast in a room that was cold", "Cold room yeast"]
    for query, expected in (
        ({"q": "yeast", "sort": "newest"}, both),
        ({"q": "yeas* room", "sort": "newest"}, both),
        ({"q": '"cold room"'}, both[1:]),
        ({"q": 'yeast -"cold room"'}, both[:1]),
        ({"q": "yeast -room"}, []),
        ({"q": "yeast", "copies": "1"}, both[1:]),
        ({"q": "yeast", "copies": ["0", "2"]}, both[:1]),
        ({"subject": "virology"}, both[1:]),
        ({"subject": "virology", "copies": "0"}, []),
        ({"q": "yeast", "limit": 1, "sort": "newest"}, both[:1]),
    ):
        assert await titles(any_registrar, **{"q": "", **query}) == expected, query


async def test_what_takes_long_to_find_is_found_page_by_page(
    any_registrar: RegistrarUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tsvector, "CHECKED", 2)
    monkeypatch.setattr(find_module, "LOOKED_AT", 2)
    wanted = ["C cold room", "B cold room", "A cold room"]
    for title in (*wanted[:0:-1], "Room 1, cold", "Room 2, cold", "Room 3, cold", wanted[0]):
        await record(any_registrar, title)
        if title not in wanted:
            await any_registrar.person().hold(shareable(title.replace(" ", "-")))
    by_index = not any_registrar.context.db.shared
    for query, at_once in (
        ({"q": '"cold room"'}, by_index),
        ({"q": "room", "copies": "0"}, by_index),
        ({"copies": ["0", "2"]}, False),
    ):
        page = await search(any_registrar, **query)
        assert page["more"] is (page["next"] is not None) is not at_once
        assert page["total"] == len(page["results"])
        seen = [found["title"] for found in page["results"]]
        while page["next"] is not None:
            page = await search(any_registrar, **query, cursor=page["next"])
            seen += [found["title"] for found in page["results"]]
        assert seen == wanted, query
    page_of_none = await any_registrar.person().get("/search?" + urlencode({"q": '"room cold"'}))
    assert (b"Look further back" in page_of_none.body) is not by_index


def test_the_newest_matches_are_found_wherever_in_the_log_they_are(migrated_postgres_url: str) -> None:
    engine, pick = create_engine(migrated_postgres_url), random.Random(1)
    index, codes = tsvector.Tsvector(), (8, 16)
    words = {at: tuple(pick.sample(("yeast", "yard", "room"), 2)) for at in range(0, 3_000_000, 7919)}
    for edge in range(1 << 12, 3_000_000, 1 << 15):  # of stretches
        words |= {edge - 1: ("yeast", "room"), edge: ("yard", "room")}
    words |= {2_600_000 + at: ("rare",) for at in range(0, 40, 9)} | {3: ("rare", "room")}
    with engine.connect() as connection:
        for at, title in words.items():
            index.put(connection, at, Document(title, (), (), (), ()), codes[at % 2 :])
        for text, facets in (
            ("yeast", ()), ("rare", ()), ("room rare", ()), ("-room", ()), ("y*", ()), ('"yeast yard"', ()),
            ("room", ((8,),)), ("", ((8, 24),)), ("none", ()),
        ):  # fmt: skip
            for limit in (1, 5, 100, 1000):
                for before in (TOP, 2_600_000, 1_000_001, 4097, 4096, 3, 0):
                    terms = Terms(parse(text), facets)
                    found = index.newest(connection, terms, before=before, limit=limit)
                    newest = sorted((at for at in words if at < before), reverse=True)
                    expected = [at for at in newest if _has(terms, words[at], codes[at % 2 :])]
                    assert (list(found.positions), found.reached) == (expected[:limit], 0), (text, before)
    engine.dispose()


def _has(terms: Terms, title: tuple[str, ...], codes: tuple[int, ...]) -> bool:
    def within(phrase: Phrase) -> bool:
        if len(phrase.words) > 1:
            return phrase.words == title
        return any(
            word.startswith(phrase.words[0]) if phrase.prefix else word in phrase.words for word in title
        )

    return (
        all(map(within, terms.query.wanted))
        and not any(map(within, terms.query.unwanted))
        and all(set(group) & set(codes) for group in terms.facets)
    )


@given(st.integers(0, 2**25), st.integers(0, 2**25))
def test_stretches_cover_a_part_of_the_log_once(first: int, last: int) -> None:
    shortest = tsvector.STRETCHES[0]
    least, before = sorted((first, last))
    least = least >> shortest << shortest
    at = least
    for number in tsvector.stretches(least, before):
        place, kind = divmod(number, len(tsvector.STRETCHES))
        assert place << tsvector.STRETCHES[kind] == at
        at += 1 << tsvector.STRETCHES[kind]
    assert before <= at < before + (1 << shortest)


async def test_a_tainted_record_is_not_found_until_the_taint_is_lifted(
    any_registrar: RegistrarUnderTest,
) -> None:
    kept = await record(any_registrar, "Kept yeast", subjects=(Subject("yeast"),))
    other = await record(any_registrar, "Tainted yeast", subjects=(Subject("yeast"),))
    curator = any_registrar.curator
    subject = TaintSubject.parse(f"record:{other['rid']}")
    body = TaintBody(Order(subject, "court-order", "a court said so", Effect.REMOVE)).encode()
    event = curator.event(body, "taint")
    assert (await curator.submit(event, body, "/api/v1/taints")).json["state"] == "standing"
    found = await search(any_registrar, "yeast")
    assert [one["rid"] for one in found["results"]] == [kept["rid"]]
    everything = await search(any_registrar)
    assert everything["total"] == 1
    assert everything["facets"]["subject"] == [{"value": "yeast", "count": 1}]
    assert len(await titles(any_registrar, subject="yeast")) == 1
    body = LiftBody("an error").encode()
    lift = curator.event(body, "lift", after=event)
    assert (await curator.submit(lift, body, f"/api/v1/taints/{event.hash()}/lift")).status == 201
    assert await titles(any_registrar, "yeast") == ["Tainted yeast", "Kept yeast"]
    assert (await search(any_registrar))["facets"]["subject"] == [{"value": "yeast", "count": 2}]


async def test_an_index_made_anew_is_the_same(any_registrar: RegistrarUnderTest) -> None:
    for n in range(3):
        await record(any_registrar, f"Yeast {n}", subjects=(Subject("yeast"), Subject(f"number {n}")))
    before = [await search(any_registrar, q) for q in ("", "yeast", '"number 1"')]
    await any_registrar.context.db.write(rebuild)
    assert [await search(any_registrar, q) for q in ("", "yeast", '"number 1"')] == before


@pytest.mark.parametrize(
    "query",
    ["cursor=x", "cursor=WzFd!", "cursor=W10", "copies=9", "limit=0", "limit=1000", "sort=size", "colour=red",
     "cursor=" + encode(After(9, 1.0, 3)), "q=" + "x" * 1001, "cursor=" + "W" * 201],
)  # fmt: skip
async def test_what_cannot_be_asked_is_told(registrar: RegistrarUnderTest, query: str) -> None:
    answer = await registrar.person().get(f"/api/v1/search?{query}")
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")


async def test_any_text_is_a_query(any_registrar: RegistrarUnderTest) -> None:
    await record(any_registrar, "Near NOT \"AND\" OR col:umn ^x * (a) 'q' \\ 噬 ½ Ⅷ", name="x")
    one_sign = ['"', "*", "-", "(", ")", "'", "\\", "!", "&", "|", "%", "^", "½", "Ⅷ", "٣", "İ", "ß", "𞤀", "́"]
    more = [
        '""',
        "--",
        "-*",
        '-"',
        "AND",
        "NOT",
        "a OR",
        "NEAR(a b)",
        "title:x",
        "^x",
        "{title}:a",
        "a*b*",
        "\n",
    ]
    more += ["<->", "a:*", "噬*", "-噬", '"a" "b" -"c d"', "x" * 1000, "a " * 500]
    examples = one_sign + more
    for q in examples:
        await search(any_registrar, q)
    find_in = any_registrar.context.db

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.text(max_size=40), max_size=20), st.sampled_from(find_module.COPIES))
    def any_text(texts: list[str], copies: str) -> None:
        asked = find_module.Asked(
            " ".join(texts), {"subject": texts[:2], "year": texts[2:4], "copies": [copies][: len(texts) % 2]}
        )
        with find_in.engine.connect() as connection:
            find_module.find(connection, asked)

    any_text()


def test_words_are_plain_and_singular() -> None:
    assert list(words_of("Series of GENOMES, buses & viruses; Straße, Zürich (a_1.fastq.gz)")) == [
        "sery", "of", "genome", "buse", "viruse", "strasse", "zurich", "a", "1", "fastq", "gz",
    ]  # fmt: skip
    assert list(words_of("噬菌体DNA")) == ["噬", "菌", "体", "dna"]
    assert list(words_of("x" * 500)) == ["x" * LONGEST_WORD]


def test_a_query_is_read_forgivingly() -> None:
    assert parse('lambda -"cold room" gen* x-ray "open').wanted == (
        Phrase(("lambda",)),
        Phrase(("gen",), prefix=True),
        Phrase(("x", "ray")),
        Phrase(("open",)),
    )
    assert parse('-"cold room"').unwanted == (Phrase(("cold", "room")),)
    assert parse("a*").wanted == (Phrase(("a",)),)
    assert parse("same -same").unwanted == ()


@given(st.text(max_size=1500))
def test_words_of_a_query_hold_nothing_that_an_engine_could_take_for_syntax(text: str) -> None:
    asked = parse(text)
    words = [word for phrase in (*asked.wanted, *asked.unwanted) for word in phrase.words]
    assert len(words) <= 24
    assert all(word.isalnum() and 0 < len(word) <= LONGEST_WORD for word in words)


POSITIONS = st.integers(0, 2**53 - 1)
SCORES = st.floats(allow_nan=False, allow_infinity=False)


@given(st.builds(Below, POSITIONS) | st.builds(After, POSITIONS, SCORES, POSITIONS))
def test_a_cursor_comes_back_as_it_was(cursor: Below | After) -> None:
    assert decode(encode(cursor)) == cursor


def test_size_classes_have_no_gap() -> None:
    classes = [size_class(size) for size in (0, 999_999, 10**6, 10**8, 10**10, 10**12, 10**15)]
    assert classes == [
        "under-1MB",
        "under-1MB",
        "1MB-100MB",
        "100MB-10GB",
        "10GB-1TB",
        "over-1TB",
        "over-1TB",
    ]
