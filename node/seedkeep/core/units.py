"""Sizes and durations as people write them."""

from __future__ import annotations

import math
import re

from seedkeep.core.errors import UsageError

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgtpe]?)(i?)b?\s*", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5, "e": 6}
_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|min|h|d)?\s*", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def parse_size(text: str) -> int:
    """Bytes from ``50GB`` (10^9), ``50GiB`` (2^30), ``1.5T`` or a bare number.

    Raises:
        UsageError: it is not a size.
    """
    found = _SIZE.fullmatch(text)
    if not found:
        raise UsageError(f"{text!r} is not a size", hint="Write it like 50GB, 1.5TB or 200GiB.")
    number, unit, binary = found.groups()
    base = 1024 if binary else 1000
    factor: int = base ** _POWER[unit.lower()]
    return math.floor(float(number) * factor)


def parse_duration(text: str) -> float:
    """Seconds from ``30s``, ``10min``, ``24h``, ``14d`` or a bare number.

    Raises:
        UsageError: it is not a duration.
    """
    found = _DURATION.fullmatch(text)
    if not found:
        raise UsageError(f"{text!r} is not a duration", hint="Write it like 30s, 10min, 24h or 14d.")
    number, unit = found.groups()
    return float(number) * _SECONDS[(unit or "s").lower()]


def print_size(count: float) -> str:
    """Decimal units, three significant digits: ``18.4 MB``."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB", "EB"):
        if abs(count) < 999.5 or unit == "EB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def print_duration(seconds: float) -> str:
    """``42 s``, ``3 min 5 s``, ``2 h 10 min``, ``4 d 3 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
