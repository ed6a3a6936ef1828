"""Keep requests that somebody else's text asks for away from private networks.

A web seed named in a record must not make this machine talk to its own services, its LAN or a cloud's
metadata address. The check is on the address that is then connected to, so that neither a redirect nor
a name that changes between check and use gets around it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from seedkeep.core.errors import Refused, Unreachable

_RESOLVE_SECONDS = 10
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open Internet, also when it is an IPv4 one inside an IPv6 one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not ip.is_unspecified


async def public_addresses(host: str, port: int) -> list[str]:
    """The addresses of ``host``; all of them public.

    Raises:
        Refused: one of them is not.
        Unreachable: the name is unknown, or its servers do not answer within 10 s.
    """
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise Unreachable(f"the host name {host} cannot be resolved") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not is_public(address):
            raise Refused(f"the private address {address} of {host} is refused")
    if not addresses:
        raise Unreachable(f"the host name {host} has no address")
    return addresses
