"""Other people's BitTorrent clients, without DHT, LSD, PEX and UPnP: start, add, wait, stop.

Each is an async context manager that gives a :class:`Client`:

    async with transmission(tmp_path, host) as client:
        await client.add(torrent_file, folder)
        await client.complete(seconds=60)

They need an address of their own (see :mod:`tests.support.netns`), and skip the test when not installed.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import xmlrpc.client
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.processes import accepts, output_of, running, until
from tests.support.require import require


@dataclass(frozen=True)
class Client:
    """A running client.

    Attributes:
        name: for messages.
        host, port: where it takes peer connections.
        add: load a ``.torrent`` with its data in a folder, verify what is there, download the rest.
        progress: 0..1 of what was added.
    """

    name: str
    host: str
    port: int
    add: Callable[[Path, Path], Awaitable[None]]
    progress: Callable[[], Awaitable[float]]

    async def complete(self, seconds: float = 60) -> None:
        """Wait until everything added is there and verified."""

        async def whole() -> bool:
            return await self.progress() >= 1.0

        await until(whole, f"{self.name} completes its download", seconds=seconds, every=0.25)


Starter = Callable[[Path, str], AbstractAsyncContextManager[Client]]


def _installed(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    require(not missing, f"{', '.join(missing)} is not installed")


@asynccontextmanager
async def transmission(home: Path, host: str) -> AsyncIterator[Client]:
    """Transmission (3.00 in Debian 12): knows no v2, refuses hybrids and peers on 127.0.0.1."""
    _installed("transmission-daemon", "transmission-remote")
    port, rpc = 51413, 9091
    home.mkdir(parents=True, exist_ok=True)
    settings = {
        "bind-address-ipv4": host,
        "peer-port": port,
        "rpc-port": rpc,
        "rpc-bind-address": host,
        "rpc-whitelist-enabled": False,
        "rpc-host-whitelist-enabled": False,
        "rpc-authentication-required": False,
        "dht-enabled": False,
        "lpd-enabled": False,
        "pex-enabled": False,
        "utp-enabled": False,
        "port-forwarding-enabled": False,
        "download-dir": str(home),
        "encryption": 1,
    }
    (home / "settings.json").write_text(json.dumps(settings))
    remote = ("transmission-remote", f"{host}:{rpc}")

    async def ready() -> bool:
        return "Sum" in await output_of(*remote, "-l")

    async def add(torrent: Path, folder: Path) -> None:
        said = await output_of(*remote, "-a", str(torrent), "-w", str(folder))
        assert "success" in said, said
        await output_of(*remote, "-t", "all", "-v")

    async def progress() -> float:
        said = await output_of(*remote, "-t", "all", "-i")
        busy = "Verifying" in said
        done = [float(number) for number in re.findall(r"Percent Done: ([\d.]+)%", said)]
        return 0.0 if busy or not done else min(done) / 100

    async with running("transmission-daemon", "-f", "-g", str(home), log=home / "log"):
        await until(ready, "transmission-daemon starts")
        yield Client("Transmission", host, port, add, progress)


@asynccontextmanager
async def aria2(home: Path, host: str) -> AsyncIterator[Client]:
    """aria2 (1.36 in Debian 12): one process per torrent, which ends when the download is whole."""
    _installed("aria2c")
    port = 51417
    home.mkdir(parents=True, exist_ok=True)
    options = [
        "--no-conf",
        f"--interface={host}",
        f"--listen-port={port}",
        "--enable-dht=false",
        "--enable-dht6=false",
        "--bt-enable-lpd=false",
        "--enable-peer-exchange=false",
        "--file-allocation=none",
        "--allow-overwrite=true",
        "--check-integrity=true",
        "--seed-time=0",
        "--bt-tracker-interval=2",
        "--show-console-readout=false",
    ]
    started: list[asyncio.subprocess.Process] = []
    async with AsyncExitStack() as stack:

        async def add(torrent: Path, folder: Path) -> None:
            command = ("aria2c", *options, f"--dir={folder}", str(torrent))
            started.append(await stack.enter_async_context(running(*command, log=home / "log")))

        async def progress() -> float:
            for process in started:
                log = (home / "log").read_text(errors="replace")[-2000:]
                assert process.returncode in (None, 0), f"aria2c gave up: {log}"
            return float(bool(started) and all(process.returncode == 0 for process in started))

        yield Client("aria2", host, port, add, progress)


_QBITTORRENT = r"""[LegalNotice]
Accepted=true
[BitTorrent]
Session\Interface=lo
Session\InterfaceName=lo
Session\InterfaceAddress={host}
Session\Port={port}
Session\DHTEnabled=false
Session\LSDEnabled=false
Session\PeXEnabled=false
Session\MultiConnectionsPerIp=true
Session\SSRFMitigation=false
Session\BTProtocol=TCP
Session\DefaultSavePath={home}
Session\QueueingSystemEnabled=false
[Network]
PortForwardingEnabled=false
[Preferences]
WebUI\Address={host}
WebUI\Port={rpc}
WebUI\LocalHostAuth=false
WebUI\AuthSubnetWhitelistEnabled=true
WebUI\AuthSubnetWhitelist={host}/32
WebUI\HostHeaderValidation=false
WebUI\CSRFProtection=false
Connection\UPnP=false
"""


@asynccontextmanager
async def qbittorrent(home: Path, host: str) -> AsyncIterator[Client]:
    """qBittorrent-nox (4.5 in Debian 12)."""
    _installed("qbittorrent-nox")
    port, rpc = 51414, 9092
    config = home / "qBittorrent" / "config" / "qBittorrent.conf"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(_QBITTORRENT.format(host=host, port=port, rpc=rpc, home=home))
    api = f"http://{host}:{rpc}/api/v2"
    command = ("qbittorrent-nox", f"--profile={home}", f"--webui-port={rpc}")
    connector = aiohttp.TCPConnector(local_addr=(host, 0))
    async with (
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=20)) as session,
        running(*command, log=home / "log", env={"HOME": str(home), "QT_QPA_PLATFORM": "offscreen"}),
    ):

        async def ready() -> bool:
            try:
                async with session.get(f"{api}/app/version") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        async def add(torrent: Path, folder: Path) -> None:
            form = aiohttp.FormData()
            form.add_field("torrents", torrent.read_bytes(), filename=torrent.name)
            form.add_field("savepath", str(folder))
            form.add_field("contentLayout", "Original")
            async with session.post(f"{api}/torrents/add", data=form) as answer:
                assert answer.status == 200, await answer.text()

        async def progress() -> float:
            async with session.get(f"{api}/torrents/info") as answer:
                torrents: list[dict[str, Any]] = await answer.json()
            busy = any(torrent["state"].startswith("checking") for torrent in torrents)
            return 0.0 if busy else min((float(t["progress"]) for t in torrents), default=0.0)

        await until(ready, "qbittorrent-nox starts")
        yield Client("qBittorrent", host, port, add, progress)


@asynccontextmanager
async def deluge(home: Path, host: str) -> AsyncIterator[Client]:
    """Deluge (2.0 in Debian 12)."""
    _installed("deluged", "deluge-console")
    port, rpc = 51415, 58846
    home.mkdir(parents=True, exist_ok=True)
    (home / "auth").write_text("test:test:10\n")
    core = {
        "daemon_port": rpc,
        "allow_remote": True,
        "random_port": False,
        "listen_ports": [port, port],
        "listen_interface": host,
        "outgoing_interface": host,
        "dht": False,
        "lsd": False,
        "utpex": False,
        "upnp": False,
        "natpmp": False,
        "new_release_check": False,
        "send_info": False,
        "download_location": str(home),
        "ignore_limits_on_local_network": True,
        "geoip_db_location": "",
    }
    (home / "core.conf").write_text('{"file": 1, "format": 1}' + json.dumps(core))
    daemon = ("deluged", "-d", "-c", str(home), "-i", host, "-o", host, "-u", host, "-p", str(rpc))
    console = ("deluge-console", "-c", str(home), "-d", host, "-p", str(rpc), "-U", "test", "-P", "test")
    env = {"HOME": str(home)}

    async def ready() -> bool:
        return await accepts(host, rpc)

    async def add(torrent: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        said = await output_of(*console, f"add -p {folder} {torrent}", env=env)
        assert "added" in said.lower(), said

    async def progress() -> float:
        said = await output_of(*console, "info -v", env=env)
        states = re.findall(r"^State: (\w+)", said, re.MULTILINE)
        return float(bool(states) and all(state == "Seeding" for state in states))

    async with running(*daemon, log=home / "log", env=env):
        await until(ready, "deluged starts")
        yield Client("Deluge", host, port, add, progress)


_RTORRENT = """system.daemon.set = true
network.bind_address.set = {host}
network.local_address.set = {host}
network.port_range.set = {port}-{port}
network.port_random.set = no
network.scgi.open_local = {socket}
session.path.set = {home}/session
directory.default.set = {home}
dht.mode.set = off
protocol.pex.set = no
pieces.hash.on_completion.set = no
protocol.encryption.set = none
"""


@asynccontextmanager
async def rtorrent(home: Path, host: str) -> AsyncIterator[Client]:
    """rtorrent (0.9.8 in Debian 12), told what to do over its SCGI socket."""
    _installed("rtorrent")
    port = 51416
    (home / "session").mkdir(parents=True, exist_ok=True)
    # Unix socket paths are limited to 107 bytes; the process runs in its home.
    place = Path("rpc")
    (home / "rc").write_text(_RTORRENT.format(host=host, port=port, home=home, socket=place))

    def call(method: str, *args: Any) -> Any:
        return _scgi(home / place, method, *args)

    async def ready() -> bool:
        try:
            await asyncio.to_thread(call, "system.pid")
        except OSError:
            return False
        return True

    async def add(torrent: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(call, "load.start", "", str(torrent), f"d.directory.set={folder}")

    async def progress() -> float:
        rows = await asyncio.to_thread(call, "d.multicall2", "", "main", "d.bytes_done=", "d.size_bytes=")
        return min((done / size for done, size in rows), default=0.0)

    command = ("rtorrent", "-n", "-o", f"import={home / 'rc'}")
    async with running(*command, log=home / "log", cwd=home, env={"HOME": str(home), "TERM": "dumb"}):
        await until(ready, "rtorrent starts")
        yield Client("rtorrent", host, port, add, progress)


def _scgi(place: Path, method: str, *args: Any) -> Any:
    """One XML-RPC call over SCGI."""
    body = xmlrpc.client.dumps(args, method).encode()
    head = b"CONTENT_LENGTH\0%d\0SCGI\x001\0" % len(body)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(10)
        link.connect(str(place))
        link.sendall(b"%d:%s,%s" % (len(head), head, body))
        answer = b""
        while chunk := link.recv(65536):
            answer += chunk
    return xmlrpc.client.loads(answer.partition(b"\r\n\r\n")[2].decode())[0][0]


#: by the name used in test ids
CLIENTS: dict[str, Starter] = {
    "transmission": transmission,
    "aria2": aria2,
    "qbittorrent": qbittorrent,
    "deluge": deluge,
    "rtorrent": rtorrent,
}
