"""What is counted once agrees with what is there; a node is offered what fits however much does not."""

from __future__ import annotations

from sqlalchemy import Connection, case, func, select

from seedkeep_registrar.store import claims, datasets, totals
from seedkeep_registrar.store import tables as t
from seedkeep_registrar.store.datasets import Dataset
from tests.support.registrar import RegistrarUnderTest, shareable


def _dataset(number: int, size: int, *, held: int = 0) -> Dataset:
    content_id = f"{number:064x}"
    return Dataset(
        content_id=content_id, short_id=content_id[:40], name="some", files=1, bytes=size, publisher="",
        subjects=(), wanted=3, created=float(number), servable=True, offered=True, complete=0, held=held,
        missing=3 - held,
    )  # fmt: skip


def _counted(connection: Connection) -> tuple[totals.Totals, int, dict[str, int]]:
    """What the tables themselves say."""
    d = t.datasets.c
    row = connection.execute(
        select(
            func.count(),
            func.coalesce(func.sum(d.bytes), 0),
            func.coalesce(func.sum(d.complete), 0),
            func.coalesce(func.sum(case((d.offered & (d.missing > 0), 1), else_=0)), 0),
            func.coalesce(func.sum(case((d.complete == 0, 1), else_=0)), 0),
        ).where(d.servable)
    ).one()
    complete = connection.execute(
        select(t.claims.c.node, func.count()).where(t.claims.c.state == "complete").group_by(t.claims.c.node)
    )
    every = connection.execute(select(func.count()).select_from(t.claims)).scalar_one()
    return totals.Totals(*map(int, row)), every, {row[0]: int(row[1]) for row in complete}


def _kept(connection: Connection) -> tuple[totals.Totals, int, dict[str, int]]:
    nodes = totals.complete_of_nodes(connection)
    return totals.read(connection), totals.claims(connection), {n: c for n, c in nodes.items() if c}


async def test_totals_agree_with_what_is_there(any_registrar: RegistrarUnderTest) -> None:
    db = any_registrar.context.db

    async def agree() -> totals.Totals:
        kept = await db.read(_kept)
        assert kept == await db.read(_counted)
        return kept[0]

    one, other, third = (shareable(f"set {n}", {"f": bytes([n]), "g": b"g"}) for n in range(3))
    sharer, keepers = any_registrar.person(), [any_registrar.person() for _ in range(2)]
    for what in (one, other, third):
        await sharer.register(what)
    await any_registrar.person().register(one, copies=5)  # a second record of the same content
    assert (await agree()).without == 3
    for keeper in keepers:
        await keeper.introduce()
        for what in (one, other):
            assert (await keeper.claim(what.dataset().content_id)).status == 201
        await agree()
        await keeper.attest(one)
    assert (await agree()).copies == 2
    cid = one.dataset().content_id
    await db.write(claims.change, cid, str(keepers[0].key.public), {"state": claims.FAILED})
    assert (await agree()).copies == 1
    await db.write(claims.remove, cid, str(keepers[1].key.public))
    await agree()
    await db.write(claims.remove_all, other.dataset().content_id)
    assert (await agree()).without == 3
    listed = (await sharer.get("/api/v1/nodes")).json["nodes"]
    assert [node["datasets"] for node in listed] == [0, 0]


async def test_a_node_is_offered_what_fits_however_much_does_not(any_registrar: RegistrarUnderTest) -> None:
    def many(connection: Connection) -> None:
        for number in range(20):
            datasets.put(connection, _dataset(number, 10**12))
            datasets.put(connection, _dataset(100 + number, 10**9 + number, held=number % 3))

    db = any_registrar.context.db
    await db.write(many)
    found = await db.read(datasets.needy, limit=10, free=2 * 10**9)
    assert {d.bytes < 2 * 10**9 for d in found} == {True}
    assert [d.held for d in found] == [0] * 7 + [1] * 3
    assert [d.bytes for d in found[:7]] == sorted((d.bytes for d in found[:7]), reverse=True)
    assert len(await db.read(datasets.needy, limit=100, free=10**13)) == 40
    assert await db.read(datasets.needy, limit=10, free=10**9) == []  # the bookkeeping needs room as well
