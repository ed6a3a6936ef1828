from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core.bencode import Limits, Value, decode, encode
from seedkeep.core.errors import HostileMetainfo

values = st.recursive(
    st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.binary(max_size=10), inner, max_size=5),
    max_leaves=30,
)


@given(values)
def test_what_was_written_is_read_back(value: Value) -> None:
    assert decode(encode(value)) == value


@given(st.binary(max_size=60) | st.text("ilde0123456789:-a", max_size=40).map(str.encode))
def test_whatever_is_accepted_is_the_only_encoding_of_its_value(data: bytes) -> None:
    try:
        value = decode(data)
    except HostileMetainfo:
        return
    assert encode(value) == data


@given(values, st.data())
def test_a_damaged_encoding_is_refused_or_is_canonical(value: Value, data: st.DataObject) -> None:
    encoded = bytearray(encode(value))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(encoded))
    except HostileMetainfo:
        return
    assert encode(found) == bytes(encoded)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"i",
        b"ie",
        b"i-e",
        b"i-0e",
        b"i00e",
        b"i01e",
        b"i-01e",
        b"i+1e",
        b"i 1e",
        b"i1",
        b"i9223372036854775808e",
        b"i" + b"9" * 10_000 + b"e",
        b"01:a",
        b"-1:a",
        b"2:a",
        b":",
        b"99999999999999999999:a",
        b"1:ab",
        b"i1ei2e",
        b"l",
        b"li1e",
        b"d",
        b"d1:a",
        b"d1:ae",
        b"di1ei2ee",
        b"dlei1ee",
        b"d1:ai1e1:ai2ee",
        b"d1:bi1e1:ai2ee",
        b"e",
        b"x",
    ],
)
def test_everything_that_is_not_canonical_is_refused(data: bytes) -> None:
    with pytest.raises(HostileMetainfo, match="not well formed"):
        decode(data)


def test_depth_is_limited_without_recursion() -> None:
    assert decode(b"l" * 32 + b"e" * 32) is not None
    for depth in (33, 5_000_000):
        with pytest.raises(HostileMetainfo, match="more than 32 levels"):
            decode(b"l" * depth + b"e" * depth, limits=Limits(size=20_000_000))


def test_size_is_limited_and_the_limit_can_be_raised() -> None:
    data = encode(bytes(10_000_000))
    with pytest.raises(HostileMetainfo, match="10,000,009 bytes"):
        decode(data)
    assert len(decode(data, limits=Limits(size=11_000_000))) == 10_000_000  # type: ignore[arg-type]


def test_the_number_of_values_is_limited() -> None:
    data = encode([0] * 500_000)
    with pytest.raises(HostileMetainfo, match="more than 500,000 values"):
        decode(data)
    assert len(decode(data, limits=Limits(tokens=600_000))) == 500_000  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["text", True, 1.5, None, {"text": 1}])
def test_what_bencode_has_no_form_for_is_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        encode(value)  # type: ignore[arg-type]
