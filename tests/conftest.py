"""Fixtures that every test may ask for by name, and what holds for all tests."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_TESTS = Path(__file__).parent

# A run finds what the last one found: a failure is the change's, not the dice's. Other examples are looked
# for by `--hypothesis-profile searching`. How long one takes says more about the machine than about the code.
settings.register_profile(
    "searching", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("same examples", settings.get_profile("searching"), derandomize=True)
settings.load_profile("same examples")

# the commands that tests start, hundreds of times, would else compile the whole program each time
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

pytest_plugins = [
    "tests.support.chromium",
    "tests.support.postgres",
    "tests.support.registrar",
    "tests.support.people",
    "tests.support.swift",
    "tests.support.s3",
]


#: what takes longest, so that no worker is left alone with one of them at the end
_LONG = (
    "registrar/test_openapi_schemathesis.py",
    "system/",
    "registrar/test_crash.py",
    "node/test_fetch_for_real.py",
    "registrar/test_large_page.py",
    "interop/test_torrent_clients.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal the long ones out evenly, each worker's first.

    Workers begin with one stretch of the list each, as long as the others', and take from each other's ends.
    """
    long, short = [], []
    for item in items:
        here = item.path.relative_to(_TESTS).as_posix()
        (long if here.startswith(_LONG) else short).append(item)
    workers = max(1, min(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), len(items)))
    each = -(-len(items) // workers)
    items.clear()
    for number in range(workers):
        own = long[number::workers]
        fill = each - len(own)
        items += own + short[:fill] if number < workers - 1 else own + short
        short = short[fill:]


def pytest_collection_finish() -> None:
    """What is loaded by now stays: leave it out of every later collection of garbage."""
    gc.collect()
    gc.freeze()
