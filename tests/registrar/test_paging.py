"""Lists are given a page at a time, all in the same way."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.errors import InvalidInput
from seedkeep_registrar.interface.paging import cursor_of, number_in, values_of
from tests.support.registrar import Person, RegistrarUnderTest, shareable


@given(st.floats(allow_nan=False, allow_infinity=False), st.text())
def test_a_cursor_gives_back_what_it_was_made_of(number: float, text: str) -> None:
    cursor = cursor_of(number, text)
    assert re.fullmatch("[A-Za-z0-9_-]+", cursor)
    assert values_of(cursor, tuple[float, str]) == (number, text)


@pytest.mark.parametrize("text", ["-1", "1" * 16, "٣", "1.5", " 1", "x"])
def test_a_number_that_no_page_gave_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        number_in(text)
    assert (number_in(""), number_in("0"), number_in("9" * 15)) == (None, 0, 10**15 - 1)


@given(st.text(max_size=40))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    try:
        found = values_of(text, tuple[int, str])
    except InvalidInput as error:
        assert "cursor" in error.what
    else:
        assert cursor_of(*found)


async def every_page(person: Person, path: str, items: str) -> list[dict[str, Any]]:
    """All items of a list, read two at a time by its Link headers."""
    found: list[dict[str, Any]] = []
    following = f"{path}?limit=2"
    while following:
        answer = await person.get(following)
        assert answer.status == 200, answer
        assert len(answer.json[items]) <= 2
        found += answer.json[items]
        link = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("Link", ""))
        assert bool(link) == (answer.json["next"] is not None)
        following = link[1].removeprefix(person.url) if link else ""
    return found


async def test_records_nodes_and_taints_are_paged(any_registrar: RegistrarUnderTest) -> None:
    people = [any_registrar.person() for _ in range(5)]
    rids = []
    for number, person in enumerate(people):
        rids.append((await person.register(shareable(f"paged-{number}")))["rid"])
        assert (await person.introduce()).status == 201
        assert (await any_registrar.curator.taint(f"content:{number:064x}")).status == 201
    reader = people[0]
    records = await every_page(reader, "/api/v1/records", "records")
    assert [r["rid"] for r in records] == rids[::-1]
    nodes = await every_page(reader, "/api/v1/nodes", "nodes")
    assert [n["node"] for n in nodes] == [str(p) for p in people]
    taints = await every_page(reader, "/api/v1/taints", "taints")
    assert sorted(t["subject"] for t in taints) == [f"content:{n:064x}" for n in range(5)]


@pytest.mark.parametrize("path", ["/api/v1/records", "/api/v1/nodes", "/api/v1/taints"])
@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "cursor=zzz", "cursor=WzFd!", "limit=1&limit=2", "page=2"]
)
async def test_a_page_that_cannot_be_is_refused(registrar: RegistrarUnderTest, path: str, query: str) -> None:
    answer = await registrar.curator.get(f"{path}?{query}")
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")
