"""A name server on loopback that answers from a table, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
from dns.asyncresolver import Resolver


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """``records``: name (with the final dot) → SRV records as in a zone file; ``asked``: names so far."""

    records: Mapping[str, Sequence[str]]
    asked: list[str] = field(default_factory=list)
    port: int = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        name = query.question[0].name
        self.asked.append(name.to_text())
        answer = dns.message.make_response(query)
        if found := self.records.get(name.to_text()):
            answer.answer.append(dns.rrset.from_text(name, 300, "IN", "SRV", *found))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(answer.to_wire(), addr)

    def resolver(self) -> Resolver:
        """What asks this server."""
        resolver = Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], self.port
        return resolver


@asynccontextmanager
async def name_server(records: Mapping[str, Sequence[str]]) -> AsyncIterator[NameServer]:
    """A running server."""
    server = NameServer(records)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: server, local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
