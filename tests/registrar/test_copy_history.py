"""How many copies a dataset had when: written down as they come and go, and shown on its page."""

from __future__ import annotations

import re

import pytest

from seedkeep_registrar import copy_history
from seedkeep_registrar.pages.health import health
from seedkeep_registrar.store import claims, copy_counts
from seedkeep_registrar.store.copy_counts import Counts
from tests.support.registrar import RegistrarUnderTest, shareable

HOUR, DAY = 3600, 86400


async def counts_of(running: RegistrarUnderTest, content_id: str) -> list[tuple[int, int, int]]:
    found = await running.context.db.read(copy_counts.history, content_id, 0)
    return [(c.wanted, c.complete, c.audited) for c in found]


async def test_copies_are_counted_when_they_change(
    any_registrar: RegistrarUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_history, "_AT_ONCE", 2)  # more than one round
    monkeypatch.setattr(copy_counts, "HOUR", 60)  # real hours would let the nodes drop out
    context, clock = any_registrar.context, any_registrar.clock
    records = [await any_registrar.person().register(shareable(f"set{n}")) for n in range(5)]
    what, content_id = shareable("set3"), records[3]["content_id"]
    await copy_history.count_copies(context)
    for operator in ("one", "two", "two"):
        clock.offset += 60
        node = any_registrar.person()
        node.clock.offset = clock.offset
        await node.introduce(operator=operator)
        await node.claim(content_id)
        await node.attest(what)
        await context.db.write(claims.change, content_id, str(node), {"audited": clock()})
        await copy_history.count_copies(context)
        await copy_history.count_copies(context)
    # the third node belongs to the second operator: no further copy
    assert await counts_of(any_registrar, content_id) == [(3, 0, 0), (3, 1, 1), (3, 2, 2)]
    assert await counts_of(any_registrar, records[0]["content_id"]) == [(3, 0, 0)]
    page = (await any_registrar.person().get(f"/{records[3]['ark']}", headers={"Accept": "text/html"})).body
    rows = re.findall(r'<td class="number">(\d)</td>' * 3, page.decode())
    assert rows == [("3", "2", "2"), ("3", "1", "1"), ("3", "0", "0")]


async def test_of_old_days_the_last_count_is_kept(any_registrar: RegistrarUnderTest) -> None:
    context, clock = any_registrar.context, any_registrar.clock
    content_id = (await any_registrar.person().register(shareable()))["content_id"]
    today = int(clock()) // DAY * DAY
    old, fresh = today - 20 * DAY, today - 2 * DAY
    for at, complete in ((old, 1), (old + HOUR, 2), (old + DAY, 3), (fresh, 4), (fresh + HOUR, 5)):
        await context.db.write(copy_counts.put, [(content_id, Counts(at, 3, complete, 0))])
    await copy_history.count_copies(context)
    assert [c for _, c, _ in await counts_of(any_registrar, content_id)] == [2, 3, 4, 5, 0]


def test_the_drawing_begins_with_what_held_then_and_ends_now() -> None:
    drawn = health([Counts(0, 3, 0, 0), Counts(500, 3, 2, 1)], 100, Counts(1100, 3, 2, 1))
    assert drawn.most == 3
    assert drawn.complete == "M0 198H400V72H1000"
    assert drawn.wanted == "M0 8H400V8H1000"
    assert [c.complete for _, c in drawn.rows] == [2, 0]
    alone = health([], 100, Counts(100, 0, 0, 0))
    assert alone.complete == "M0 198H1000"
    assert alone.most == 1
