"""Canonical JSON: whichever way it is written, it is what RFC 8785 says."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from seedkeep.core import jcs
from seedkeep.core.errors import InvalidInput

_INT = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
_SCALARS = st.none() | st.booleans() | _INT | st.text() | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(_VALUES)
def test_every_value_is_written_as_the_reference_does(value: Any) -> None:
    assert jcs.dumps(value) == rfc8785.dumps(value)


def test_keys_are_in_the_order_of_utf16() -> None:
    assert jcs.dumps({"\U00010000": 1, "\uffff": 2}) == '{"\U00010000":1,"\uffff":2}'.encode()


def test_control_characters_are_written_in_the_one_way() -> None:
    every = "".join(map(chr, range(0x20))) + '"\\/\x7f\u2028'
    assert jcs.dumps(every) == rfc8785.dumps(every)


@pytest.mark.parametrize(
    "value", [2**53, -(2**53), float("nan"), float("inf"), "\ud800", {"\ud800": 1}, {1: 2}]
)
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput):
        jcs.dumps({"value": [value]})
