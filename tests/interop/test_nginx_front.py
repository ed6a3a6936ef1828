"""A registrar behind configs/nginx.conf: TLS, large objects, and the tracker still sees who is who."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from urllib.parse import quote_from_bytes

import aiohttp
import pytest

from seedkeep_registrar.server import running
from seedkeep_registrar.settings import Settings
from tests.registrar.published import SHARER, House
from tests.support.example_config import CONFIGS
from tests.support.require import require
from tests.support.tls import self_signed
from tests.support.torrents import sample


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def configured(folder: Path, *, plain: int, tls: int, upstream: Sequence[int]) -> Path:
    """configs/nginx.conf for these ports of 127.0.0.1, in a configuration that is whole.

    Args:
        upstream: of the registrar's processes.
    """
    servers = "".join(f"server 127.0.0.1:{port}; " for port in upstream)
    key, certificate = self_signed(folder, "localhost")
    text = (CONFIGS / "nginx.conf").read_text()
    for pattern, new in (
        (r"^ *listen \[::\].*\n", ""),
        (r"listen 80;", f"listen 127.0.0.1:{plain};"),
        (r"listen 443", f"listen 127.0.0.1:{tls}"),
        (r"^    server 127\.0\.0\.1:8440;", servers),
        (r"registrar\.example\.org;", "localhost;"),
        (r"(ssl_certificate\s+)\S+;", rf"\1{certificate};"),
        (r"(ssl_certificate_key\s+)\S+;", rf"\1{key};"),
    ):
        text, count = re.subn(pattern, new, text, flags=re.MULTILINE)
        assert count, pattern
    temporary = "".join(
        f"{kind}_temp_path {folder}/tmp-{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    whole = folder / "nginx.conf"
    whole.write_text(
        f"{user}daemon off;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{text}\n}}\n"
    )
    return whole


@asynccontextmanager
async def nginx(folder: Path, configuration: Path, port: int) -> AsyncIterator[None]:
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    require(program is not None, "the Debian package nginx-light is not installed")
    process = await asyncio.create_subprocess_exec(
        *(str(program), "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log"))
    )
    try:
        async with asyncio.timeout(60):
            while True:
                assert process.returncode is None, (folder / "error.log").read_text()
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[tuple[House, str]]:
    """A registrar as its clients see it through nginx, and nginx's plain HTTP address."""
    plain, tls, upstream = free_port(), free_port(), free_port()
    settings = Settings(
        data=tmp_path / "registrar",
        listen=f"127.0.0.1:{upstream}",
        public_url=f"https://localhost:{tls}",
        trusted_proxies=("127.0.0.1",),
        zeroconf=False,
    )
    configuration = configured(tmp_path, plain=plain, tls=tls, upstream=[upstream])
    trust = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
    async with (
        running(settings) as registrar,
        nginx(tmp_path, configuration, tls),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as http,
    ):
        yield House(registrar, http), f"http://127.0.0.1:{plain}"


async def test_a_dataset_is_recorded_and_read_over_tls(front: tuple[House, str]) -> None:
    house, _ = front
    record = await house.publish(sample(200_000))
    assert record["landing_page"].startswith("https://localhost:")
    status, headers, _ = await house.get(f"/api/v1/records/{record['rid']}")
    assert status == 200
    assert headers["strict-transport-security"]


async def test_a_large_object_gets_through(front: tuple[House, str]) -> None:
    house, _ = front
    data = os.urandom(20 * 1024 * 1024)
    name = hashlib.sha256(data).hexdigest()
    await house.send(SHARER, "PUT", f"/api/v1/objects/{name}", data)
    assert house.registrar.objects.path(name).read_bytes() == data


async def test_the_tracker_tells_peers_their_real_addresses(front: tuple[House, str]) -> None:
    house, plain = front
    record = await house.publish(sample(200_000))
    info_hash = quote_from_bytes(bytes.fromhex(record["infohash_v1"]))

    async def announce(source: str, port: int, left: int) -> bytes:
        query = f"info_hash={info_hash}&peer_id={'p' * 16}{port}&port={port}&left={left}&compact=1"
        connector = aiohttp.TCPConnector(local_addr=(source, 0))
        # what a client claims about its address is not believed
        headers = {"X-Forwarded-For": "192.0.2.66"}
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(f"{plain}/announce?{query}", headers=headers) as answer,
        ):
            assert answer.status == 200
            return await answer.read()

    await announce("127.0.0.2", 7001, 0)
    peers = await announce("127.0.0.3", 7002, 1)
    assert socket.inet_aton("127.0.0.2") + (7001).to_bytes(2, "big") in peers
    assert socket.inet_aton("192.0.2.66") not in peers


async def test_plain_http_leads_to_https(front: tuple[House, str]) -> None:
    _, plain = front
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{plain}/records", allow_redirects=False) as answer,
    ):
        assert answer.status == 308
        assert answer.headers["Location"] == "https://127.0.0.1/records"
