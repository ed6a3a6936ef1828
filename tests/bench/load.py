"""A load generator for HTTP/1.1 on loopback: one process, epoll, no library, to cost little itself."""

from __future__ import annotations

import select
import socket
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_PATIENCE_S = 60.0


@dataclass
class Run:
    """What came of it: seconds of each answered request, and the statuses."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, which: int) -> float:
        """Of the latencies, in milliseconds."""
        return 1000 * statistics.quantiles(self.latencies, n=100)[which - 1]

    def cells(self) -> tuple[str, str, str]:
        """Rate, median and 99th percentile, for a table."""
        return f"{self.rate:,.0f}/s", f"{self.percentile(50):.1f} ms", f"{self.percentile(99):.1f} ms"


class _Slot:
    def __init__(self) -> None:
        self.sock: socket.socket | None = None
        self.unsent = b""
        self.got = bytearray()
        self.began = 0.0


def _complete(got: bytearray) -> int:
    """The status of a whole answer; 0 while it is not whole."""
    end = got.find(b"\r\n\r\n")
    if end < 0:
        return 0
    head = bytes(got[:end]).lower()
    at = head.find(b"content-length:")
    if at < 0:
        return 0
    length = int(head[at + 15 :].split(b"\r\n", 1)[0])
    return int(head[9:12]) if len(got) >= end + 4 + length else 0


def drive(address: tuple[str, int], requests: Iterable[bytes], *, connections: int, keep: bool) -> Run:
    """Send all requests.

    Args:
        connections: requests under way at a time.
        keep: whether connections are used again.
    """
    run, poll, slots, todo = Run(), select.epoll(), dict[int, _Slot](), iter(requests)
    begun = time.perf_counter()
    for _ in range(connections):
        _next(_Slot(), todo, address, poll, slots)
    while slots:
        ready = poll.poll(_PATIENCE_S)
        if not ready:
            raise TimeoutError(f"no answer from {address} within {_PATIENCE_S:.0f} s")
        for number, _ in ready:
            slot = slots[number]
            assert slot.sock is not None
            if slot.unsent:
                slot.unsent = slot.unsent[slot.sock.send(slot.unsent) :]
                if not slot.unsent:
                    poll.modify(number, select.EPOLLIN)
                continue
            data = slot.sock.recv(65536)
            slot.got += data
            status = _complete(slot.got)
            if status or not data:
                run.latencies.append(time.perf_counter() - slot.began)
                run.statuses[status or int(bytes(slot.got[9:12]) or b"0")] += 1
                del slots[number]
                if not keep or not data:
                    poll.unregister(number)
                    slot.sock.close()
                    slot.sock = None
                _next(slot, todo, address, poll, slots)
    run.seconds = time.perf_counter() - begun
    return run


def _next(
    slot: _Slot, todo: Iterator[bytes], address: tuple[str, int], poll: select.epoll, slots: dict[int, _Slot]
) -> None:
    request = next(todo, None)
    if request is None:
        if slot.sock is not None:
            slot.sock.close()
        return
    slot.unsent, slot.began = request, time.perf_counter()
    slot.got.clear()
    if slot.sock is None:
        slot.sock = socket.socket()
        slot.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        slot.sock.setblocking(False)
        slot.sock.connect_ex(address)
        poll.register(slot.sock.fileno(), select.EPOLLOUT)
    else:
        poll.modify(slot.sock.fileno(), select.EPOLLOUT)
    slots[slot.sock.fileno()] = slot


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
