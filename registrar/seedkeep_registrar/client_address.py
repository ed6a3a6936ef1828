"""Where a request really comes from, when there may be reverse proxies in front of the registrar."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from aiohttp import web

from seedkeep.core.errors import UsageError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MAX_HOPS = 16
#: what proxies add
_PASSED_ON = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Via")


@lru_cache(maxsize=64)
def parse_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Addresses and networks such as ``127.0.0.1`` and ``10.0.0.0/8``.

    Raises:
        UsageError: one is neither.
    """
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise UsageError(
            f"a trusted proxy is not an address or network: {error}", hint="Write 127.0.0.1 or 10.0.0.0/8."
        ) from error


@lru_cache(maxsize=4096)
def _parse(text: str) -> Address | None:
    text = text.strip()
    if text.startswith("["):  # [2001:db8::1]:443
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 192.0.2.1:443
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address
    return address


def client_address(remote: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> Address:
    """The nearest address that is not one of our proxies.

    Args:
        remote: the other end of the connection.
        forwarded_for: the values of ``X-Forwarded-For``; believed only as far as trusted proxies wrote them.
        trusted: the proxies.

    Returns:
        An address; ``0.0.0.0`` when the connection has none (a UNIX socket without a proxy's word).
    """
    nearest = _parse(remote or "")
    if nearest is not None and not any(nearest in network for network in trusted):
        return nearest
    hops = ",".join(forwarded_for).split(",")[-_MAX_HOPS:] if trusted else []
    for hop in reversed(hops):
        address = _parse(hop)
        if address is None:
            break
        nearest = address
        if not any(address in network for network in trusted):
            break
    return nearest or ipaddress.IPv4Address(0)


def peer_is(request: web.BaseRequest, networks: Sequence[Network]) -> bool:
    """Whether the other end of the connection itself is in one of these networks."""
    nearest = _parse(request.remote or "")
    return nearest is not None and any(nearest in network for network in networks)


def comes_by_stranger(request: web.BaseRequest, trusted: Sequence[Network]) -> bool:
    """Whether a proxy that is not one of ours passed the request on: the address is the proxy's then, and
    tells nothing of who asks."""
    return any(name in request.headers for name in _PASSED_ON) and not peer_is(request, trusted)


def address_of(request: web.BaseRequest, trusted: Sequence[Network]) -> Address:
    """The client's address of a request."""
    return client_address(request.remote, request.headers.getall("X-Forwarded-For", []), trusted)
