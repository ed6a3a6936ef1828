"""What a test needs from the machine, and what happens when it is not there."""

from __future__ import annotations

import os

import pytest


def require(present: bool, reason: str) -> None:
    """Skip the test with ``reason`` unless ``present``; with ``SEEDKEEP_REQUIRE_ALL=1`` fail it instead."""
    if present:
        return
    if os.environ.get("SEEDKEEP_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
