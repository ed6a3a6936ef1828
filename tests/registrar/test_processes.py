"""Several processes of one registrar on one PostgreSQL: what one does, the others know at once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from sqlalchemy import select

from seedkeep.core import jcs
from seedkeep.core.errors import UsageError
from seedkeep.core.taints.head import Head
from seedkeep_registrar.store import account_keys
from seedkeep_registrar.store.tables import claims
from tests.support.people import Mailbox, bind_by_mail
from tests.support.ports import free_port
from tests.support.processes import until
from tests.support.registrar import Person, RegistrarUnderTest, registrar_with, shareable, start_registrar

NAME = "localhost"


class To(AbstractResolver):
    """Finds the registrar's name at the address of one process."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=self._address, port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


@dataclass
class One:
    """One of the processes (in truth they are all in this one, and know nothing of each other)."""

    under_test: RegistrarUnderTest
    session: aiohttp.ClientSession
    stack: AsyncExitStack

    def person(self, same: Person | None = None) -> Person:
        """Somebody, or the same person again, who is sent to this process."""
        return replace(same or self.under_test.person(), session=self.session)

    @property
    def curator(self) -> Person:
        return self.person(self.under_test.curator)

    @property
    def leading(self) -> bool:
        return self.under_test.context.signals.leading

    async def head(self) -> Head:
        answer = await self.person().get("/api/v1/taints/head")
        return Head.open(answer.body, self.under_test.context.vkey)

    async def announce(self, info_hash: str, port: int, *, left: int) -> bytes:
        query = (
            f"info_hash={quote_from_bytes(bytes.fromhex(info_hash))}&peer_id={'p' * 16}{port}"
            f"&port={port}&left={left}&compact=1"
        )
        return (await self.person().get(f"/announce?{query}")).body


@dataclass
class Several:
    """Starts them; they share database, data folder and public URL."""

    stack: AsyncExitStack
    data: Path
    database_url: str
    port: int
    started: int = 0

    async def start(self, **settings: Any) -> One:
        self.started += 1
        address = f"127.0.0.{self.started}"
        given = {
            "listen": f"{address}:{self.port}",
            "public_url": f"http://{NAME}:{self.port}",
            "database_url": self.database_url,
            **settings,
        }
        stack = await self.stack.enter_async_context(AsyncExitStack())
        one = await stack.enter_async_context(start_registrar(self.data, **given))
        connector = aiohttp.TCPConnector(resolver=To(address), limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        return One(one, session, stack)

    async def run(self, statement: str) -> None:
        """Run a statement as the database's administrator."""
        psycopg = pytest.importorskip("psycopg")
        url = self.database_url.replace("+psycopg", "")
        async with await psycopg.AsyncConnection.connect(
            url.replace(f"/{self.database}?", "/postgres?"), autocommit=True
        ) as admin:
            await admin.execute(statement)

    @property
    def database(self) -> str:
        """Name of the database."""
        return self.database_url.rpartition("/test_")[2].partition("?")[0].join(("test_", ""))

    async def cut(self) -> None:
        """End all connections to the database."""
        await self.run(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.database}'"
        )


@pytest.fixture
async def several(tmp_path: Path, postgres_url: str) -> AsyncIterator[Several]:
    async with AsyncExitStack() as stack:
        yield Several(stack, tmp_path / "registrar", postgres_url, free_port())


async def waiting(one: One, node: Person) -> None:
    async def there() -> bool:
        return str(node) in one.under_test.context.wakeups.nodes_waiting

    await until(there, "the node waits", every=0.01)


async def test_a_taint_at_one_is_in_force_at_all(several: Several) -> None:
    first, second = await several.start(), await several.start()
    what = shareable()
    document = await first.person().register(what)
    info_hash = document["infohash_v1"]
    node = second.person()
    await node.introduce()
    assert b"interval" in await second.announce(info_hash, 7001, left=0)  # remembered there
    told = (await node.beat(taints=0))["offers"]
    beat = asyncio.create_task(node.beat(taints=0, wait=60))
    await waiting(second, node)
    assert (await first.curator.taint(f"content:{what.dataset().content_id}")).status == 201
    async with asyncio.timeout(20):
        answer = await beat
    assert told
    assert answer["offers"] == []
    assert Head.open(answer["taint_head"], first.under_test.context.vkey) == await first.head()
    assert (await first.head()).version == 1
    assert b"tainted" in await second.announce(info_hash, 7001, left=0)


