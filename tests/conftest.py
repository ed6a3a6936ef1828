"""Fixtures that every test may ask for by name."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# how long one example takes says more about the machine than about the code
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

pytest_plugins = [
    "tests.support.chromium",
    "tests.support.postgres",
    "tests.support.registrar",
    "tests.support.people",
    "tests.support.swift",
    "tests.support.s3",
]
