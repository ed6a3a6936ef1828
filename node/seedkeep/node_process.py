"""A storage manager as a process: engine, registrars, control socket, announcement on the local network.

:func:`run_node` puts them together around :class:`seedkeep.storage.service.StorageManager` and takes them
down again in the right order, whatever ended it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any

import aiohttp

from seedkeep import keystore
from seedkeep.config import NodeSettings, listen_on
from seedkeep.control import ControlServer, socket_path
from seedkeep.core.errors import Error, UsageError
from seedkeep.discovery import Announcement, browse
from seedkeep.engine.lt import libtorrent_engine
from seedkeep.engine.model import EngineSettings
from seedkeep.engine.session_settings import choose_ports
from seedkeep.known import KnownRegistrars
from seedkeep.locating import Locator, answering, is_bare
from seedkeep.registrar_client import RegistrarClient
from seedkeep.storage.service import StorageManager

#: how long a node without a configured registrar listens for one on the local network
LOOK_FOR_REGISTRARS_S = 5.0


async def run_node(settings: NodeSettings, *, ready: Callable[[StorageManager, list[str]], None]) -> None:
    """Run a storage manager until it is told to go down, or cancelled.

    Args:
        ready: is called once with the node and its registrars' URLs, when it serves and can be asked.

    Raises:
        UsageError: no registrar is known, or the pledge is too small.
        Conflict: a node runs in this data directory already.
        Error: a port or directory cannot be used, or the node cannot go on.
    """
    data = settings.data
    await asyncio.to_thread(_make, settings)
    known = KnownRegistrars(data / "known_registrars")
    key = await asyncio.to_thread(keystore.load_or_create, data / "key.pem")
    port = await asyncio.to_thread(_port, settings)
    engine = libtorrent_engine(
        EngineSettings(
            listen=listen_on(settings.listen, port),
            dht=settings.dht,
            lsd=settings.lsd,
            utp=settings.utp,
            down_limit=settings.down_limit,
            up_limit=settings.up_limit,
            private_web_seeds=settings.private_web_seeds,
        )
    )
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))

        def connect(url: str) -> RegistrarClient:
            return known.client(url, key=key, session=session, now=time.time)

        locator = Locator(answering(session, time.time), data / "domains.json", time.time)
        found = await _registrars(settings, known)
        urls = [await locator.url(one) if is_bare(one) else one for one in found]
        clients = [connect(url) for url in urls]
        node = StorageManager(settings, key, engine, clients, session=session, now=time.time, connect=connect)
        server = ControlServer(socket_path(data), node.commands())
        # the socket goes last, so that `node down` knows when all is put away
        stack.push_async_callback(server.close)
        stack.push_async_callback(node.close)
        await node.open()
        await asyncio.to_thread(_keep_port, settings, engine.listen_port)
        await server.start()
        if settings.zeroconf:
            announcement = Announcement(key=str(key.public), port=engine.listen_port, address=_only(settings))
            stack.push_async_callback(announcement.close)
            await announcement.start()
        ready(node, urls)
        await node.run()


def _make(settings: NodeSettings) -> None:
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Error(
            f"the data directory {settings.data} cannot be made: {error.strerror}",
            hint="Choose another one with --data.",
        ) from error


async def _registrars(settings: NodeSettings, known: KnownRegistrars) -> list[str]:
    """Configured ones, or those served before, or, the first time, those on the local network.

    Registrars can have everything removed from a node: none comes in later just by being in its network.
    """
    if settings.registrars:
        return list(dict.fromkeys(settings.registrars))
    if served := await asyncio.to_thread(known.urls):
        return served
    if settings.zeroconf:
        found = await browse("registrar", seconds=LOOK_FOR_REGISTRARS_S)
        if found:
            return list(dict.fromkeys(n.url for n in found))
    raise UsageError(
        "no registrar is known to serve",
        hint="Name one with --registrar URL, or set registrars in node.toml.",
    )


def _port(settings: NodeSettings) -> int:
    """The port asked for; or the one of the last run, as long as nobody else has taken it."""
    if settings.port:
        return settings.port
    with suppress(OSError, ValueError, Error):
        last = int((settings.data / "port").read_text())
        choose_ports(listen_on(settings.listen, last))
        return last
    return 0


def _keep_port(settings: NodeSettings, port: int) -> None:
    with suppress(OSError):
        (settings.data / "port").write_text(f"{port}\n")


def _only(settings: NodeSettings) -> str:
    """The one IPv4 address it listens on, or "" for all of them."""
    hosts = [h.strip() for h in settings.listen.split(",")]
    single = len(hosts) == 1 and hosts[0] not in ("0.0.0.0", "[::]", "::")  # noqa: S104 - compared, not bound
    return hosts[0] if single and ":" not in hosts[0] else ""


def summary(node: StorageManager, urls: list[str]) -> dict[str, Any]:
    """What ``node up`` says when it is ready."""
    return {
        "node": str(node.key.public),
        "data": str(node.settings.data),
        "pledge": node.settings.pledge,
        "port": node.engine.listen_port,
        "registrars": urls,
    }


def with_absolute_data(settings: NodeSettings) -> NodeSettings:
    """The settings with the data directory written out in full."""
    return replace(settings, data=settings.data.absolute())