async def test_all_serve_the_same_head_and_it_never_goes_back(several: Several) -> None:
    some = [await several.start() for _ in range(3)]
    seen = [await one.head() for one in some]
    assert len(set(seen)) == 1

    async def watch(latest: list[Head]) -> None:
        while True:
            for one in some:
                latest.append(await one.head())

    latest: list[Head] = []
    watcher = asyncio.create_task(watch(latest))
    subjects = [f"content:{number:02x}{'0' * 62}" for number in range(12)]
    await asyncio.gather(
        *(some[n % 3].curator.taint(subject) for n, subject in enumerate(subjects)),
        *(one.under_test.context.taint_head.refresh() for one in some),
    )
    watcher.cancel()
    versions = [(head.version, head.log_size) for head in latest]
    assert versions == sorted(versions)
    assert {(await one.head()).version for one in some} == {12}


async def test_a_registration_at_one_wakes_a_node_that_waits_at_another(several: Several) -> None:
    first, second = await several.start(), await several.start()
    node = second.person()
    await node.introduce()
    beat = asyncio.create_task(node.beat(wait=60))
    await waiting(second, node)
    document = await first.person().register(shareable())
    async with asyncio.timeout(20):
        assert [offer["rid"] for offer in (await beat)["offers"]] == [document["rid"]]


async def test_a_companion_asked_for_at_one_is_loaded_by_a_node_of_another(several: Several) -> None:
    first, second = await several.start(), await several.start()
    what = shareable()
    await first.person().register(what)
    node = second.person()
    await node.hold(what)
    held = {what.dataset().content_id: "complete"}
    await node.beat(held)
    beat = asyncio.create_task(node.beat(held, wait=60))
    await waiting(second, node)
    info_hash = what.dataset().infohash_v1
    asked = asyncio.create_task(first.announce(info_hash, 7002, left=1))
    async with asyncio.timeout(20):
        while what.dataset().content_id not in (await beat)["companions"]:  # an audit may come first
            beat = asyncio.create_task(node.beat(held, wait=60))
        await asked


async def test_clients_that_announce_to_different_processes_find_each_other(several: Several) -> None:
    first, second = await several.start(), await several.start()
    document = await first.person().register(shareable())
    info_hash = document["content_id"][:40]
    await first.announce(info_hash, 7001, left=0)
    seed = socket.inet_aton("127.0.0.1") + (7001).to_bytes(2, "big")

    async def found(one: One) -> bool:
        return seed in await one.announce(info_hash, 7002, left=1)

    await until(lambda: found(second), "the second process knows the seed", every=0.05)
    third = await several.start()
    await until(lambda: found(third), "a process that starts later learns of the seed", every=0.05)
    await third.person().get(
        f"/announce?info_hash={quote_from_bytes(bytes.fromhex(info_hash))}&peer_id={'p' * 16}7001"
        "&port=7001&left=0&event=stopped"
    )

    async def gone() -> bool:
        return not await found(first)

    await until(gone, "the first process has forgotten the seed", every=0.05)


async def test_one_leads_and_another_takes_over(several: Several) -> None:
    some = [await several.start() for _ in range(3)]
    assert [one.leading for one in some] == [True, False, False]
    await some[0].stack.aclose()

    async def taken_over() -> bool:
        return sum(one.leading for one in some[1:]) == 1

    await until(taken_over, "another one leads")


async def test_a_lease_is_not_prolonged_by_a_process_that_starts_beside_others(several: Several) -> None:
    first = await several.start(lease_s=600.0)
    what = shareable()
    await first.person().register(what)
    node = first.person()
    await node.introduce()
    assert (await node.claim(what.dataset().content_id)).status == 201

    async def expires() -> list[float]:
        rows = await first.under_test.context.db.read(lambda c: list(c.execute(select(claims.c.expires))))
        return [row.expires for row in rows]

    before = await expires()
    await several.start(lease_s=6000.0)
    assert await expires() == before


