"""Fixtures that every test may ask for by name, and what holds for all tests."""

from __future__ import annotations

import gc
import os
import sys

from hypothesis import HealthCheck, settings

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


def pytest_collection_finish() -> None:
    """What is loaded by now stays: leave it out of every later collection of garbage."""
    gc.collect()
    gc.freeze()
