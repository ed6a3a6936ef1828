"""Canonical JSON (RFC 8785, JCS): one value, one byte string.

Everything that is hashed or signed as JSON goes through :func:`dumps`; everything that comes from
outside as JSON goes through :func:`loads`, which refuses what JCS could not have produced twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

import rfc8785

from seedkeep.core.errors import InvalidInput

MAX_DEPTH = 32
_LARGEST_INT = 2**53 - 1
_PLAIN = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def _is_plain(value: Any) -> bool:
    """Whether Python's encoder, many times as fast, writes just what RFC 8785 wants.

    It does without floats, and where the order of keys by code points is that by UTF-16 code units.
    """
    kind = type(value)
    if kind is dict:
        return all(type(k) is str and k.isascii() and _is_plain(inner) for k, inner in value.items())
    if kind is list or kind is tuple:
        return all(map(_is_plain, value))
    if kind is int:
        return bool(-_LARGEST_INT <= value <= _LARGEST_INT)
    return kind in (str, bool, type(None))


def dumps(value: Any) -> bytes:
    """The canonical UTF-8 encoding of ``value``.

    Raises:
        InvalidInput: a value JSON or I-JSON has no place for (NaN, lone surrogates, integers ≥ 2^53).
    """
    try:
        return _PLAIN.encode(value).encode() if _is_plain(value) else rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidInput(f"this value has no canonical JSON form: {error}") from error


def _pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidInput("a JSON object names the same key twice")
    return found


def _constant(name: str) -> NoReturn:
    raise InvalidInput(f"{name} is not JSON")


def _depth(value: Any, left: int = MAX_DEPTH) -> None:
    if left < 0:
        raise InvalidInput(f"JSON is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        for inner in value.values():
            _depth(inner, left - 1)
    elif isinstance(value, list):
        for inner in value:
            _depth(inner, left - 1)


def loads(data: bytes | str, *, limit: int = 1 << 20) -> Any:
    """Parse JSON from outside, strictly: no duplicate keys, no NaN, bounded size and depth.

    Args:
        data: the text, UTF-8 when given as bytes.
        limit: the largest size accepted, in bytes.

    Raises:
        InvalidInput: the text is not such JSON, or is larger than ``limit``.
    """
    if len(data) > limit:
        raise InvalidInput(f"a JSON document of {len(data)} bytes is over the limit of {limit} bytes")
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        value = json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"this is not valid JSON: {error}") from error
    _depth(value)
    return value
