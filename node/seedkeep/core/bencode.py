"""Bencode (BEP 3): a canonical encoder, and a reader that accepts nothing else.

The reader refuses whatever the encoder would not have written (unsorted or repeated keys, leading
zeros, ``-0``, trailing bytes), so reading and writing again gives the same bytes, and an info-hash
can be computed from the values. It works without recursion and under limits, for input from anyone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, Union

from seedkeep.core.errors import HostileMetainfo

#: what bencode can say: integers, byte strings, lists, and dictionaries with byte string keys
Value: TypeAlias = Union[int, bytes, "list[Value]", "dict[bytes, Value]"]
#: what can be written; wider than :data:`Value` so that callers need not copy
Writable: TypeAlias = Union[int, bytes, "Sequence[Writable]", "Mapping[bytes, Writable]"]

# BEP 3 sets no limit; everything in BitTorrent is a signed 64-bit integer (at most 19 digits).
_MAX_DIGITS = 19
_INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a reader takes in before it refuses.

    Attributes:
        size: longest input, in bytes.
        depth: most dictionaries and lists inside one another.
        tokens: most values and keys in all.
    """

    size: int = 10_000_000
    depth: int = 32
    tokens: int = 500_000


def encode(value: Writable) -> bytes:
    """The canonical bencoding of ``value``; keys of dictionaries are sorted as raw bytes.

    Raises:
        TypeError: a value of another type, for example ``str`` or ``bool``.
    """
    out: list[bytes] = []
    _write(value, out)
    return b"".join(out)


def encode_bytes(value: bytes) -> bytes:
    """The bencoding of one byte string."""
    return b"%d:%b" % (len(value), value)


def _write(value: Writable, out: list[bytes]) -> None:
    if isinstance(value, bytes):
        out.append(encode_bytes(value))
    elif isinstance(value, int) and not isinstance(value, bool):
        out.append(b"i%de" % value)
    elif isinstance(value, Mapping):
        out.append(b"d")
        for key in sorted(value):
            out.append(encode_bytes(key))
            _write(value[key], out)
        out.append(b"e")
    elif isinstance(value, list | tuple):
        out.append(b"l")
        for item in value:
            _write(item, out)
        out.append(b"e")
    else:
        raise TypeError(f"bencode has no {type(value).__name__}")


def decode(data: bytes, *, limits: Limits = Limits()) -> Value:
    """The value that ``data`` encodes canonically.

    Raises:
        HostileMetainfo: not bencode, not canonical, or beyond ``limits``; says where.
    """
    if len(data) > limits.size:
        raise HostileMetainfo(f"the torrent has {len(data):,} bytes, more than the limit of {limits.size:,}")
    return _Reader(data, limits).read()


class _Reader:
    """One pass over ``data`` with an explicit stack."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self._data = data
        self._limits = limits
        self._at = 0

    def read(self) -> Value:
        data, limits = self._data, self._limits
        stack: list[list[Value] | dict[bytes, Value]] = []
        keys: list[
            bytes | None
        ] = []  # of each open container: the key that waits for its value, or the last one
        waiting = False  # the innermost container is a dictionary whose key has been read
        tokens = 0
        while True:
            tokens += 1
            if tokens > limits.tokens:
                raise self._bad(f"more than {limits.tokens:,} values")
            mark = data[self._at : self._at + 1]
            inside_dict = bool(stack) and isinstance(stack[-1], dict)
            value: Value
            if mark == b"e" and stack and not waiting:
                self._at += 1
                value = stack.pop()
                keys.pop()
                waiting = bool(stack) and isinstance(stack[-1], dict)
            elif inside_dict and not waiting:
                key = self._string()
                last = keys[-1]
                if last is not None and key <= last:
                    raise self._bad("repeated keys" if key == last else "keys out of order")
                keys[-1] = key
                waiting = True
                continue
            elif mark in (b"d", b"l"):
                if len(stack) >= limits.depth:
                    raise self._bad(f"more than {limits.depth} levels")
                self._at += 1
                stack.append({} if mark == b"d" else [])
                keys.append(None)
                waiting = False
                continue
            elif mark == b"i":
                value = self._integer()
            else:
                value = self._string()
            if not stack:
                if self._at != len(data):
                    raise self._bad("bytes after the end")
                return value
            top = stack[-1]
            if isinstance(top, dict):
                key_of_value = keys[-1]
                assert key_of_value is not None
                top[key_of_value] = value
                waiting = False
            else:
                top.append(value)

    def _bad(self, what: str) -> HostileMetainfo:
        return HostileMetainfo(f"the torrent is not well formed: {what} at byte {self._at:,}")

    def _integer(self) -> int:
        start = self._at + 1
        end = self._data.find(b"e", start, start + _MAX_DIGITS + 2)
        digits = self._data[start:end] if end >= 0 else b""
        magnitude = digits[1:] if digits.startswith(b"-") else digits
        if not magnitude.isdigit() or (magnitude.startswith(b"0") and digits != b"0"):
            raise self._bad("a bad integer")
        number = int(digits)
        if not -_INT64 <= number < _INT64:
            raise self._bad("an integer beyond 64 bits")
        self._at = end + 1
        return number

    def _string(self) -> bytes:
        start = self._at
        colon = self._data.find(b":", start, start + _MAX_DIGITS)
        digits = self._data[start:colon] if colon >= 0 else b""
        if not digits.isdigit() or (len(digits) > 1 and digits.startswith(b"0")):
            raise self._bad("a bad string length or an unknown value")
        end = colon + 1 + int(digits)
        if end > len(self._data):
            raise self._bad("a string that ends after the input")
        self._at = end
        return self._data[colon + 1 : end]
