"""Institutions that lose registrars for good, and one that comes back from an old backup.

Run by ``SEEDKEEP_FEDERATION=small``: three registrars and four nodes. ``SEEDKEEP_FEDERATION=full`` makes it
five registrars, two of them on PostgreSQL, and ten nodes; two registrars are lost.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.fleet import Fleet, fleet

FULL = os.environ.get("SEEDKEEP_FEDERATION") == "full"
PATIENCE_S = 120
QUICK = {
    "SEEDKEEP_REGISTRAR_HEARTBEAT_S": "1",
    "SEEDKEEP_REGISTRAR_PEER_POLL_S": "2",
    "SEEDKEEP_REGISTRAR_TAKEOVER_S": "6",
    "SEEDKEEP_REGISTRAR_AUDIT_INTERVAL_S": "5",
    "SEEDKEEP_REGISTRAR_APPROVALS_NEEDED": "2",
}
NODE = {"SEEDKEEP_NODE_TAKEOVER": "6"}


async def until(what: str, look: Callable[[], Awaitable[Any]]) -> Any:
    """What ``look`` gives, once that is something."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with suppress(aiohttp.ClientError):
                    if found := await look():
                        return found
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"after {PATIENCE_S} s: {what}") from None


@dataclass(frozen=True)
class Institution:
    """A registrar and the nodes that serve it."""

    name: str
    ships: Fleet
    variables: Mapping[str, str]

    @property
    def url(self) -> str:
        """Of its registrar."""
        return self.ships.url

    @property
    def data(self) -> Path:
        """The registrar's folder."""
        return self.ships.path / "registrar" / "registrar-data"

    async def up(self) -> None:
        """Start its registrar, again perhaps."""
        await self.ships.registrar(**self.variables)

    async def operate(self, *arguments: str) -> dict[str, Any]:
        """A command of its operator's, on the registrar's machine."""
        home = self.ships.home("registrar", **self.variables)
        return (await home.run("registrar", *arguments, "--data", str(self.data), "--json"))[1]

    async def agree_to(self, others: Sequence[Institution]) -> None:
        """Its operator adds other registrars."""
        for other in others:
            await self.operate("peer", "add", other.url, "--yes")

    async def has_peers(self, count: int) -> bool:
        """Whether so many follow it and are followed."""
        peers = (await self.ships.get("/api/v1/peers"))["peers"]
        return bool(sum(peer["state"] == "active" for peer in peers) == count)

    async def finds(self, words: str) -> list[str]:
        """Rids that its search gives."""
        return [r["rid"] for r in (await self.ships.get(f"/api/v1/search?q={words}"))["results"]]

    async def calls(self, rid: str, title: str) -> bool:
        """Whether it has a record, by this title."""
        return bool((await self.ships.record(rid)).get("metadata", {}).get("title") == title)

    async def answers(self, status: int, path: str) -> bool:
        """Whether a GET is answered so."""
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            return answer.status == status

    async def mirrors(self, other: Institution, size: int) -> bool:
        """Whether it has followed another one's log that far, and has nothing against anybody."""
        told = (await self.ships.get("/api/v1/peers"))["peers"]
        assert not any(peer["evidence"] for peer in told)
        return any(peer["url"] == other.url and peer["size"] >= size for peer in told)


@dataclass(frozen=True)
class Federation:
    """Institutions, and people who belong to none of them."""

    institutions: Sequence[Institution]
    people: Fleet

    async def run(
        self, who: str, *arguments: str, at: Institution, also_ok: Sequence[int] = ()
    ) -> dict[str, Any]:
        """A command of a person's that asks one registrar first."""
        asks = ("--registrar", at.url)
        return await self.people.run(
            who, *arguments, *asks, also_ok=also_ok, SEEDKEEP_CLIENT_ZEROCONF="false"
        )

    def dataset(self, name: str) -> Path:
        """A folder whose content is like no other."""
        folder = self.people.path / name
        (folder / "sub").mkdir(parents=True)
        (folder / "reads.bin").write_bytes(os.urandom(300_000))
        (folder / "sub" / "notes.txt").write_text(f"{name}\n" * 100)
        return folder

    async def share(self, name: str, *, at: Institution, copies: int) -> dict[str, Any]:
        """Share a new dataset until it has its copies."""
        title = ("--title", f"Readings {name}", "--copies", str(copies))
        return await self.run("steward", "share", str(self.dataset(name)), *title, at=at)

    async def log_of(self, one: Institution) -> dict[str, Any]:
        """What a reader finds who computes a registrar's whole log anew."""
        return await self.people.run("reader", "log", "verify", one.url)

    async def everywhere(self, at: Sequence[Institution], rid: str, title: str) -> None:
        """Wait until registrars call a record so."""

        async def told(one: Institution) -> None:
            await until(f"{one.name} does not call {rid} {title}", lambda: one.calls(rid, title))

        await asyncio.gather(*map(told, at))

    async def is_gone(self, name: str) -> bool:
        """Whether no node holds a dataset."""
        places = (one.ships.path.glob(f"node-*/node-data/**/{name}") for one in self.institutions)
        return not any(True for place in places for _ in place)


