"""Ports for servers that cannot choose one themselves, or must come back on the same one."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, closing, suppress

# Below the range from which the kernel gives ports to everybody who asks for any.
_FIRST, _LAST = 15_000, 32_000


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """TCP ports on ``host`` that nobody listens on now, and that nobody is given by chance."""
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < count:
            one = stack.enter_context(closing(socket.socket()))
            with suppress(OSError):
                one.bind((host, random.randrange(_FIRST, _LAST)))
                found.append(int(one.getsockname()[1]))
    return found


def free_port(host: str = "127.0.0.1") -> int:
    """One such port."""
    return free_ports(1, host)[0]
