"""A BitTorrent peer that claims to have everything and sends wrong bytes (BEP 3, and BEP 52 for v2)."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_BITFIELD, _UNCHOKE, _REQUEST, _PIECE = 5, 1, 6, 7


@dataclass
class HostilePeer:
    """``port`` is where it listens; ``served`` counts the blocks of garbage that somebody asked for."""

    info_hash: bytes
    pieces: int
    port: int = 0
    served: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            hello = await reader.readexactly(68)
            if hello[28:48] != self.info_hash:
                # An encrypted greeting; refused, it is repeated in the clear.
                writer.close()
                return
            reserved = bytes(7) + b"\x10"  # BEP 52: speaks v2
            writer.write(b"\x13BitTorrent protocol" + reserved + self.info_hash + b"-XX0001-hostilepeer!")
            bits = bytearray(-(-self.pieces // 8))
            for piece in range(self.pieces):
                bits[piece // 8] |= 0x80 >> piece % 8
            self._send(writer, _BITFIELD, bytes(bits))
            self._send(writer, _UNCHOKE, b"")
            while True:
                length = int.from_bytes(await reader.readexactly(4))
                message = await reader.readexactly(length)
                if message[:1] == bytes([_REQUEST]):
                    piece, begin, wanted = struct.unpack(">III", message[1:13])
                    self.served += 1
                    self._send(writer, _PIECE, struct.pack(">II", piece, begin) + b"\xbd" * wanted)
                    await writer.drain()
        writer.close()

    @staticmethod
    def _send(writer: asyncio.StreamWriter, kind: int, body: bytes) -> None:
        writer.write(struct.pack(">IB", len(body) + 1, kind) + body)

    def leave(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def hostile_peer(key: str, pieces: int, host: str = "127.0.0.1") -> AsyncIterator[HostilePeer]:
    """One for the torrent with this content id (its first 20 bytes go over the wire) or v1 info-hash."""
    peer = HostilePeer(bytes.fromhex(key)[:20], pieces)
    server = await asyncio.start_server(peer.meet, host, 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        peer.leave()
