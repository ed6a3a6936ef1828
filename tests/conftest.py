"""Fixtures that every test may ask for by name."""

from __future__ import annotations

pytest_plugins = [
    "tests.support.chromium",
    "tests.support.postgres",
    "tests.support.registrar",
    "tests.support.swift",
    "tests.support.s3",
]
