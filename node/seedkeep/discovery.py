"""Registrars and nodes on the local network, by multicast DNS service discovery (RFC 6762, 6763).

The service is ``_seedkeep._tcp.local.``; TXT ``role=registrar|node``, ``url=`` (registrars), ``key=``.
What is heard here is a hint: a registrar's key is pinned like any other's, and bytes from a peer are
verified like any other's.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from dataclasses import dataclass
from typing import Literal

from zeroconf import IPVersion, NonUniqueNameException, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from seedkeep.core.errors import UsageError
from seedkeep.registrar_http import normal_url

SERVICE = "_seedkeep._tcp.local."
#: how long to listen when nobody answers, and after the first answer
BROWSE_S = 1.5
_GRACE_S = 0.25
_RESOLVE_MS = 1500
_MOST = 50
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A registrar (``url``) or node (``addresses``, ``port``) that announced itself."""

    role: Literal["registrar", "node"]
    url: str
    key: str
    addresses: tuple[str, ...]
    port: int


async def browse(role: Literal["registrar", "node"], *, seconds: float = BROWSE_S) -> list[Neighbour]:
    """Who of this role announces itself; empty when nobody does, or there is no multicast here."""
    heard: asyncio.Queue[str] = asyncio.Queue(_MOST)

    def changed(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is ServiceStateChange.Added and not heard.full():
            heard.put_nowait(name)

    try:
        zeroconf = AsyncZeroconf(ip_version=IPVersion.V4Only)
    except OSError as error:
        log.debug("no multicast: %s", error)
        return []
    found: list[Neighbour] = []
    browser = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[changed])
    try:
        async with asyncio.timeout(seconds) as limit:
            while True:
                name = await heard.get()
                info = AsyncServiceInfo(SERVICE, name)
                await info.async_request(zeroconf.zeroconf, _RESOLVE_MS)
                neighbour = _neighbour(info)
                if neighbour is not None and neighbour.role == role and neighbour not in found:
                    found.append(neighbour)
                    soon = asyncio.get_running_loop().time() + _GRACE_S
                    limit.reschedule(min(soon, limit.when() or soon))
    except TimeoutError:
        pass
    finally:
        await browser.async_cancel()
        await zeroconf.async_close()
    return found


def _neighbour(info: AsyncServiceInfo) -> Neighbour | None:
    properties = info.decoded_properties
    role, url = properties.get("role"), properties.get("url") or ""
    if role == "registrar":
        try:
            url = normal_url(url)
        except UsageError:
            return None
        return Neighbour("registrar", url, properties.get("key") or "", (), info.port or 0)
    if role == "node" and info.port:
        return Neighbour("node", "", properties.get("key") or "", tuple(info.parsed_addresses()), info.port)
    return None


class Announcement:
    """Says on the local network that a node is here, until closed.

    Args:
        key: the node's printed key.
        port: where it takes connections from peers.
        address: the one address it listens on, or "" for all of this machine's.
    """

    def __init__(self, *, key: str, port: int, address: str = "") -> None:
        label = key.removeprefix("ed25519:")[:16]
        self._info = AsyncServiceInfo(
            SERVICE,
            f"node-{label}.{SERVICE}",
            port=port,
            properties={"role": "node", "key": key},
            server=f"seedkeep-{label.lower().replace('_', '-').strip('-')}.local.",
            parsed_addresses=[address] if address else _own_addresses(),
        )
        self._zeroconf: AsyncZeroconf | None = None

    async def start(self) -> None:
        """Begin; a network without multicast is logged, not an error."""
        try:
            self._zeroconf = AsyncZeroconf(ip_version=IPVersion.V4Only)
            await self._zeroconf.async_register_service(self._info, allow_name_change=True)
        except (OSError, NonUniqueNameException) as error:
            log.warning("this node cannot announce itself on the local network: %s", error)
            await self.close()

    async def close(self) -> None:
        """Say goodbye. Idempotent."""
        zeroconf, self._zeroconf = self._zeroconf, None
        if zeroconf is not None:
            await zeroconf.async_unregister_all_services()
            await zeroconf.async_close()


def _own_addresses() -> list[str]:
    """This machine's IPv4 addresses that others may reach; loopback when there is no other."""
    try:
        entries = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        entries = []
    own = {str(entry[4][0]) for entry in entries}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # connecting a datagram socket sends nothing; it tells which address would be used
            probe.connect(("198.51.100.1", 9))
            own.add(probe.getsockname()[0])
        except OSError:
            pass
    outside = sorted(a for a in own if not ipaddress.ip_address(a).is_loopback)
    return outside or ["127.0.0.1"]
