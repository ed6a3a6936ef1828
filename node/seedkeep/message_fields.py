"""Fields of JSON objects from outside, read with their type: times, digests, counts and URLs.

A field that is missing, of the wrong type or out of range raises InvalidInput and names the field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from seedkeep.core.errors import InvalidInput
from seedkeep.core.record import check_web_seed

T = TypeVar("T")
HEX64 = re.compile(r"[0-9a-f]{64}")
_TRACKER = ("http", "https", "udp", "ws", "wss")


def when(text: str) -> float:
    """Unix seconds of a UTC time like ``2026-01-31T12:00:00Z``.

    Raises:
        InvalidInput: it is not one.
    """
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError as error:
        raise InvalidInput(f"{text[:40]!r} is not a time like 2026-01-31T12:00:00Z") from error
    return moment.replace(tzinfo=UTC).timestamp()


def utc(seconds: float) -> str:
    """Unix seconds as ``2026-01-31T12:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Fields:
    """Typed access to a JSON object from outside."""

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, Mapping):
            raise InvalidInput(f"{what} is not a JSON object")
        self._value = value
        self._what = what

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def _bad(self, name: str) -> InvalidInput:
        return InvalidInput(f"{self._what} has a bad or missing field {name!r}")

    def text(self, name: str, *, limit: int = 2000, default: str | None = None) -> str:
        value = self._value.get(name, default)
        if not isinstance(value, str) or len(value) > limit:
            raise self._bad(name)
        return value

    def hex64(self, name: str) -> str:
        value = self.text(name)
        if not HEX64.fullmatch(value):
            raise self._bad(name)
        return value

    def count(self, name: str, *, default: int | None = None) -> int:
        value = self._value.get(name, default)
        if type(value) is not int or not 0 <= value < 2**53:
            raise self._bad(name)
        return value

    def seconds(self, name: str) -> float:
        value = self._value.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            raise self._bad(name)
        return float(value)

    def object(self, name: str) -> Mapping[str, Any]:
        value = self._value.get(name)
        if not isinstance(value, Mapping):
            raise self._bad(name)
        return value

    def time(self, name: str) -> float:
        return when(self.text(name, limit=40))

    def items(self, name: str, read: Callable[[Any], T], *, most: int = 200_000) -> tuple[T, ...]:
        value = self._value.get(name, [])
        if not isinstance(value, list) or len(value) > most:
            raise self._bad(name)
        return tuple(read(item) for item in value)


def http_url(value: Any) -> str:
    """A plain http(s) URL without password, or InvalidInput."""
    if not is_url(value, ("http", "https")):
        raise InvalidInput(f"{str(value)[:120]!r} is not an http(s) URL")
    return str(value)


def is_url(value: Any, schemes: tuple[str, ...]) -> bool:
    """Whether it is an absolute URL of one of these schemes that can be handed to others."""
    if not isinstance(value, str) or len(value) > 2000 or not value.isascii() or not value.isprintable():
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and parts.username is None and " " not in value


def usable_web_seed(value: Any) -> bool:
    """Whether it is an http(s) web seed."""
    try:
        check_web_seed(value if isinstance(value, str) else "")
    except InvalidInput:
        return False
    return str(value).startswith(("http://", "https://"))


def usable_tracker(value: Any) -> bool:
    """Whether it is a tracker's announce URL."""
    return is_url(value, _TRACKER)


def one_line(text: Any, limit: int = 600) -> str:
    """Text from outside as it may be shown at a terminal: one line, no control characters."""
    if not isinstance(text, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in text[:limit]).strip()