async def audited(at: Sequence[Institution], rid: str, count: int) -> bool:
    """Whether one of these registrars has audited so many copies."""
    documents = await asyncio.gather(*(one.ships.record(rid) for one in at))
    return any(d.get("copies", {}).get("audited", 0) >= count for d in documents)


async def curators(people: Fleet) -> list[str]:
    """Keys of two people who may taint."""
    made = await asyncio.gather(*(people.run(f"curator-{i}", "key", "new") for i in (1, 2)))
    return [str(one["key"]) for one in made]


def on_postgres(request: pytest.FixtureRequest, wanted: Sequence[str]) -> dict[str, str]:
    """The URLs of databases, by institution."""
    fixtures = ("postgres_url", "migrated_postgres_url")
    return {name: request.getfixturevalue(f) for name, f in zip(wanted, fixtures, strict=False)}


@pytest.fixture
async def federation(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    names, postgres = ("abcde", "bc") if FULL else ("acd", "c")
    databases = on_postgres(request, postgres)
    async with AsyncExitStack() as stack:
        people = await stack.enter_async_context(fleet(tmp_path / "people"))
        keys = ",".join(await curators(people))
        institutions = []
        for name in names:
            ships = await stack.enter_async_context(fleet(tmp_path / name))
            database = {"SEEDKEEP_REGISTRAR_DATABASE_URL": databases[name]} if name in databases else {}
            variables = {**QUICK, "SEEDKEEP_REGISTRAR_CURATORS": keys, **database}
            institutions.append(Institution(name, ships, variables))
        yield Federation(institutions, people)


@pytest.mark.timeout(600 if FULL else 300)
async def test_registrars_are_lost_for_good_and_one_comes_back_from_an_old_backup(
    federation: Federation, tmp_path: Path
) -> None:
    every = federation.institutions
    a, c, d = every[0], every[-3 if FULL else -2], every[-2 if FULL else -1]
    lost = every[:2] if FULL else every[:1]
    left = [one for one in every if one not in lost]

    # five operators agree with each other
    await asyncio.gather(*(one.up() for one in every))
    await asyncio.gather(*(one.agree_to([o for o in every if o is not one]) for one in every))
    for one in every:
        await until(f"{one.name} has not all peers", partial(one.has_peers, len(every) - 1))
        for number in range(2 if FULL or one is a else 1):
            one.ships.node(f"node-{number}", **NODE)

    # what is shared at one is found at all
    first = await federation.share("first", at=a, copies=2)
    await federation.everywhere(every, first["rid"], "Readings first")
    for one in every:
        assert await one.finds("readings") == [first["rid"]]

    # D's backup, and what it lacks
    backup = await d.operate("backup", str(tmp_path / "backups"))
    late = await federation.share("late", at=d, copies=1)
    await federation.everywhere(every, late["rid"], "Readings late")
    before = await federation.log_of(d)

    # two are gone for good
    for one in lost:
        await one.ships.kill("registrar")
    reader, out = left[-1], tmp_path / "out"
    await federation.run("reader", "fetch", first["ark"], "-o", str(out), at=reader)
    assert (out / "first.tlog-proof").exists()
    await federation.people.run("reader", "verify", str(out / "first"), "--offline")

    # its steward gives the record another home, and edits there
    await federation.run("steward", "rehome", first["ark"], "--to", c.url, at=c)
    await federation.run("steward", "edit", first["ark"], "--title", "Readings moved", at=c)
    await federation.everywhere(left, first["rid"], "Readings moved")
    second = await federation.share("second", at=c, copies=1)
    await federation.everywhere(left, second["rid"], "Readings second")
    assert set(await reader.finds("readings")) == {first["rid"], late["rid"], second["rid"]}

    # the copies are audited by those who mirror its record
    await until("nobody audits the copies of the first", lambda: audited(left, first["rid"], 2))

    # two curators at their home have datasets removed from all nodes: also where they were claimed at another
    for name, ark in (("second", second["ark"]), ("first", first["ark"])):
        order = ("taint", "add", ark, "--category", "court-order", "--reason", "a court said so")
        for curator in ("curator-1", "curator-2"):
            await federation.run(curator, *order, at=c)
        await until(f"{name} is not gone", partial(federation.is_gone, name))
        for one in left:
            await until(f"{one.name} still gives it", partial(one.answers, 451, f"/{ark}"))
    refused = await federation.run("reader", "fetch", second["ark"], at=reader, also_ok=[4])
    assert refused["exit_code"] == 4

    # D loses its disk, and comes back from the old backup
    await d.ships.kill("registrar")
    shutil.rmtree(d.data)
    await d.operate("restore", backup["snapshot"])
    for one in lost:  # they will not say how far its log was
        await d.operate("peer", "pause", one.url.removeprefix("http://"))
    await d.up()
    third = await federation.share("third", at=d, copies=1)
    await federation.everywhere(left, third["rid"], "Readings third")
    after = await federation.log_of(d)
    assert after["size"] > before["size"]
    assert await d.calls(late["rid"], "Readings late")
    assert await d.has_peers(len(left) - 1)
    for one in left:
        if one is not d:
            assert await one.has_peers(len(every) - 1)
            await until(f"{one.name} does not follow", partial(one.mirrors, d, after["size"]))
