"""Typed reading of a JSON object that came with a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aiohttp import web

from seedkeep.core.errors import InvalidInput

T = TypeVar("T")
HEX64 = re.compile(r"[0-9a-f]{64}")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _storable(value: Any, limit: int) -> bool:
    # PostgreSQL keeps no NUL, and nothing keeps half of a surrogate pair
    return isinstance(value, str) and len(value) <= limit and not _UNSTORABLE.search(value)


class Fields:
    """Every reader raises :class:`InvalidInput` naming the field that is missing, malformed or too large."""

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, Mapping):
            raise InvalidInput(f"{what} is not a JSON object")
        self._value = value
        self._what = what

    def _bad(self, name: str, wanted: str) -> InvalidInput:
        return InvalidInput(f"{name} of {self._what} is not {wanted}")

    def only(self, *names: str) -> Fields:
        """Refuse fields of other names."""
        if unknown := set(self._value) - set(names):
            raise InvalidInput(f"{self._what} has an unknown field {min(unknown)[:60]!r}")
        return self

    def given(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._value.get(name) is not None

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._value.get(name)
        if not isinstance(value, bool):
            raise self._bad(name, "true or false")
        return value

    def text(self, name: str, *, limit: int, default: str | None = None) -> str:
        """Text of at most ``limit`` characters."""
        value = self._value.get(name, default)
        if not _storable(value, limit):
            raise self._bad(name, f"text of at most {limit} characters")
        return str(value)

    def hex64(self, name: str) -> str:
        """64 lower-case hex digits."""
        value = self._value.get(name)
        if not isinstance(value, str) or not HEX64.fullmatch(value):
            raise self._bad(name, "64 hex digits")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of a few texts."""
        value = self._value.get(name)
        if value not in choices:
            raise self._bad(name, f"one of {', '.join(choices)}")
        return str(value)

    def number(self, name: str, *, most: int = 2**53 - 1) -> int:
        """A whole number from 0 to ``most``."""
        value = self._value.get(name)
        if type(value) is not int or not 0 <= value <= most:
            raise self._bad(name, f"a whole number from 0 to {most}")
        return value

    def items(self, name: str, read: Callable[[Any], T], *, most: int) -> tuple[T, ...]:
        """A list of at most ``most`` items, each read by ``read``; missing is empty."""
        value = self._value.get(name, [])
        if not isinstance(value, list) or len(value) > most:
            raise self._bad(name, f"a list of at most {most} items")
        return tuple(read(item) for item in value)

    def inner(self, name: str) -> Fields | None:
        """An object, or None where it is null or missing."""
        value = self._value.get(name)
        return None if value is None else Fields(value, f"{name} of {self._what}")


def short_text(limit: int) -> Callable[[Any], str]:
    """Reads one text of at most ``limit`` characters."""

    def read(value: Any) -> str:
        if not _storable(value, limit):
            raise InvalidInput(f"an item of a list is not text of at most {limit} characters")
        return str(value)

    return read


def hex_text(value: Any) -> str:
    """Reads 64 lower-case hex digits."""
    if not isinstance(value, str) or not HEX64.fullmatch(value):
        raise InvalidInput("an item of a list is not 64 hex digits")
    return value


def path_hex64(request: web.Request, name: str) -> str:
    """A part of the path that must be 64 hex digits."""
    value = request.match_info[name]
    if not HEX64.fullmatch(value):
        raise InvalidInput(f"{value[:80]!r} is not 64 hex digits")
    return value
