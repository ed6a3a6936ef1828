"""A private network namespace for a test: 10.77.0.x on a loopback of its own, nothing gets in or out.

Some clients (Transmission 3.00) refuse peers on 127.0.0.1, and addresses of its own let every client use its
usual port. The test process itself moves into the namespace, and back at the end; threads and child processes
that it starts meanwhile are inside as well.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.require import require

_CLONE_NEWNET = 0x40000000
HOSTS = tuple(f"10.77.0.{number}" for number in range(1, 21))

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def private_network() -> Iterator[tuple[str, ...]]:
    """Move this thread into a fresh namespace; yields the addresses that exist there.

    Raises:
        OSError: the machine does not allow it (it takes root).
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.unshare(_CLONE_NEWNET))
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=10)
            for host in HOSTS:
                subprocess.run(["ip", "addr", "add", f"{host}/32", "dev", "lo"], check=True, timeout=10)
            yield HOSTS
        finally:
            _check(_libc.setns(home, _CLONE_NEWNET))
    finally:
        os.close(home)


@pytest.fixture
def hosts() -> Iterator[tuple[str, ...]]:
    """Addresses for the parts of a test, in a network that is the test's alone."""
    require(shutil.which("ip") is not None, "needs the ip command (iproute2)")
    require(os.geteuid() == 0, "needs root to make a network namespace")
    network = private_network()
    try:
        addresses = network.__enter__()
    except OSError as error:
        require(False, f"this machine allows no network namespaces: {error}")
        raise
    try:
        yield addresses
    finally:
        network.__exit__(None, None, None)
