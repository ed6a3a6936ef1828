"""Tells the local network that there is a registrar here (RFC 6762, 6763; ``_seedkeep._tcp.local.``).

A convenience: whatever goes wrong, no network or no multicast in it, the registrar runs without.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit

from aiohttp import web
from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from seedkeep_registrar.context import REGISTRAR, Registrar

_LOG = logging.getLogger(__name__)
SERVICE = "_seedkeep._tcp.local."
#: how long the announcement may take at the start, and the farewell at the end, in seconds
_PATIENCE_S = 5.0
_DEFAULT_PORTS = {"http": 80, "https": 443}


def _addresses(host: str) -> list[str]:
    """IPv4 addresses of the public URL's host, as this machine knows it."""
    with suppress(ValueError):
        return [str(ipaddress.IPv4Address(host))]
    with suppress(OSError):
        return sorted({str(info[4][0]) for info in socket.getaddrinfo(host, None, socket.AF_INET)})
    return ["127.0.0.1"]


def _info(registrar: Registrar) -> AsyncServiceInfo:
    url = urlsplit(registrar.public_url)
    # part of the key makes the name unique on the network; a DNS label has at most 63 bytes
    label = str(registrar.vkey.key).removeprefix("ed25519:")[:16]
    return AsyncServiceInfo(
        SERVICE,
        f"registrar-{label}.{SERVICE}",
        port=url.port or _DEFAULT_PORTS.get(url.scheme, 80),
        properties={"role": "registrar", "url": registrar.public_url, "key": str(registrar.vkey)},
        server=f"seedkeep-{label.lower().replace('_', '-').strip('-')}.local.",
        parsed_addresses=_addresses(url.hostname or ""),
    )


async def _announce(registrar: Registrar, zeroconf: AsyncZeroconf) -> None:
    info = await asyncio.to_thread(_info, registrar)  # it may ask a name server
    sent = await zeroconf.async_register_service(info, allow_name_change=True)
    await sent


async def _say_goodbye(zeroconf: AsyncZeroconf) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await zeroconf.async_unregister_all_services()
    finally:
        await zeroconf.async_close()


async def announcing(app: web.Application) -> AsyncIterator[None]:
    """A ``cleanup_ctx`` of the application; announces in the background, and takes it back at the end."""
    try:
        zeroconf = AsyncZeroconf(ip_version=IPVersion.V4Only)
    except OSError as error:
        _LOG.warning("not announced on the local network: %s", error)
        yield
        return

    async def announce() -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await _announce(app[REGISTRAR], zeroconf)
        except Exception as error:
            _LOG.warning("not announced on the local network: %s", error or type(error).__name__)

    task = asyncio.create_task(announce())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    with suppress(Exception):  # nothing that fails here may keep the registrar from ending
        await _say_goodbye(zeroconf)


def setup(app: web.Application) -> None:
    """Announce this registrar, if its settings say so."""
    if app[REGISTRAR].settings.zeroconf:
        app.cleanup_ctx.append(announcing)
