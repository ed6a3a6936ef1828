"""Three processes of a registrar on one PostgreSQL behind configs/nginx.conf: what clients notice of that."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import aiohttp
import pytest

from seedkeep.core.keys import PrivateKey
from seedkeep.core.notes import Verifier
from seedkeep.core.taints.head import Head
from tests.interop.test_nginx_front import configured, nginx
from tests.registrar.test_startup import first_line, process
from tests.support.ports import free_ports
from tests.support.processes import until
from tests.support.registrar import Answer, Person, new_key, shareable

CURATOR = PrivateKey(b"c" * 32)


@dataclass
class Front:
    """nginx, the processes behind it, and how to talk to one of them alone."""

    url: str
    plain: str
    verifier: Verifier
    session: aiohttp.ClientSession
    children: list[asyncio.subprocess.Process]
    ports: list[int]

    def person(self, key: PrivateKey | None = None) -> Person:
        return Person(self.url, self.verifier.name, self.session, key or new_key())

    async def behind(self, port: int, path: str) -> Answer:
        """What one process answers, without nginx."""
        async with self.session.get(f"http://127.0.0.1:{port}{path}") as answer:
            return Answer(answer.status, answer.headers, await answer.read())


@pytest.fixture
async def front(tmp_path: Path, postgres_url: str) -> AsyncIterator[Front]:
    plain, tls, *ports = free_ports(5)
    configuration = configured(tmp_path, plain=plain, tls=tls, upstream=ports)
    trust = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
    url = f"https://localhost:{tls}"
    settings = tmp_path / "registrar.toml"
    settings.write_text(
        f'public_url = "{url}"\ntrusted_proxies = ["127.0.0.1"]\ncurators = ["{CURATOR.public}"]\n'
        f'heartbeat_s = 2\ndrain_s = 2\ndatabase_url = "{postgres_url}"\nmin_free_bytes = 0\n'
    )
    async with AsyncExitStack() as stack:
        children = [
            await stack.enter_async_context(
                process("up", "--config", str(settings), "--data", str(tmp_path / "data"), "--json",
                        "--listen", f"127.0.0.1:{port}")
            )
            for port in ports
        ]  # fmt: skip
        said = [json.loads(await first_line(child)) for child in children]
        await stack.enter_async_context(nginx(tmp_path, configuration, tls))
        connector = aiohttp.TCPConnector(ssl=trust, limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        verifier = Verifier.parse(said[0]["vkey"])
        yield Front(url, f"http://127.0.0.1:{plain}", verifier, session, children, ports)


async def announce(front: Front, source: str, info_hash: str, port: int, left: int) -> bytes:
    query = (
        f"info_hash={quote_from_bytes(bytes.fromhex(info_hash))}&peer_id={'p' * 16}{port}&port={port}"
        f"&left={left}&compact=1"
    )
    connector = aiohttp.TCPConnector(local_addr=(source, 0))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"{front.plain}/announce?{query}") as answer,
    ):
        assert answer.status == 200
        return await answer.read()


async def test_clients_see_one_registrar_whatever_happens_to_its_processes(front: Front) -> None:
    person, node = front.person(), front.person()
    what = shareable("first")
    record = await person.register(what)

    # a node waits; a taint of another dataset reaches it at once, and every process serves the new head
    await node.introduce()
    assert [offer["rid"] for offer in (await node.beat())["offers"]] == [record["rid"]]
    waiting = asyncio.create_task(node.beat(wait=60))
    doomed = await person.register(shareable("doomed"))
    async with asyncio.timeout(30):
        assert doomed["rid"] in {offer["rid"] for offer in (await waiting)["offers"]}
    waiting = asyncio.create_task(node.beat(wait=60))
    curator = front.person(CURATOR)
    assert (await curator.taint(f"content:{doomed['content_id']}")).status == 201
    async with asyncio.timeout(30):
        assert Head.open((await waiting)["taint_head"], front.verifier).version == 1
    for port in front.ports:
        head = await front.behind(port, "/api/v1/taints/head")
        assert Head.open(head.body, front.verifier).version == 1

    # whoever announces anywhere is found by who announces anywhere else, by the real address
    info_hash = record["content_id"][:40]
    await announce(front, "127.0.0.2", info_hash, 7001, 0)
    peer = socket.inet_aton("127.0.0.2") + (7001).to_bytes(2, "big")

    async def found_by_all() -> bool:
        answers = [await announce(front, "127.0.0.3", info_hash, 7002, 1) for _ in front.ports]
        return all(peer in answer for answer in answers)

    await until(found_by_all, "every process knows the peer")
    assert b"tainted" in await announce(front, "127.0.0.3", doomed["content_id"][:40], 7002, 1)

    # one process is killed: who had asked it asks again, nothing that was acknowledged is lost
    acknowledged: list[dict[str, Any]] = []
    stop = asyncio.Event()

    async def go_on(who: Person, name: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await persistently(who, f"{name}-{number}", acknowledged)

    work = [asyncio.create_task(go_on(front.person(), str(n))) for n in range(4)]

    async def more(count: int) -> bool:
        assert not any(task.done() for task in work), [task.result() for task in work if task.done()]
        return len(acknowledged) >= count

    await until(lambda: more(8), "datasets are registered", seconds=60)
    front.children[0].kill()
    at_the_kill = len(acknowledged)
    await until(lambda: more(at_the_kill + 12), "registrations go on", seconds=60)
    stop.set()
    await asyncio.gather(*work)
    assert len({document["index"] for document in acknowledged}) == len(acknowledged)
    for document in acknowledged:
        assert (await person.get(f"/api/v1/records/{document['rid']}")).status == 200

    # another one is stopped politely: nobody who reads notices, and the node that waits is answered
    readers = [asyncio.create_task(read_on(person, f"/api/v1/records/{record['rid']}")) for _ in range(4)]
    waiting = asyncio.create_task(node.beat(wait=60))
    await asyncio.sleep(0.5)
    front.children[1].terminate()
    async with asyncio.timeout(60):
        assert await front.children[1].wait() == 0
    await asyncio.sleep(0.5)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    assert all(reader.cancelled() for reader in readers), readers
    front.children[2].terminate()
    async with asyncio.timeout(60):
        assert (await waiting)["leases"] == []


async def persistently(who: Person, name: str, acknowledged: list[dict[str, Any]]) -> None:
    """Register one dataset, as a client does: signed anew and sent again after a 502."""
    what = shareable(name, {"a": name.encode(), "b": b"b"})
    body = what.body().encode()
    event = who.event(body)
    for sha256, data in what.objects.items():
        while (await who.send("PUT", f"/api/v1/objects/{sha256}", data)).status not in (200, 201):
            await asyncio.sleep(0.1)
    while True:
        answer = await who.submit(event, body)
        if answer.status in (200, 201):
            acknowledged.append(answer.json)
            return
        assert answer.status in (502, 503, 504), answer
        await asyncio.sleep(0.1)


async def read_on(person: Person, path: str) -> None:
    """Read until cancelled; every answer must be good."""
    while True:
        answer = await person.get(path)
        assert answer.status == 200, answer