async def test_what_was_missed_while_cut_off_is_made_up_for(several: Several) -> None:
    first, second = await several.start(), await several.start()
    document = await first.person().register(shareable())
    assert b"interval" in await second.announce(document["infohash_v1"], 7001, left=0)
    node = second.person()
    await node.introduce()
    beat = asyncio.create_task(node.beat(wait=60))
    await waiting(second, node)
    await several.cut()

    async def tainted() -> bool:
        return (await first.curator.taint(f"content:{document['content_id']}")).status in (201, 409)

    await until(tainted, "the first process takes the taint")
    async with asyncio.timeout(30):
        await beat
    assert (await second.head()).version == 1

    async def refused() -> bool:
        return b"tainted" in await second.announce(document["infohash_v1"], 7001, left=0)

    await until(refused, "the second process obeys the taint")
    assert second.under_test.context.taint_head.version == 1

    async def led() -> bool:
        return first.leading != second.leading

    await until(led, "one of them leads again")


async def test_without_its_database_it_says_so_and_recovers(several: Several) -> None:
    one = await several.start()
    document = await one.person().register(shareable())
    path = f"/api/v1/records/{document['rid']}"
    await several.run(f'ALTER DATABASE "{several.database}" ALLOW_CONNECTIONS false')
    await several.cut()
    for answer in (await one.person().get(path), await one.person().introduce()):
        assert (answer.status, answer.json["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    await several.run(f'ALTER DATABASE "{several.database}" ALLOW_CONNECTIONS true')

    async def back() -> bool:
        return (await one.person().get(path)).status == 200 and (await one.person().introduce()).status == 201

    await until(back, "it answers again")


async def test_processes_that_start_at_once_make_one_registrar(several: Several) -> None:
    some = await asyncio.gather(*(several.start() for _ in range(4)))
    assert len({str(one.under_test.context.vkey) for one in some}) == 1
    assert sum(one.leading for one in some) == 1
    documents = await asyncio.gather(
        *(one.person().register(shareable(f"of {n}")) for n, one in enumerate(some))
    )
    assert sorted(document["index"] for document in documents) == [0, 1, 2, 3]


async def test_another_key_on_the_same_database_is_refused(several: Several, tmp_path: Path) -> None:
    await several.start()
    several.data = tmp_path / "another folder"
    with pytest.raises(UsageError, match="key"):
        await several.start()


async def test_sqlite_is_for_one_process(several: Several) -> None:
    await several.start()
    several.database_url = ""
    with pytest.raises(UsageError, match="another registrar is running"):
        await several.start()
    async with registrar_with(several.data / "elsewhere"):
        several.data = several.data / "elsewhere" / "registrar"
        with pytest.raises(UsageError, match="another registrar is running"):
            await several.start()


async def test_what_an_operator_changes_at_one_counts_at_once_at_all(
    several: Several, mailbox: Mailbox
) -> None:
    settings = {"operator_emails": ("boss@example.org",), "registration": "members"}
    first, second = await several.start(**settings), await several.start(**settings)
    boss, ada = first.person(), first.person()
    await bind_by_mail(boss, "boss@example.org", mailbox)
    account = (await bind_by_mail(ada, "ada@example.org", mailbox))["id"]
    there = second.person(ada)
    for change, status in (({"role": "operator"}, 200), ({"role": "member"}, 403), ({"disabled": True}, 403)):
        path = f"/api/v1/accounts/{account}"
        assert (await boss.send("PATCH", path, jcs.dumps(change))).status == 200
        assert (await there.send("GET", "/api/v1/accounts", b"")).status == status
    begun = (await first.person(boss).post("/api/v1/account/bindings", {"label": "new"})).json
    waits = asyncio.create_task(
        second.person(boss).send("GET", f"/api/v1/account/bindings/{begun['id']}?wait=60", b"")
    )
    refused = await first.under_test.context.db.write(
        account_keys.end_binding, begun["id"], "refused", account, first.under_test.clock()
    )
    assert refused
    async with asyncio.timeout(60):
        assert (await waits).json["state"] == "refused"  # learned from the other process


async def test_a_code_that_is_used_at_several_at_once_opens_once(several: Several, mailbox: Mailbox) -> None:
    ones = [await several.start() for _ in range(3)]
    person = ones[0].person()
    asked = {"label": "", "email": "ada@example.org"}
    begun = (await person.post("/api/v1/account/bindings", asked)).json
    code = {"code": (await mailbox.next("ada@example.org")).code}
    path = f"/api/v1/account/bindings/{begun['id']}/code"
    answers = await asyncio.gather(*(one.person(person).post(path, code) for one in ones for _ in range(2)))
    assert sorted(a.status for a in answers) == [200, 403, 403, 403, 403, 403]
